//! `approval.*` and `rule.*`: what agents ask permission for, and who decides.

use serde::{Deserialize, Serialize};

use crate::id::{ApprovalId, RuleId, SessionId};

/// What sort of thing is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalKind {
    /// To run a command.
    Command,
    /// To change files.
    FileChange,
    /// To use another tool, such as one of an MCP server.
    Tool,
    /// To reach the network or a wider sandbox.
    Access,
    /// A plan that is to be confirmed.
    Plan,
    /// A question with an answer in words or a choice.
    Question,
}

impl ApprovalKind {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::FileChange => "file_change",
            Self::Tool => "tool",
            Self::Access => "access",
            Self::Plan => "plan",
            Self::Question => "question",
        }
    }
}

/// Where an approval stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalState {
    /// Nobody decided yet.
    Pending,
    /// It may, or the question was answered.
    Allowed,
    /// It may not.
    Denied,
    /// Nobody decided in time; the agent was told no.
    Expired,
    /// The agent asks no more: it was answered at its terminal, went on, or ended.
    Withdrawn,
}

impl ApprovalState {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// What was asked, complete enough to decide without opening the session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The engine's name of the tool, such as `Bash` or `apply_patch`.
    #[serde(default)]
    pub tool: Option<String>,
    /// The command line.
    #[serde(default)]
    pub command: Option<String>,
    /// Where it would run.
    #[serde(default)]
    pub cwd: Option<String>,
    /// Files that it concerns, absolute.
    #[serde(default)]
    pub paths: Vec<String>,
    /// The change as a unified diff.
    #[serde(default)]
    pub diff: Option<String>,
    /// The question, word for word.
    #[serde(default)]
    pub question: Option<String>,
    /// The choices that the engine offers, in its order; empty where any text is an answer.
    #[serde(default)]
    pub choices: Vec<String>,
    /// The questions one by one, with what their choices mean. `choices` are those of the only one that takes one answer;
    /// where several are asked at once, or several choices may be named, it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// Why, in the agent's words.
    #[serde(default)]
    pub why: Option<String>,
}

/// One of several questions that are answered together, a line each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The question, word for word.
    pub question: String,
    /// The choices that the engine offers, in its order; empty where any text is an answer.
    #[serde(default)]
    pub choices: Vec<Choice>,
    /// Whether several choices may be named, separated by commas.
    #[serde(default)]
    pub several: bool,
}

/// What a question may be answered with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The answer.
    pub label: String,
    /// What it means, in the agent's words.
    #[serde(default)]
    pub description: Option<String>,
}

impl Part {
    /// The choices, or the words, that a line names; `None` when it is no answer to this.
    #[must_use]
    pub fn chosen(&self, line: &str) -> Option<Vec<String>> {
        let line = line.trim();
        if line.is_empty() {
            return None;
        }
        if self.choices.is_empty() {
            return Some(vec![line.to_owned()]);
        }
        let label =
            |text: &str| self.choices.iter().find(|choice| choice.label.trim() == text).map(|c| c.label.clone());
        if !self.several {
            return label(line).map(|label| vec![label]);
        }
        // A label may have commas of its own, so that as many pieces are taken together as make one.
        let pieces: Vec<&str> = line.split(',').collect();
        let mut named: Vec<String> = Vec::new();
        let mut from = 0;
        while from < pieces.len() {
            let (found, next) = (from + 1..=pieces.len()).rev().find_map(|to| {
                let text = pieces.get(from..to)?.join(",");
                Some((label(text.trim())?, to))
            })?;
            if !named.contains(&found) {
                named.push(found);
            }
            from = next;
        }
        Some(named)
    }
}

/// Whether the engine heard the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Not decided, or on its way.
    Pending,
    /// The engine took it.
    Delivered,
    /// It could not be told; `message` says why.
    Failed,
}

/// By which road the question came and the answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Road {
    /// A hook that waits for the answer.
    Hook,
    /// The engine's structured channel.
    Protocol,
    /// Keys, where a screen rule is certain and the effect is verified.
    Screen,
}

/// A permission or an answer that an agent asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// The approval.
    pub approval: ApprovalId,
    /// Who asks.
    pub session: SessionId,
    /// The session's engine.
    pub engine: String,
    /// What sort.
    pub kind: ApprovalKind,
    /// One line for a list.
    pub title: String,
    /// What exactly.
    pub subject: Subject,
    /// Where it stands.
    pub state: ApprovalState,
    /// By which road.
    pub road: Road,
    /// When it was asked, in milliseconds since the epoch.
    pub created_at_ms: u64,
    /// When it expires, in milliseconds since the epoch; `None`: it waits as long as the agent does.
    pub expires_at_ms: Option<u64>,
    /// When it was decided.
    pub decided_at_ms: Option<u64>,
    /// Who decided: a door and process, `rule rul_…`, `expiry`, or the engine.
    pub decided_by: Option<String>,
    /// The reason that was given with the decision.
    pub reason: Option<String>,
    /// The answer to a question.
    pub answer: Option<String>,
    /// The rule that decided, or that the decision made.
    pub rule: Option<RuleId>,
    /// Whether the engine heard it.
    pub delivery: Delivery,
    /// A sentence where there is more to say.
    pub message: Option<String>,
    /// The asker's own name of the question, by which it finds its question again after a restart of the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Approval {
    /// A question that nobody has decided yet.
    #[must_use]
    pub fn pending(
        approval: ApprovalId,
        session: SessionId,
        engine: &str,
        kind: ApprovalKind,
        road: Road,
        created_at_ms: u64,
    ) -> Self {
        Self {
            approval,
            session,
            engine: engine.to_owned(),
            kind,
            title: String::new(),
            subject: Subject::default(),
            state: ApprovalState::Pending,
            road,
            created_at_ms,
            expires_at_ms: None,
            decided_at_ms: None,
            decided_by: None,
            reason: None,
            answer: None,
            rule: None,
            delivery: Delivery::Pending,
            message: None,
            key: None,
        }
    }
}

/// Parameters of `approval.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Also those that are decided, the newest 1,000.
    #[serde(default)]
    pub all: bool,
    /// Of this session alone.
    #[serde(default)]
    pub session: Option<SessionId>,
}

/// Result of `approval.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approvals {
    /// Oldest first.
    pub approvals: Vec<Approval>,
}

/// Parameters of `approval.get`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalParams {
    /// Which.
    pub approval: ApprovalId,
}

/// A decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// This once.
    Allow,
    /// This and what is like it: makes a rule.
    AllowAlways,
    /// Not this.
    Deny,
}

/// Parameters of `approval.decide`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideParams {
    /// Which; several are decided alike, all or none.
    pub approvals: Vec<ApprovalId>,
    /// How.
    pub decision: Decision,
    /// Why; the agent is told, where its engine has a place for that.
    #[serde(default)]
    pub reason: Option<String>,
    /// The answer to a question: a text, or one of its choices word for word; a line for each of its `parts`, where it has
    /// some.
    #[serde(default)]
    pub answer: Option<String>,
}

/// Result of `approval.decide`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What was decided, as it is now.
    pub approvals: Vec<Approval>,
    /// The rules that `allow_always` made.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What a rule makes of what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Allowed without asking.
    Allow,
    /// Denied without asking; wins over every `allow`.
    Deny,
    /// Asked even where a broader rule allows.
    Ask,
}

impl Effect {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Ask => "ask",
        }
    }
}

/// A standing decision. Every member that is set must match; patterns are globs over the whole text, and for paths over
/// whole components.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// The rule.
    pub rule: RuleId,
    /// What follows.
    pub effect: Effect,
    /// Engine, by name.
    #[serde(default)]
    pub engine: Option<String>,
    /// Kind of request.
    #[serde(default)]
    pub kind: Option<ApprovalKind>,
    /// The engine's tool, a glob.
    #[serde(default)]
    pub tool: Option<String>,
    /// The command, a glob; a command with shell operators is matched by an `allow` part by part.
    #[serde(default)]
    pub command: Option<String>,
    /// Every path that is concerned, a glob.
    #[serde(default)]
    pub path: Option<String>,
    /// Working directory at or below which it holds.
    #[serde(default)]
    pub cwd: Option<String>,
    /// One session alone.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// When it ends, in milliseconds since the epoch; `None`: when it is removed.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
    /// When it was made.
    pub created_at_ms: u64,
    /// Who made it.
    pub created_by: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Result of `rule.list`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Oldest first.
    pub rules: Vec<Rule>,
}

/// Parameters of `rule.add`; the members are those of [`Rule`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddRuleParams {
    /// What follows.
    pub effect: Effect,
    /// Engine, by name.
    #[serde(default)]
    pub engine: Option<String>,
    /// Kind of request.
    #[serde(default)]
    pub kind: Option<ApprovalKind>,
    /// The engine's tool, a glob.
    #[serde(default)]
    pub tool: Option<String>,
    /// The command, a glob.
    #[serde(default)]
    pub command: Option<String>,
    /// Every path that is concerned, a glob over an absolute path.
    #[serde(default)]
    pub path: Option<String>,
    /// Working directory at or below which it holds, absolute.
    #[serde(default)]
    pub cwd: Option<String>,
    /// One session alone.
    #[serde(default)]
    pub session: Option<SessionId>,
    /// When it ends, in milliseconds since the epoch.
    #[serde(default)]
    pub expires_at_ms: Option<u64>,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Parameters of `rule.remove`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleParams {
    /// Which.
    pub rule: RuleId,
}
