//! From the server's messages to events, and from commands to messages.

use std::collections::{BTreeMap, VecDeque};

use orx_protocol::activity::AgentState;
use orx_protocol::api::approval::Decision;
use serde_json::{Value, json};

use super::asks::{self, Shape};
use crate::channel::{self, Protocol};
use crate::error::ChannelError;
use crate::event::{ChannelCommand, ChannelEvent, PromptOutcome, Usage, observed, observed_until};
use crate::frames::{self, Failure, Frame};
use crate::text::{count, list, owned, text};

/// What follows from an input.
pub type Step = channel::Step<Value>;

/// Who is spoken to, in messages.
pub(super) const PEER: &str = "Codex's app-server";
/// How long the server may take to answer a request, in milliseconds: a loaded machine starts slowly.
const ANSWER_MS: u64 = 60_000;
/// How long prompts wait for a conversation, in milliseconds.
const CONVERSATION_MS: u64 = 90_000;
/// Pause before a thread that has no file yet is subscribed to again, in milliseconds.
const SUBSCRIBE_AGAIN_MS: u64 = 150;
/// Pause before the server is asked again whether its interface has taken the conversation up, in milliseconds: it tells
/// of threads that begin, and not of those that are taken up.
const LOOK_AGAIN_MS: u64 = 500;
/// How long after a subscription the server may take to ask again what it asked before, in milliseconds.
const REPLAY_MS: u64 = 2_000;
/// Most threads, prompts and items that are kept in mind.
const KEPT: usize = 256;
/// Most bytes of an item's changes that are kept for a question about them.
const CHANGES_MAX: usize = 1024 * 1024;
/// Streams that nobody here reads.
const UNWANTED: [&str; 9] = [
    "item/agentMessage/delta",
    "item/plan/delta",
    "item/reasoning/textDelta",
    "item/reasoning/summaryTextDelta",
    "item/commandExecution/outputDelta",
    "item/fileChange/outputDelta",
    "command/exec/outputDelta",
    "process/outputDelta",
    "turn/diff/updated",
];

/// What a request of this end was for.
#[derive(Debug)]
enum Call {
    Initialize,
    Loaded,
    LoadedSince,
    Read,
    Resume(String),
    Turns(String),
    Start(u64),
    Interrupt,
    Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subscription {
    No,
    Asked,
    Yes,
}

#[derive(Debug)]
struct Thread {
    /// It is the user's own, not a helper's.
    root: bool,
    subscription: Subscription,
    try_again_ms: Option<u64>,
    active: bool,
    turn: Option<String>,
}

#[derive(Debug)]
struct Asked {
    request: Value,
    thread: String,
    shape: Shape,
    /// What was answered.
    answered: Option<Value>,
    /// It was asked on this connection.
    fresh: bool,
}

/// The state of one channel.
#[derive(Debug)]
pub struct Translator {
    version: String,
    next: u64,
    calls: BTreeMap<u64, (Call, u64)>,
    threads: BTreeMap<String, Thread>,
    current: Option<String>,
    told: Option<String>,
    items: VecDeque<(String, Value)>,
    asked: BTreeMap<String, Asked>,
    waiting: VecDeque<(u64, String, u64)>,
    accepted: Vec<u64>,
    settles_at_ms: Option<u64>,
    /// When the conversation that is known and was not met is looked for again.
    look_again_ms: Option<u64>,
}

impl Translator {
    /// For a session whose conversation is known or not yet.
    #[must_use]
    pub fn new(version: &str, conversation: Option<String>) -> Self {
        Self {
            version: version.to_owned(),
            next: 1,
            calls: BTreeMap::new(),
            threads: BTreeMap::new(),
            told: conversation.clone(),
            current: conversation,
            items: VecDeque::new(),
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            accepted: Vec::new(),
            settles_at_ms: None,
            look_again_ms: None,
        }
    }

    fn call(&mut self, call: Call, method: &str, params: Value, now_ms: u64) -> Step {
        let id = self.next;
        self.next += 1;
        self.calls.insert(id, (call, now_ms + ANSWER_MS));
        Step::Send(frames::request(id, method, params))
    }

    fn begin(&mut self, now_ms: u64) -> Vec<Step> {
        self.calls.clear();
        self.threads.clear();
        (self.settles_at_ms, self.look_again_ms) = (None, None);
        for asked in self.asked.values_mut() {
            asked.fresh = false;
        }
        let params = json!({
            "clientInfo": {"name": "orx", "title": "orx", "version": self.version},
            "capabilities": {"experimentalApi": true, "optOutNotificationMethods": UNWANTED},
        });
        vec![self.call(Call::Initialize, "initialize", params, now_ms)]
    }

    fn take(&mut self, body: Value, now_ms: u64) -> Vec<Step> {
        match frames::sort(body) {
            Frame::Answer { id, outcome } => match self.calls.remove(&id) {
                Some((call, _)) => self.answered(call, outcome, now_ms),
                None => Vec::new(),
            },
            Frame::Request { id, method, params } => self.asked(&id, &method, &params),
            Frame::Notification { method, params } => self.told(&method, &params, now_ms),
            Frame::Other => Vec::new(),
        }
    }

    fn answered(&mut self, call: Call, outcome: Result<Value, Failure>, now_ms: u64) -> Vec<Step> {
        match (call, outcome) {
            (Call::Initialize, Ok(_)) => vec![
                Step::Send(json!({"method": "initialized"})),
                self.call(Call::Loaded, "thread/loaded/list", json!({}), now_ms),
            ],
            (Call::Initialize, Err(failure)) => {
                vec![Step::Close(ChannelError::Refused { what: "initialize".to_owned(), why: failure.message })]
            }
            (Call::Loaded, outcome) => {
                let steps = self.loaded(&outcome.unwrap_or_default(), now_ms);
                if steps.is_empty() {
                    self.settles_at_ms = Some(now_ms);
                }
                steps
            }
            (Call::LoadedSince, outcome) => self.loaded(&outcome.unwrap_or_default(), now_ms),
            (Call::Read, Ok(result)) => self.met(&result["thread"], now_ms),
            (Call::Resume(id), outcome) => self.resumed(&id, outcome, now_ms),
            (Call::Turns(id), Ok(result)) => {
                let active = list(&result, "/data")
                    .find(|turn| text(turn, "/status") == Some("inProgress"))
                    .and_then(|turn| owned(turn, "/id"));
                if let Some(thread) = self.threads.get_mut(&id)
                    && thread.turn.is_none()
                {
                    thread.turn = active;
                }
                Vec::new()
            }
            (Call::Start(id), Ok(result)) => {
                let turn = owned(&result, "/turn/id");
                if let Some(thread) = self.current.as_ref().and_then(|id| self.threads.get_mut(id)) {
                    thread.turn = turn;
                }
                self.accept(id)
            }
            (Call::Start(id), Err(failure)) => {
                vec![Step::Tell(ChannelEvent::PromptEnded { id, outcome: PromptOutcome::Refused(failure.message) })]
            }
            (Call::Interrupt | Call::Reason | Call::Read | Call::Turns(_), _) => Vec::new(),
        }
    }

    /// The server named the threads that it has loaded: those that are new here are asked about.
    fn loaded(&mut self, loaded: &Value, now_ms: u64) -> Vec<Step> {
        let mut threads: Vec<String> = list(loaded, "/data")
            .filter_map(|id| id.as_str().map(str::to_owned))
            .filter(|id| !self.threads.contains_key(id))
            .take(KEPT)
            .collect();
        let is_there = |id: &String| threads.contains(id) || self.threads.contains_key(id);
        self.look_again_ms = self.current.as_ref().filter(|id| !is_there(id)).map(|_| now_ms + LOOK_AGAIN_MS);
        // The newest last: it is the one that the interface shows when nothing else says so.
        threads.sort_unstable();
        threads
            .into_iter()
            .map(|id| {
                let params = json!({"threadId": id, "includeTurns": false});
                self.call(Call::Read, "thread/read", params, now_ms)
            })
            .collect()
    }

    fn accept(&mut self, id: u64) -> Vec<Step> {
        if self.accepted.contains(&id) {
            return Vec::new();
        }
        if self.accepted.len() < KEPT {
            self.accepted.push(id);
        }
        vec![Step::Tell(ChannelEvent::PromptAccepted { id })]
    }

    /// A thread is there: the server said so, or was asked.
    fn met(&mut self, thread: &Value, now_ms: u64) -> Vec<Step> {
        let Some(id) = owned(thread, "/id") else { return Vec::new() };
        // The server's own side conversations, such as for a title, are nobody's session.
        if thread["ephemeral"] == Value::Bool(true) || self.threads.len() >= KEPT {
            return Vec::new();
        }
        let root = thread["parentThreadId"].is_null() && thread["attachedToThreadId"].is_null();
        self.threads.entry(id.clone()).or_insert(Thread {
            root,
            subscription: Subscription::No,
            try_again_ms: None,
            active: false,
            turn: None,
        });
        let mut steps = Vec::new();
        if root {
            steps.extend(self.turn_to(&id));
        }
        steps.extend(self.status(&id, &thread["status"], now_ms));
        steps.extend(self.subscribe(&id, now_ms));
        if root {
            steps.extend(self.send_waiting(now_ms));
        }
        steps
    }

    fn turn_to(&mut self, id: &str) -> Option<Step> {
        self.current = Some(id.to_owned());
        if self.told.as_deref() == Some(id) {
            return None;
        }
        self.told = Some(id.to_owned());
        Some(Step::Tell(ChannelEvent::Conversation(id.to_owned())))
    }

    fn subscribe(&mut self, id: &str, now_ms: u64) -> Option<Step> {
        let thread = self.threads.get_mut(id).filter(|thread| thread.subscription == Subscription::No)?;
        thread.subscription = Subscription::Asked;
        thread.try_again_ms = None;
        let params = json!({"threadId": id, "excludeTurns": true});
        Some(self.call(Call::Resume(id.to_owned()), "thread/resume", params, now_ms))
    }

    fn resumed(&mut self, id: &str, outcome: Result<Value, Failure>, now_ms: u64) -> Vec<Step> {
        let Some(thread) = self.threads.get_mut(id) else { return Vec::new() };
        match outcome {
            Ok(result) => {
                thread.subscription = Subscription::Yes;
                self.settles_at_ms = Some(now_ms + REPLAY_MS);
                let mut steps = self.status(id, &result["thread"]["status"], now_ms);
                let params = json!({"threadId": id, "limit": 1, "sortDirection": "desc"});
                steps.push(self.call(Call::Turns(id.to_owned()), "thread/turns/list", params, now_ms));
                steps
            }
            // A thread has no file before its first prompt, and cannot be subscribed to before it has one.
            Err(_) => {
                thread.subscription = Subscription::No;
                thread.try_again_ms = thread.active.then_some(now_ms + SUBSCRIBE_AGAIN_MS);
                self.settles_at_ms.get_or_insert(now_ms);
                Vec::new()
            }
        }
    }

    fn asked(&mut self, id: &Value, method: &str, params: &Value) -> Vec<Step> {
        let item = text(params, "/itemId").unwrap_or_default();
        let changes = self.items.iter().find(|(known, _)| known == item).map(|(_, changes)| changes);
        // What is not for a person to decide is the interface's: an answer from here would stand against its own.
        let Some((ask, thread, shape)) = asks::understand(id, method, params, changes) else { return Vec::new() };
        let key = ask.key.clone();
        if let Some(known) = self.asked.get_mut(&key) {
            known.fresh = true;
            // It was answered on a connection that broke; the server did not hear it.
            if let Some(answer) = known.answered.clone() {
                return vec![Step::Send(frames::answer(id, answer))];
            }
        } else if self.asked.len() < KEPT {
            self.asked.insert(key, Asked { request: id.clone(), thread, shape, answered: None, fresh: true });
        }
        vec![Step::Tell(ChannelEvent::Asked(Box::new(ask)))]
    }

    fn told(&mut self, method: &str, params: &Value, now_ms: u64) -> Vec<Step> {
        let id = text(params, "/threadId").unwrap_or_default().to_owned();
        match method {
            "thread/started" => self.met(&params["thread"], now_ms),
            "thread/status/changed" => {
                let mut steps = self.status(&id, &params["status"], now_ms);
                steps.extend(self.subscribe(&id, now_ms));
                steps
            }
            "thread/closed" | "thread/archived" | "thread/deleted" => {
                self.threads.remove(&id);
                Vec::new()
            }
            "turn/started" => {
                if let Some(thread) = self.threads.get_mut(&id) {
                    thread.turn = owned(params, "/turn/id");
                }
                Vec::new()
            }
            "turn/completed" => self.turn_ended(&id, params),
            "item/started" => self.item_started(params),
            "item/completed" => {
                let item = text(params, "/item/id").unwrap_or_default();
                self.items.retain(|(known, _)| known != item);
                Vec::new()
            }
            "item/fileChange/patchUpdated" => {
                if let (Some(item), Some(changes)) = (owned(params, "/itemId"), params.get("changes")) {
                    self.keep(item, changes);
                }
                Vec::new()
            }
            "serverRequest/resolved" => self.resolved(&id, &params["requestId"]),
            "thread/tokenUsage/updated" if self.current.as_deref() == Some(&id) => {
                let total = |name: &str| count(params, &format!("/tokenUsage/total/{name}"));
                vec![Step::Tell(ChannelEvent::Usage(Usage {
                    input: total("inputTokens"),
                    output: total("outputTokens"),
                    cached: total("cachedInputTokens"),
                    context: count(params, "/tokenUsage/last/totalTokens"),
                    window: count(params, "/tokenUsage/modelContextWindow"),
                    cost_microusd: None,
                }))]
            }
            "account/rateLimits/updated" => {
                rate_limits(&params["rateLimits"], now_ms).into_iter().map(Step::Tell).collect()
            }
            _ => Vec::new(),
        }
    }

    fn status(&mut self, id: &str, status: &Value, now_ms: u64) -> Vec<Step> {
        let Some(thread) = self.threads.get_mut(id) else { return Vec::new() };
        let root = thread.root;
        let flag = |name: &str| list(status, "/activeFlags").any(|flag| flag == name);
        let (state, reason) = match text(status, "/type") {
            Some("active") if flag("waitingOnApproval") => (AgentState::Blocked, "its thread waits for an approval"),
            Some("active") if flag("waitingOnUserInput") => {
                (AgentState::WaitingInput, "its thread waits for an answer")
            }
            Some("active") => (AgentState::Working, "its thread is active"),
            Some("idle") => (AgentState::Idle, "its thread is idle"),
            Some("systemError") => (AgentState::Failed, "its thread reports an error"),
            _ => return Vec::new(),
        };
        thread.active = !matches!(state, AgentState::Idle | AgentState::Failed);
        let mut steps = Vec::new();
        if root && thread.active {
            // Whichever thread works is the one that the interface is in.
            steps.extend(self.turn_to(id));
        }
        if root && self.current.as_deref() == Some(id) {
            let helpers = self.threads.values().any(|thread| !thread.root && thread.active);
            steps.push(Step::Tell(if state == AgentState::Idle && helpers {
                observed(AgentState::SubagentsRunning, "its thread is idle, those of its helpers are not", now_ms)
            } else {
                observed(state, reason, now_ms)
            }));
        } else if !root && matches!(state, AgentState::Blocked | AgentState::WaitingInput) {
            steps.push(Step::Tell(observed(state, "the thread of a helper waits for somebody", now_ms)));
        }
        steps
    }

    fn turn_ended(&mut self, id: &str, params: &Value) -> Vec<Step> {
        if let Some(thread) = self.threads.get_mut(id) {
            thread.turn = None;
        }
        if self.current.as_deref() != Some(id) {
            return Vec::new();
        }
        let outcome = match text(params, "/turn/status") {
            Some("interrupted") => PromptOutcome::Interrupted,
            Some("failed") => PromptOutcome::Failed(
                owned(params, "/turn/error/message").unwrap_or_else(|| "the turn failed".to_owned()),
            ),
            _ => PromptOutcome::Done,
        };
        let ended = std::mem::take(&mut self.accepted).into_iter();
        ended.map(|id| Step::Tell(ChannelEvent::PromptEnded { id, outcome: outcome.clone() })).collect()
    }

    fn item_started(&mut self, params: &Value) -> Vec<Step> {
        match text(params, "/item/type") {
            Some("userMessage") => {
                let id = text(params, "/item/clientId").and_then(|id| id.strip_prefix(CLIENT_ID)?.parse().ok());
                id.map_or_else(Vec::new, |id| self.accept(id))
            }
            Some("fileChange") => {
                if let (Some(item), Some(changes)) = (owned(params, "/item/id"), params.pointer("/item/changes")) {
                    self.keep(item, changes);
                }
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn keep(&mut self, item: String, changes: &Value) {
        if changes.to_string().len() > CHANGES_MAX {
            return;
        }
        self.items.retain(|(known, _)| *known != item);
        if self.items.len() >= KEPT {
            self.items.pop_front();
        }
        self.items.push_back((item, changes.clone()));
    }

    fn resolved(&mut self, thread: &str, request: &Value) -> Vec<Step> {
        let found = self.asked.iter().find(|(_, asked)| asked.thread == thread && asked.request == *request);
        let Some(key) = found.map(|(key, _)| key.clone()) else { return Vec::new() };
        self.over(key).into_iter().collect()
    }

    /// The server asks no more.
    fn over(&mut self, key: String) -> Option<Step> {
        let asked = self.asked.remove(&key)?;
        Some(Step::Tell(match asked.answered {
            Some(_) => ChannelEvent::Delivered { key, outcome: Ok(()) },
            None => ChannelEvent::Answered { key },
        }))
    }

    fn send_waiting(&mut self, now_ms: u64) -> Vec<Step> {
        let Some(thread) = self.current.clone() else { return Vec::new() };
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().map(|(id, prompt, _)| self.start(&thread, id, &prompt, now_ms)).collect()
    }

    fn start(&mut self, thread: &str, id: u64, prompt: &str, now_ms: u64) -> Step {
        let params = json!({
            "threadId": thread,
            "clientUserMessageId": format!("{CLIENT_ID}{id}"),
            "input": [{"type": "text", "text": prompt}],
        });
        self.call(Call::Start(id), "turn/start", params, now_ms)
    }

    fn carry_out(&mut self, command: ChannelCommand, now_ms: u64) -> Vec<Step> {
        match command {
            ChannelCommand::Prompt { id, text } => {
                match self.current.clone().filter(|id| self.threads.contains_key(id)) {
                    Some(thread) => vec![self.start(&thread, id, &text, now_ms)],
                    None if self.waiting.len() < KEPT => {
                        self.waiting.push_back((id, text, now_ms + CONVERSATION_MS));
                        Vec::new()
                    }
                    None => {
                        let outcome = PromptOutcome::Refused("too many prompts wait for the engine".to_owned());
                        vec![Step::Tell(ChannelEvent::PromptEnded { id, outcome })]
                    }
                }
            }
            ChannelCommand::Decide { key, decision, answer, reason } => {
                self.decide(key, decision, answer.as_deref(), reason, now_ms)
            }
            ChannelCommand::Interrupt => {
                let thread = self.current.clone();
                let turn = thread.as_ref().and_then(|id| self.threads.get(id)?.turn.clone());
                match (thread, turn) {
                    (Some(thread), Some(turn)) => {
                        let params = json!({"threadId": thread, "turnId": turn});
                        vec![self.call(Call::Interrupt, "turn/interrupt", params, now_ms)]
                    }
                    _ => Vec::new(),
                }
            }
        }
    }

    fn decide(
        &mut self,
        key: String,
        decision: Decision,
        answer: Option<&str>,
        reason: Option<String>,
        now_ms: u64,
    ) -> Vec<Step> {
        let Some(asked) = self.asked.get_mut(&key) else {
            let outcome = Err("the engine does not ask that any more".to_owned());
            return vec![Step::Tell(ChannelEvent::Delivered { key, outcome })];
        };
        let answer = match asks::answer(&asked.shape, decision, answer) {
            Ok(answer) => answer,
            Err(why) => return vec![Step::Tell(ChannelEvent::Delivered { key, outcome: Err(why) })],
        };
        asked.answered = Some(answer.clone());
        let thread = asked.thread.clone();
        let mut steps = vec![Step::Send(frames::answer(&asked.request, answer))];
        // A refusal has no place for a reason; the turn goes on with it as a word of the user.
        let turn = self.threads.get(&thread).and_then(|thread| thread.turn.clone());
        if let (Decision::Deny, Some(reason), Some(turn)) = (decision, reason, turn) {
            let params = json!({
                "threadId": thread, "expectedTurnId": turn, "input": [{"type": "text", "text": reason}],
            });
            steps.push(self.call(Call::Reason, "turn/steer", params, now_ms));
        }
        steps
    }

    fn pass_time(&mut self, now_ms: u64) -> Vec<Step> {
        if self.calls.values().any(|(_, until)| *until < now_ms) {
            let limit = std::time::Duration::from_millis(ANSWER_MS);
            return vec![Step::Close(ChannelError::Late { peer: PEER, what: "answer", limit })];
        }
        let mut steps = Vec::new();
        let due: Vec<String> = self
            .threads
            .iter()
            .filter(|(_, thread)| thread.try_again_ms.is_some_and(|at| at <= now_ms))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            steps.extend(self.subscribe(&id, now_ms));
        }
        if self.look_again_ms.is_some_and(|at| at <= now_ms) {
            self.look_again_ms = None;
            if !self.current.as_ref().is_some_and(|id| self.threads.contains_key(id)) {
                steps.push(self.call(Call::LoadedSince, "thread/loaded/list", json!({}), now_ms));
            }
        }
        if self.settles_at_ms.is_some_and(|at| at <= now_ms) && !self.is_meeting() {
            self.settles_at_ms = None;
            let stale: Vec<String> =
                self.asked.iter().filter(|(_, asked)| !asked.fresh).map(|(key, _)| key.clone()).collect();
            steps.extend(stale.into_iter().filter_map(|key| self.over(key)));
            steps.push(Step::Tell(ChannelEvent::InStep));
        }
        while self.waiting.front().is_some_and(|(_, _, until)| *until < now_ms) {
            if let Some((id, _, _)) = self.waiting.pop_front() {
                let outcome = PromptOutcome::Refused("the engine opened no conversation in time".to_owned());
                steps.push(Step::Tell(ChannelEvent::PromptEnded { id, outcome }));
            }
        }
        steps
    }
}

impl Translator {
    /// Whether threads are still being asked about or subscribed to.
    fn is_meeting(&self) -> bool {
        self.calls.values().any(|(call, _)| matches!(call, Call::Read | Call::Resume(_)))
    }
}

impl Protocol for Translator {
    type In = Value;
    type Out = Value;

    fn connected(&mut self, now_ms: u64) -> Vec<Step> {
        self.begin(now_ms)
    }

    fn received(&mut self, message: Value, now_ms: u64) -> Vec<Step> {
        self.take(message, now_ms)
    }

    fn command(&mut self, command: ChannelCommand, now_ms: u64) -> Vec<Step> {
        self.carry_out(command, now_ms)
    }

    fn tick(&mut self, now_ms: u64) -> Vec<Step> {
        self.pass_time(now_ms)
    }

    fn wakes_at_ms(&self) -> Option<u64> {
        let calls = self.calls.values().map(|(_, until)| until.saturating_add(1));
        let threads = self.threads.values().filter_map(|thread| thread.try_again_ms);
        let waiting = self.waiting.front().map(|(_, _, until)| until.saturating_add(1));
        let settling = self.settles_at_ms.filter(|_| !self.is_meeting());
        calls.chain(threads).chain(waiting).chain(settling).chain(self.look_again_ms).min()
    }
}

/// Before the number of a prompt, in the name by which the server tells a message of this client.
const CLIENT_ID: &str = "orx-";

/// A limit that was reached; limits that were not are no news about what the agent does.
fn rate_limits(limits: &Value, now_ms: u64) -> Option<ChannelEvent> {
    let reached = text(limits, "/rateLimitReachedType")?;
    let until_ms = ["/primary/resetsAt", "/secondary/resetsAt"]
        .iter()
        .filter_map(|pointer| count(limits, pointer))
        .map(|seconds| seconds.saturating_mul(1000))
        .filter(|until| *until > now_ms)
        .min();
    Some(observed_until(AgentState::RateLimited, format!("its account reports {reached}"), now_ms, until_ms))
}
