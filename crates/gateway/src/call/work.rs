//! Work in S0's words (`/execute`, `/generate`, `/review`, `/explain`, `/chat`): a prompt is made of it and goes the way of every other
//! call; the answer is told in S0's shape.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use http::{Response, StatusCode};
use http_body_util::BodyExt;
use orx_router::capability::Capability;
use orx_router::strategy::Priority;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ask, send};
use crate::answer::{self, Answer};
use crate::caller::Caller;
use crate::dialect::error::ApiError;
use crate::door::{Ask, Work};
use crate::inner::Inner;
use crate::settings::Config;

/// A request of any of the five.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    #[serde(rename = "type")]
    kind: Option<String>,
    description: Option<String>,
    code: Option<String>,
    message: Option<String>,
    language: Option<String>,
    framework: Option<String>,
    context: Context,
    priority: Option<Priority>,
    preferred_agent: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Context {
    files: Vec<String>,
    code_snippet: Option<String>,
    language: Option<String>,
    framework: Option<String>,
    additional_context: Option<String>,
}

/// What is to be asked of a model.
struct Wanted {
    task: Capability,
    system: &'static str,
    prompt: String,
    /// The member of the answer that holds what the model said.
    member: &'static str,
}

/// Does a piece of work.
pub(super) async fn serve(
    gateway: Arc<Inner>,
    config: Arc<Config>,
    kind: Work,
    caller: Caller,
    call: &str,
    body: &[u8],
) -> Response<Answer> {
    let (request, wanted) = match read(kind, body) {
        Ok(read) => read,
        Err(why) => return refused(400, &why),
    };
    let began = Instant::now();
    let model = request.preferred_agent.as_deref().unwrap_or("auto");
    let messages = json!([{"role": "system", "content": wanted.system}, {"role": "user", "content": wanted.prompt}]);
    let body = json!({"model": model, "messages": messages}).to_string();
    let asked = ask::made(caller, call, Ask::Generate, (model, body.into()), Some(wanted.task), request.priority);
    let outcome = match asked {
        Ok(asked) => send::along(gateway, config, asked).await,
        Err(error) => Err(error),
    };
    told(kind, call, &wanted, began, outcome).await
}

/// Reads a request, or says which member is missing or wrong.
fn read(kind: Work, body: &[u8]) -> Result<(Request, Wanted), String> {
    let request: Request = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let needed = |name: &str, value: &Option<String>| {
        value.clone().filter(|value| !value.trim().is_empty()).ok_or_else(|| format!("`{name}` is required"))
    };
    let wanted = match kind {
        Work::Execute => {
            let name = needed("type", &request.kind)?;
            let task = Capability::named(&name)
                .ok_or_else(|| format!("`type`: `{}` is no type of task", name.escape_debug()))?;
            let system = "You do what a developer asks, completely and to the point.";
            Wanted { task, system, prompt: needed("description", &request.description)?, member: "output" }
        }
        Work::Generate => {
            let system = "You write code. Answer with the code alone.";
            let prompt = needed("description", &request.description)?;
            Wanted { task: Capability::CodeGeneration, system, prompt, member: "code" }
        }
        Work::Review => {
            let system = "You review code: name each defect with its place, why it is one, and what to do.";
            Wanted {
                task: Capability::CodeReview,
                system,
                prompt: fenced(&needed("code", &request.code)?),
                member: "review",
            }
        }
        Work::Explain => {
            let system = "You explain what code does and why, for somebody who reads it for the first time.";
            let prompt = fenced(&needed("code", &request.code)?);
            Wanted { task: Capability::Explanation, system, prompt, member: "explanation" }
        }
        Work::Chat => {
            let prompt = needed("message", &request.message)?;
            Wanted { task: Capability::Chat, system: "You are a helpful assistant.", prompt, member: "response" }
        }
    };
    let prompt = with_context(wanted.prompt, &request);
    Ok((request, Wanted { prompt, ..wanted }))
}

fn fenced(code: &str) -> String {
    format!("```\n{code}\n```")
}

fn with_context(mut prompt: String, request: &Request) -> String {
    let context = &request.context;
    let lines = [
        ("Language", request.language.as_ref().or(context.language.as_ref())),
        ("Framework", request.framework.as_ref().or(context.framework.as_ref())),
        ("Context", context.additional_context.as_ref()),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            // Writing into a text cannot fail.
            let _ = write!(prompt, "\n\n{name}: {value}");
        }
    }
    if !context.files.is_empty() {
        let _ = write!(prompt, "\n\nFiles:\n{}", context.files.join("\n"));
    }
    if let Some(code) = &context.code_snippet {
        let _ = write!(prompt, "\n\n{}", fenced(code));
    }
    prompt
}

fn refused(status: u16, why: &str) -> Response<Answer> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    answer::json(status, json!({"error": why, "status": status.as_u16()}).to_string())
}

/// What came of it.
async fn told(
    kind: Work,
    call: &str,
    wanted: &Wanted,
    began: Instant,
    outcome: Result<Response<Answer>, ApiError>,
) -> Response<Answer> {
    let latency = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let response = match outcome {
        Ok(response) => response,
        Err(error) => return refused(error.status, &error.message),
    };
    let (head, body) = response.into_parts();
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let attempts = text("x-orx-attempts").parse::<u64>().unwrap_or(1);
    let agent = format!("{}/{}", text("x-orx-provider"), text("x-orx-model"));
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let said = answer["choices"][0]["message"]["content"].as_str();
    let is_answered = head.status.is_success() && said.is_some();
    let errors = if is_answered {
        Vec::new()
    } else {
        let why = answer["error"]["message"].as_str().unwrap_or("the provider's answer has no text");
        vec![format!("{agent}: {why}")]
    };
    let tokens = answer["usage"]["total_tokens"].clone();
    let mut body = Map::new();
    body.insert("success".to_owned(), is_answered.into());
    body.insert("agentUsed".to_owned(), agent.into());
    if kind == Work::Execute {
        body.insert("taskId".to_owned(), call.into());
        body.insert("attempts".to_owned(), attempts.into());
        let result = json!({"output": said, "tokensUsed": tokens, "latency": latency});
        body.insert("result".to_owned(), if is_answered { result } else { Value::Null });
    } else {
        body.insert(wanted.member.to_owned(), json!(said));
        body.insert("tokensUsed".to_owned(), tokens);
        body.insert("latency".to_owned(), latency.into());
    }
    body.insert("errors".to_owned(), json!(errors));
    let status = if is_answered { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    let mut response = answer::json(status, Value::Object(body).to_string());
    for name in ["x-orx-request-id", "x-orx-provider", "x-orx-model", "x-orx-attempts", "x-orx-cost-usd"] {
        if let Some(value) = head.headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_what_is_there_is_in_the_prompt() {
        for (kind, body, words) in [
            (Work::Execute, r#"{"description":"x"}"#, "`type` is required"),
            (Work::Execute, r#"{"type":"dancing","description":"x"}"#, "`dancing` is no type"),
            (Work::Generate, "{}", "`description` is required"),
            (Work::Review, r#"{"code":"  "}"#, "`code` is required"),
            (Work::Chat, r#"{"message":7}"#, "line 1"),
        ] {
            let error = read(kind, body.as_bytes()).map(|_| ()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let body = r#"{"type":"testing","description":"Test it.","priority":"critical",
            "context":{"files":["a.rs"],"codeSnippet":"fn a() {}","language":"Rust","additionalContext":"soon"}}"#;
        let (request, wanted) = read(Work::Execute, body.as_bytes()).unwrap();
        assert_eq!((request.priority, wanted.task), (Some(Priority::High), Capability::Testing));
        for part in ["Test it.", "a.rs", "```\nfn a() {}\n```", "Language: Rust", "Context: soon"] {
            assert!(wanted.prompt.contains(part), "{}", wanted.prompt);
        }
    }
}
