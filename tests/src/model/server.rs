//! The server: reads requests, finds the scenario's answer, and answers well or badly as the scenario says.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::StreamExt as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::TokioIo;
use orx_protocol::clock::now_ms;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::conversation::{Conversation, Wire};
use super::scenario::{Failure, Scenario, Step, Usage};
use super::wire::{self, Answer};
use super::{schema, tools};

/// How a scripted model is run.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Address to listen on; a free port of the loopback when absent.
    pub listen: Option<SocketAddr>,
    /// File that each request is appended to, as a line of JSON.
    pub log: Option<PathBuf>,
    /// Directory that each request body is written to.
    pub bodies: Option<PathBuf>,
}

/// One request, as it is logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Counted from 1.
    pub number: u64,
    /// HTTP method.
    pub method: String,
    /// Path with query.
    pub path: String,
    /// The API.
    pub api: Option<String>,
    /// The model that was asked for.
    pub model: String,
    /// The newest prompt.
    pub prompt: String,
    /// Rounds of tool calls since it.
    pub turn: usize,
    /// Tools that the CLI declared.
    pub tools: Vec<String>,
    /// The working directory that the CLI states.
    pub cwd: Option<String>,
    /// All text of the request, tool results included.
    pub text: String,
    /// The key that it came with.
    pub key: Option<String>,
    /// The rule that answers it.
    pub rule: Option<String>,
    /// What is done: `answer`, `side_call`, `status 429`, `drop`, `drop_midway`, `no_rule`, `other`.
    pub outcome: String,
}

/// Something that happened to a request, for whoever must know when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// The request's number.
    pub number: u64,
    /// When, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What.
    pub what: Happened,
}

/// What can happen to a request of the conversation; side calls are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// It came.
    Came {
        /// The newest prompt.
        prompt: String,
    },
    /// Its answer begins to be handed over.
    Answering {
        /// How many tools the answer asks for.
        calls: usize,
    },
    /// All of its answer was handed to the kernel.
    Answered {
        /// How many tools the answer asked for.
        calls: usize,
    },
    /// It was refused with this status.
    Refused {
        /// The HTTP status.
        status: u16,
    },
}

type Body = BoxBody<Bytes, std::io::Error>;

struct Shared {
    scenario: Scenario,
    options: Options,
    log: Mutex<Vec<Request>>,
    moments: Mutex<Vec<Moment>>,
    failures: Mutex<HashMap<(usize, usize), usize>>,
    count: watch::Sender<u64>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A scripted model that runs. It ends when this is dropped.
pub struct ScriptedModel {
    /// Its base, without `/v1`.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

impl ScriptedModel {
    /// Starts one on a free port of the loopback.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub async fn start(scenario: Scenario) -> anyhow::Result<Self> {
        Self::start_with(scenario, Options::default()).await
    }

    /// Starts one.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub async fn start_with(scenario: Scenario, options: Options) -> anyhow::Result<Self> {
        let listen = options.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = TcpListener::bind(listen).await.with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        if let Some(bodies) = &options.bodies {
            std::fs::create_dir_all(bodies)?;
        }
        let shared = Arc::new(Shared {
            scenario,
            options,
            log: Mutex::default(),
            moments: Mutex::default(),
            failures: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self { url: format!("http://{address}"), address, shared, _accepting: accepting })
    }

    /// The requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.shared.log).clone()
    }

    /// When the requests of the conversation came and were answered, so far.
    #[must_use]
    pub fn moments(&self) -> Vec<Moment> {
        locked(&self.shared.moments).clone()
    }

    /// Waits for a request of this kind and gives it.
    ///
    /// # Errors
    /// When none comes within the time.
    pub async fn wait_for(&self, within: Duration, wanted: impl Fn(&Request) -> bool) -> anyhow::Result<Request> {
        let mut count = self.shared.count.subscribe();
        let waiting = async {
            loop {
                if let Some(found) = locked(&self.shared.log).iter().find(|request| wanted(request)) {
                    return Ok(found.clone());
                }
                count.changed().await?;
            }
        };
        tokio::time::timeout(within, waiting).await.context("no such request came to the scripted model")?
    }

    /// Waits until it is told to end, which nobody does: for a process that only serves.
    pub async fn serve(mut self) {
        while self._accepting.join_next().await.is_some() {}
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&shared), request));
                    // A connection that a CLI or a scripted failure breaks is no concern of the server's.
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn answer(shared: Arc<Shared>, request: hyper::Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    let (head, body) = request.into_parts();
    let bytes = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let path = head.uri.path().to_owned();
    let value: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let wire = if head.method == Method::POST { wire::of_path(&path) } else { None };
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let key = header("x-api-key")
        .or_else(|| header("x-goog-api-key"))
        .or_else(|| header("authorization").map(|value| value.trim_start_matches("Bearer ").to_owned()));
    let seen = head.uri.path_and_query().map_or_else(|| path.clone(), ToString::to_string);
    let Some(wire) = wire else {
        record(&shared, &head.method, seen, key, None, None, "other", &bytes);
        return Ok(beside(&path, &bytes));
    };
    let conversation = wire::read(wire, &path, &value);
    let found = shared.scenario.find(&conversation.prompt, &conversation.text);
    let rule = found.map(|(_, rule)| rule.name.clone());
    let note = |outcome: &str| {
        record(&shared, &head.method, seen.clone(), key.clone(), Some(&conversation), rule.clone(), outcome, &bytes)
    };
    if let Some(text) = side_answer(&conversation) {
        let number = note("side_call");
        let usage = Usage { input: 10, output: 5, cached: 0 };
        let answer = Answer { number, text, calls: Vec::new(), usage };
        return Ok(written(&conversation, &answer, &Step::default(), false, || {}));
    }
    let happened = {
        let shared = Arc::clone(&shared);
        move |number, what| locked(&shared.moments).push(Moment { number, at_ms: now_ms(), what })
    };
    let came = || Happened::Came { prompt: conversation.prompt.clone() };
    let step = match (found, &shared.scenario.otherwise) {
        (Some((_, rule)), _) => rule.step(conversation.turn),
        (None, Some(step)) => step.clone(),
        (None, None) => {
            note("no_rule");
            return Ok(refused(wire, 400, "the scenario has no rule for this prompt", None));
        }
    };
    let place = (found.map_or(usize::MAX, |(index, _)| index), conversation.turn);
    let is_first = locked(&shared.failures).get(&place).is_none_or(|served| *served == 0);
    let midway = match next_failure(&shared, place, &step) {
        Some(Failure::Status { code, retry_after_s }) => {
            let number = note(&format!("status {code}"));
            happened(number, came());
            if is_first {
                tokio::time::sleep(Duration::from_millis(step.failure_delay_ms)).await;
            }
            happened(number, Happened::Refused { status: code });
            return Ok(refused(wire, code, "scripted failure", retry_after_s));
        }
        Some(Failure::AccountLimit { resets_in_s }) => {
            let number = note("account limit");
            happened(number, came());
            tokio::time::sleep(Duration::from_millis(step.failure_delay_ms)).await;
            happened(number, Happened::Refused { status: 429 });
            let body = wire::account_limit(wire, resets_in_s, now_ms() / 1000);
            return Ok(json_body(StatusCode::TOO_MANY_REQUESTS, &body));
        }
        Some(Failure::Drop) => {
            note("drop");
            return Err(std::io::Error::other("scripted drop"));
        }
        Some(Failure::DropMidway) => true,
        None => false,
    };
    let number = note(if midway { "drop_midway" } else { "answer" });
    happened(number, came());
    if let Some(file) = &step.wait_for_file {
        wait_for(&Path::new(conversation.cwd.as_deref().unwrap_or("/")).join(file)).await;
    }
    tokio::time::sleep(Duration::from_millis(step.delay_ms)).await;
    let (text, calls) = tools::answer(&conversation, &step);
    // As the scenario means it: some CLIs take wishes as text, and an end as a call.
    let wishes = step.tools.len();
    happened(number, Happened::Answering { calls: wishes });
    let answered = Happened::Answered { calls: wishes };
    let answer = Answer { number, text, calls, usage: step.usage };
    Ok(written(&conversation, &answer, &step, midway, move || happened(number, answered)))
}

/// The answer to calls that only look for a title, or for a value of a schema.
fn side_answer(conversation: &Conversation) -> Option<String> {
    match &conversation.schema {
        Some(schema) if conversation.tools.is_empty() => Some(schema::instance(schema).to_string()),
        _ if conversation.side_call => Some("Scripted session".to_owned()),
        _ => None,
    }
}

fn next_failure(shared: &Shared, place: (usize, usize), step: &Step) -> Option<Failure> {
    let mut served = locked(&shared.failures);
    let served = served.entry(place).or_insert(0);
    let failure = step.failures.get(*served).cloned();
    *served += usize::from(failure.is_some());
    failure
}

async fn wait_for(file: &Path) {
    while !file.exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[allow(clippy::too_many_arguments)] // One call logs all there is to say about a request.
fn record(
    shared: &Shared,
    method: &Method,
    path: String,
    key: Option<String>,
    conversation: Option<&Conversation>,
    rule: Option<String>,
    outcome: &str,
    body: &[u8],
) -> u64 {
    let mut log = locked(&shared.log);
    let number = log.len() as u64 + 1;
    let request = Request {
        number,
        method: method.to_string(),
        path,
        api: conversation.map(|conversation| conversation.wire.name().to_owned()),
        model: conversation.map(|conversation| conversation.model.clone()).unwrap_or_default(),
        prompt: conversation.map(|conversation| conversation.prompt.clone()).unwrap_or_default(),
        turn: conversation.map_or(0, |conversation| conversation.turn),
        tools: conversation.map(|conversation| conversation.tools.clone()).unwrap_or_default(),
        cwd: conversation.and_then(|conversation| conversation.cwd.clone()),
        text: conversation.map(|conversation| conversation.text.clone()).unwrap_or_default(),
        key,
        rule,
        outcome: outcome.to_owned(),
    };
    if let Some(path) = &shared.options.log {
        let line = serde_json::to_string(&request).unwrap_or_default();
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = opened.and_then(|mut file| writeln!(file, "{line}")) {
            eprintln!("scripted-model: cannot write {}: {error}", path.display());
        }
    }
    if let Some(bodies) = &shared.options.bodies {
        let path = bodies.join(format!("{number:04}.json"));
        if let Err(error) = std::fs::write(&path, body) {
            eprintln!("scripted-model: cannot write {}: {error}", path.display());
        }
    }
    log.push(request);
    drop(log);
    shared.count.send_replace(number);
    number
}

/// What is asked beside the model itself: probes, lists of models, counts of tokens.
fn beside(path: &str, body: &[u8]) -> Response<Body> {
    let tokens = body.len() / 4;
    if path.ends_with("/count_tokens") {
        json_body(StatusCode::OK, &json!({ "input_tokens": tokens }))
    } else if path.ends_with(":countTokens") {
        json_body(StatusCode::OK, &json!({ "totalTokens": tokens }))
    } else if path.ends_with("/models") {
        json_body(StatusCode::OK, &json!({ "object": "list", "data": [], "models": [] }))
    } else if path == "/" {
        json_body(StatusCode::OK, &json!({}))
    } else {
        json_body(StatusCode::NOT_FOUND, &json!({ "error": { "message": "not here", "type": "not_found_error" } }))
    }
}

fn json_body(status: StatusCode, value: &Value) -> Response<Body> {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never: Infallible| match never {});
    let mut response = Response::new(BodyExt::boxed(body));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    response
}

fn refused(wire: Wire, status: u16, message: &str, retry_after_s: Option<u64>) -> Response<Body> {
    let code = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_body(code, &wire::error(wire, status, message));
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert("retry-after", seconds.into());
    }
    response
}

fn written(
    conversation: &Conversation,
    answer: &Answer,
    step: &Step,
    midway: bool,
    ended: impl FnOnce() + Send + 'static,
) -> Response<Body> {
    if !conversation.stream && !midway {
        ended();
        return json_body(StatusCode::OK, &wire::whole(conversation, answer));
    }
    let mut pieces: Vec<Result<String, std::io::Error>> =
        wire::pieces(conversation, answer).into_iter().map(Ok).collect();
    if midway {
        pieces.truncate(pieces.len() / 2);
        pieces.push(Err(std::io::Error::other("scripted drop")));
    }
    let pause = Duration::from_millis(step.piece_delay_ms);
    let frames = futures_util::stream::iter(pieces).then(move |piece| async move {
        if piece.is_err() || !pause.is_zero() {
            // What was written before a drop has to leave first.
            tokio::time::sleep(pause.max(Duration::from_millis(10))).await;
        }
        piece.map(|text| Frame::data(Bytes::from(text)))
    });
    let ending = futures_util::stream::once(async move { ended() }).filter_map(|()| std::future::ready(None));
    let frames = frames.chain(ending);
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(SyncStream(Mutex::new(Box::pin(frames))))));
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static("text/event-stream"));
    response
}

type Frames = dyn futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send;

/// A stream that a boxed body takes: those must be `Sync`.
struct SyncStream(Mutex<std::pin::Pin<Box<Frames>>>);

impl futures_util::Stream for SyncStream {
    type Item = Result<Frame<Bytes>, std::io::Error>;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        locked(&self.0).as_mut().poll_next(context)
    }
}
