//! `hold.watch`: what a holder tells of its session's terminal while it changes, so that nobody has to ask.
//!
//! A watcher gets everything in its first notification and then what changed. A watcher that does not read gets one
//! notification with everything once it does: nothing is queued for it meanwhile.

use serde::{Deserialize, Serialize};

use crate::hold::ScreenText;

/// Name of the notification.
pub const CHANGED: &str = "hold.changed";

/// What changed. A member that is absent is as it was told last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// When the holder looked, in milliseconds since the epoch; on the recording's own clock when one is replayed.
    pub at_ms: u64,
    /// The window title that the program set; empty when it set none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Notifications since the last time, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notices: Vec<Notice>,
    /// The screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screen: Option<ScreenText>,
    /// Whether the program has stopped drawing for now.
    pub settled: bool,
    /// Milliseconds since the program last wrote something.
    pub quiet_ms: u64,
    /// What it says of its progress (OSC 9;4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// What its shell says of its prompt (OSC 133).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<PromptMark>,
    /// Who waits for a line on the terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<Reader>,
    /// Processes of the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
}

/// A line of what `pty-proxy replay` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Played {
    /// What a watcher would have been told.
    Changed(Changed),
    /// The recording is over.
    Ended {
        /// How long it is, in milliseconds.
        length_ms: u64,
        /// With what status the program ended; `None` when the recording does not tell of its end.
        exit: Option<String>,
    },
}

/// A notification that a program sent through its terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When, as [`Changed::at_ms`].
    pub at_ms: u64,
    /// By which sequence.
    pub kind: NoticeKind,
    /// What it says; empty for the bell. At most [`NOTICE_LIMIT`] bytes.
    pub text: String,
}

/// Longest text of a notification, in bytes; the rest is cut off.
pub const NOTICE_LIMIT: usize = 1024;

/// The sequences by which programs notify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// BEL.
    Bell,
    /// OSC 9.
    Osc9,
    /// OSC 99.
    Osc99,
    /// OSC 777.
    Osc777,
}

/// Progress as OSC 9;4 tells it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// None is shown.
    #[default]
    None,
    /// So many percent are done.
    Percent(u8),
    /// It failed.
    Failed,
    /// It works, nobody knows how long.
    Busy,
    /// It waits.
    Paused,
}

/// What a shell says of its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptMark {
    /// It shows a prompt: OSC 133 A, B or D.
    Prompt,
    /// It runs a command: OSC 133 C.
    Running,
}

/// Who is blocked in reading a line from the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reader {
    /// The process that the session was started for.
    Own,
    /// Another one in the foreground.
    Other,
    /// Nobody.
    Nobody,
}
