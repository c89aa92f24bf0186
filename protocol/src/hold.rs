//! The link between `orchestratord` and the `pty-proxy` that holds a session: what the holder is told at its start, what
//! it keeps in the session's directory, and the requests it answers on its own socket.
//!
//! The holder's socket speaks the same frames and JSON-RPC as the daemon's. `hold.attach` switches a connection over to
//! the binary frames of [`crate::terminal`]. `hold.adopt` is sent by the daemon together with a viewer's own connection
//! (`SCM_RIGHTS`), which the holder then serves as if it had received `hold.attach` on it: the daemon is not between a
//! viewer and its terminal, so its death does not reach them.

use serde::{Deserialize, Serialize};

use crate::api::confinement::{Caps, Confinement};
use crate::api::session::{AttachMode, Cursor};
use crate::id::SessionId;
use crate::process::{EndReason, Exit, ProcessIdentity};

/// Names of the files in a session's directory (0700, files 0600).
pub mod file {
    /// [`super::HoldSpec`], written by the daemon before the holder starts.
    pub const SPEC: &str = "hold.json";
    /// [`super::Holder`], written by the holder once the process runs.
    pub const HOLDER: &str = "holder.json";
    /// What the process wrote, raw: to its terminal, or to standard output when it is on pipes.
    pub const OUTPUT: &str = "output.log";
    /// What a process on pipes wrote to standard error, raw.
    pub const ERROR: &str = "error.log";
    /// asciicast v3 of a terminal session.
    pub const RECORDING: &str = "recording.cast";
    /// Lines that scrolled out of the screen, compressed.
    pub const SCROLLBACK: &str = "scrollback.lz4";
    /// Pictures of the screen along the recording.
    pub const MOMENTS: &str = "recording.moments";
    /// The scrolled lines before those of [`SCROLLBACK`].
    pub const SCROLLBACK_OLDER: &str = "scrollback.older.lz4";
    /// [`super::Ended`], written (atomically) when the process tree is gone.
    pub const ENDED: &str = "ended.json";
    /// [`super::ScreenText`] at the end of a terminal session.
    pub const SCREEN: &str = "screen.json";
    /// Input for a process on pipes, written by the daemon before the holder starts.
    pub const INPUT: &str = "input.txt";
    /// Directory of temporary files of a confined session, gone when it ends.
    pub const TEMPORARY: &str = "tmp";
    /// The holder's own log.
    pub const HOLDER_LOG: &str = "holder.log";
    /// The screen as it was at some place of [`OUTPUT`], from which a holder that takes over goes on.
    pub const SCREEN_STATE: &str = "screen.state";
    /// Sizes of the terminal, each with the place in [`OUTPUT`] from which it held: lines of `offset cols rows`.
    pub const SIZES: &str = "sizes.log";
}

/// What a holder is started with. The environment is not here, so that no key is written to disk: the process inherits
/// exactly the environment that the daemon gave to its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldSpec {
    /// The session.
    pub session: SessionId,
    /// Program and arguments; the program is an absolute path or is looked up on `PATH`.
    pub argv: Vec<String>,
    /// Working directory, absolute.
    pub cwd: String,
    /// A terminal of this size, or pipes when `None`.
    pub terminal: Option<TerminalSize>,
    /// Whether [`file::INPUT`] is fed to standard input (pipes only; otherwise standard input is empty).
    #[serde(default)]
    pub feed_input: bool,
    /// The process tree is ended after this many milliseconds.
    #[serde(default)]
    pub deadline_ms: Option<u64>,
    /// Path of the holder's socket.
    pub socket: String,
    /// How the program is confined; `None` when it is not.
    #[serde(default)]
    pub confinement: Option<Confinement>,
    /// How its tree is limited; `None` when it is not.
    #[serde(default)]
    pub caps: Option<Caps>,
}

/// Columns and rows of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Columns, 1 to [`crate::limits::TERMINAL_MAX`].
    pub cols: u16,
    /// Rows, 1 to [`crate::limits::TERMINAL_MAX`].
    pub rows: u16,
}

impl TerminalSize {
    /// The size within the accepted limits.
    #[must_use]
    pub fn clamped(self) -> Self {
        let clamp = |n: u16| n.clamp(1, crate::limits::TERMINAL_MAX);
        Self { cols: clamp(self.cols), rows: clamp(self.rows) }
    }
}

/// Which processes serve a session; the record that lets a restarted daemon find them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The `pty-proxy`.
    pub holder: ProcessIdentity,
    /// The process that it holds.
    pub child: ProcessIdentity,
    /// When it started, in milliseconds since the epoch.
    pub started_at_ms: u64,
    /// The small parent of the holder, which keeps the terminal open and starts another holder when this one is killed;
    /// `None` where there is none, or none any more.
    #[serde(default)]
    pub keeper: Option<ProcessIdentity>,
    /// The boot of the machine in which these processes run; process ids of another boot mean nothing. `None` where the
    /// system does not say.
    #[serde(default)]
    pub boot: Option<String>,
}

impl Holder {
    /// Whether these processes are of the boot called `now`; what is not known counts as the same.
    #[must_use]
    pub fn is_of_boot(&self, now: Option<&str>) -> bool {
        match (self.boot.as_deref(), now) {
            (Some(then), Some(now)) => then == now,
            _ => true,
        }
    }
}

/// How a session's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Exit status or signal; `None` where it is not known.
    pub exit: Option<Exit>,
    /// Why.
    pub reason: EndReason,
    /// A sentence for a person, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When, in milliseconds since the epoch.
    pub ended_at_ms: u64,
}

/// The screen as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScreenText {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
    /// One text a row, without trailing blanks.
    pub lines: Vec<String>,
    /// The cursor.
    pub cursor: Cursor,
    /// The window title that the program set; empty when it set none.
    pub title: String,
}

/// What the holder prints as one line of JSON on standard output once the process runs, or could not be started;
/// the starting process then exits and the holder lives on, in its own session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Started {
    /// It runs.
    Running(Holder),
    /// It could not be started; the sentence says what and why.
    Failed(String),
}

/// Methods of the holder's socket.
pub mod method {
    /// `{}` → [`super::Status`].
    pub const STATUS: &str = "hold.status";
    /// `{}` → [`super::ScreenText`]; `FailedPrecondition` on pipes.
    pub const SCREEN: &str = "hold.screen";
    /// `{}` → `{}`, then notifications [`crate::watch::CHANGED`] on the same connection; `FailedPrecondition` on pipes.
    pub const WATCH: &str = "hold.watch";
    /// [`super::ScrollbackParams`] → [`crate::api::session::ScrollbackPage`]; `FailedPrecondition` on pipes.
    pub const SCROLLBACK: &str = "hold.scrollback";
    /// `{text, submit}` → `{}`: one bracketed paste where the program asked for it, then Enter by itself.
    pub const SEND: &str = "hold.send";
    /// [`super::KeysParams`] → `{}`.
    pub const KEYS: &str = "hold.keys";
    /// [`super::TerminalSize`] → `{}`.
    pub const RESIZE: &str = "hold.resize";
    /// `{grace_ms}` → [`super::Ended`]: ends the whole process tree.
    pub const STOP: &str = "hold.stop";
    /// [`super::NoticeParams`] → `{viewers}`: shows a notice on the terminals of all viewers, and tells how many there are.
    pub const NOTICE: &str = "hold.notice";
    /// `{}` → `{}`: holds the whole process tree still; its deadline stands still too.
    pub const PAUSE: &str = "hold.pause";
    /// `{}` → `{}`: lets the process tree go on.
    pub const CONTINUE: &str = "hold.continue";
    /// `{}` → [`super::Ended`], answered when the tree is gone.
    pub const WAIT: &str = "hold.wait";
    /// [`super::AttachParams`] → `{}`, then the connection carries [`crate::terminal`] frames.
    pub const ATTACH: &str = "hold.attach";
    /// [`super::AdoptParams`] with one descriptor → `{}`; the descriptor is served as by `hold.attach`.
    pub const ADOPT: &str = "hold.adopt";
    /// `{}` → [`super::Descriptors`], with duplicates of the program's terminal (its master), or of the reading ends of its
    /// pipes, passed along with the answer. Only on a connection that waits for nothing else.
    pub const DESCRIPTORS: &str = "hold.descriptors";
    /// [`super::UpgradeParams`] → [`super::Upgraded`], answered by the new program: the holder goes on as another version
    /// of itself, as the same process and with everything it holds. When that is not possible the old one answers with
    /// why, and goes on.
    pub const UPGRADE: &str = "hold.upgrade";
}

/// What a holder says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The processes.
    pub holder: Holder,
    /// The terminal's size; `None` on pipes.
    pub terminal: Option<TerminalSize>,
    /// Bytes that the process has written so far.
    pub output_bytes: u64,
    /// Viewers attached.
    pub viewers: u32,
    /// Whether somebody looks at one of them, by the focus that their terminal reports or by what they did last.
    #[serde(default)]
    pub looked_at: bool,
    /// Milliseconds since the process last wrote something.
    pub quiet_ms: u64,
    /// The window title that the program set.
    pub title: String,
    /// Bytes of output or recording that could not be written to their files, for instance on a full disk.
    #[serde(default)]
    pub lost_bytes: u64,
    /// The holder's version; empty for those that did not say it yet.
    #[serde(default)]
    pub version: String,
    /// Which file the holder runs, in words of the system that only a file that is the same shares; empty where it cannot say.
    #[serde(default)]
    pub program: String,
}

/// Answer to [`method::DESCRIPTORS`]: what the passed descriptors are, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptors {
    /// The processes whose terminal or pipes these are.
    pub holder: Holder,
    /// How many descriptors came along: one for a terminal, two for pipes (output, error).
    pub count: usize,
}

/// Parameters of [`method::UPGRADE`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpgradeParams {
    /// The program to go on as, an absolute path; the file from which the holder itself was started when absent.
    #[serde(default)]
    pub program: Option<String>,
}

/// Answer to [`method::UPGRADE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The version that serves the session now.
    pub version: String,
}

/// The shape of [`HandOver`]; a holder takes over only from one that knows the same.
pub const HAND_OVER_VERSION: u32 = 1;

/// What a holder that takes a session over is given, in a nameless file whose descriptor it is told. Descriptors are
/// numbers in that very process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// [`HAND_OVER_VERSION`].
    pub version: u32,
    /// The program that is held.
    pub child: ProcessIdentity,
    /// When it started, in milliseconds since the epoch.
    pub started_at_ms: u64,
    /// The program's terminal (its master), or the reading ends of its pipes: output, error.
    pub outputs: Vec<i32>,
    /// The listening socket, where it outlived the holder.
    #[serde(default)]
    pub listener: Option<i32>,
    /// The lock on the session's directory, where it is held already.
    #[serde(default)]
    pub lock: Option<i32>,
    /// Memory of the holder that was killed: what it had read and not written to the log yet.
    #[serde(default)]
    pub unsaved: Option<i32>,
    /// The link to the keeper, where that is the new holder's parent.
    #[serde(default)]
    pub link: Option<i32>,
    /// That keeper.
    #[serde(default)]
    pub keeper: Option<ProcessIdentity>,
    /// How the program ended, when it has and that is known.
    #[serde(default)]
    pub exit: Option<Exit>,
    /// What only a holder knows that goes on as another version of itself.
    #[serde(default)]
    pub serving: Option<serde_json::Value>,
}

/// Parameters of [`method::SEND`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendParams {
    /// The text to type.
    pub text: String,
    /// Whether Enter follows.
    pub submit: bool,
}

/// Parameters of [`method::NOTICE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeParams {
    /// One line.
    pub title: String,
    /// The rest; one line too.
    pub body: String,
    /// How terminals are told.
    pub form: NoticeForm,
}

/// How a terminal is told of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeForm {
    /// OSC 9, as iTerm2 has it and most others.
    #[default]
    Osc9,
    /// OSC 777, as rxvt-unicode has it.
    Osc777,
}

/// Parameters of [`method::KEYS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysParams {
    /// Names as in [`crate::api::session::KeysParams`].
    pub keys: Vec<String>,
    /// The keys are pressed only while the screen still shows these rows; else `FailedPrecondition` and nothing is
    /// pressed. What was decided by a look at the screen is so never done to another screen.
    #[serde(default)]
    pub while_rows: Vec<RowText>,
}

/// A row of a screen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowText {
    /// From 0, from the top.
    pub row: u16,
    /// Its text without trailing blanks.
    pub text: String,
}

/// Parameters of [`method::SCROLLBACK`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScrollbackParams {
    /// Number of the first line; the last ones when absent.
    #[serde(default)]
    pub from: Option<u64>,
    /// At most this many lines.
    pub limit: u32,
    /// With styles, as SGR sequences.
    #[serde(default)]
    pub styled: bool,
}

/// Parameters of [`method::STOP`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopParams {
    /// Milliseconds between the request to end and the force.
    pub grace_ms: u64,
}

/// Parameters of [`method::ATTACH`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachParams {
    /// The viewer's own size.
    pub size: TerminalSize,
    /// Whether it wants to type.
    pub mode: AttachMode,
    /// Also what reaches beyond the viewer's screen: its clipboard, its notifications.
    #[serde(default)]
    pub raw: bool,
}

/// Parameters of [`method::ADOPT`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdoptParams {
    /// As for [`method::ATTACH`].
    pub attach: AttachParams,
    /// What the daemon had already read from the viewer beyond its request, as text frames would have been; base 16.
    pub rest: String,
    /// The body that answers the viewer's `session.attach`, to be framed and written by the holder before any frame of
    /// its own, so that the viewer never sees an answer without a terminal behind it.
    pub answer: String,
}
