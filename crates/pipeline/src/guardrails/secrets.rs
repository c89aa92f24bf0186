//! Secrets in text: private keys and tokens whose form gives them away. Few kinds, each with a form that nothing else
//! has, so that a finding is worth stopping for.

use std::sync::LazyLock;

use regex::Regex;

/// A secret in a text; the secret itself is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Line, from 1.
    pub line: usize,
    /// What it looks like.
    pub what: &'static str,
}

/// Kinds of secrets and their forms.
const FORMS: [(&str, &str); 20] = [
    (
        "a private key",
        r"(?m)-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:[ \t]*\r?$|(?:\\r|\\n|[\s'\x22+,\\])*[A-Za-z0-9+/=]{16,})",
    ),
    ("an AWS access key", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("a GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),
    ("a GitHub token", r"\bgithub_pat_[A-Za-z0-9_]{60,255}\b"),
    ("a GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("a Slack token", r"\bxox[abeoprs]-[0-9A-Za-z-]{20,}"),
    ("a Slack webhook", r"https://hooks\.slack\.com/services/T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,}"),
    ("an Anthropic key", r"\bsk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{32,}"),
    ("an OpenAI key", r"\bsk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{32,}"),
    ("an OpenAI key", r"\bsk-[A-Za-z0-9]{48}\b"),
    ("an OpenRouter key", r"\bsk-or-v1-[0-9a-f]{64}\b"),
    ("a Google API key", r"\bAIza[0-9A-Za-z_-]{35}\b"),
    ("a Stripe key", r"\b[sr]k_live_[0-9A-Za-z]{24,}\b"),
    ("an npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("a PyPI token", r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
    ("a SendGrid key", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}\b"),
    ("a Hugging Face token", r"\bhf_[A-Za-z0-9]{34,}\b"),
    ("a DigitalOcean token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    ("an age key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b"),
    ("a Shopify token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
];

static COMPILED: LazyLock<Vec<(&'static str, Regex)>> =
    LazyLock::new(|| FORMS.iter().filter_map(|(what, form)| Some((*what, Regex::new(form).ok()?))).collect());

/// The secrets in a text, by line.
#[must_use]
pub fn find(text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (what, form) in COMPILED.iter() {
        for found in form.find_iter(text) {
            let before = text.get(..found.start()).unwrap_or_default();
            let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
            findings.push(Finding { line, what });
        }
    }
    findings.sort_by_key(|finding| finding.line);
    findings.dedup();
    findings
}

/// The text with every secret in it replaced.
#[must_use]
pub fn redact(text: &str) -> String {
    let mut text = text.to_owned();
    for (_, form) in COMPILED.iter() {
        if form.is_match(&text) {
            text = form.replace_all(&text, "[redacted]").into_owned();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_one() {
        assert_eq!(COMPILED.len(), FORMS.len());
    }

    #[test]
    fn secrets_are_found_where_they_stand_and_taken_out() {
        let body = |length: usize| "aB3dE6gH9j".chars().cycle().take(length).collect::<String>();
        let hex = |length: usize| "0af3".chars().cycle().take(length).collect::<String>();
        for (secret, what) in [
            (format!("-----BEGIN RSA PRIVATE {}-----\nMIIEow\n", "KEY"), "a private key"),
            (format!("\"-----BEGIN PRIVATE {}-----\\nMIIEvQIBADANBgkqhkiG9w0\"", "KEY"), "a private key"),
            (format!("AKIA{}", "IOSFODNN7EXAMPLE"), "an AWS access key"),
            (format!("ghp_{}", body(36)), "a GitHub token"),
            (format!("github_pat_{}", body(82)), "a GitHub token"),
            (format!("glpat-{}", body(20)), "a GitLab token"),
            (format!("xoxb-{}", body(24)), "a Slack token"),
            (format!("sk-ant-api03-{}", body(80)), "an Anthropic key"),
            (format!("sk-proj-{}", body(48)), "an OpenAI key"),
            (format!("sk-{}", body(48)), "an OpenAI key"),
            (format!("AIza{}", body(35)), "a Google API key"),
            (format!("sk_live_{}", body(24)), "a Stripe key"),
            (format!("npm_{}", body(36)), "an npm token"),
            (format!("hf_{}", body(34)), "a Hugging Face token"),
            (format!("dop_v1_{}", hex(64)), "a DigitalOcean token"),
        ] {
            let text = format!("first\nx = {secret}\nlast\n");
            assert_eq!(find(&text), [Finding { line: 2, what }], "{secret}");
            assert!(find(&redact(&text)).is_empty(), "{}", redact(&text));
        }
    }

    #[test]
    fn what_only_resembles_a_secret_is_none() {
        for text in [
            "if line.startswith('-----BEGIN PRIVATE KEY-----'):",
            "password = os.environ['PASSWORD']",
            "sk-learn and sk-ant-hill are words",
            "AKIA is a prefix",
            "commit 0af30af30af30af30af30af30af30af30af30af3",
            "ghp_short",
        ] {
            assert_eq!(find(text), Vec::new(), "{text}");
        }
    }
}
