//! The holder's loop: one thread that waits for the program, its viewers, requests, signals and times, and never for
//! any one of them alone.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use nix::fcntl::Flock;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use orx_protocol::clock::now_ms;
use orx_protocol::hold::{HoldSpec, Holder as Record, file};
use orx_protocol::process::ProcessIdentity;
use orx_sandbox::identity;

use super::ahead::{FLOOD, Reached, ReadAhead, fill};
use super::pipes::{self, PipesSession};
use super::settings::Settings;
use super::signals::Signals;
use super::terminal::{TerminalFiles, TerminalSession, Ticket};
use super::unsaved::Unsaved;
use crate::journal;
use crate::link::connection::{Connection, Use};
use crate::link::socket::{Accepted, Listener, SocketError};
use crate::process::child::{self, StartError};
use crate::process::ending::{Action, Ending};
use crate::process::keeping::{Kept, Link, own_program};
use crate::process::prompt::become_prompt;
use crate::process::tree::Tree;
use crate::process::watch::Watch;

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
    #[error("what was handed over cannot be taken: {0}")]
    HandOver(String),
}

/// An error of [`HoldError::Setup`], by what failed.
pub(super) fn failed(what: &'static str) -> impl FnOnce(std::io::Error) -> HoldError {
    move |source| HoldError::Setup { what, source }
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
    pub(super) watch: Watch,
    pub(super) tree: Tree,
    /// Most memory that the tree may have, in bytes.
    pub(super) memory_cap: Option<u64>,
    /// The link to the keeper, while there is one.
    pub(super) link: Option<Link>,
    /// The program that this process is, and that its keeper starts as the next holder.
    pub(super) program: PathBuf,
    /// Requests that are answered with the end.
    pub(super) waiting: Vec<Ticket>,
    /// The record of the end, once there is one.
    pub(super) ended: Option<serde_json::Value>,
    pub(super) output_bytes: u64,
    pub(super) last_output: Instant,
    signals: Signals,
    unsaved: Unsaved,
    ahead: ReadAhead,
    /// Where frames for viewers are made; its room is used again once all viewers were sent what is in it.
    pub(super) frames: BytesMut,
    pub(super) lock: Flock<File>,
}

/// The parts of a holder that its start and a take-over come to in different ways.
pub(super) struct Parts {
    pub(super) settings: Settings,
    pub(super) record: Record,
    pub(super) session: Session,
    pub(super) listener: Listener,
    pub(super) watch: Watch,
    pub(super) link: Option<Link>,
    pub(super) starter: Option<ProcessIdentity>,
    pub(super) signals: Signals,
    pub(super) unsaved: Unsaved,
}

/// What [`poll`] waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Signals,
    Listener,
    Master,
    Pipe(usize),
    Connection(u64),
    /// The terminal that a viewer handed over.
    Terminal(u64),
    /// The program, where it is not this process's child.
    Program,
    Keeper,
}

impl Holder {
    /// Starts the program of `settings` with all that it needs. `keeper` is at the other end of `link`; `starter` started
    /// this process.
    pub(super) fn start(
        settings: Settings,
        link: Option<OwnedFd>,
        keeper: Option<ProcessIdentity>,
        starter: Option<ProcessIdentity>,
    ) -> Result<Self, HoldError> {
        let now = Instant::now();
        let started_at_ms = now_ms();
        child::adopt_orphans().map_err(failed("the adoption of orphaned processes"))?;
        let signals = Signals::register().map_err(failed("signals"))?;
        let holder = own_identity()?;
        let unsaved = Unsaved::new().map_err(failed("memory for what is read"))?;
        let listener = Listener::bind(Path::new(&settings.spec.socket))?;
        let (session, pid) = open_session(&settings, started_at_ms, now)?;
        let child = child::identity_of(pid);
        let record = Record { holder, child, started_at_ms, keeper, boot: identity::boot() };
        let watch = Watch::own(child);
        let link = link.map(Link::from);
        let parts = Parts { settings, record, session, listener, watch, link, starter, signals, unsaved };
        let held = Self::new(parts, now);
        if let Err(error) = held.write_record() {
            held.tree.kill();
            return Err(error);
        }
        held.say_what_to_keep();
        Ok(held)
    }

    /// Puts the parts together.
    pub(super) fn new(parts: Parts, now: Instant) -> Self {
        let Parts { settings, record, session, mut listener, watch, link, starter, signals, unsaved } = parts;
        let Settings { spec, directory, lock } = settings;
        let tree = Tree::new(spec.session, record.child, record.keeper, starter).held_by(&spec);
        listener.refuse_descendants_of(tree.roots());
        Self {
            ending: Ending::new(deadline(&spec, record.started_at_ms, now)),
            memory_cap: spec.caps.as_ref().and_then(|caps| caps.wished.memory_bytes),
            directory,
            record,
            session,
            connections: BTreeMap::new(),
            listener,
            next_token: 0,
            accepts_again: None,
            looks_at: now,
            watch,
            tree,
            link,
            program: own_program(),
            waiting: Vec::new(),
            ended: None,
            output_bytes: 0,
            last_output: now,
            signals,
            unsaved,
            ahead: ReadAhead::default(),
            frames: BytesMut::new(),
            lock,
        }
    }

    /// Writes which processes serve the session.
    pub(super) fn write_record(&self) -> Result<(), HoldError> {
        serde_json::to_vec(&self.record)
            .map_err(std::io::Error::other)
            .and_then(|text| orx_sandbox::file::replace(&self.directory.join(file::HOLDER), &text))
            .map_err(failed(file::HOLDER))
    }

    /// Gives the keeper all that another holder needs to go on when this one is killed.
    pub(super) fn say_what_to_keep(&self) {
        let Some(link) = &self.link else { return };
        let Record { child, started_at_ms, .. } = self.record;
        let kept = Kept { child, started_at_ms, program: self.program.clone() };
        let mut passed = vec![self.listener.as_fd(), self.unsaved.as_fd()];
        passed.extend(self.outputs());
        if let Err(error) = link.keep(&kept, &passed) {
            journal::note(&format!("the keeper could not be told what to keep: {error}"));
        }
    }

    /// The program's terminal, or its pipes.
    pub(super) fn outputs(&self) -> Vec<BorrowedFd<'_>> {
        match &self.session {
            Session::Terminal(terminal) => vec![terminal.descriptor().as_fd()],
            Session::Pipes(pipes) => pipes.outputs().to_vec(),
        }
    }

    /// Which processes serve the session.
    pub(super) fn record(&self) -> Record {
        self.record.clone()
    }

    /// Serves the session to its end.
    pub(super) fn serve(mut self) {
        // From here on no program of the session's is started that would be so, too.
        become_prompt();
        let complete = loop {
            let now = Instant::now();
            if let Some(complete) = self.look(now) {
                break complete;
            }
            self.expire(now);
            self.after_events(now);
            // What is read ahead comes after a look at all else.
            let due = if self.ahead.is_busy() { Some(now) } else { self.wakes_at(now) };
            for (source, flags) in self.wait(due.map(|at| at.saturating_duration_since(now))) {
                self.handle(source, flags);
            }
            if self.ahead.is_busy() {
                self.read_terminal(Instant::now());
            }
        };
        self.finish(complete);
    }

    /// Reaps, and moves the end on; gives whether the session is over.
    fn look(&mut self, now: Instant) -> Option<bool> {
        self.watch.look(now);
        if self.signals.terminate.swap(false, Ordering::Relaxed) {
            journal::note("asked to end by SIGTERM");
            self.stop(TERMINATED_GRACE, now);
        }
        if self.ending.has_begun() && now < self.looks_at {
            return None;
        }
        self.looks_at = now + LOOK_PAUSE;
        let tree = &self.tree;
        match self.ending.step(now, self.watch.has_ended(now), || tree.alive()) {
            Action::Wait => {}
            Action::Ask => tree.ask_to_end(),
            Action::Kill => tree.kill(),
            Action::Finish { complete } => return Some(complete),
        }
        None
    }

    /// Begins the end on request.
    pub(super) fn stop(&mut self, grace: Duration, now: Instant) {
        if self.ending.stop(grace, now) == Action::Ask {
            self.tree.ask_to_end();
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
            if terminal.looks_again(now) && !self.ahead.is_busy() {
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
        let pictures = self.connections.values().filter_map(|connection| connection.screen_at(now)).min();
        [session, connections, pictures, self.accepts_again, self.ending.wakes_at(now), self.watch.wakes_at(now)]
            .into_iter()
            .flatten()
            .min()
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
        if let Some(program) = self.watch.source() {
            sources.push(Source::Program);
            descriptors.push(PollFd::new(program, PollFlags::POLLIN));
        }
        if let Some(link) = &self.link {
            sources.push(Source::Keeper);
            descriptors.push(PollFd::new(link.as_fd(), PollFlags::POLLIN));
        }
        match &self.session {
            Session::Terminal(terminal) => {
                if let Some(master) = terminal.master() {
                    let mut flags = PollFlags::empty();
                    flags.set(PollFlags::POLLIN, !self.ahead.is_busy());
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
            if let Some((terminal, flags)) = connection.terminal(has_room) {
                sources.push(Source::Terminal(*token));
                descriptors.push(PollFd::new(terminal, flags));
            }
        }
        // Rounded up, so that what is due then is due when the wait ends.
        let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
            let up = Duration::from_millis(u64::from(!self.ahead.is_busy()));
            PollTimeout::try_from(timeout + up).unwrap_or(PollTimeout::MAX)
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
            }
            Source::Program => self.looks_at = now,
            Source::Keeper => self.hear_keeper(now),
            Source::Listener => {
                self.accept();
            }
            Source::Master => {
                if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR)
                    && !self.ahead.is_busy()
                {
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
            // What waits to be shown there is, after the events.
            Source::Terminal(token) => {
                if flags.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
                    self.read_keys(token, now);
                }
            }
        }
    }

    /// Takes what the keeper says.
    fn hear_keeper(&mut self, now: Instant) {
        self.looks_at = now;
        match self.link.as_ref().and_then(Link::reaped) {
            Some(reaped) => reaped.into_iter().for_each(|reaped| self.watch.told(reaped.pid, reaped.exit)),
            None => {
                journal::note("the keeper is gone; the session goes on without");
                self.link = None;
                self.tree.forget_keeper();
                self.record.keeper = None;
                if let Err(error) = self.write_record() {
                    journal::note(&error.to_string());
                }
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

    /// Takes what the program wrote: what was read ahead, or what there is now.
    pub(super) fn read_terminal(&mut self, now: Instant) {
        self.take_read(now, true);
    }

    /// Takes what is being read ahead, and does not go on with that.
    pub(super) fn end_read_ahead(&mut self, now: Instant) {
        if self.ahead.is_busy() {
            self.take_read(now, false);
        }
    }

    fn take_read(&mut self, now: Instant, goes_on: bool) {
        let Session::Terminal(terminal) = &mut self.session else { return };
        let place = terminal.log_end();
        let taken = self.ahead.finish().or_else(|| {
            let mut room = self.unsaved.room(Some(place))?;
            let (count, reached) = fill(terminal.descriptor(), room.bytes());
            Some((room, count, reached))
        });
        let Some((mut room, count, reached)) = taken else { return };
        terminal.reached(reached, now);
        if goes_on && count >= FLOOD && reached != Reached::Closed {
            let next = self.unsaved.room(Some(place + count as u64));
            let unused = next.and_then(|next| self.ahead.begin(terminal.descriptor(), next));
            unused.into_iter().for_each(|unused| self.unsaved.give_back(unused, 0));
        }
        if count > 0 {
            self.output_bytes += count as u64;
            self.last_output = now;
            terminal.draw(room.filled(count), now);
            // Who types waits for the screen and not for the files: until they have it, the keeper has what was read.
            self.show_output(now);
        }
        if let (Session::Terminal(terminal), 1..) = (&mut self.session, count) {
            terminal.keep_output(room.filled(count), now);
        }
        self.unsaved.give_back(room, count);
    }

    pub(super) fn read_pipe(&mut self, index: usize, now: Instant) {
        let Session::Pipes(pipes) = &mut self.session else { return };
        let Some(mut room) = self.unsaved.room(None) else { return };
        let count = pipes.read(index, room.bytes(), now);
        self.unsaved.give_back(room, count);
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
        self.tell_watchers(now);
        for connection in self.connections.values_mut() {
            connection.send();
        }
        self.catch_up(now, false);
        if let Session::Terminal(terminal) = &mut self.session {
            terminal.keep_round();
        }
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

/// When the program's time is over that began at `started_at_ms`.
fn deadline(spec: &HoldSpec, started_at_ms: u64, now: Instant) -> Option<Instant> {
    let passed = now_ms().saturating_sub(started_at_ms);
    now.checked_add(Duration::from_millis(spec.deadline_ms?.saturating_sub(passed)))
}

/// This process.
pub(super) fn own_identity() -> Result<ProcessIdentity, HoldError> {
    identity::own().ok_or_else(|| failed("its own identity")(std::io::Error::other("it is not in /proc")))
}

fn open_session(settings: &Settings, started_at_ms: u64, now: Instant) -> Result<(Session, i32), HoldError> {
    match settings.size() {
        Some(size) => {
            let files = TerminalFiles::open(&settings.directory, size, started_at_ms, now)
                .map_err(failed("the session's files"))?;
            let (terminal, pid) = child::on_terminal(&settings.spec, size, &settings.directory)?;
            Ok((Session::Terminal(Box::new(TerminalSession::new(terminal, files, size, now))), pid))
        }
        None => {
            let files = pipes::open_files(&settings.directory).map_err(failed("the session's files"))?;
            let (outputs, pid) = child::on_pipes(&settings.spec, &settings.directory)?;
            Ok((Session::Pipes(Box::new(PipesSession::new(outputs, files))), pid))
        }
    }
}
