//! The role `naming`: names that never collide. The number and the record of a name are made by the daemon in one
//! transaction under an idempotency key, so a request that is dispatched again gets the same name again.

mod grammar;
mod template;
mod verdict;

use orx_client::{Answer, Request};
use orx_protocol::api::record::Allocated;
use orx_protocol::clock::now_ms;
use orx_protocol::error::RpcError;
use orx_protocol::id::ulid_text;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{invalid, passed_on};
use template::Template;

pub(super) const ACTIONS: &[&str] = &["allocate_capability", "allocate_session", "allocate_namespace", "validate_name"];

/// Longest idempotency key of a caller, in bytes.
const KEY: usize = 200;

/// Longest text that describes something, in bytes.
const DESCRIPTION: usize = 16 * 1024;

/// The parameters of a caller; members that no action knows are left alone.
struct Given(Map<String, Value>);

impl Given {
    fn read(request: &Request) -> Result<Self, RpcError> {
        let raw = request.params.as_deref().map_or("null", |raw| raw.get());
        match serde_json::from_str(raw) {
            Ok(Value::Object(members)) => Ok(Self(members)),
            _ => Err(invalid(
                "No params provided",
                format!("give an object with the parameters of `{}`", request.method),
            )),
        }
    }

    /// A text; absent, `null` and empty are the same, another type is an error.
    fn text(&self, name: &str) -> Result<Option<&str>, RpcError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok((!text.is_empty()).then_some(text)),
            Some(_) => Err(invalid(format!("`{name}` is not a text"), format!("give `{name}` as a JSON string"))),
        }
    }

    /// A text that describes something.
    fn description(&self, name: &str) -> Result<Option<&str>, RpcError> {
        let text = self.text(name)?;
        if let Some(length) = text.map(str::len).filter(|length| *length > DESCRIPTION) {
            return Err(invalid(format!("`{name}` has {length} bytes"), format!("give at most {DESCRIPTION}")));
        }
        Ok(text)
    }

    /// The caller's own key: a text or a whole number.
    fn key(&self) -> Result<Option<String>, RpcError> {
        for name in ["request_id", "idempotency_key"] {
            let key = match self.0.get(name) {
                Some(Value::Number(number)) => number.to_string(),
                _ => match self.text(name)? {
                    Some(text) => text.to_owned(),
                    None => continue,
                },
            };
            if key.len() > KEY || key.chars().any(char::is_control) {
                return Err(invalid(
                    format!("`{name}` is no usable key"),
                    format!("give at most {KEY} bytes without control characters"),
                ));
            }
            return Ok(Some(key));
        }
        Ok(None)
    }
}

pub(super) async fn handle(request: &Request) -> Answer {
    let given = Given::read(request)?;
    let template = match request.action.as_str() {
        "allocate_capability" => capability(&given)?,
        "allocate_session" => session(&given)?,
        "allocate_namespace" => namespace(&given)?,
        _ => return validate(&given),
    };
    let key = given.key()?.map_or_else(|| format!("dispatch:{}", request.dispatch_id), |key| format!("request:{key}"));
    let params = template.allocate(key, &ulid_text(), now_ms())?;
    let kept: Allocated = request.client.call("sequence.allocate", &params).await.map_err(passed_on)?;
    let mut reply = template.reply(&kept)?;
    // Replies are matched by it where many share one channel.
    if let Some(request_id) = given.0.get("request_id").filter(|id| !id.is_null()) {
        reply.insert("request_id".to_owned(), request_id.clone());
    }
    Request::answer(&reply)
}

fn capability(given: &Given) -> Result<Template, RpcError> {
    let domain = required(given, "domain", "Domain required", "give `domain`, such as AUTH or CLAUDE-CAPTURE")?;
    let domain = grammar::domain(domain).map_err(|problem| invalid(problem, grammar::DOMAIN_HINT))?;
    let purpose = given.description("purpose")?.or(given.description("description")?).unwrap_or("");
    Ok(Template::capability(&domain, purpose))
}

fn session(given: &Given) -> Result<Template, RpcError> {
    let kind = given.text("type")?.unwrap_or("claude_coding");
    grammar::label("type", kind).map_err(|problem| invalid(problem, grammar::LABEL_HINT))?;
    let context = given.description("context")?.unwrap_or("session");
    Ok(Template::session(kind, context))
}

fn namespace(given: &Given) -> Result<Template, RpcError> {
    let project = required(given, "project", "Project required", "give `project`, such as centerfire")?;
    let environment = required(given, "environment", "Environment required", "give `environment`, such as dev")?;
    let class_type = given.text("class_type")?;
    for (name, label) in [("project", Some(project)), ("environment", Some(environment)), ("class_type", class_type)] {
        if let Some(label) = label {
            grammar::label(name, label).map_err(|problem| invalid(problem, grammar::LABEL_HINT))?;
        }
    }
    Ok(Template::namespace(project, environment, class_type))
}

fn required<'a>(given: &'a Given, name: &str, message: &str, hint: &str) -> Result<&'a str, RpcError> {
    given.text(name)?.ok_or_else(|| invalid(message, hint))
}

fn validate(given: &Given) -> Answer {
    #[derive(Serialize)]
    struct Reply<'a> {
        #[serde(flatten)]
        verdict: verdict::Verdict<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a Value>,
    }
    let name = required(given, "name", "Name required", "give `name`, such as CAP-AUTH-1")?;
    let kind = given.text("kind")?;
    let kind = match kind {
        Some(word) => Some(verdict::NameKind::parse(word).ok_or_else(|| {
            invalid(format!("`kind` is not known: {word}"), format!("give one of {}", verdict::NameKind::words()))
        })?),
        None => None,
    };
    Request::answer(&Reply { verdict: verdict::judge(name, kind), request_id: given.0.get("request_id") })
}
