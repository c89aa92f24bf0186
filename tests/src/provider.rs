//! A provider of models that misbehaves as a test says: one behaviour a request, in their order, the last one for all that follow.
//! It speaks bare HTTP/1.1 over TCP, so that every fault of a wire can be made.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a provider does with a request.
#[derive(Debug, Clone)]
pub enum Does {
    /// Answers with a status, further header lines, and a body.
    Answers(u16, &'static str, String),
    /// Makes a vector of each text, and tells tokens and orders of texts by [`vector`] and [`tokens`].
    Embeds,
    /// Streams these pieces and ends as it should.
    Streams(Vec<String>),
    /// Streams these pieces and breaks the connection off.
    Cuts(Vec<String>),
    /// Streams these pieces and then says nothing more.
    Hangs(Vec<String>),
    /// Never answers.
    Sleeps,
    /// Breaks the connection off without an answer.
    Drops,
    /// Writes just this.
    Says(Vec<u8>),
    /// Writes this and then says nothing more.
    Stalls(Vec<u8>),
}

/// A request that came.
#[derive(Debug, Clone)]
pub struct Came {
    /// Method and path with query.
    pub line: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Came {
    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// A header; empty when absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

#[derive(Default)]
struct Seen {
    came: Mutex<Vec<Came>>,
    /// Callers that went away while they were kept waiting.
    left: watch::Sender<usize>,
}

/// A provider that runs. It ends when this is dropped.
pub struct Provider {
    /// Where it listens.
    pub address: SocketAddr,
    seen: Arc<Seen>,
    _accepting: JoinSet<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Provider {
    /// Starts one on a free port of the loopback.
    ///
    /// # Panics
    /// When the port cannot be opened.
    pub async fn start(does: Vec<Does>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let (does, next) = (Arc::new(does), Arc::new(Mutex::new(0)));
            let mut serving = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                serving.spawn(serve(stream, Arc::clone(&does), Arc::clone(&next), Arc::clone(&shared)));
                while serving.try_join_next().is_some() {}
            }
        });
        Self { address, seen, _accepting: accepting }
    }

    /// Its base, without `/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The calls that came: looks at whether it is there are left out.
    #[must_use]
    pub fn calls(&self) -> Vec<Came> {
        self.came().into_iter().filter(|came| came.line.starts_with("POST ")).collect()
    }

    /// The requests that came.
    #[must_use]
    pub fn came(&self) -> Vec<Came> {
        locked(&self.seen.came).clone()
    }

    /// Waits until so many callers went away while they were kept waiting.
    ///
    /// # Panics
    /// When the provider ended.
    pub async fn left(&self, count: usize) {
        let mut left = self.seen.left.subscribe();
        left.wait_for(|left| *left >= count).await.expect("the provider runs");
    }
}

async fn serve(stream: TcpStream, does: Arc<Vec<Does>>, next: Arc<Mutex<usize>>, seen: Arc<Seen>) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    while let Some(came) = read(&mut stream).await {
        locked(&seen.came).push(came.clone());
        if came.line.starts_with("GET ") && does.iter().any(|one| matches!(one, Does::Embeds)) {
            // A look at whether it is there is none of its calls.
            if !behave(&mut stream, &Does::Answers(200, "", "{}".to_owned()), &came, &seen).await {
                return;
            }
            continue;
        }
        let at = {
            let mut next = locked(&next);
            let at = *next;
            *next += 1;
            at
        };
        let Some(behaviour) = does.get(at).or_else(|| does.last()) else { return };
        if !behave(&mut stream, behaviour, &came, &seen).await {
            return;
        }
    }
}

/// Whether the connection can be used for another request.
async fn behave(stream: &mut BufReader<TcpStream>, does: &Does, came: &Came, seen: &Seen) -> bool {
    let embedded;
    let does = if matches!(does, Does::Embeds) {
        embedded = Does::Answers(200, "", embed(came));
        &embedded
    } else {
        does
    };
    let pieces = match does {
        Does::Embeds => return false,
        Does::Answers(status, headers, body) => {
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n",
                body.len()
            );
            let whole = [head.as_bytes(), body.as_bytes()].concat();
            return stream.write_all(&whole).await.is_ok();
        }
        Does::Says(bytes) => {
            // Whoever cannot read it may close before all of it is written.
            let _ = stream.write_all(bytes).await;
            return false;
        }
        Does::Stalls(bytes) => {
            if stream.write_all(bytes).await.is_ok() {
                waits_until_left(stream, seen).await;
            }
            return false;
        }
        Does::Drops => return false,
        Does::Sleeps => {
            waits_until_left(stream, seen).await;
            return false;
        }
        Does::Streams(pieces) | Does::Cuts(pieces) | Does::Hangs(pieces) => pieces,
    };
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).await.is_err() {
        return false;
    }
    for piece in pieces {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        if stream.write_all(chunk.as_bytes()).await.is_err() || stream.flush().await.is_err() {
            seen.left.send_modify(|left| *left += 1);
            return false;
        }
    }
    match does {
        Does::Streams(_) => stream.write_all(b"0\r\n\r\n").await.is_ok(),
        Does::Hangs(_) => {
            waits_until_left(stream, seen).await;
            false
        }
        _ => false,
    }
}

async fn waits_until_left(stream: &mut BufReader<TcpStream>, seen: &Seen) {
    let mut nothing = [0; 64];
    while matches!(stream.read(&mut nothing).await, Ok(1..)) {}
    seen.left.send_modify(|left| *left += 1);
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Came> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|count| *count > 0)?;
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok().filter(|count| *count > 0)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    Some(Came { line, headers, body })
}

/// Events of an Anthropic stream that says `text`, with these tokens.
#[must_use]
pub fn anthropic_events(text: &str, input: u64, output: u64) -> Vec<String> {
    let event = |name: &str, data: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\",{data}}}\n\n");
    vec![
        event(
            "message_start",
            &format!(
                r#""message":{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{{"input_tokens":{input},"output_tokens":1}}}}"#
            ),
        ),
        event("content_block_start", r#""index":0,"content_block":{"type":"text","text":""}"#),
        event("content_block_delta", &format!(r#""index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#)),
        event("content_block_stop", r#""index":0"#),
        event(
            "message_delta",
            &format!(
                r#""delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{{"output_tokens":{output}}}"#
            ),
        ),
        "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned(),
    ]
}

/// A whole answer in OpenAI's chat dialect, with these tokens.
#[must_use]
pub fn chat_answer(text: &str, input: u64, output: u64) -> String {
    serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output},
    })
    .to_string()
}

/// The vector that a provider which embeds makes of a text: one of its own for each, in numbers that need no rounding.
#[must_use]
pub fn vector(text: &str) -> Vec<f64> {
    let of = |letter: char| text.chars().filter(|one| *one == letter).count() as f64;
    let number: String = text.chars().filter(char::is_ascii_digit).collect();
    vec![of('a'), of('b'), of('c'), number.parse().unwrap_or(0.0), 0.5]
}

/// The tokens that it counts of a text: its words.
#[must_use]
pub fn tokens(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// What it answers at the path that came, in the dialect that is spoken there.
fn embed(came: &Came) -> String {
    let body: Value = serde_json::from_slice(&came.body).unwrap_or_default();
    let strings = |value: &Value| -> Vec<String> {
        match value {
            Value::String(text) => vec![text.clone()],
            Value::Array(list) => list.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect(),
            _ => Vec::new(),
        }
    };
    let of_content = |content: &Value| content["parts"][0]["text"].as_str().unwrap_or_default().to_owned();
    let sum = |texts: &[String]| texts.iter().map(|text| tokens(text)).sum::<u64>();
    let vectors = |texts: &[String]| texts.iter().map(|text| vector(text)).collect::<Vec<_>>();
    let values = |text: &String| serde_json::json!({"values": vector(text)});
    let path = came.line.split(' ').nth(1).unwrap_or_default();
    let answer = if path.ends_with("/api/embed") {
        let texts = strings(&body["input"]);
        serde_json::json!({"model": body["model"], "embeddings": vectors(&texts), "prompt_eval_count": sum(&texts)})
    } else if path.ends_with("/api/embeddings") {
        serde_json::json!({"embedding": vector(body["prompt"].as_str().unwrap_or_default())})
    } else if path.ends_with(":batchEmbedContents") {
        let requests = body["requests"].as_array().cloned().unwrap_or_default();
        let texts: Vec<String> = requests.iter().map(|request| of_content(&request["content"])).collect();
        let embeddings: Vec<Value> = texts.iter().map(values).collect();
        serde_json::json!({"embeddings": embeddings, "usageMetadata": {"promptTokenCount": sum(&texts)}})
    } else if path.ends_with(":embedContent") {
        let text = of_content(&body["content"]);
        serde_json::json!({"embedding": values(&text), "usageMetadata": {"promptTokenCount": tokens(&text)}})
    } else if path.ends_with("/rerank") {
        let texts = strings(&body["documents"]);
        let results: Vec<Value> = (0..texts.len())
            .rev()
            .map(|index| serde_json::json!({"index": index, "relevance_score": index as f64 / 10.0}))
            .collect();
        serde_json::json!({"model": body["model"], "results": results, "usage": {"total_tokens": sum(&texts)}})
    } else if path.ends_with("/chat/completions") {
        return chat_answer("hello", 12, 3);
    } else {
        let texts = strings(&body["input"]);
        let data: Vec<Value> = texts
            .iter()
            .enumerate()
            .map(|(index, text)| serde_json::json!({"object": "embedding", "index": index, "embedding": vector(text)}))
            .collect();
        let usage = serde_json::json!({"prompt_tokens": sum(&texts), "total_tokens": sum(&texts)});
        serde_json::json!({"object": "list", "data": data, "model": body["model"], "usage": usage})
    };
    answer.to_string()
}
