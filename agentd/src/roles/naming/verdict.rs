//! Whether a text is a name by the naming grammar, of which kind, and what is wrong with it otherwise.

use serde::Serialize;

use super::grammar::{is_domain, is_label, is_number, is_short_ulid, is_ulid, shown};

/// Prefixes that are kept for other uses.
const RESERVED: [&str; 5] = ["AGT-", "TEST-", "TEMP-", "DEPRECATED-", "EXPERIMENTAL-"];

/// Longest name, in bytes.
const LONGEST: usize = 200;

/// A kind of name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum NameKind {
    /// `CAP-<DOMAIN>-<n>`.
    Capability,
    /// `FN-<DOMAIN>-<n>-<Name>`.
    Function,
    /// `SES-CLAUDE|AGENT|GENERIC-<n>-<id8>`.
    Session,
    /// `<project>.<environment>.ns<n>`.
    Namespace,
    /// `cid:<namespace>:<kind>:<ULID>`.
    Cid,
    /// `<slug>__<id8>`.
    Directory,
    /// `lexi:<Type>/<slug>/<Name>`.
    Graph,
    /// `urn:lexi:db|event|endpoint|topic:…`.
    Urn,
}

impl NameKind {
    const ALL: [(Self, &'static str, &'static str); 8] = [
        (Self::Capability, "capability", "CAP-<DOMAIN>-<n>, such as CAP-AUTH-1"),
        (Self::Function, "function", "FN-<DOMAIN>-<n>-<Name>, such as FN-AUTH-1-verifyToken"),
        (Self::Session, "session", "SES-CLAUDE|AGENT|GENERIC-<n>-<8 characters of a ULID>"),
        (Self::Namespace, "namespace", "<project>.<environment>.ns<n>, such as centerfire.dev.ns1"),
        (Self::Cid, "cid", "cid:<namespace>:<kind>:<26 characters of a ULID>"),
        (Self::Directory, "directory", "<slug>__<first 8 characters of a ULID>"),
        (Self::Graph, "graph", "lexi:<Type>/<slug>/<Name>"),
        (Self::Urn, "urn", "urn:lexi:db|event|endpoint|topic:<name>"),
    ];

    /// The kind that a word names.
    pub(super) fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name, _)| *name == word).map(|(kind, ..)| *kind)
    }

    /// All words.
    pub(super) fn words() -> String {
        Self::ALL.map(|(_, word, _)| word).join(", ")
    }

    fn shape(self) -> &'static str {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or("", |(.., shape)| shape)
    }

    /// The kind that a text means to be.
    fn of(name: &str) -> Option<Self> {
        if name.starts_with("cid:") {
            Some(Self::Cid)
        } else if name.starts_with("lexi:") {
            Some(Self::Graph)
        } else if name.starts_with("urn:") {
            Some(Self::Urn)
        } else if name.contains("__") {
            Some(Self::Directory)
        } else if name.starts_with("CAP-") {
            Some(Self::Capability)
        } else if name.starts_with("FN-") {
            Some(Self::Function)
        } else if name.starts_with("SES-") {
            Some(Self::Session)
        } else if name.split('.').count() == 3 {
            Some(Self::Namespace)
        } else {
            None
        }
    }

    fn fits(self, name: &str) -> bool {
        match self {
            Self::Capability => is_capability(name),
            Self::Function => is_function(name),
            Self::Session => is_session(name),
            Self::Namespace => is_namespace(name),
            Self::Cid => is_cid(name),
            Self::Directory => name
                .rsplit_once("__")
                .is_some_and(|(slug, id)| (is_capability(slug) || is_function(slug)) && is_short_ulid(id)),
            Self::Graph => is_graph(name),
            Self::Urn => is_urn(name),
        }
    }
}

/// What is thought of a name.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Verdict<'a> {
    pub(super) name: &'a str,
    pub(super) valid: bool,
    /// `None` when it is like no kind.
    pub(super) kind: Option<NameKind>,
    /// What is wrong with it, in sentences.
    pub(super) problems: Vec<String>,
}

/// Judges a name; with `wanted` it must be of that kind.
pub(super) fn judge(name: &str, wanted: Option<NameKind>) -> Verdict<'_> {
    let mut problems = Vec::new();
    if name.len() > LONGEST {
        problems.push(format!("it has {} bytes, a name has at most {LONGEST}", name.len()));
    }
    if let Some(prefix) = RESERVED.iter().find(|prefix| name.starts_with(**prefix)) {
        problems.push(format!("the prefix {prefix} is reserved"));
    }
    let kind = wanted.or_else(|| NameKind::of(name));
    match kind {
        Some(kind) if !kind.fits(name) => {
            problems.push(format!("`{}` is not of the form {}", shown(name), kind.shape()))
        }
        Some(_) => {}
        None if problems.is_empty() => {
            problems.push(format!("`{}` is like no kind of name ({})", shown(name), NameKind::words()));
        }
        None => {}
    }
    Verdict { name, valid: problems.is_empty(), kind, problems }
}

fn is_capability(name: &str) -> bool {
    let parts = name.strip_prefix("CAP-").and_then(|rest| rest.rsplit_once('-'));
    parts.is_some_and(|(domain, number)| is_domain(domain) && is_number(number))
}

fn is_function(name: &str) -> bool {
    let parts = name.strip_prefix("FN-").and_then(|rest| rest.rsplit_once('-')).and_then(|(rest, own)| {
        let (domain, number) = rest.rsplit_once('-')?;
        Some((domain, number, own))
    });
    parts.is_some_and(|(domain, number, own)| {
        is_domain(domain) && is_number(number) && !own.is_empty() && own.chars().all(|c| c.is_ascii_alphabetic())
    })
}

fn is_session(name: &str) -> bool {
    let rest = ["SES-CLAUDE-", "SES-AGENT-", "SES-GENERIC-"].iter().find_map(|prefix| name.strip_prefix(prefix));
    rest.and_then(|rest| rest.split_once('-')).is_some_and(|(number, id)| is_number(number) && is_short_ulid(id))
}

fn is_namespace(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    match parts.as_slice() {
        [project, environment, last] => {
            is_label(project) && is_label(environment) && last.strip_prefix("ns").is_some_and(is_number)
        }
        _ => false,
    }
}

/// A namespace's own identifier has its environment as one part more.
fn is_cid(name: &str) -> bool {
    let parts: Vec<&str> = name.split(':').collect();
    match parts.as_slice() {
        ["cid", labels @ .., ulid] => {
            (2..=3).contains(&labels.len()) && labels.iter().all(|label| is_label(label)) && is_ulid(ulid)
        }
        _ => false,
    }
}

fn is_graph(name: &str) -> bool {
    let parts: Vec<&str> = name.strip_prefix("lexi:").unwrap_or("").split('/').collect();
    match parts.as_slice() {
        [kind, slug, own] => {
            kind.starts_with(|c: char| c.is_ascii_uppercase())
                && is_label(kind)
                && (is_capability(slug) || is_function(slug))
                && is_label(own)
        }
        _ => false,
    }
}

fn is_urn(name: &str) -> bool {
    let parts = name.strip_prefix("urn:lexi:").and_then(|rest| rest.split_once(':'));
    parts.is_some_and(|(class, rest)| {
        ["db", "event", "endpoint", "topic"].contains(&class)
            && !rest.is_empty()
            && rest.chars().all(|c| c.is_ascii_graphic())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_kind_are_valid() {
        for (name, kind) in [
            ("CAP-AUTH-1", NameKind::Capability),
            ("CAP-HTTPFALLBACK-1", NameKind::Capability),
            ("CAP-CLAUDE-CAPTURE-12", NameKind::Capability),
            ("FN-AUTH-1-verifyToken", NameKind::Function),
            ("SES-CLAUDE-4-01ARZ3ND", NameKind::Session),
            ("centerfire.dev.ns7", NameKind::Namespace),
            ("cid:centerfire:capability:01ARZ3NDEKTSV4RRFFQ69G5FAV", NameKind::Cid),
            ("cid:my-app:dev:namespace:01ARZ3NDEKTSV4RRFFQ69G5FAV", NameKind::Cid),
            ("CAP-AUTH-1__01ARZ3ND", NameKind::Directory),
            ("lexi:Capability/CAP-AUTH-1/Login", NameKind::Graph),
            ("urn:lexi:db:users/main", NameKind::Urn),
        ] {
            assert_eq!(judge(name, None), Verdict { name, valid: true, kind: Some(kind), problems: vec![] });
            assert!(judge(name, Some(kind)).valid);
        }
    }

    #[test]
    fn other_texts_are_invalid_with_a_reason() {
        for name in [
            "x",
            "CAP-",
            "CAP--1",
            "CAP-AUTH",
            "CAP-AUTH-0",
            "CAP-AUTH-01",
            "CAP-auth-1",
            "CAP-AUTH-1-",
            "FN-AUTH-1-",
            "FN-AUTH-1-a1",
            "SES-OTHER-1-01ARZ3ND",
            "SES-CLAUDE-1-short",
            "a.b.ns0",
            "a.b.c",
            "a..ns1",
            "cid:a:b:17571335",
            "cid:01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "CAP-AUTH-1__",
            "x__01ARZ3ND",
            "lexi:a/b",
            "urn:lexi:file:x",
            "urn:lexi:db:",
            "AGT-NAMING-1",
            "TEST-X",
            "CAP-AUTH-1\n",
            "CAP-ÄÖ-1",
            "",
        ] {
            let verdict = judge(name, None);
            assert!(!verdict.valid && !verdict.problems.is_empty(), "{name:?}");
        }
        assert!(!judge(&format!("urn:lexi:db:{}", "x".repeat(300)), None).valid);
    }

    #[test]
    fn a_wanted_kind_is_held_against_the_name_and_reserved_prefixes_are_named() {
        let verdict = judge("CAP-AUTH-1", Some(NameKind::Function));
        assert_eq!((verdict.valid, verdict.kind), (false, Some(NameKind::Function)));
        assert!(judge("AGT-NAMING-1", None).problems[0].contains("reserved"));
    }

    #[test]
    fn every_kind_has_its_word() {
        for (kind, word, shape) in NameKind::ALL {
            assert_eq!((NameKind::parse(word), kind.shape()), (Some(kind), shape));
        }
        assert_eq!(NameKind::parse("color"), None);
    }
}
