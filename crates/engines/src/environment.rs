//! Which of the operator's variables an engine inherits: those that any program may see, those of its own vendor, and
//! those that the operator let through. Nothing of orx, nothing of another vendor.

use std::collections::BTreeMap;

use orx_sandbox::environment::{BUILD_TOOLS, select};

use crate::{Context, EngineKind};

/// Whether a variable tells a CLI that it was started from inside another session of its kind. The daemon may have been
/// started from there; its engines were not.
fn is_of_an_outer_session(name: &str) -> bool {
    EngineKind::ALL.iter().any(|kind| kind.descriptor().outer_session.iter().any(|known| known == name))
}

/// Prefixes of the variables of an engine's vendor, and of a cloud where the operator switched that on.
fn vendor(kind: EngineKind, operator: &BTreeMap<String, String>) -> Vec<&'static str> {
    let on = |name: &str| operator.get(name).is_some_and(|value| !value.is_empty() && value != "0" && value != "false");
    let known = kind.descriptor();
    let clouds = known.clouds.iter().filter(|cloud| on(&cloud.switch)).flat_map(|cloud| &cloud.inherits);
    known.inherits.iter().chain(clouds).map(String::as_str).collect()
}

/// What a program that belongs to no vendor inherits.
fn plain(context: &Context) -> BTreeMap<String, String> {
    let mut environment = select(&context.environment, &[]);
    for name in BUILD_TOOLS.iter().copied().chain(context.pass_environment.iter().map(String::as_str)) {
        if let Some(value) = context.environment.get(name) {
            environment.insert(name.to_owned(), value.clone());
        }
    }
    environment
}

/// The part of the operator's environment that the engine inherits. With an endpoint the vendor's variables stay out:
/// the engine then knows the endpoint and nothing else.
pub(crate) fn inherited(kind: EngineKind, context: &Context) -> BTreeMap<String, String> {
    let mut environment = plain(context);
    if context.endpoint.is_none() {
        let inherited = select(&context.environment, &vendor(kind, &context.environment));
        environment.extend(inherited.into_iter().filter(|(name, _)| !is_of_an_outer_session(name)));
    }
    // What stands for the caller at the daemon is never an engine's, whatever the operator lets through.
    environment.remove("ORX_TOKEN");
    environment
}

/// Adds what a session in a terminal needs beside [`inherited`].
pub(crate) fn for_a_terminal(environment: &mut BTreeMap<String, String>, operator: &BTreeMap<String, String>) {
    // A person at the keyboard may use their keys; a headless stage has no business with them.
    if let Some(agent) = operator.get("SSH_AUTH_SOCK") {
        environment.insert("SSH_AUTH_SOCK".to_owned(), agent.clone());
    }
    environment.insert("TERM".to_owned(), "xterm-256color".to_owned());
    environment.insert("COLORTERM".to_owned(), "truecolor".to_owned());
}

/// Adds what a run on pipes needs beside [`inherited`].
pub(crate) fn for_pipes(environment: &mut BTreeMap<String, String>) {
    // Nothing is drawn, and a lesser terminal makes some of them complain on standard error.
    environment.insert("TERM".to_owned(), "xterm-256color".to_owned());
    environment.insert("COLORTERM".to_owned(), "truecolor".to_owned());
    environment.insert("NO_COLOR".to_owned(), "1".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;

    fn operator() -> Context {
        let names = [
            "HOME",
            "PATH",
            "LC_ALL",
            "XDG_CONFIG_HOME",
            "ORX_TOKEN",
            "ORX_SESSION",
            "ANTHROPIC_API_KEY",
            "CLAUDE_CONFIG_DIR",
            "CLAUDE_CODE_SESSION_ID",
            "CLAUDECODE",
            "OPENAI_API_KEY",
            "CODEX_HOME",
            "GEMINI_API_KEY",
            "GOOGLE_CLOUD_PROJECT",
            "GROQ_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "OPENCODE_CONFIG",
            "CARGO_HOME",
            "SSH_AUTH_SOCK",
        ];
        Context {
            environment: names.iter().map(|name| ((*name).to_owned(), format!("<{name}>"))).collect(),
            ..Context::default()
        }
    }

    fn check(kind: EngineKind, vendor: &[&str]) {
        let mut expected = vec!["CARGO_HOME", "HOME", "LC_ALL", "PATH", "XDG_CONFIG_HOME"];
        expected.extend(vendor);
        expected.sort_unstable();
        assert_eq!(inherited(kind, &operator()).into_keys().collect::<Vec<_>>(), expected, "{kind}");
    }

    #[test]
    fn each_engine_gets_its_own_vendors_variables_alone() {
        check(EngineKind::Claude, &["ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR"]);
        check(EngineKind::Codex, &["OPENAI_API_KEY", "CODEX_HOME"]);
        check(EngineKind::Gemini, &["GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT"]);
        check(
            EngineKind::Opencode,
            &["ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY", "OPENCODE_CONFIG"],
        );
        check(EngineKind::Command, &[]);
    }

    #[test]
    fn with_an_endpoint_no_vendor_key_is_left() {
        let context = Context {
            endpoint: Some(Endpoint { url: "http://127.0.0.1:1".to_owned(), key: "k".to_owned() }),
            ..operator()
        };
        for kind in EngineKind::ALL {
            let names = inherited(kind, &context).into_keys().collect::<Vec<_>>();
            assert_eq!(names, ["CARGO_HOME", "HOME", "LC_ALL", "PATH", "XDG_CONFIG_HOME"], "{kind}");
        }
    }

    #[test]
    fn the_operator_can_let_more_through_but_not_the_daemons_token() {
        let mut context = operator();
        context.pass_environment = ["GITHUB_TOKEN", "ORX_TOKEN"].map(str::to_owned).into();
        let environment = inherited(EngineKind::Command, &context);
        assert!(environment.contains_key("GITHUB_TOKEN"));
        assert!(!environment.contains_key("ORX_TOKEN"));
    }

    #[test]
    fn cloud_credentials_follow_the_switch_that_needs_them() {
        let mut context = operator();
        assert!(!inherited(EngineKind::Claude, &context).contains_key("AWS_SECRET_ACCESS_KEY"));
        context.environment.insert("CLAUDE_CODE_USE_BEDROCK".to_owned(), "1".to_owned());
        assert!(inherited(EngineKind::Claude, &context).contains_key("AWS_SECRET_ACCESS_KEY"));
    }
}
