//! `session.*`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::activity::{Activity, AgentState};
use crate::api::approval::Road;
use crate::api::confinement::{LimitParams, Limits, Sandbox, SandboxParams};
use crate::api::run::Tokens;
use crate::id::SessionId;
use crate::life::{Life, Priority, Terms};
use crate::process::{EndReason, Exit};

/// State of a session's process. What the agent inside is doing is another matter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionState {
    /// Recorded; the process is being started.
    Starting,
    /// The process runs.
    Running,
    /// The process ended; `exit` says how.
    Ended,
    /// The process could not be started.
    Failed,
    /// The holder is gone and left no record of how the process ended.
    Unknown,
}

impl SessionState {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Whether nothing more will happen to the session.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Ended | Self::Failed | Self::Unknown)
    }
}

/// Parameters of `session.create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateParams {
    /// `claude`, `codex`, `gemini`, `opencode`, or `command` for any argv.
    pub engine: String,
    /// Program and arguments for `command`; further arguments for the other engines.
    #[serde(default)]
    pub argv: Vec<String>,
    /// Working directory, absolute.
    pub cwd: String,
    /// A line for a person.
    #[serde(default)]
    pub title: Option<String>,
    /// Columns (80 when absent).
    #[serde(default)]
    pub cols: Option<u16>,
    /// Rows (24 when absent).
    #[serde(default)]
    pub rows: Option<u16>,
    /// Variables beside those that the engine gets anyway.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Whether to work in a worktree of the repository at `cwd`.
    #[serde(default)]
    pub worktree: bool,
    /// First prompt, handed over in the engine's own way.
    #[serde(default)]
    pub prompt: Option<String>,
    /// The structured channel beside its terminal: `auto` (when absent) for the engine's best, `off`, or `app-server`, `serve`,
    /// `acp` by name. With `acp` the session has no terminal.
    #[serde(default)]
    pub channel: Option<String>,
    /// How urgent it is where sessions wait for a place (`medium` when absent).
    #[serde(default)]
    pub priority: Priority,
    /// How long its process may run, in milliseconds (60,000 to 86,400,000); any time when absent.
    #[serde(default)]
    pub max_duration_ms: Option<u64>,
    /// What it may touch; as the daemon's settings say when absent.
    #[serde(default)]
    pub sandbox: SandboxParams,
    /// What it may use; as the daemon's settings say when absent.
    #[serde(default)]
    pub limits: LimitParams,
}

/// Result of `session.create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// The session.
    pub session: SessionId,
    /// The process that it holds; `None` while it waits for a place.
    pub pid: Option<i32>,
}

/// A session, as `session.list` and `session.get` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The session.
    pub session: SessionId,
    /// Its engine.
    pub engine: String,
    /// State of its process.
    pub state: SessionState,
    /// The process that it holds; `None` before the start and after the end.
    pub pid: Option<i32>,
    /// Working directory.
    pub cwd: String,
    /// Columns; 0 when it is on pipes.
    pub cols: u16,
    /// Rows; 0 when it is on pipes.
    pub rows: u16,
    /// Milliseconds since the epoch.
    pub created_at_ms: u64,
    /// Milliseconds since the epoch; `None` until it ends.
    pub ended_at_ms: Option<u64>,
    /// How the process ended, where that is known.
    pub exit: Option<Exit>,
    /// Why the process ended.
    pub reason: Option<EndReason>,
    /// A sentence where there is more to say.
    pub message: Option<String>,
    /// A line for a person.
    pub title: Option<String>,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The run and stage that it serves, `<run>/<stage>`; `None` for a session of a person.
    pub owner: Option<String>,
    /// Directory of its logs and recording.
    pub directory: String,
    /// Its place in its life cycle.
    #[serde(default)]
    pub life: Life,
    /// What was agreed about it, and how that went so far.
    #[serde(default)]
    pub terms: Terms,
    /// What it may touch; `None` of sessions from before there were sandboxes.
    #[serde(default)]
    pub sandbox: Option<Sandbox>,
    /// What it may use; `None` when nothing is limited.
    #[serde(default)]
    pub limits: Option<Limits>,
    /// What its agent does.
    #[serde(default)]
    pub activity: Activity,
    /// The engine's own name of its conversation, by which it can be resumed; `None` until it is known.
    #[serde(default)]
    pub conversation: Option<String>,
    /// The structured channel beside its terminal, in a word, such as `hooks`, `app-server`, `serve`, `acp`.
    #[serde(default)]
    pub channel: Option<String>,
    /// Why that channel is not in use any more; the session goes on without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_lost: Option<String>,
    /// Tokens that its conversations used so far, as its engine says over its channel; `null` where nobody says.
    #[serde(default)]
    pub tokens: Tokens,
    /// What they cost so far in millionths of a US dollar; `null` where nobody says.
    #[serde(default)]
    pub cost_microusd: Option<u64>,
    /// How full its conversation is; `null` where nobody says.
    #[serde(default)]
    pub context: Option<ContextUse>,
    /// The counts of which `tokens` and `cost_microusd` are the sum.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used: Vec<Used>,
    /// Which process of the session this is, from 1: it grows when a conversation is taken up again.
    #[serde(default = "first")]
    pub generation: u32,
    /// What would be left of it when processes of orx, or the machine, end.
    #[serde(default)]
    pub survival: Survival,
}

const fn first() -> u32 {
    1
}

impl Session {
    /// A session that is recorded and about to start; what is not named here is not known yet.
    #[must_use]
    pub fn starting(session: SessionId, engine: &str, cwd: &str, created_at_ms: u64) -> Self {
        Self {
            session,
            engine: engine.to_owned(),
            state: SessionState::Starting,
            pid: None,
            cwd: cwd.to_owned(),
            cols: 0,
            rows: 0,
            created_at_ms,
            ended_at_ms: None,
            exit: None,
            reason: None,
            message: None,
            title: None,
            argv: Vec::new(),
            owner: None,
            directory: String::new(),
            life: Life::Running,
            terms: Terms::default(),
            sandbox: None,
            limits: None,
            activity: Activity::default(),
            conversation: None,
            channel: None,
            channel_lost: None,
            tokens: Tokens::default(),
            cost_microusd: None,
            context: None,
            used: Vec::new(),
            generation: first(),
            survival: Survival::default(),
        }
    }
}

/// How full a conversation is, in tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextUse {
    /// What it holds now.
    pub used: Option<u64>,
    /// What it can hold.
    pub window: Option<u64>,
}

/// What one conversation of a session used, or one process of it where its engine counts so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// The conversation's name, `process 2` or the like, or `earlier` for the oldest together.
    pub of: String,
    /// Tokens.
    pub tokens: Tokens,
    /// Cost in millionths of a US dollar.
    pub cost_microusd: Option<u64>,
}

/// How well a session survives, from the best to the worst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SurvivalLevel {
    /// Its process runs and is held.
    Live,
    /// Its process is gone; its engine can take the conversation up again.
    Resumable,
    /// What it showed was recorded and can be looked at.
    Replay,
    /// Nothing of it is left but its record.
    #[default]
    None,
}

impl SurvivalLevel {
    /// The word that is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Resumable => "resumable",
            Self::Replay => "replay",
            Self::None => "none",
        }
    }
}

/// What there is of a session, and why it can be relied on. Worked out when it is asked for; what is stored is not read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survival {
    /// How well it survives.
    pub level: SurvivalLevel,
    /// A sentence for a person.
    pub reason: String,
    /// Whether something beside its holder keeps its terminal open: then the holder itself can be lost without loss.
    pub kept: bool,
}

/// Parameters of `session.list`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Also those that ended, and those of pipeline stages.
    #[serde(default)]
    pub all: bool,
}

/// Result of `session.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// Oldest first.
    pub sessions: Vec<Session>,
}

/// Parameters of `session.upgrade`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeParams {
    /// Which; every session that runs when absent.
    #[serde(default)]
    pub session: Option<SessionId>,
}

/// Result of `session.upgrade`: every session that was asked for is in one of the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrades {
    /// Sessions whose holder is another version now.
    pub upgraded: Vec<Upgraded>,
    /// Sessions whose holder was of this version already.
    pub current: Vec<SessionId>,
    /// Sessions that go on with the holder that they had.
    pub failed: Vec<NotUpgraded>,
}

/// A session whose holder was replaced by a newer version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// Which.
    pub session: SessionId,
    /// The version that holds it now.
    pub version: String,
}

/// A session whose holder could not be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotUpgraded {
    /// Which.
    pub session: SessionId,
    /// Why.
    pub why: String,
}

/// Parameters of the methods that take a session alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionParams {
    /// Which.
    pub session: SessionId,
}

/// Whether a viewer types.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachMode {
    /// It types when nobody else does, and may take over.
    #[default]
    Control,
    /// It only looks.
    View,
}

/// Parameters of `session.attach`; the connection then carries [`crate::terminal`] frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachParams {
    /// Which.
    pub session: SessionId,
    /// The viewer's columns.
    pub cols: u16,
    /// The viewer's rows.
    pub rows: u16,
    /// Whether it types.
    #[serde(default)]
    pub mode: AttachMode,
    /// Whether the program reaches beyond the viewer's screen: may set its clipboard (OSC 52), show notifications and the
    /// like, which is kept from every other viewer.
    #[serde(default)]
    pub raw: bool,
}

/// Result of `session.attach`, the last JSON body on the connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Which.
    pub session: SessionId,
    /// Codec of the frames that follow.
    pub codec: String,
}

/// Name of the codec in [`Attached`].
pub const TERMINAL_CODEC: &str = "bincode-2";

/// Parameters of `session.keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysParams {
    /// Which.
    pub session: SessionId,
    /// Names such as `enter`, `escape`, `tab`, `up`, `ctrl-c`, `f5`, `alt-x`, or single characters.
    pub keys: Vec<String>,
}

/// Result of `session.interrupt`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupted {
    /// How the agent was told to stop its turn: over its channel, or by keys on its terminal.
    pub road: Road,
    /// What it does now.
    pub state: AgentState,
    /// Whether its turn is seen to be over.
    pub stopped: bool,
    /// What was done, and by what the state is known, for a person.
    pub evidence: String,
}

/// Parameters of `session.resize`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResizeParams {
    /// Which.
    pub session: SessionId,
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

/// The cursor of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// From 0, from the top.
    pub row: u16,
    /// From 0, from the left.
    pub col: u16,
    /// Whether the program shows it.
    pub visible: bool,
}

/// Parameters of `session.scrollback`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrollbackParams {
    /// Which.
    pub session: SessionId,
    /// Number of the first line, from 0; the last ones when absent.
    #[serde(default)]
    pub from: Option<u64>,
    /// At most this many lines (1 to 10000; 1000 when absent).
    #[serde(default)]
    pub limit: Option<u32>,
    /// With styles, as SGR sequences; plain text otherwise.
    #[serde(default)]
    pub styled: bool,
}

/// Result of `session.scrollback`: lines that scrolled out of the screen at its top, whatever its width was. What is still on
/// the screen is not among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrollbackPage {
    /// Oldest first. A page may have fewer lines than asked for where they are long.
    pub lines: Vec<String>,
    /// Number of the oldest line that is kept.
    pub first: u64,
    /// `from` for the next page.
    pub next: u64,
    /// Number of the line that scrolls away next.
    pub total: u64,
}

/// Parameters of `session.recording`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordingParams {
    /// Which.
    pub session: SessionId,
    /// Milliseconds since the recording began; its end when absent.
    #[serde(default)]
    pub at_ms: Option<u64>,
}

/// Result of `session.recording`: the screen at a moment of the recording.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// The screen.
    pub screen: crate::hold::ScreenText,
    /// Milliseconds from the beginning to the last event that is shown.
    pub at_ms: u64,
    /// Exit status, where the program has ended by then.
    pub exit: Option<String>,
}

/// Parameters of `session.log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogParams {
    /// Which.
    pub session: SessionId,
    /// Byte offset into the output to start at (0 when absent); `next` of the last page.
    #[serde(default)]
    pub from: Option<u64>,
    /// At most this many lines (1 to 10000; 1000 when absent).
    #[serde(default)]
    pub limit: Option<u32>,
    /// Standard error of a session on pipes, instead of its output.
    #[serde(default)]
    pub stderr: bool,
}

/// Result of `session.log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    /// Lines without their ends; control sequences are removed.
    pub lines: Vec<String>,
    /// `from` for the next page.
    pub next: u64,
    /// Whether the process has ended and no line follows.
    pub end: bool,
}

/// What `session.wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// The process runs.
    Running,
    /// The process ended, in whatever way.
    Ended,
    /// Its agent works.
    Working,
    /// Its agent takes a prompt and has nothing to do.
    Idle,
    /// Its agent asked its user something.
    WaitingInput,
    /// Its agent waits for a permission.
    Blocked,
    /// Its provider refuses calls for a time.
    RateLimited,
    /// Its turn is over while helpers work.
    SubagentsRunning,
    /// Its agent is idle, or somebody is needed before it goes on.
    Rest,
}

impl Until {
    /// The states of the agent that are waited for; none where it is the process's.
    #[must_use]
    pub const fn agent_states(self) -> &'static [AgentState] {
        match self {
            Self::Running | Self::Ended => &[],
            Self::Working => &[AgentState::Working],
            Self::Idle => &[AgentState::Idle],
            Self::WaitingInput => &[AgentState::WaitingInput],
            Self::Blocked => &[AgentState::Blocked],
            Self::RateLimited => &[AgentState::RateLimited],
            Self::SubagentsRunning => &[AgentState::SubagentsRunning],
            Self::Rest => &[AgentState::Idle, AgentState::WaitingInput, AgentState::Blocked, AgentState::Failed],
        }
    }
}

/// Parameters of `session.wait`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitParams {
    /// Which.
    pub session: SessionId,
    /// For what.
    pub until: Until,
    /// How long, in milliseconds; the answer then carries the state at that time.
    pub timeout_ms: u64,
}

/// Result of `session.wait`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// The state when the wait ended.
    pub state: SessionState,
    /// What its agent did then.
    #[serde(default)]
    pub activity: Activity,
}

/// Parameters of `session.stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopParams {
    /// Which.
    pub session: SessionId,
    /// Milliseconds between the request to end and the force (5000 when absent).
    #[serde(default)]
    pub grace_ms: Option<u64>,
}

/// Result of `session.stop`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// How the process ended; `None` where that is not known.
    pub exit: Option<Exit>,
}
