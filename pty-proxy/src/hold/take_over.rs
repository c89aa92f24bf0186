//! Going on where another holder stopped: after it was killed, started by the keeper or by the daemon; or as another version
//! of the same process. The screen is rebuilt from what is on disk, the rest comes in what is handed over.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use orx_protocol::api::session::AttachMode;
use orx_protocol::hold::{AttachParams, HAND_OVER_VERSION, HandOver, Holder as Record, TerminalSize, Upgraded, file};
use orx_protocol::process::ProcessIdentity;
use orx_protocol::rpc::CallId;
use orx_sandbox::{descriptors, identity};
use serde::{Deserialize, Serialize};

use super::holder::{HoldError, Holder, Parts, Session, failed, own_identity};
use super::pipes::{self, PipesSession};
use super::settings::Settings;
use super::signals::Signals;
use super::state::rebuild;
use super::terminal::{TerminalFiles, TerminalSession};
use super::unsaved::{Unsaved, left};
use crate::journal;
use crate::link::connection::Connection;
use crate::link::socket::Listener;
use crate::process::child::{self, Pipes, Terminal};
use crate::process::keeping::Link;
use crate::process::watch::Watch;

/// What only a holder knows that goes on as another version of itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Serving {
    /// Viewers oldest first, and connections that wait for an answer.
    pub(super) connections: Vec<Handed>,
    /// The request for the other version: its connection's place in the list, and itself.
    pub(super) asked: Option<(usize, CallId)>,
    /// Bytes that the program has written.
    pub(super) output_bytes: u64,
    /// Milliseconds since it last did.
    pub(super) quiet_ms: u64,
    /// Milliseconds until the deadline.
    pub(super) deadline_left_ms: Option<u64>,
    /// Whether the tree is held still.
    pub(super) paused: bool,
    /// Whether the program is a child of this process.
    pub(super) is_own: bool,
}

/// One connection that is handed over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Handed {
    pub(super) descriptor: RawFd,
    pub(super) viewer: Option<Viewer>,
    pub(super) received: Vec<u8>,
    pub(super) unsent: Vec<u8>,
    /// Requests on it that are answered with the session's end.
    pub(super) waits: Vec<CallId>,
    pub(super) unanswered: usize,
}

/// A viewer that is handed over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Viewer {
    pub(super) mode: AttachMode,
    pub(super) size: TerminalSize,
    pub(super) types: bool,
    #[serde(default)]
    pub(super) raw: bool,
}

/// What was handed over, with the descriptors taken.
#[derive(Debug)]
pub(super) struct Given {
    child: ProcessIdentity,
    started_at_ms: u64,
    outputs: Vec<OwnedFd>,
    listener: Option<OwnedFd>,
    pub(super) lock: Option<OwnedFd>,
    unsaved: Option<OwnedFd>,
    link: Option<OwnedFd>,
    keeper: Option<ProcessIdentity>,
    exit: Option<orx_protocol::process::Exit>,
    serving: Option<(Serving, Vec<OwnedFd>)>,
}

impl Given {
    /// Takes what the file behind the descriptor `number` says; every other descriptor is closed.
    pub(super) fn take(number: RawFd) -> Result<Self, HoldError> {
        let bad = |why: String| HoldError::HandOver(why);
        let file = File::from(descriptors::inherited(number).map_err(|error| bad(error.to_string()))?);
        let told: HandOver = serde_json::from_reader(&file).map_err(|error| bad(error.to_string()))?;
        if told.version != HAND_OVER_VERSION {
            let why = format!("it is of version {}, this holder takes {HAND_OVER_VERSION}", told.version);
            return Err(bad(why));
        }
        let serving = told.serving.map(serde_json::from_value::<Serving>).transpose();
        let serving = serving.map_err(|error| bad(error.to_string()))?;
        let mut wanted = vec![file.as_raw_fd()];
        wanted.extend(&told.outputs);
        wanted.extend([told.listener, told.lock, told.unsaved, told.link].into_iter().flatten());
        wanted.extend(serving.iter().flat_map(|serving| &serving.connections).map(|handed| handed.descriptor));
        crate::process::detach::close_others(&wanted);
        let mut seen = std::collections::HashSet::new();
        let mut one = |number: RawFd| {
            if !seen.insert(number) {
                return Err(bad(format!("descriptor {number} is named twice")));
            }
            descriptors::inherited(number).map_err(|error| bad(error.to_string()))
        };
        let outputs = told.outputs.iter().map(|number| one(*number)).collect::<Result<_, _>>()?;
        let listener = told.listener.map(&mut one).transpose()?;
        let lock = told.lock.map(&mut one).transpose()?;
        let unsaved = told.unsaved.map(&mut one).transpose()?;
        let link = told.link.map(&mut one).transpose()?;
        let serving = match serving {
            Some(serving) => {
                let taken: Result<Vec<OwnedFd>, HoldError> =
                    serving.connections.iter().map(|handed| one(handed.descriptor)).collect();
                Some((serving, taken?))
            }
            None => None,
        };
        let HandOver { child, started_at_ms, exit, keeper, .. } = told;
        Ok(Self { child, started_at_ms, outputs, listener, lock, unsaved, link, keeper, exit, serving })
    }

    /// Whether this process is below its keeper already, or goes on without one: then it must not detach again.
    pub(super) fn is_in_place(&self) -> bool {
        self.link.is_some() || self.serving.is_some()
    }

    /// A keeper, where this process detached and got one.
    pub(super) fn set_keeper(&mut self, link: Option<OwnedFd>, keeper: Option<ProcessIdentity>) {
        (self.link, self.keeper) = (link, keeper);
    }
}

impl Holder {
    /// Goes on with what was handed over. `starter` started this process, where it detached itself.
    pub(super) fn take_over(
        settings: Settings,
        given: Given,
        starter: Option<ProcessIdentity>,
    ) -> Result<Self, HoldError> {
        let now = Instant::now();
        child::adopt_orphans().map_err(failed("the adoption of orphaned processes"))?;
        let signals = Signals::register().map_err(failed("signals"))?;
        let socket = Path::new(&settings.spec.socket);
        let listener = match given.listener {
            Some(listener) => Listener::go_on(listener, socket).map_err(failed("the socket"))?,
            None => Listener::bind(socket)?,
        };
        let holder = own_identity()?;
        let Given { child, started_at_ms, keeper, .. } = given;
        let record = Record { holder, child, started_at_ms, keeper, boot: identity::boot() };
        // Another version of the same process is still the program's parent.
        let is_own = given.serving.as_ref().is_some_and(|(serving, _)| serving.is_own);
        let watch = if is_own { Watch::own(child) } else { Watch::other(child, given.exit) };
        let mut session = session(&settings, given.outputs, now)?;
        if let (Session::Terminal(terminal), Some(memory)) = (&mut session, given.unsaved) {
            match left(memory, terminal.log_end()) {
                Ok(unsaved) => {
                    terminal.draw(&unsaved, now);
                    terminal.keep_output(&unsaved, now);
                }
                Err(error) => journal::note(&format!("what the last holder read cannot be looked at: {error}")),
            }
        }
        let link = given.link.map(Link::from);
        let unsaved = Unsaved::new().map_err(failed("memory for what is read"))?;
        let parts = Parts { settings, record, session, listener, watch, link, starter, signals, unsaved };
        let mut held = Self::new(parts, now);
        held.output_bytes = std::fs::metadata(held.directory.join(file::OUTPUT)).map_or(0, |metadata| metadata.len());
        if let Err(error) = held.write_record() {
            // The session is worth more than its record; whoever needs it finds the process by the socket.
            journal::note(&error.to_string());
        }
        held.say_what_to_keep();
        if let Some((serving, taken)) = given.serving {
            held.go_on_serving(serving, taken, now);
        } else {
            journal::note("goes on with the session of another holder");
        }
        Ok(held)
    }

    fn go_on_serving(&mut self, serving: Serving, taken: Vec<OwnedFd>, now: Instant) {
        self.output_bytes = serving.output_bytes;
        self.last_output = now.checked_sub(Duration::from_millis(serving.quiet_ms)).unwrap_or(now);
        self.ending.go_on_with(serving.deadline_left_ms.and_then(|left| now.checked_add(Duration::from_millis(left))));
        if serving.paused {
            self.ending.pause(now);
        }
        let mut typing = None;
        for (place, (handed, descriptor)) in serving.connections.into_iter().zip(taken).enumerate() {
            let token = self.new_token();
            let stream = UnixStream::from(descriptor);
            if let Some(viewer) = handed.viewer {
                self.connections.insert(token, Connection::go_on(stream, &[], handed.unsent, 0));
                let params = AttachParams { size: viewer.size, mode: viewer.mode, raw: viewer.raw };
                self.attach(token, &params, &handed.received, now);
                if viewer.types {
                    typing = Some(token);
                }
            } else {
                let connection = Connection::go_on(stream, &handed.received, handed.unsent, handed.unanswered);
                self.connections.insert(token, connection);
                self.waiting.extend(handed.waits.into_iter().map(|id| (token, id)));
            }
            if let Some((_, id)) = serving.asked.as_ref().filter(|(asked, _)| *asked == place) {
                let version = env!("CARGO_PKG_VERSION").to_owned();
                let answer = serde_json::to_value(Upgraded { version }).unwrap_or_default();
                self.answer(token, Some(id), Ok(answer));
            }
        }
        if let Some(token) = typing {
            self.give_control(token, now);
        }
    }
}

fn session(settings: &Settings, outputs: Vec<OwnedFd>, now: Instant) -> Result<Session, HoldError> {
    let mut outputs = outputs.into_iter();
    let directory = &settings.directory;
    match settings.size() {
        Some(size) => {
            let master = outputs.next().ok_or_else(|| HoldError::HandOver("the terminal is missing".to_owned()))?;
            let rebuilt = rebuild(directory, size, now);
            let files = TerminalFiles::go_on(directory, rebuilt.since, now).map_err(failed("the session's files"))?;
            Ok(Session::Terminal(Box::new(TerminalSession::go_on(Terminal::from(master), files, rebuilt, now))))
        }
        None => {
            let (Some(output), Some(error)) = (outputs.next(), outputs.next()) else {
                return Err(HoldError::HandOver("a pipe is missing".to_owned()));
            };
            let files = pipes::open_files(directory).map_err(failed("the session's files"))?;
            let pipes = Pipes { output: File::from(output), error: File::from(error) };
            Ok(Session::Pipes(Box::new(PipesSession::new(pipes, files))))
        }
    }
}
