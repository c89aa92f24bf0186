//! S4's three questions of models (`/api/v1/models/embeddings`, `/chat`, `/rerank`): made into calls that go the way of every other,
//! and answered in S4's shape. Every text of a batch is embedded, a model that is named is asked or nobody is, and an error has the
//! status of what it is.

use std::sync::Arc;
use std::time::Instant;

use http::{Response, StatusCode, header};
use http_body_util::BodyExt;
use orx_router::capability::Capability;
use serde_json::{Value, json};

use super::{ask, embed, send, unreadable};
use crate::answer::{self, Answer};
use crate::caller::Caller;
use crate::dialect::embed::{Expected, Form, read as read_vectors};
use crate::dialect::error::{ApiError, ErrorKind};
use crate::dialect::json::{self, Json};
use crate::dialect::tree::Node;
use crate::dialect::write::Writer;
use crate::dialect::{Dialect, DialectError, rerank};
use crate::door::{Ask, S4};
use crate::inner::Inner;
use crate::settings::Config;

/// Tokens of an answer that S4 takes at most.
const MOST_TOKENS: u64 = 8_192;
/// Headers of a call that its caller gets whatever the shape of its answer is.
const SAID: [&str; 9] = [
    "x-orx-request-id",
    "x-orx-provider",
    "x-orx-model",
    "x-orx-attempts",
    "x-orx-cost-usd",
    "x-orx-rerank",
    "x-orx-estimate",
    "x-orx-batches",
    "retry-after",
];

/// A question as a call says it.
struct Wanted {
    model: String,
    body: Vec<u8>,
    task: Option<Capability>,
    /// How many texts it is about.
    count: usize,
}

/// Answers a question.
///
/// # Errors
/// The error that its caller is told, in S4's shape.
pub(super) async fn serve(
    gateway: Arc<Inner>,
    config: Arc<Config>,
    kind: S4,
    caller: Caller,
    call: &str,
    body: &[u8],
) -> Result<Response<Answer>, ApiError> {
    let began = Instant::now();
    let wanted = read(kind, body).map_err(|error| unreadable(&error))?;
    let question = match kind {
        S4::Embeddings => Ask::Embed,
        S4::Chat => Ask::Generate,
        S4::Rerank => Ask::Rerank,
    };
    let made = (wanted.model.as_str(), wanted.body.clone().into());
    let asked = ask::made(caller, call, question, made, wanted.task, None)?;
    let response = match kind {
        S4::Embeddings | S4::Rerank => embed::along(gateway, config, asked).await?,
        S4::Chat => send::along(gateway, config, asked).await?,
    };
    told(kind, &wanted, began, response).await
}

/// An error in S4's shape.
pub(super) fn refused(error: &ApiError) -> Response<Answer> {
    let details = error.param.as_ref().map_or(Value::Null, |field| json!({"field": field}));
    let body = json!({"error": {"code": error.status, "message": error.message, "details": details}});
    let mut response =
        answer::json(StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_GATEWAY), body.to_string());
    if let Some(wait) = error.retry_after.as_deref().and_then(|wait| wait.parse().ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, wait);
    }
    response
}

/// Reads a question, or says which member is missing or wrong.
fn read(kind: S4, body: &[u8]) -> Result<Wanted, DialectError> {
    let tree = json::parse(body)?;
    let root = Node::root(&tree);
    root.object()?;
    let model = root.opt_str("model")?.filter(|model| !model.is_empty()).unwrap_or("auto");
    let mut writer = Writer::default();
    let (task, count) = writer.object(|w| -> Result<(Option<Capability>, usize), DialectError> {
        w.str_at("model", model);
        match kind {
            S4::Embeddings => {
                // What they are for changes no vector of a model that S4 knows.
                let known = ["embed", "semantic-search", "classification"].map(|name| (name, Capability::Embedding));
                task(&root, &known)?;
                Ok((None, texts(&root, "texts", "input", w)?))
            }
            S4::Rerank => {
                let query = root.need("query")?;
                let text = query.str()?;
                if text.is_empty() {
                    return Err(query.error("an empty question has no relevant text"));
                }
                w.str_at("query", text);
                Ok((None, texts(&root, "documents", "documents", w)?))
            }
            S4::Chat => chat(&root, w),
        }
    })?;
    Ok(Wanted { model: model.to_owned(), body: writer.into_bytes(), task, count })
}

/// Takes a list of texts over under another name.
fn texts(root: &Node<'_, '_>, from: &str, to: &str, writer: &mut Writer) -> Result<usize, DialectError> {
    let list = root.need(from)?;
    let count = list.array()?.len();
    if count == 0 {
        return Err(list.error("there is nothing in it: at least one text is needed"));
    }
    writer.array_at(to, |w| -> Result<usize, DialectError> {
        for node in list.items()? {
            match node.str()? {
                "" => return Err(node.error("an empty text says nothing")),
                text => w.string(text),
            }
        }
        Ok(count)
    })
}

fn task(root: &Node<'_, '_>, known: &[(&str, Capability)]) -> Result<Option<Capability>, DialectError> {
    let Some(node) = root.opt("task") else { return Ok(None) };
    let word = node.str()?;
    match known.iter().find(|(name, _)| *name == word) {
        Some((_, capability)) => Ok(Some(*capability)),
        None => {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            Err(node.error(format!("it is one of {}", names.join(", "))))
        }
    }
}

fn chat(root: &Node<'_, '_>, writer: &mut Writer) -> Result<(Option<Capability>, usize), DialectError> {
    let messages = root.need("messages")?;
    if messages.array()?.is_empty() {
        return Err(messages.error("there is nothing in it: at least one message is needed"));
    }
    let count = writer.array_at("messages", |w| -> Result<usize, DialectError> {
        let mut count = 0;
        for message in messages.items()? {
            let role = message.need("role")?;
            if !["system", "user", "assistant"].contains(&role.str()?) {
                return Err(role.error("it is system, user or assistant"));
            }
            let content = message.need("content")?;
            if content.str()?.is_empty() {
                return Err(content.error("an empty message says nothing"));
            }
            w.object(|w| -> Result<(), DialectError> {
                w.str_at("role", role.str()?);
                w.str_at("content", content.str()?);
                Ok(())
            })?;
            count += 1;
        }
        Ok(count)
    })?;
    if let Some(most) = root.opt("maxTokens") {
        match most.u64()? {
            tokens @ 1..=MOST_TOKENS => writer.u64_at("max_tokens", tokens),
            _ => return Err(most.error(format!("it is 1 to {MOST_TOKENS}"))),
        }
    }
    if let Some(temperature) = root.opt("temperature") {
        match temperature.f64()? {
            value if (0.0..=2.0).contains(&value) => writer.f64_at("temperature", value),
            _ => return Err(temperature.error("it is 0 to 2")),
        }
    }
    let task = task(
        root,
        &[
            ("chat", Capability::Chat),
            ("code", Capability::Coding),
            ("analysis", Capability::Analysis),
            ("reasoning", Capability::Reasoning),
        ],
    )?;
    Ok((Some(task.unwrap_or(Capability::Chat)), count))
}

/// The answer of a call in S4's shape.
async fn told(
    kind: S4,
    wanted: &Wanted,
    began: Instant,
    response: Response<Answer>,
) -> Result<Response<Answer>, ApiError> {
    let (head, body) = response.into_parts();
    // The body is there as a whole: nothing was asked for as a stream.
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut response = if head.status.is_success() {
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let by = (text("x-orx-model"), text("x-orx-provider"), took);
        answer::json(StatusCode::OK, shaped(kind, wanted, by, &bytes)?)
    } else {
        refused(&ApiError::read(head.status.as_u16(), None, &bytes))
    };
    for name in SAID {
        if let Some(value) = head.headers.get(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    Ok(response)
}

fn shaped(
    kind: S4,
    wanted: &Wanted,
    (model, provider, took): (&str, &str, u64),
    bytes: &[u8],
) -> Result<Vec<u8>, ApiError> {
    let wrong = |why: &str| ApiError::new(ErrorKind::BadGateway, &format!("{provider}/{model}: {why}"));
    let mut writer = Writer::default();
    let by = |w: &mut Writer| {
        w.str_at("model", model);
        w.str_at("provider", provider);
        w.u64_at("processingTime", took);
    };
    match kind {
        S4::Embeddings => {
            let expected = Expected { count: wanted.count, dimensions: None };
            let form = Form { dialect: Dialect::Chat, one: false };
            let vectors = read_vectors(form, bytes, expected).map_err(|error| wrong(&error.to_string()))?;
            writer.object(|w| {
                w.array_at("embeddings", |w| vectors.rows.iter().for_each(|row| w.numbers(row)));
                by(w);
                if let Some(tokens) = vectors.usage.input {
                    w.object_at("tokensUsed", |w| w.u64_at("total", tokens));
                }
            });
        }
        S4::Rerank => {
            let (ranked, _) = rerank::check(bytes, wanted.count).map_err(|error| wrong(&error.to_string()))?;
            let mut scores = vec![None; wanted.count];
            for one in ranked {
                if let Some(score) = scores.get_mut(one.index) {
                    *score = Some(one.score);
                }
            }
            let scores: Option<Vec<f64>> = scores.into_iter().collect();
            let scores = scores.ok_or_else(|| wrong("it says nothing of some of the documents"))?;
            writer.object(|w| {
                w.json_at("scores", &Json::Array(scores.into_iter().map(number).collect()));
                by(w);
            });
        }
        S4::Chat => {
            let said: Value = serde_json::from_slice(bytes).unwrap_or_default();
            let choice = &said["choices"][0];
            let content = choice["message"]["content"].as_str().ok_or_else(|| wrong("its answer has no text"))?;
            writer.object(|w| {
                w.str_at("content", content);
                by(w);
                if said["usage"].is_object() {
                    w.raw_at("tokensUsed", &said["usage"].to_string());
                }
                w.opt_str_at("finishReason", choice["finish_reason"].as_str());
            });
        }
    }
    Ok(writer.into_bytes())
}

fn number(score: f64) -> Json<'static> {
    serde_json::Number::from_f64(score).map_or(Json::Null, Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (kind, body, words) in [
            (S4::Embeddings, "{}", "`texts`: it is missing"),
            (S4::Embeddings, r#"{"texts":[]}"#, "`texts`: there is nothing in it"),
            (S4::Embeddings, r#"{"texts":"a"}"#, "`texts`: an array is needed"),
            (S4::Embeddings, r#"{"texts":["a",""]}"#, "`texts[1]`: an empty text"),
            (S4::Embeddings, r#"{"texts":["a",7]}"#, "`texts[1]`: a string is needed"),
            (S4::Embeddings, r#"{"texts":["a"],"task":"sing"}"#, "`task`: it is one of embed, semantic-search"),
            (S4::Embeddings, r#"{"texts":["a"],"model":7}"#, "`model`: a string"),
            (S4::Rerank, r#"{"documents":["a"]}"#, "`query`: it is missing"),
            (S4::Rerank, r#"{"query":"","documents":["a"]}"#, "`query`: an empty question"),
            (S4::Rerank, r#"{"query":"q"}"#, "`documents`: it is missing"),
            (S4::Chat, "{}", "`messages`: it is missing"),
            (S4::Chat, r#"{"messages":[{"role":"robot","content":"x"}]}"#, "`messages[0].role`"),
            (S4::Chat, r#"{"messages":[{"role":"user","content":""}]}"#, "`messages[0].content`"),
            (S4::Chat, r#"{"messages":[{"role":"user","content":"x"}],"maxTokens":9000}"#, "`maxTokens`: it is 1 to"),
            (S4::Chat, r#"{"messages":[{"role":"user","content":"x"}],"temperature":3}"#, "`temperature`"),
            (S4::Chat, r#"{"messages":[{"role":"user","content":"x"}],"task":"embed"}"#, "`task`: it is one of chat"),
            (S4::Chat, "[]", "`body`"),
            (S4::Chat, "{", "line 1"),
        ] {
            let error = read(kind, body.as_bytes()).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(words), "{body}: {error}");
        }
    }

    #[test]
    fn a_question_is_made_into_a_call() {
        let call = |kind, body: &str| {
            let wanted = read(kind, body.as_bytes()).unwrap();
            (wanted.model, String::from_utf8(wanted.body).unwrap(), wanted.task, wanted.count)
        };
        assert_eq!(
            call(S4::Embeddings, r#"{"texts":["a","b"],"task":"classification"}"#),
            ("auto".to_owned(), r#"{"model":"auto","input":["a","b"]}"#.to_owned(), None, 2)
        );
        assert_eq!(
            call(S4::Rerank, r#"{"model":"m","query":"q","documents":["a"]}"#),
            ("m".to_owned(), r#"{"model":"m","query":"q","documents":["a"]}"#.to_owned(), None, 1)
        );
        let chat = r#"{"messages":[{"role":"user","content":"x"}],"task":"code","maxTokens":5,"temperature":0.5}"#;
        let (_, body, task, _) = call(S4::Chat, chat);
        assert_eq!(
            body,
            r#"{"model":"auto","messages":[{"role":"user","content":"x"}],"max_tokens":5,"temperature":0.5}"#
        );
        assert_eq!(task, Some(Capability::Coding));
    }

    #[test]
    fn an_answer_is_told_in_its_shape() {
        let wanted = Wanted { model: "m".to_owned(), body: Vec::new(), task: None, count: 2 };
        let told = |kind, body: &str| {
            shaped(kind, &wanted, ("m", "p", 7), body.as_bytes()).map(|body| String::from_utf8(body).unwrap())
        };
        let vectors =
            r#"{"data":[{"index":1,"embedding":[0.25]},{"index":0,"embedding":[1]}],"usage":{"prompt_tokens":3}}"#;
        assert_eq!(
            told(S4::Embeddings, vectors).unwrap(),
            r#"{"embeddings":[[1.0],[0.25]],"model":"m","provider":"p","processingTime":7,"tokensUsed":{"total":3}}"#
        );
        let order = r#"{"results":[{"index":1,"relevance_score":0.5},{"index":0,"relevance_score":-0.5}]}"#;
        assert_eq!(
            told(S4::Rerank, order).unwrap(),
            r#"{"scores":[-0.5,0.5],"model":"m","provider":"p","processingTime":7}"#
        );
        let half = r#"{"results":[{"index":1,"relevance_score":0.5}]}"#;
        assert_eq!(told(S4::Rerank, half).unwrap_err().status, 502);
        let said = r#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"usage":{"total_tokens":9}}"#;
        assert_eq!(
            told(S4::Chat, said).unwrap(),
            r#"{"content":"hi","model":"m","provider":"p","processingTime":7,"tokensUsed":{"total_tokens":9},"finishReason":"stop"}"#
        );
        assert_eq!(told(S4::Chat, "{}").unwrap_err().status, 502);
    }
}
