//! The holder's loop: one thread that waits for the program, its viewers, requests, signals and times, and never for
//! any one of them alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use orx_protocol::clock::now_ms;
use orx_protocol::hold::{HoldSpec, Holder as Record, file};
use orx_protocol::process::Exit;
use orx_sandbox::identity;

use super::pipes::{self, PipesSession};
use super::settings::Settings;
use super::signals::Signals;
use super::terminal::{TerminalFiles, TerminalSession, Ticket};
use crate::journal;
use crate::link::connection::{Connection, Use};
use crate::link::socket::{Accepted, Listener, SocketError};
use crate::process::child::{self, StartError};
use crate::process::ending::{Action, Ending};

/// Bytes of output taken at once.
const READ: usize = 64 * 1024;
/// Most connections at a time.
const CONNECTIONS: usize = 256;
/// How long no connection is accepted after the kernel had no descriptor for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Grace when the holder itself is asked to end.
const TERMINATED_GRACE: Duration = Duration::from_secs(5);
/// How often the tree is looked at while it ends.
const LOOK_PAUSE: Duration = Duration::from_millis(20);

/// The holder could not start its session.
#[derive(Debug, thiserror::Error)]
pub(super) enum HoldError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("{what} could not be set up: {source}")]
    Setup { what: &'static str, source: std::io::Error },
}

/// What the program is connected to.
pub(super) enum Session {
    Terminal(Box<TerminalSession>),
    Pipes(Box<PipesSession>),
}

/// A holder with a running program.
pub(super) struct Holder {
    pub(super) directory: PathBuf,
    pub(super) record: Record,
    pub(super) session: Session,
    pub(super) connections: BTreeMap<u64, Connection>,
    pub(super) listener: Listener,
    next_token: u64,
    accepts_again: Option<Instant>,
    pub(super) ending: Ending,
    looks_at: Instant,
    pub(super) exit: Option<Exit>,
    pub(super) own_pid: i32,
    /// Requests that are answered with the end.
    pub(super) waiting: Vec<Ticket>,
    /// The record of the end, once there is one.
    pub(super) ended: Option<serde_json::Value>,
    pub(super) output_bytes: u64,
    pub(super) last_output: Instant,
    signals: Signals,
    buffer: Vec<u8>,
    _lock: Flock<File>,
}

/// What [`poll`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Signals,
    Listener,
    Master,
    Pipe(usize),
    Connection(u64),
}

impl Holder {
    /// Starts the program of `settings` with all that it needs.
    pub(super) fn start(settings: Settings) -> Result<Self, HoldError> {
        let failed = |what| move |source| HoldError::Setup { what, source };
        let now = Instant::now();
        let started_at_ms = now_ms();
        child::adopt_orphans().map_err(failed("the adoption of orphaned processes"))?;
        let signals = Signals::register().map_err(failed("signals"))?;
        let own =
            identity::own().ok_or_else(|| failed("its own identity")(std::io::Error::other("it is not in /proc")))?;
        let listener = Listener::bind(Path::new(&settings.spec.socket))?;
        let (session, pid) = open_session(&settings, started_at_ms, now)?;
        let record = Record { holder: own, child: child::identity_of(pid), started_at_ms, keeper: None, boot: None };
        let Settings { spec, directory, lock } = settings;
        let written = serde_json::to_vec(&record)
            .map_err(std::io::Error::other)
            .and_then(|text| orx_sandbox::file::replace(&directory.join(file::HOLDER), &text));
        if let Err(source) = written {
            child::kill(own.pid);
            return Err(HoldError::Setup { what: file::HOLDER, source });
        }
        Ok(Self {
            directory,
            record,
            session,
            connections: BTreeMap::new(),
            listener,
            next_token: 0,
            accepts_again: None,
            ending: Ending::new(deadline(&spec, now)),
            looks_at: now,
            exit: None,
            own_pid: own.pid,
            waiting: Vec::new(),
            ended: None,
            output_bytes: 0,
            last_output: now,
            signals,
            buffer: vec![0; READ],
            _lock: lock,
        })
    }

    /// Which processes serve the session.
    pub(super) fn record(&self) -> Record {
        self.record.clone()
    }

    /// Serves the session to its end.
    pub(super) fn serve(mut self) {
        let complete = loop {
            let now = Instant::now();
            if let Some(complete) = self.look(now) {
                break complete;
            }
            self.expire(now);
            self.after_events(now);
            let timeout = self.wakes_at(now).map(|at| at.saturating_duration_since(now));
            for (source, flags) in self.wait(timeout) {
                self.handle(source, flags);
            }
        };
        self.finish(complete);
    }

    /// Reaps, and moves the end on; gives whether the session is over.
    fn look(&mut self, now: Instant) -> Option<bool> {
        if self.exit.is_none() || self.ending.has_begun() {
            let exit = child::reap(self.record.child.pid);
            self.exit = self.exit.or(exit);
        }
        if self.signals.terminate.swap(false, Ordering::Relaxed) {
            journal::note("asked to end by SIGTERM");
            self.stop(TERMINATED_GRACE, now);
        }
        if self.ending.has_begun() && now < self.looks_at {
            return None;
        }
        self.looks_at = now + LOOK_PAUSE;
        let own = self.own_pid;
        match self.ending.step(now, self.exit.is_some(), || child::members(own).len()) {
            Action::Wait => {}
            Action::Ask => child::ask_to_end(own),
            Action::Kill => child::kill(own),
            Action::Finish { complete } => return Some(complete),
        }
        None
    }

    /// Begins the end on request.
    pub(super) fn stop(&mut self, grace: Duration, now: Instant) {
        if self.ending.stop(grace, now) == Action::Ask {
            child::ask_to_end(self.own_pid);
        }
        self.looks_at = now;
    }

    fn expire(&mut self, now: Instant) {
        if self.accepts_again.is_some_and(|at| at <= now) {
            self.accepts_again = None;
        }
        for connection in self.connections.values_mut() {
            if connection.gives_up_at().is_some_and(|at| at <= now) {
                connection.mark_dead();
            }
        }
        if let Session::Terminal(terminal) = &mut self.session {
            terminal.expire(now);
            if terminal.looks_again(now) {
                self.read_terminal(now);
            }
        }
        self.apply_size(now, false);
        self.answer_screens(now);
    }

    fn wakes_at(&mut self, now: Instant) -> Option<Instant> {
        let last_output = self.last_output;
        let session = match &mut self.session {
            Session::Terminal(terminal) => terminal.wakes_at(now, last_output),
            Session::Pipes(_) => None,
        };
        let connections = self.connections.values().filter_map(Connection::gives_up_at).min();
        [session, connections, self.accepts_again, self.ending.wakes_at(now)].into_iter().flatten().min()
    }

    /// Waits for events, no longer than `timeout`.
    fn wait(&mut self, timeout: Option<Duration>) -> Vec<(Source, PollFlags)> {
        let now = Instant::now();
        let last_output = self.last_output;
        let (wants_to_write, has_room) = match &mut self.session {
            Session::Terminal(terminal) => (terminal.wants_to_write(now, last_output), terminal.typist.has_room()),
            Session::Pipes(_) => (false, true),
        };
        let mut sources = vec![Source::Signals];
        let mut descriptors = vec![PollFd::new(self.signals.wake.as_fd(), PollFlags::POLLIN)];
        if self.accepts_again.is_none() && self.connections.len() < CONNECTIONS {
            sources.push(Source::Listener);
            descriptors.push(PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        }
        match &self.session {
            Session::Terminal(terminal) => {
                if let Some(master) = terminal.master() {
                    let mut flags = PollFlags::POLLIN;
                    flags.set(PollFlags::POLLOUT, wants_to_write);
                    sources.push(Source::Master);
                    descriptors.push(PollFd::new(master.as_fd(), flags));
                }
            }
            Session::Pipes(pipes) => {
                for (index, pipe) in pipes.sources() {
                    sources.push(Source::Pipe(index));
                    descriptors.push(PollFd::new(pipe, PollFlags::POLLIN));
                }
            }
        }
        for (token, connection) in &self.connections {
            let mut flags = PollFlags::empty();
            let may_type = connection.usage() == Use::Requests || has_room;
            flags.set(PollFlags::POLLIN, connection.wants_to_read() && may_type);
            flags.set(PollFlags::POLLOUT, connection.wants_to_send());
            sources.push(Source::Connection(*token));
            descriptors.push(PollFd::new(connection.as_fd(), flags));
        }
        // Rounded up, so that what is due then is due when the wait ends.
        let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
            PollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut descriptors, timeout) {
            Ok(0) | Err(_) => Vec::new(),
            Ok(_) => sources
                .into_iter()
                .zip(&descriptors)
                .filter_map(|(source, descriptor)| {
                    Some((source, descriptor.revents().filter(|flags| !flags.is_empty())?))
                })
                .collect(),
        }
    }

    fn handle(&mut self, source: Source, flags: PollFlags) {
        let now = Instant::now();
        match source {
            Source::Signals => {
                self.signals.drain();
                // A process of the tree ended: it is looked at now.
                self.looks_at = now;
                let exit = child::reap(self.record.child.pid);
                self.exit = self.exit.or(exit);
            }
            Source::Listener => {
                self.accept();
            }
            Source::Master => {
                if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                    self.read_terminal(now);
                }
            }
            Source::Pipe(index) => self.read_pipe(index, now),
            Source::Connection(token) => {
                if let Some(connection) = self.connections.get_mut(&token) {
                    if flags.intersects(PollFlags::POLLIN) && connection.wants_to_read() {
                        connection.read(now);
                    } else if flags.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
                        connection.mark_dead();
                    }
                }
                self.take_frames(token, now);
            }
        }
    }

    /// Accepts one connection; gives whether another may wait.
    pub(super) fn accept(&mut self) -> bool {
        if self.connections.len() >= CONNECTIONS {
            return false;
        }
        match self.listener.accept() {
            Ok(Accepted::Own(stream)) => {
                self.next_token += 1;
                self.connections.insert(self.next_token, Connection::new(stream));
                true
            }
            Ok(Accepted::Refused(why)) => {
                journal::note(why);
                true
            }
            Ok(Accepted::None) => false,
            Err(error) => {
                journal::note(&format!("no connection could be accepted: {error}"));
                self.accepts_again = Some(Instant::now() + ACCEPT_PAUSE);
                false
            }
        }
    }

    /// A token for a connection that came in another way.
    pub(super) fn new_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token
    }

    pub(super) fn read_terminal(&mut self, now: Instant) {
        let Session::Terminal(terminal) = &mut self.session else { return };
        let (count, passed) = terminal.read(&mut self.buffer, now);
        if count > 0 {
            self.output_bytes += count as u64;
            self.last_output = now;
            self.show_output(passed.bytes);
        }
    }

    pub(super) fn read_pipe(&mut self, index: usize, now: Instant) {
        let Session::Pipes(pipes) = &mut self.session else { return };
        let count = pipes.read(index, &mut self.buffer, now);
        if count > 0 {
            self.output_bytes += count as u64;
            self.last_output = now;
        }
    }

    /// What follows from events: input is typed, answers are sent, viewers catch up, ended connections go.
    fn after_events(&mut self, now: Instant) {
        self.type_input(now);
        for token in self.viewers_with_input() {
            self.take_frames(token, now);
        }
        self.type_input(now);
        for connection in self.connections.values_mut() {
            connection.send();
        }
        self.catch_up();
        let over: Vec<u64> =
            self.connections.iter().filter(|(_, connection)| connection.is_over()).map(|(token, _)| *token).collect();
        for token in over {
            self.connections.remove(&token);
            self.forget(token, now);
        }
    }

    fn type_input(&mut self, now: Instant) {
        let last_output = self.last_output;
        let Session::Terminal(terminal) = &mut self.session else { return };
        for (token, call) in terminal.write(now, last_output) {
            self.answer(token, Some(&call), Ok(serde_json::json!({})));
        }
    }
}

fn deadline(spec: &HoldSpec, now: Instant) -> Option<Instant> {
    now.checked_add(Duration::from_millis(spec.deadline_ms?))
}

fn open_session(settings: &Settings, started_at_ms: u64, now: Instant) -> Result<(Session, i32), HoldError> {
    let failed = |what| move |source| HoldError::Setup { what, source };
    match settings.size() {
        Some(size) => {
            let files = TerminalFiles::open(&settings.directory, size, started_at_ms, now)
                .map_err(failed("the session's files"))?;
            let (terminal, pid) = child::on_terminal(&settings.spec, size)?;
            Ok((Session::Terminal(Box::new(TerminalSession::new(terminal, files, size, now))), pid))
        }
        None => {
            let files = pipes::open_files(&settings.directory).map_err(failed("the session's files"))?;
            let (outputs, pid) = child::on_pipes(&settings.spec, &settings.directory)?;
            Ok((Session::Pipes(Box::new(PipesSession::new(outputs, files))), pid))
        }
    }
}
