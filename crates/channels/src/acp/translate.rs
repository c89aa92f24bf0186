//! From the record of an exchange to events, and from commands to messages.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use orx_protocol::activity::AgentState;
use orx_protocol::api::approval::{ApprovalKind, Decision};
use orx_protocol::launch::{Record, Writer};
use serde_json::{Value, json};

use super::asks::{Permission, cancelled, merge};
use crate::channel::{self, Protocol};
use crate::error::ChannelError;
use crate::event::{ChannelCommand, ChannelEvent, PromptOutcome, Usage, observed};
use crate::frames::{self, AUTHENTICATION, Failure, Frame, METHOD_NOT_FOUND};
use crate::text::{count, microusd, owned, text};

/// What comes from a relay.
#[derive(Debug)]
pub enum Input {
    /// A line of the record.
    Record(Record),
    /// The record has been read to where it was when the connection was made.
    Read,
}

/// A line for a relay.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// For the agent.
    Message(Value),
    /// For the record alone.
    Note(Value),
}

/// What follows from an input.
pub type Step = channel::Step<Line>;

/// Who is spoken to, in messages.
pub(super) const PEER: &str = "the agent";
/// The version of the protocol that is spoken.
const VERSION: u64 = 1;
/// The requests that open a conversation.
const NEW: &str = "session/new";
const LOAD: &str = "session/load";
const RESUME: &str = "session/resume";
/// How long the agent may take for what comes before the first prompt, in milliseconds: a loaded machine starts slowly.
const HANDSHAKE_MS: u64 = 120_000;
/// How long a question that names no call is kept back for the calls that it is about, in milliseconds.
const COMPLETE_MS: u64 = 500;
/// Most prompts that wait for the one before them.
const QUEUE: usize = 64;
/// Most tool calls and requests that are kept in mind.
const KEPT: usize = 512;
/// Largest description of a tool call that is kept, in bytes.
const CALL_MAX: usize = 1024 * 1024;

/// What a request of this end was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Initialize,
    Open,
    Prompt(u64),
}

/// What follows from the record.
#[derive(Debug, Default)]
struct Known {
    last_id: u64,
    calls: BTreeMap<u64, Call>,
    capabilities: Option<Value>,
    session: Option<String>,
    /// What is being resumed; its history is told again and is no news.
    reopening: Option<String>,
    running: Option<u64>,
    accepted: bool,
    last_ended: Option<(u64, PromptOutcome)>,
    queue: VecDeque<(u64, String)>,
    asked: Vec<Permission>,
    /// Requests of the agent that nobody answered yet and that are no questions.
    unanswered: Vec<Value>,
    tools: VecDeque<(String, Value)>,
    usage: Usage,
}

/// The state of one channel.
#[derive(Debug)]
pub struct Translator {
    version: String,
    cwd: String,
    wanted: Option<String>,
    known: Known,
    live: bool,
    /// What was sent and is not in the record yet.
    on_its_way: VecDeque<Sent>,
    until_ms: Option<u64>,
    /// When questions that are kept back are told.
    complete_ms: Option<u64>,
    told: Option<AgentState>,
}

/// A message of this end that the record does not have yet.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Sent {
    Prompt,
    Answer(String),
}

impl Translator {
    /// For an agent in `cwd` that opens a conversation, or takes up one that it had.
    #[must_use]
    pub fn new(version: &str, cwd: &str, conversation: Option<String>) -> Self {
        Self {
            version: version.to_owned(),
            cwd: cwd.to_owned(),
            wanted: conversation,
            known: Known::default(),
            live: false,
            on_its_way: VecDeque::new(),
            until_ms: None,
            complete_ms: None,
            told: None,
        }
    }

    fn request(&mut self, method: &str, params: Value) -> Step {
        self.known.last_id += 1;
        let mut message = frames::request(self.known.last_id, method, params);
        message["jsonrpc"] = json!("2.0");
        Step::Send(Line::Message(message))
    }

    /// Begins what comes before the first prompt, or goes on with it.
    fn open(&mut self, now_ms: u64) -> Vec<Step> {
        if self.known.session.is_some() || self.known.calls.values().any(|call| !matches!(call, Call::Prompt(_))) {
            return Vec::new();
        }
        self.until_ms = Some(now_ms + HANDSHAKE_MS);
        let Some(capabilities) = &self.known.capabilities else {
            // Files and terminals stay the agent's own: some take an error of the client's for the end.
            let params = json!({
                "protocolVersion": VERSION,
                "clientCapabilities": {"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false},
                "clientInfo": {"name": "orx", "title": "orx", "version": self.version},
            });
            return vec![self.request("initialize", params)];
        };
        let Some(conversation) = self.wanted.clone() else {
            let params = json!({"cwd": self.cwd, "mcpServers": []});
            return vec![self.request(NEW, params)];
        };
        let Some(method) = takes_up(capabilities) else {
            let why = "it cannot take up a conversation".to_owned();
            return vec![Step::Close(ChannelError::Refused { what: LOAD.to_owned(), why })];
        };
        let params = json!({"sessionId": conversation, "cwd": self.cwd, "mcpServers": []});
        vec![self.request(method, params)]
    }

    fn record(&mut self, record: &Record, now_ms: u64) -> Vec<Step> {
        if let Some(note) = &record.note {
            let note: Value = serde_json::from_str(note.get()).unwrap_or_default();
            if let (Some(id), Some(prompt)) = (count(&note, "/queued/id"), owned(&note, "/queued/text")) {
                self.known.queue.push_back((id, prompt));
                return self.next_prompt();
            }
        }
        let Some(message) = &record.message else { return Vec::new() };
        // The relay lets nothing through that is no JSON.
        let message: Value = serde_json::from_str(message.get()).unwrap_or_default();
        let mut steps = match record.by {
            Writer::Client => self.said(frames::sort(message)),
            Writer::Agent => self.heard(frames::sort(message), record.at_ms, now_ms),
        };
        if self.live {
            steps.extend(self.state(now_ms));
        }
        steps
    }

    /// A message of this end is in the record.
    fn said(&mut self, frame: Frame) -> Vec<Step> {
        match frame {
            Frame::Request { id, method, params } => {
                let Some(id) = id.as_u64() else { return Vec::new() };
                self.known.last_id = self.known.last_id.max(id);
                let call = match method.as_str() {
                    "initialize" => Call::Initialize,
                    NEW => Call::Open,
                    LOAD | RESUME => {
                        self.known.reopening = owned(&params, "/sessionId");
                        Call::Open
                    }
                    "session/prompt" => {
                        let prompt = count(&params, "/_meta/orx/prompt").unwrap_or_default();
                        self.on_its_way.retain(|sent| *sent != Sent::Prompt);
                        self.known.queue.retain(|(queued, _)| *queued != prompt);
                        (self.known.running, self.known.accepted) = (Some(prompt), false);
                        Call::Prompt(prompt)
                    }
                    _ => return Vec::new(),
                };
                self.known.calls.insert(id, call);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// An answer of this end is in the record.
    fn settled(&mut self, id: &Value) -> Vec<Step> {
        self.known.unanswered.retain(|known| known != id);
        let Some(at) = self.known.asked.iter().position(|asked| asked.request == *id) else { return Vec::new() };
        let key = self.known.asked.remove(at).ask.key;
        self.on_its_way.retain(|sent| *sent != Sent::Answer(key.clone()));
        self.tell(ChannelEvent::Delivered { key, outcome: Ok(()) })
    }

    fn tell(&self, event: ChannelEvent) -> Vec<Step> {
        if self.live { vec![Step::Tell(event)] } else { Vec::new() }
    }

    fn heard(&mut self, frame: Frame, at_ms: u64, now_ms: u64) -> Vec<Step> {
        match frame {
            Frame::Answer { id, outcome } => match self.known.calls.remove(&id) {
                Some(Call::Initialize) => self.initialized(outcome, now_ms),
                Some(Call::Open) => self.opened(outcome, now_ms),
                Some(Call::Prompt(prompt)) => self.ended(prompt, outcome),
                None => Vec::new(),
            },
            Frame::Request { id, method, params } if method == "session/request_permission" => {
                let known = self.known.tools.iter().map(|(_, tool)| tool);
                let permission = Permission::understand(&id, &params, known, at_ms);
                let ask = permission.ask.clone();
                let is_open = permission.open.is_some();
                if self.known.asked.len() < KEPT {
                    self.known.asked.push(permission);
                }
                if is_open {
                    self.complete_ms = Some(now_ms + COMPLETE_MS);
                    return Vec::new();
                }
                self.tell(ChannelEvent::Asked(Box::new(ask)))
            }
            Frame::Request { id, method, .. } => {
                if self.live {
                    return vec![refuse(&id, &method)];
                }
                if self.known.unanswered.len() < KEPT {
                    self.known.unanswered.push(id);
                }
                Vec::new()
            }
            Frame::Notification { method, params } => match method.as_str() {
                "session/update" => self.updated(&params),
                "$/cancel_request" => self.withdrawn(&params["requestId"]),
                _ => Vec::new(),
            },
            Frame::Other => Vec::new(),
        }
    }

    fn initialized(&mut self, outcome: Result<Value, Failure>, now_ms: u64) -> Vec<Step> {
        match outcome {
            Ok(result) if count(&result, "/protocolVersion").is_some_and(|version| version != VERSION) => {
                let why = format!("it speaks version {} of the protocol alone", result["protocolVersion"]);
                vec![Step::Close(ChannelError::Protocol { peer: PEER, why })]
            }
            Ok(result) => {
                self.known.capabilities = Some(result.get("agentCapabilities").cloned().unwrap_or_else(|| json!({})));
                if self.live { self.open(now_ms) } else { Vec::new() }
            }
            Err(failure) => vec![refused("initialize", failure)],
        }
    }

    fn opened(&mut self, outcome: Result<Value, Failure>, now_ms: u64) -> Vec<Step> {
        let reopening = self.known.reopening.take();
        match outcome {
            Ok(result) => {
                self.until_ms = None;
                self.known.session = owned(&result, "/sessionId").or(reopening);
                // A conversation that was taken up told its history, which is no part of a turn.
                self.known.tools.clear();
                let Some(session) = self.known.session.clone() else {
                    let why = "it names no conversation".to_owned();
                    return vec![Step::Close(ChannelError::Protocol { peer: PEER, why })];
                };
                let mut steps = self.tell(ChannelEvent::Conversation(session));
                steps.extend(self.state(now_ms));
                steps.extend(self.next_prompt());
                steps
            }
            Err(failure) => {
                let what = match (reopening, &self.known.capabilities) {
                    (Some(_), Some(capabilities)) => takes_up(capabilities).unwrap_or(LOAD),
                    _ => NEW,
                };
                vec![refused(what, failure)]
            }
        }
    }

    fn ended(&mut self, prompt: u64, outcome: Result<Value, Failure>) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.known.accepted {
            steps.extend(self.tell(ChannelEvent::PromptAccepted { id: prompt }));
        }
        let outcome = match outcome {
            Ok(result) => {
                self.used(&result);
                match text(&result, "/stopReason") {
                    Some("cancelled") => PromptOutcome::Interrupted,
                    Some("max_tokens") => PromptOutcome::Failed("its answer exceeds the model's length".to_owned()),
                    Some("max_turn_requests") => PromptOutcome::Failed("it asked its model too often".to_owned()),
                    Some("refusal") => PromptOutcome::Failed("its model refused to go on".to_owned()),
                    _ => PromptOutcome::Done,
                }
            }
            Err(failure) => PromptOutcome::Failed(failure.message),
        };
        (self.known.running, self.known.accepted) = (None, false);
        self.known.tools.clear();
        // Whatever it still asked belonged to the turn that is over.
        for asked in std::mem::take(&mut self.known.asked) {
            steps.extend(self.tell(ChannelEvent::Answered { key: asked.ask.key }));
        }
        self.on_its_way.retain(|sent| *sent == Sent::Prompt);
        if self.known.usage != Usage::default() {
            steps.extend(self.tell(ChannelEvent::Usage(self.known.usage)));
        }
        steps.extend(self.tell(ChannelEvent::PromptEnded { id: prompt, outcome: outcome.clone() }));
        self.known.last_ended = Some((prompt, outcome));
        steps.extend(self.next_prompt());
        steps
    }

    /// Adds what a turn used.
    fn used(&mut self, result: &Value) {
        let add = |sum: &mut Option<u64>, more: Option<u64>| {
            if let Some(more) = more {
                *sum = Some(sum.unwrap_or_default().saturating_add(more));
            }
        };
        let usage = &mut self.known.usage;
        let told = |name: &str, quota: &str| {
            count(result, &format!("/usage/{name}"))
                .or_else(|| count(result, &format!("/_meta/quota/token_count/{quota}")))
        };
        add(&mut usage.input, told("inputTokens", "input_tokens"));
        add(&mut usage.output, told("outputTokens", "output_tokens"));
        add(&mut usage.cached, count(result, "/usage/cachedReadTokens"));
    }

    fn updated(&mut self, params: &Value) -> Vec<Step> {
        let update = &params["update"];
        let mut steps = Vec::new();
        match text(update, "/sessionUpdate") {
            Some("tool_call" | "tool_call_update") => self.tool(update),
            Some("usage_update") => {
                self.known.usage.context = count(update, "/used").or(self.known.usage.context);
                self.known.usage.window = count(update, "/size").or(self.known.usage.window);
                if text(update, "/cost/currency") == Some("USD") {
                    self.known.usage.cost_microusd = update.pointer("/cost/amount").and_then(microusd);
                }
                steps.extend(self.tell(ChannelEvent::Usage(self.known.usage)));
                return steps;
            }
            Some("agent_message_chunk" | "agent_thought_chunk" | "plan") => {}
            // Lists of commands and names of modes come whenever the agent likes.
            _ => return steps,
        }
        if let Some(id) = self.known.running.filter(|_| !self.known.accepted) {
            self.known.accepted = true;
            steps.extend(self.tell(ChannelEvent::PromptAccepted { id }));
        }
        steps
    }

    fn tool(&mut self, update: &Value) {
        let Some(id) = owned(update, "/toolCallId") else { return };
        if update.to_string().len() > CALL_MAX {
            return;
        }
        if let Some((_, known)) = self.known.tools.iter_mut().find(|(known, _)| *known == id) {
            merge(known, update);
        } else {
            if self.known.tools.len() >= KEPT {
                self.known.tools.pop_front();
            }
            self.known.tools.push_back((id, update.clone()));
        }
        let Known { asked, tools, .. } = &mut self.known;
        for asked in asked {
            if let Some(params) = asked.open.take() {
                let known = tools.iter().map(|(_, tool)| tool);
                *asked = Permission::understand(&asked.request, &params, known, asked.at_ms);
            }
        }
    }

    /// Tells the questions that were kept back.
    fn complete(&mut self) -> Vec<Step> {
        self.complete_ms = None;
        let asked = self.known.asked.iter_mut().filter_map(|asked| asked.open.take().map(|_| asked.ask.clone()));
        asked.map(|ask| Step::Tell(ChannelEvent::Asked(Box::new(ask)))).collect()
    }

    fn withdrawn(&mut self, request: &Value) -> Vec<Step> {
        let Some(at) = self.known.asked.iter().position(|asked| asked.request == *request) else { return Vec::new() };
        let key = self.known.asked.remove(at).ask.key;
        self.tell(ChannelEvent::Answered { key })
    }

    /// Sends the next prompt that waits, when nothing is in its way.
    fn next_prompt(&mut self) -> Vec<Step> {
        let free = self.live && self.known.running.is_none() && !self.on_its_way.contains(&Sent::Prompt);
        let (Some(session), true) = (self.known.session.clone(), free) else { return Vec::new() };
        let Some((id, prompt)) = self.known.queue.front().cloned() else { return Vec::new() };
        self.on_its_way.push_back(Sent::Prompt);
        let params = json!({
            "sessionId": session, "prompt": [{"type": "text", "text": prompt}], "_meta": {"orx": {"prompt": id}},
        });
        vec![self.request("session/prompt", params)]
    }

    /// What the agent does, when that is another thing than what was told last.
    fn state(&mut self, now_ms: u64) -> Option<Step> {
        let waits = |kind: ApprovalKind| matches!(kind, ApprovalKind::Question | ApprovalKind::Plan);
        let (state, reason) = match (self.known.asked.first(), self.known.running) {
            (Some(asked), _) if waits(asked.ask.kind) => (AgentState::WaitingInput, "it asked its user something"),
            (Some(_), _) => (AgentState::Blocked, "it asked for a permission"),
            (None, Some(_)) => (AgentState::Working, "a prompt is being worked on"),
            (None, None) if self.known.session.is_some() => (AgentState::Idle, "its turn is over"),
            _ => (AgentState::Starting, "its conversation is not open yet"),
        };
        if !self.live || self.told == Some(state) {
            return None;
        }
        self.told = Some(state);
        Some(Step::Tell(observed(state, reason, now_ms)))
    }

    /// The record is read: what it means is told.
    fn read(&mut self, now_ms: u64) -> Vec<Step> {
        self.live = true;
        self.told = None;
        let mut steps = Vec::new();
        for id in std::mem::take(&mut self.known.unanswered) {
            steps.push(refuse(&id, "the request"));
        }
        if let Some(session) = self.known.session.clone() {
            steps.push(Step::Tell(ChannelEvent::Conversation(session)));
        }
        steps.extend(self.state(now_ms));
        if let Some((id, outcome)) = self.known.last_ended.clone() {
            steps.push(Step::Tell(ChannelEvent::PromptEnded { id, outcome }));
        }
        if let Some(id) = self.known.running.filter(|_| self.known.accepted) {
            steps.push(Step::Tell(ChannelEvent::PromptAccepted { id }));
        }
        self.complete_ms = None;
        for asked in &mut self.known.asked {
            let due_ms = asked.at_ms + COMPLETE_MS;
            if asked.open.is_some() && due_ms > now_ms {
                self.complete_ms = Some(due_ms);
            } else {
                asked.open = None;
                steps.push(Step::Tell(ChannelEvent::Asked(Box::new(asked.ask.clone()))));
            }
        }
        steps.push(Step::Tell(ChannelEvent::InStep));
        steps.extend(self.open(now_ms));
        steps.extend(self.next_prompt());
        steps
    }

    fn decide(&mut self, key: String, decision: Decision, answer: Option<&str>) -> Vec<Step> {
        let sent = Sent::Answer(key.clone());
        let asked = self.known.asked.iter().find(|asked| asked.ask.key == key);
        let Some(asked) = asked.filter(|_| !self.on_its_way.contains(&sent)) else {
            let outcome = Err("the agent does not ask that any more".to_owned());
            return vec![Step::Tell(ChannelEvent::Delivered { key, outcome })];
        };
        match asked.answer(decision, answer) {
            Ok(result) => {
                let message = reply(&asked.request, result);
                self.on_its_way.push_back(sent);
                vec![message]
            }
            Err(why) => vec![Step::Tell(ChannelEvent::Delivered { key, outcome: Err(why) })],
        }
    }

    fn interrupt(&self) -> Vec<Step> {
        let (Some(session), Some(_)) = (&self.known.session, self.known.running) else { return Vec::new() };
        let cancel = json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": session}});
        // The protocol wants what is still asked to be answered as cancelled.
        let asked =
            self.known.asked.iter().filter(|asked| !self.on_its_way.contains(&Sent::Answer(asked.ask.key.clone())));
        std::iter::once(Step::Send(Line::Message(cancel)))
            .chain(asked.map(|asked| reply(&asked.request, cancelled())))
            .collect()
    }
}

/// The request by which an agent takes a conversation up, where it can.
fn takes_up(capabilities: &Value) -> Option<&'static str> {
    if capabilities.pointer("/sessionCapabilities/resume").is_some_and(|able| !able.is_null()) {
        return Some(RESUME);
    }
    (capabilities["loadSession"] == Value::Bool(true)).then_some(LOAD)
}

fn reply(id: &Value, result: Value) -> Step {
    let mut message = frames::answer(id, result);
    message["jsonrpc"] = json!("2.0");
    Step::Send(Line::Message(message))
}

fn refuse(id: &Value, method: &str) -> Step {
    let mut message = frames::refusal(id, METHOD_NOT_FOUND, &format!("this client does not do {method}"));
    message["jsonrpc"] = json!("2.0");
    Step::Send(Line::Message(message))
}

fn refused(what: &str, failure: Failure) -> Step {
    Step::Close(if failure.code == AUTHENTICATION {
        ChannelError::Login(failure.message)
    } else {
        ChannelError::Refused { what: what.to_owned(), why: failure.message }
    })
}

impl Protocol for Translator {
    type In = Input;
    type Out = Line;

    fn connected(&mut self, now_ms: u64) -> Vec<Step> {
        self.known = Known::default();
        self.live = false;
        self.on_its_way.clear();
        self.until_ms = Some(now_ms + HANDSHAKE_MS);
        Vec::new()
    }

    fn received(&mut self, input: Input, now_ms: u64) -> Vec<Step> {
        match input {
            Input::Record(record) => {
                // An answer of this end has the agent's name for the request, which may be a text.
                let own = record.message.as_ref().filter(|_| record.by == Writer::Client);
                let answered = own.and_then(|message| serde_json::from_str::<Value>(message.get()).ok());
                match answered
                    .as_ref()
                    .filter(|message| message.get("method").is_none())
                    .and_then(|message| message.get("id"))
                {
                    Some(id) => {
                        let mut steps = self.settled(id);
                        steps.extend(self.state(now_ms));
                        steps
                    }
                    None => self.record(&record, now_ms),
                }
            }
            Input::Read => {
                if self.known.session.is_some() {
                    self.until_ms = None;
                }
                self.read(now_ms)
            }
        }
    }

    fn command(&mut self, command: ChannelCommand, _now_ms: u64) -> Vec<Step> {
        match command {
            ChannelCommand::Prompt { id, .. } if self.known.queue.len() >= QUEUE => {
                let outcome = PromptOutcome::Refused(format!("{QUEUE} prompts wait already"));
                vec![Step::Tell(ChannelEvent::PromptEnded { id, outcome })]
            }
            // It goes into the record first, and from there to the agent when its turn comes, whoever is client then.
            ChannelCommand::Prompt { id, text } => {
                vec![Step::Send(Line::Note(json!({"queued": {"id": id, "text": text}})))]
            }
            ChannelCommand::Decide { key, decision, answer, .. } => self.decide(key, decision, answer.as_deref()),
            ChannelCommand::Interrupt => self.interrupt(),
        }
    }

    fn tick(&mut self, now_ms: u64) -> Vec<Step> {
        if self.until_ms.is_some_and(|until| until <= now_ms) {
            let limit = Duration::from_millis(HANDSHAKE_MS);
            return vec![Step::Close(ChannelError::Late { peer: PEER, what: "open a conversation", limit })];
        }
        if self.complete_ms.is_some_and(|due| due <= now_ms) { self.complete() } else { Vec::new() }
    }

    fn wakes_at_ms(&self) -> Option<u64> {
        self.until_ms.into_iter().chain(self.complete_ms).min()
    }
}
