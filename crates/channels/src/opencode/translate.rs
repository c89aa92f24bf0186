//! From the server's events and answers to events of the channel, and from commands to requests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use orx_protocol::activity::AgentState;
use orx_protocol::api::approval::{ApprovalKind, Decision, Part, Subject};
use serde_json::{Value, json};

use crate::channel::{self, Protocol};
use crate::error::ChannelError;
use crate::event::{Ask, ChannelCommand, ChannelEvent, PromptOutcome, Usage, observed, observed_until};
use crate::text::{count, line, list, microusd, owned, parts, text};

/// Who is spoken to, in messages.
pub(super) const PEER: &str = "opencode's server";
/// Most prompts, sessions and questions that are kept in mind.
const KEPT: usize = 256;

/// A request to the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What it is for.
    pub purpose: Purpose,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path.
    pub path: String,
    /// The body.
    pub body: Option<Value>,
}

/// What a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// What is asked at this moment: permissions.
    Permissions,
    /// What is asked at this moment: questions.
    Questions,
    /// What the conversations do at this moment.
    Statuses,
    /// What a conversation used so far.
    Totals(String),
    /// A conversation for the prompts that wait for one.
    Create,
    /// The interface is to show the conversation.
    Select,
    /// A prompt.
    Prompt(u64),
    /// A decision.
    Decide(String),
    /// The turn is to stop.
    Abort,
}

/// What comes from the server.
#[derive(Debug)]
pub enum Input {
    /// An event.
    Event(Value),
    /// The answer to a request; an error of the connection has the status 0 and a text.
    Reply {
        /// Which request.
        purpose: Purpose,
        /// HTTP status.
        status: u16,
        /// The body.
        body: Value,
    },
}

/// What follows from an input.
pub type Step = channel::Step<Call>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    Permission,
    Question,
}

#[derive(Debug)]
struct Asked {
    sort: Sort,
    /// The questions in it.
    questions: Vec<Part>,
    decided: bool,
    /// It was seen on this connection.
    fresh: bool,
}

/// The state of one channel.
#[derive(Debug)]
pub struct Translator {
    current: Option<String>,
    /// Conversations of helpers.
    helpers: BTreeSet<String>,
    busy: BTreeSet<String>,
    asked: BTreeMap<String, Asked>,
    waiting: VecDeque<(u64, String)>,
    creating: bool,
    /// Prompts by the name that their messages have at the server.
    sent: BTreeMap<String, u64>,
    accepted: Vec<u64>,
    failure: Option<PromptOutcome>,
    /// Tokens that the current conversation holds.
    context: Option<u64>,
    /// Lists that are still to come after a connection.
    to_come: usize,
    last_message: u64,
}

impl Translator {
    /// For a session whose conversation is known or not yet.
    #[must_use]
    pub fn new(conversation: Option<String>) -> Self {
        Self {
            current: conversation,
            helpers: BTreeSet::new(),
            busy: BTreeSet::new(),
            asked: BTreeMap::new(),
            waiting: VecDeque::new(),
            creating: false,
            sent: BTreeMap::new(),
            accepted: Vec::new(),
            failure: None,
            context: None,
            to_come: 0,
            last_message: 0,
        }
    }

    fn event(&mut self, event: &Value, now_ms: u64) -> Vec<Step> {
        let properties = &event["properties"];
        let session = text(properties, "/sessionID").unwrap_or_default();
        match text(event, "/type") {
            Some("session.created" | "session.updated") => {
                if let Some(id) = owned(properties, "/info/parentID").and(owned(properties, "/info/id"))
                    && self.helpers.len() < KEPT
                {
                    self.helpers.insert(id);
                }
                Vec::new()
            }
            Some("session.status") => self.status(session, &properties["status"], now_ms),
            Some("session.error") => self.error(session, &properties["error"]),
            Some("message.updated") => self.message(session, &properties["info"]),
            Some("permission.asked") => self.permission(properties, now_ms),
            Some("question.asked") => self.question(properties, now_ms),
            Some("permission.replied" | "question.replied" | "question.rejected") => {
                let key = text(properties, "/requestID").unwrap_or_default().to_owned();
                let mut steps: Vec<Step> = self.over(key).into_iter().collect();
                if self.asked.is_empty() && !self.busy.is_empty() {
                    steps.push(Step::Tell(observed(AgentState::Working, "what it asked was answered", now_ms)));
                }
                steps
            }
            _ => Vec::new(),
        }
    }

    /// A conversation that its user is in.
    fn turn_to(&mut self, session: &str) -> Option<Step> {
        if self.helpers.contains(session) || session.is_empty() || self.current.as_deref() == Some(session) {
            return None;
        }
        self.current = Some(session.to_owned());
        Some(Step::Tell(ChannelEvent::Conversation(session.to_owned())))
    }

    fn status(&mut self, session: &str, status: &Value, now_ms: u64) -> Vec<Step> {
        let kind = text(status, "/type").unwrap_or_default();
        if kind == "idle" {
            self.busy.remove(session);
        } else if self.busy.len() < KEPT {
            self.busy.insert(session.to_owned());
        }
        let mut steps: Vec<Step> = Vec::new();
        if kind != "idle" {
            steps.extend(self.turn_to(session));
        }
        if self.current.as_deref() != Some(session) {
            return steps;
        }
        let event = match kind {
            "idle" if self.helpers.iter().any(|helper| self.busy.contains(helper)) => {
                observed(AgentState::SubagentsRunning, "its turn is over, those of its helpers are not", now_ms)
            }
            "idle" => observed(AgentState::Idle, "its turn is over", now_ms),
            "retry" => {
                let why = text(status, "/message").unwrap_or("its provider refused a call");
                let until = count(status, "/next").filter(|until| *until > now_ms);
                observed_until(AgentState::RateLimited, line(why), now_ms, until)
            }
            _ if self.asked.is_empty() => observed(AgentState::Working, "its turn is under way", now_ms),
            _ => return steps,
        };
        steps.push(Step::Tell(event));
        if kind == "idle" {
            let outcome = self.failure.take().unwrap_or(PromptOutcome::Done);
            let ended = std::mem::take(&mut self.accepted).into_iter();
            steps.extend(ended.map(|id| Step::Tell(ChannelEvent::PromptEnded { id, outcome: outcome.clone() })));
            steps.push(totals(session));
        }
        steps
    }

    fn error(&mut self, session: &str, error: &Value) -> Vec<Step> {
        if self.current.as_deref() == Some(session) {
            let message = owned(error, "/data/message").or_else(|| owned(error, "/name"));
            self.failure = Some(match text(error, "/name") {
                Some("MessageAbortedError") => PromptOutcome::Interrupted,
                _ => PromptOutcome::Failed(message.unwrap_or_else(|| "the turn failed".to_owned())),
            });
        }
        Vec::new()
    }

    fn message(&mut self, session: &str, info: &Value) -> Vec<Step> {
        let id = text(info, "/id").unwrap_or_default();
        match text(info, "/role") {
            Some("user") => {
                let mut steps: Vec<Step> = self.turn_to(session).into_iter().collect();
                if let Some(prompt) = self.sent.remove(id) {
                    if self.accepted.len() < KEPT {
                        self.accepted.push(prompt);
                    }
                    self.failure = None;
                    steps.push(Step::Tell(ChannelEvent::PromptAccepted { id: prompt }));
                }
                steps
            }
            Some("assistant") if self.current.as_deref() == Some(session) => {
                self.context = count(info, "/tokens/total").filter(|total| *total > 0).or(self.context);
                let spent = count(info, "/tokens/output").unwrap_or_default() > 0;
                let is_complete = info.pointer("/time/completed").is_some();
                if spent && is_complete { vec![totals(session)] } else { Vec::new() }
            }
            _ => Vec::new(),
        }
    }

    /// What the server counted of a conversation, also while nobody listened.
    fn used(&self, info: &Value) -> Option<Step> {
        let tokens = |name: &str| count(info, &format!("/tokens/{name}"));
        let cached = tokens("cache/read");
        // The server counts what goes through the cache apart from the rest of the input.
        let input = tokens("input").map(|input| {
            input.saturating_add(cached.unwrap_or_default()).saturating_add(tokens("cache/write").unwrap_or_default())
        });
        let usage = Usage {
            input: input.filter(|input| *input > 0),
            output: tokens("output").filter(|output| *output > 0),
            cached: cached.filter(|_| input.is_some_and(|input| input > 0)),
            context: self.context,
            window: None,
            cost_microusd: info.get("cost").and_then(microusd).filter(|cost| *cost > 0),
        };
        (usage != Usage::default()).then_some(Step::Tell(ChannelEvent::Usage(usage)))
    }

    fn permission(&mut self, asked: &Value, now_ms: u64) -> Vec<Step> {
        let Some(key) = owned(asked, "/id") else { return Vec::new() };
        let permission = text(asked, "/permission").unwrap_or("tool");
        let patterns: Vec<String> = list(asked, "/patterns").filter_map(|p| p.as_str().map(str::to_owned)).collect();
        let path = owned(asked, "/metadata/filepath");
        let command = owned(asked, "/metadata/command");
        let kind = match permission {
            "bash" => ApprovalKind::Command,
            "edit" | "write" | "patch" => ApprovalKind::FileChange,
            "webfetch" | "websearch" | "external_directory" => ApprovalKind::Access,
            _ => ApprovalKind::Tool,
        };
        let named = patterns.join(", ");
        let title = match (kind, &command, &path) {
            (ApprovalKind::Command, Some(command), _) => command.clone(),
            (ApprovalKind::FileChange, _, Some(path)) => format!("change {path}"),
            _ => format!("{permission} {named}"),
        };
        let subject = Subject {
            tool: Some(permission.to_owned()),
            command: command.or_else(|| Some(named).filter(|named| kind == ApprovalKind::Command && !named.is_empty())),
            paths: path.into_iter().collect(),
            diff: owned(asked, "/metadata/diff"),
            question: owned(asked, "/metadata/url"),
            why: owned(asked, "/metadata/description"),
            ..Subject::default()
        };
        let ask = Ask { key, kind, title: line(&title), subject };
        self.ask(ask, Sort::Permission, Vec::new(), now_ms)
    }

    fn question(&mut self, asked: &Value, now_ms: u64) -> Vec<Step> {
        let Some(key) = owned(asked, "/id") else { return Vec::new() };
        let questions: Vec<&str> = list(asked, "/questions").filter_map(|q| text(q, "/question")).collect();
        let choices = match questions.as_slice() {
            [_] => list(asked, "/questions/0/options").filter_map(|option| owned(option, "/label")).collect(),
            _ => Vec::new(),
        };
        let question = questions.join("\n");
        let parts = parts(asked, "multiple");
        // One question with one answer is shown with its choices alone.
        let (choices, shown) = match parts.as_slice() {
            [one] if !one.several => (choices, Vec::new()),
            parts => (Vec::new(), parts.to_vec()),
        };
        let subject = Subject { question: Some(question.clone()), choices, parts: shown, ..Subject::default() };
        let ask = Ask { key, kind: ApprovalKind::Question, title: line(&question), subject };
        self.ask(ask, Sort::Question, parts, now_ms)
    }

    fn ask(&mut self, ask: Ask, sort: Sort, questions: Vec<Part>, now_ms: u64) -> Vec<Step> {
        if let Some(known) = self.asked.get_mut(&ask.key) {
            if known.fresh {
                return Vec::new();
            }
            known.fresh = true;
        } else if self.asked.len() < KEPT {
            self.asked.insert(ask.key.clone(), Asked { sort, questions, decided: false, fresh: true });
        } else {
            return Vec::new();
        }
        let (state, reason) = match sort {
            Sort::Permission => (AgentState::Blocked, "it asked for a permission"),
            Sort::Question => (AgentState::WaitingInput, "it asked its user something"),
        };
        vec![Step::Tell(observed(state, reason, now_ms)), Step::Tell(ChannelEvent::Asked(Box::new(ask)))]
    }

    /// The server asks no more.
    fn over(&mut self, key: String) -> Option<Step> {
        let asked = self.asked.remove(&key)?;
        Some(Step::Tell(if asked.decided {
            ChannelEvent::Delivered { key, outcome: Ok(()) }
        } else {
            ChannelEvent::Answered { key }
        }))
    }

    fn reply(&mut self, purpose: Purpose, status: u16, body: &Value, now_ms: u64) -> Vec<Step> {
        let good = (200..300).contains(&status);
        let why = || {
            let said = text(body, "/data/message").or_else(|| text(body, "/message")).or_else(|| body.as_str());
            format!("opencode answered {status}: {}", line(said.unwrap_or("it gives no reason")))
        };
        match purpose {
            Purpose::Permissions | Purpose::Questions | Purpose::Statuses if !good => {
                vec![Step::Close(ChannelError::Refused { what: format!("{purpose:?}").to_lowercase(), why: why() })]
            }
            Purpose::Permissions | Purpose::Questions => {
                let permission = purpose == Purpose::Permissions;
                let mut steps = Vec::new();
                for asked in list(body, "") {
                    steps.extend(if permission {
                        self.permission(asked, now_ms)
                    } else {
                        self.question(asked, now_ms)
                    });
                }
                steps.extend(self.came());
                steps
            }
            Purpose::Statuses => {
                let mut steps = Vec::new();
                for (session, status) in body.as_object().into_iter().flatten() {
                    steps.extend(self.status(session, status, now_ms));
                }
                // Conversations that do nothing are not in the list.
                if steps.is_empty() && self.asked.is_empty() {
                    self.busy.clear();
                    steps.push(Step::Tell(observed(AgentState::Idle, "no turn is under way", now_ms)));
                }
                steps.extend(self.came());
                steps
            }
            // Without an answer it is not known what was used.
            Purpose::Totals(session) => {
                let is_current = self.current.as_deref() == Some(session.as_str());
                self.used(body).filter(|_| good && is_current).into_iter().collect()
            }
            Purpose::Create => {
                self.creating = false;
                match owned(body, "/id").filter(|_| good) {
                    Some(session) => {
                        let mut steps: Vec<Step> = self.turn_to(&session).into_iter().collect();
                        let select = Some(json!({ "sessionID": session }));
                        steps.push(post(Purpose::Select, "/tui/select-session".to_owned(), select));
                        let waiting = std::mem::take(&mut self.waiting);
                        steps
                            .extend(waiting.into_iter().map(|(id, prompt)| self.prompt(&session, id, &prompt, now_ms)));
                        steps
                    }
                    None => std::mem::take(&mut self.waiting).into_iter().map(|(id, _)| refused(id, why())).collect(),
                }
            }
            Purpose::Prompt(id) if !good => {
                self.sent.retain(|_, sent| *sent != id);
                vec![refused(id, why())]
            }
            Purpose::Decide(key) if !good => {
                let gone = status == 404;
                if gone {
                    self.asked.remove(&key);
                } else if let Some(asked) = self.asked.get_mut(&key) {
                    asked.decided = false;
                }
                let why = if gone { "opencode does not ask that any more".to_owned() } else { why() };
                vec![Step::Tell(ChannelEvent::Delivered { key, outcome: Err(why) })]
            }
            // The event that says so comes too, and may have come already.
            Purpose::Decide(key) => self.over(key).into_iter().collect(),
            Purpose::Prompt(_) | Purpose::Select | Purpose::Abort => Vec::new(),
        }
    }

    /// One of the lists of a new connection is there.
    fn came(&mut self) -> Vec<Step> {
        self.to_come = self.to_come.saturating_sub(1);
        if self.to_come > 0 {
            return Vec::new();
        }
        let stale: Vec<String> =
            self.asked.iter().filter(|(_, asked)| !asked.fresh).map(|(key, _)| key.clone()).collect();
        let mut steps: Vec<Step> = stale.into_iter().filter_map(|key| self.over(key)).collect();
        steps.push(Step::Tell(ChannelEvent::InStep));
        steps
    }

    fn prompt(&mut self, session: &str, id: u64, prompt: &str, now_ms: u64) -> Step {
        let message = self.message_name(id, now_ms);
        if self.sent.len() >= KEPT {
            self.sent.pop_first();
        }
        self.sent.insert(message.clone(), id);
        let body = json!({"messageID": message, "parts": [{"type": "text", "text": prompt}]});
        post(Purpose::Prompt(id), format!("/session/{session}/prompt_async"), Some(body))
    }

    /// A name for a message, in the server's own form: it puts messages in order by their names, which begin with the time.
    fn message_name(&mut self, id: u64, now_ms: u64) -> String {
        let time = (now_ms << 12).max(self.last_message + 1);
        self.last_message = time;
        format!("msg_{:012x}{id:014}", time & 0xffff_ffff_ffff)
    }

    fn decide(&mut self, key: String, decision: Decision, answer: Option<String>, reason: Option<String>) -> Vec<Step> {
        let undeliverable = |key, why: String| vec![Step::Tell(ChannelEvent::Delivered { key, outcome: Err(why) })];
        let Some(asked) = self.asked.get_mut(&key).filter(|asked| !asked.decided) else {
            return undeliverable(key, "opencode does not ask that any more".to_owned());
        };
        let (path, body) = match (asked.sort, decision) {
            (Sort::Permission, _) => {
                let word = match decision {
                    Decision::Allow => "once",
                    Decision::AllowAlways => "always",
                    Decision::Deny => "reject",
                };
                let mut body = json!({ "reply": word });
                if let (Decision::Deny, Some(reason)) = (decision, reason) {
                    body["message"] = json!(reason);
                }
                (format!("/permission/{key}/reply"), Some(body))
            }
            (Sort::Question, Decision::Deny) => (format!("/question/{key}/reject"), None),
            (Sort::Question, _) => {
                let answer = answer.unwrap_or_default();
                let lines: Vec<&str> =
                    if asked.questions.len() == 1 { vec![answer.as_str()] } else { answer.lines().collect() };
                if answer.is_empty() || lines.len() != asked.questions.len() {
                    let count = asked.questions.len();
                    let why = format!("{count} questions were asked and want an answer each, one a line");
                    return undeliverable(key, why);
                }
                // Words that are none of the choices are an answer too.
                let answers: Vec<Value> = (asked.questions.iter().zip(&lines))
                    .map(|(part, line)| json!(part.chosen(line).unwrap_or_else(|| vec![(*line).to_owned()])))
                    .collect();
                (format!("/question/{key}/reply"), Some(json!({ "answers": answers })))
            }
        };
        asked.decided = true;
        vec![post(Purpose::Decide(key), path, body)]
    }
}

fn post(purpose: Purpose, path: String, body: Option<Value>) -> Step {
    Step::Send(Call { purpose, method: "POST", path, body })
}

fn get(purpose: Purpose, path: &str) -> Step {
    Step::Send(Call { purpose, method: "GET", path: path.to_owned(), body: None })
}

fn totals(session: &str) -> Step {
    get(Purpose::Totals(session.to_owned()), &format!("/session/{session}"))
}

fn refused(id: u64, why: String) -> Step {
    Step::Tell(ChannelEvent::PromptEnded { id, outcome: PromptOutcome::Refused(why) })
}

impl Protocol for Translator {
    type In = Input;
    type Out = Call;

    fn connected(&mut self, _now_ms: u64) -> Vec<Step> {
        for asked in self.asked.values_mut() {
            asked.fresh = false;
        }
        self.creating = false;
        self.to_come = 3;
        let mut steps = vec![
            get(Purpose::Permissions, "/permission"),
            get(Purpose::Questions, "/question"),
            get(Purpose::Statuses, "/session/status"),
        ];
        steps.extend(self.current.as_deref().map(totals));
        steps
    }

    fn received(&mut self, input: Input, now_ms: u64) -> Vec<Step> {
        match input {
            Input::Event(event) => self.event(&event, now_ms),
            Input::Reply { purpose, status, body } => self.reply(purpose, status, &body, now_ms),
        }
    }

    fn command(&mut self, command: ChannelCommand, now_ms: u64) -> Vec<Step> {
        match command {
            ChannelCommand::Prompt { id, text } => match self.current.clone() {
                Some(session) => vec![self.prompt(&session, id, &text, now_ms)],
                None if self.waiting.len() >= KEPT => vec![refused(id, "too many prompts wait".to_owned())],
                None => {
                    self.waiting.push_back((id, text));
                    if std::mem::replace(&mut self.creating, true) {
                        return Vec::new();
                    }
                    vec![post(Purpose::Create, "/session".to_owned(), Some(json!({})))]
                }
            },
            ChannelCommand::Decide { key, decision, answer, reason } => self.decide(key, decision, answer, reason),
            ChannelCommand::Interrupt => match self.current.clone() {
                Some(session) => vec![post(Purpose::Abort, format!("/session/{session}/abort"), None)],
                None => Vec::new(),
            },
        }
    }

    fn tick(&mut self, _now_ms: u64) -> Vec<Step> {
        Vec::new()
    }

    fn wakes_at_ms(&self) -> Option<u64> {
        None
    }
}
