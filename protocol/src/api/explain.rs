//! `session.explain` and `session.detect`: by what a session's activity was concluded, and what recordings show.

use serde::{Deserialize, Serialize};

use crate::activity::{Activity, AgentState, Source};
use crate::id::SessionId;

/// What one source says about a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub source: Source,
    /// What it says.
    pub state: AgentState,
    /// By what: a rule, a hook, a mark.
    pub reason: String,
    /// How sure it is, in percent.
    pub confidence: u8,
    /// Since when it says that, in milliseconds since the epoch.
    pub since_ms: u64,
    /// When it said so last, in milliseconds since the epoch.
    pub at_ms: u64,
    /// How long ago that was, in milliseconds.
    pub age_ms: u64,
    /// Until when it holds, where the source knows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
    /// Whether it still counts; words run out.
    pub counts: bool,
    /// Whether it is the one that decides.
    pub decides: bool,
}

/// Result of `session.explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The session.
    pub session: SessionId,
    /// Its engine.
    pub engine: String,
    /// The engine's version, where it is known.
    pub version: Option<String>,
    /// What was concluded.
    pub activity: Activity,
    /// What each source says.
    pub votes: Vec<Vote>,
    /// Whether the session's terminal is being looked at.
    pub watched: bool,
    /// The window title.
    pub title: String,
    /// Milliseconds since the program last wrote something; `None` where that is not known.
    pub quiet_ms: Option<u64>,
    /// Whether the foreground process waits for its terminal; `None` where that is not known.
    pub reading: Option<bool>,
    /// Processes of the session; `None` where that is not known.
    pub processes: Option<u32>,
}

/// Parameters of `session.detect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DetectParams {
    /// Absolute path of an asciicast, or the name of a session whose own recording is meant.
    pub cast: String,
    /// Whose rules; a session's own engine where it is one.
    #[serde(default)]
    pub engine: Option<String>,
    /// Which version of it; any when absent.
    #[serde(default)]
    pub version: Option<String>,
}

/// A state that a recording shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detected {
    /// When it was told, in milliseconds since the recording began.
    pub at_ms: u64,
    /// The activity, its times on the recording's clock.
    pub activity: Activity,
}

/// Result of `session.detect`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// Whose rules.
    pub engine: String,
    /// The states in the order of time.
    pub states: Vec<Detected>,
    /// How long the recording is, in milliseconds.
    pub length_ms: u64,
    /// Whether there are more states than one answer holds.
    #[serde(default)]
    pub truncated: bool,
}

/// Parameters of `session.rules`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesParams {
    /// Of this engine alone.
    #[serde(default)]
    pub engine: Option<String>,
}

/// Result of `session.rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesListed {
    /// By engine, in the order in which they count.
    pub rules: Vec<ListedRule>,
}

/// One rule over the screen of an engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedRule {
    /// The engine.
    pub engine: String,
    /// The rule's name.
    pub name: String,
    /// What it concludes.
    pub state: AgentState,
    /// Whose vote it is.
    pub source: Source,
    /// That in words.
    pub reason: String,
    /// How sure it is, in percent.
    pub confidence: u8,
    /// Which rule counts when several match.
    pub priority: i32,
    /// The engine's versions that it counts for; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    /// Versions of which recorded screens are held against it; none where it comes from documentation.
    pub tested: Vec<String>,
}
