//! The record of each kind of name, as the daemon fills it with its number, and the reply that is made of the record that
//! the daemon kept. Replies come from the kept record alone, so a repeated request is answered with the first one's words.

use orx_protocol::api::record::{AllocateParams, Allocated};
use orx_protocol::error::{ErrorKind, RpcError};
use serde_json::{Map, Value, json};

/// Characters of a ULID that names carry in short.
const SHORT: usize = 8;

/// What is to be allocated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    sequence: String,
    collection: String,
    record_key: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Capability { domain: String, purpose: String },
    Session { prefix: &'static str, kind: String, context: String },
    Namespace { project: String, environment: String, class_name: Option<String> },
}

impl Template {
    /// A capability `CAP-<DOMAIN>-<n>`; `domain` is in capitals.
    pub(super) fn capability(domain: &str, purpose: &str) -> Self {
        Self {
            sequence: format!("centerfire.dev.sequence:CAP-{domain}"),
            collection: "centerfire.dev.names".to_owned(),
            record_key: format!("capability:CAP-{domain}-{{n}}"),
            kind: Kind::Capability { domain: domain.to_owned(), purpose: purpose.to_owned() },
        }
    }

    /// A session `SES-<KIND>-<n>-<id8>`. All types that share a prefix share its sequence, so that the number alone tells
    /// two sessions apart: the short ULIDs of one second are alike.
    pub(super) fn session(kind: &str, context: &str) -> Self {
        let (prefix, counter) = match kind {
            "claude_coding" => ("SES-CLAUDE", "SES-CLAUDE_CODING"),
            "agent_session" => ("SES-AGENT", "SES-AGENT_SESSION"),
            _ => ("SES-GENERIC", "SES-GENERIC"),
        };
        Self {
            sequence: format!("centerfire.dev.sequence:{counter}"),
            collection: "centerfire.dev.names".to_owned(),
            record_key: format!("session:{prefix}-{{n}}"),
            kind: Kind::Session { prefix, kind: kind.to_owned(), context: context.to_owned() },
        }
    }

    /// A namespace `<project>.<environment>.ns<n>`, with a class name where a class type is given.
    pub(super) fn namespace(project: &str, environment: &str, class_type: Option<&str>) -> Self {
        Self {
            sequence: format!("centerfire.{environment}.sequence:NS-{}", project.to_ascii_uppercase()),
            collection: format!("centerfire.{environment}.namespaces"),
            record_key: format!("{project}.{environment}.ns{{n}}"),
            kind: Kind::Namespace {
                project: project.to_owned(),
                environment: environment.to_owned(),
                class_name: class_type
                    .map(|class| format!("{}_{}_{}", title(project), title(environment), title(class))),
            },
        }
    }

    /// The request that allocates it. `key` makes a repetition harmless; `ulid` and `now_ms` are used only by the first.
    pub(super) fn allocate(&self, key: String, ulid: &str, now_ms: u64) -> Result<AllocateParams, RpcError> {
        let short = ulid.get(..SHORT).unwrap_or(ulid);
        let mut record = match &self.kind {
            Kind::Capability { domain, purpose } => json!({
                "slug": format!("CAP-{domain}-{{n}}"),
                "cid": format!("cid:centerfire:capability:{ulid}"),
                "directory": format!("CAP-{domain}-{{n}}__{short}"),
                "domain": domain,
                "purpose": escape(purpose),
            }),
            Kind::Session { prefix, kind, context } => json!({
                "session_id": format!("{prefix}-{{n}}-{short}"),
                "type": kind,
                "context": escape(context),
            }),
            Kind::Namespace { project, environment, class_name } => json!({
                "namespace": format!("{project}.{environment}.ns{{n}}"),
                "cid": format!("cid:{project}:{environment}:namespace:{ulid}"),
                "project": project,
                "environment": environment,
                "className": class_name,
            }),
        };
        if let Some(members) = record.as_object_mut() {
            members.retain(|_, value| !value.is_null());
            members.insert("sequence".to_owned(), Value::from("{n}"));
            members.insert("allocated".to_owned(), Value::from(rfc3339(now_ms)));
            members.insert("ulid".to_owned(), Value::from(ulid));
        }
        let record = serde_json::value::to_raw_value(&record)
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the record could not be written: {error}")))?;
        Ok(AllocateParams {
            name: self.sequence.clone(),
            key: Some(key),
            collection: self.collection.clone(),
            record_key: self.record_key.clone(),
            record,
        })
    }

    /// The reply to the caller, from the record that is kept.
    pub(super) fn reply(&self, kept: &Allocated) -> Result<Map<String, Value>, RpcError> {
        let mut members: Map<String, Value> = serde_json::from_str(kept.record.get()).map_err(|error| {
            RpcError::new(ErrorKind::Internal, format!("the record of number {} cannot be read: {error}", kept.value))
        })?;
        for name in ["purpose", "context"] {
            if let Some(Value::String(text)) = members.get_mut(name) {
                *text = unescape(text);
            }
        }
        Ok(members)
    }
}

/// A user's text in which `{n}` does not occur, so that the daemon puts no number into it: `{` before `n` or `~` becomes
/// `{~`.
fn escape(text: &str) -> String {
    text.replace("{~", "{~~").replace("{n", "{~n")
}

fn unescape(text: &str) -> String {
    text.replace("{~", "{")
}

/// Words with a capital at their start and small letters after it; hyphens separate words, underscores do not.
fn title(text: &str) -> String {
    let mut start = true;
    text.chars()
        .map(|c| {
            let out = if start { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            start = !(c.is_ascii_alphanumeric() || c == '_');
            out
        })
        .collect()
}

fn rfc3339(now_ms: u64) -> String {
    let millis = i64::try_from(now_ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| now_ms.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

    /// What the daemon does with a template: `{n}` becomes the number.
    fn kept(template: &Template, number: u64) -> Allocated {
        let params = template.allocate("k".to_owned(), ULID, 1_790_000_000_000).unwrap();
        let text = params.record.get().replace("\"{n}\"", &number.to_string()).replace("{n}", &number.to_string());
        Allocated { value: number, record: serde_json::value::RawValue::from_string(text).unwrap(), repeated: false }
    }

    fn reply(template: &Template, number: u64) -> Value {
        Value::Object(template.reply(&kept(template, number)).unwrap())
    }

    #[test]
    fn a_capability_has_the_fields_of_both_versions() {
        let template = Template::capability("CLAUDE-CAPTURE", "reads");
        let params = template.allocate("k".to_owned(), ULID, 0).unwrap();
        assert_eq!(params.name, "centerfire.dev.sequence:CAP-CLAUDE-CAPTURE");
        assert_eq!(
            (params.collection.as_str(), params.record_key.as_str()),
            ("centerfire.dev.names", "capability:CAP-CLAUDE-CAPTURE-{n}")
        );
        assert_eq!(
            reply(&template, 12),
            json!({
                "slug": "CAP-CLAUDE-CAPTURE-12",
                "cid": "cid:centerfire:capability:01ARZ3NDEKTSV4RRFFQ69G5FAV",
                "directory": "CAP-CLAUDE-CAPTURE-12__01ARZ3ND",
                "domain": "CLAUDE-CAPTURE",
                "purpose": "reads",
                "sequence": 12,
                "allocated": "2026-09-21T14:13:20Z",
                "ulid": ULID,
            })
        );
    }

    #[test]
    fn sessions_with_one_prefix_share_one_sequence() {
        for (kind, prefix, counter) in [
            ("claude_coding", "SES-CLAUDE", "SES-CLAUDE_CODING"),
            ("agent_session", "SES-AGENT", "SES-AGENT_SESSION"),
            ("review", "SES-GENERIC", "SES-GENERIC"),
            ("other", "SES-GENERIC", "SES-GENERIC"),
        ] {
            let template = Template::session(kind, "c");
            assert_eq!(template.sequence, format!("centerfire.dev.sequence:{counter}"));
            let reply = reply(&template, 3);
            assert_eq!(reply["session_id"], format!("{prefix}-3-01ARZ3ND"));
            assert_eq!((&reply["type"], &reply["context"]), (&json!(kind), &json!("c")));
        }
    }

    #[test]
    fn a_namespace_counts_within_its_environment_and_names_a_class_on_demand() {
        let template = Template::namespace("my-App", "dev", Some("CONCEPT"));
        assert_eq!(template.sequence, "centerfire.dev.sequence:NS-MY-APP");
        assert_eq!(template.collection, "centerfire.dev.namespaces");
        let with_class = reply(&template, 2);
        assert_eq!(with_class["namespace"], "my-App.dev.ns2");
        assert_eq!(with_class["cid"], format!("cid:my-App:dev:namespace:{ULID}"));
        assert_eq!(with_class["className"], "My-App_Dev_Concept");
        assert!(reply(&Template::namespace("a", "dev", None), 1).get("className").is_none());
    }

    #[test]
    fn a_key_decides_alone_whether_a_request_is_the_same() {
        let template = Template::capability("AUTH", "x");
        let (one, two) =
            (template.allocate("k".to_owned(), ULID, 1).unwrap(), template.allocate("k".to_owned(), "0", 2).unwrap());
        assert_eq!(
            (one.name, one.key, one.collection, one.record_key),
            (two.name, two.key, two.collection, two.record_key)
        );
    }

    proptest! {
        #[test]
        fn a_users_text_comes_back_as_it_was(text in "([{}n~]|.){0,20}") {
            let holds_the_place = escape(&text).contains("{n}");
            prop_assert!(!holds_the_place);
            prop_assert_eq!(unescape(&escape(&text)), text.clone());
            prop_assert_eq!(&reply(&Template::capability("AUTH", &text), 7)["purpose"], &json!(text));
        }
    }
}
