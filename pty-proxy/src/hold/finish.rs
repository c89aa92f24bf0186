//! The end of a session: the last output, the records on disk, and then everyone who waits for it.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use orx_protocol::api::confinement::shown_bytes;
use orx_protocol::clock::now_ms;
use orx_protocol::hold::{Ended, file};
use orx_protocol::process::{EndReason, Exit};
use orx_protocol::terminal::ToViewer;
use orx_protocol::{ErrorKind, RpcError};

use super::holder::{Holder, Session};
use super::record_end;
use crate::journal;
use crate::link::connection::{Connection, Use, viewer_frame};

/// Output that is still on its way when every process is gone arrives within this.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);
/// How long peers may take to read their last frames.
const FAREWELL: Duration = Duration::from_secs(1);
/// Connections that were made at the last moment may ask within this.
const LAST_QUESTIONS: Duration = Duration::from_millis(250);
/// The record of the end is tried again for this long, on a full disk for instance.
const RECORD_LIMIT: Duration = Duration::from_secs(10);
/// Between two tries.
const RECORD_PAUSE_MS: u16 = 500;

impl Holder {
    /// Ends the session, whose processes are gone but for those that nothing can end.
    pub(super) fn finish(mut self, complete: bool) {
        self.drain();
        let now = Instant::now();
        if let Session::Terminal(terminal) = &mut self.session {
            terminal.end_files(self.watch.exit(), now);
            let screen = self.directory.join(file::SCREEN);
            let text = serde_json::to_vec(&terminal.emulator.text()).unwrap_or_default();
            if let Err(error) = orx_sandbox::file::replace(&screen, &text) {
                journal::note(&format!("{} could not be written: {error}", screen.display()));
            }
        }
        let ended = Ended {
            exit: self.watch.exit(),
            reason: self.ending.reason(),
            message: self.message(complete),
            ended_at_ms: now_ms(),
        };
        self.tree.dismiss();
        // What a confined session left there is nobody's.
        let _ = std::fs::remove_dir_all(self.directory.join(file::TEMPORARY));
        let give_up = Instant::now() + RECORD_LIMIT;
        while !record_end(&self.directory, &ended) && Instant::now() < give_up {
            let _ = poll(&mut [], PollTimeout::from(RECORD_PAUSE_MS));
        }
        self.tell_everyone(&ended);
        self.say_farewell();
    }

    /// Takes the output that is still on its way.
    fn drain(&mut self) {
        let limit = Instant::now() + DRAIN_LIMIT;
        loop {
            let now = Instant::now();
            let before = self.output_bytes;
            match &self.session {
                Session::Terminal(terminal) if terminal.is_drained() => return,
                Session::Pipes(pipes) if pipes.is_drained() => return,
                Session::Terminal(_) => self.read_terminal(now),
                Session::Pipes(_) => {
                    for index in [0, 1] {
                        self.read_pipe(index, now);
                    }
                }
            }
            if self.output_bytes > before {
                continue;
            }
            if now >= limit {
                return;
            }
            self.wait_for_output(limit.saturating_duration_since(now));
        }
    }

    fn wait_for_output(&self, limit: Duration) {
        let mut descriptors: Vec<PollFd<'_>> = match &self.session {
            Session::Terminal(terminal) => {
                terminal.master().map(|master| PollFd::new(master.as_fd(), PollFlags::POLLIN)).into_iter().collect()
            }
            Session::Pipes(pipes) => pipes.sources().map(|(_, pipe)| PollFd::new(pipe, PollFlags::POLLIN)).collect(),
        };
        if !descriptors.is_empty() {
            let _ = poll(&mut descriptors, PollTimeout::try_from(limit).unwrap_or(PollTimeout::ZERO));
        }
    }

    /// What there is to say about the end.
    fn message(&mut self, complete: bool) -> Option<String> {
        let mut sentences = Vec::new();
        if self.ending.reason() == EndReason::Deadline {
            sentences.push("its deadline passed and it was ended".to_owned());
        }
        if let Some(cap) = self.memory_cap.filter(|_| self.tree.is_out_of_memory()) {
            sentences.push(format!("killed at its memory cap of {}", shown_bytes(cap)));
        }
        if self.watch.exit().is_none() && self.watch.has_ended(Instant::now()) {
            sentences.push("how it ended is not known: the process that would know was killed".to_owned());
        }
        if self.ending.left_behind() > 0 {
            sentences.push(format!("{} processes that it left behind were ended", self.ending.left_behind()));
        }
        if !complete {
            sentences.push("some of its processes could not be ended and live on".to_owned());
        }
        sentences.extend(match &mut self.session {
            Session::Terminal(terminal) => terminal.complaints(),
            Session::Pipes(pipes) => pipes.complaints(),
        });
        (!sentences.is_empty()).then(|| sentences.join("; "))
    }

    fn tell_everyone(&mut self, ended: &Ended) {
        let value = serde_json::to_value(ended).unwrap_or_default();
        for (token, id) in std::mem::take(&mut self.waiting) {
            self.answer(token, Some(&id), Ok(value.clone()));
        }
        if let Session::Terminal(terminal) = &mut self.session {
            let untyped = terminal.typist.abandon();
            let text = serde_json::to_value(terminal.emulator.text()).unwrap_or_default();
            let screens = std::mem::take(&mut terminal.screens);
            for (token, id) in untyped {
                let error = RpcError::new(ErrorKind::FailedPrecondition, "the program ended before all was typed");
                self.answer(token, Some(&id), Err(error));
            }
            for (token, id) in screens {
                self.answer(token, Some(&id), Ok(text.clone()));
            }
        }
        let (code, signal) = match ended.exit {
            Some(Exit::Code(code)) => (Some(code), None),
            Some(Exit::Signal(signal)) => (None, Some(signal)),
            None => (None, None),
        };
        self.ended = Some(value);
        self.catch_up(Instant::now(), true);
        let last = viewer_frame(&ToViewer::Ended { code, signal });
        for connection in self.connections.values_mut() {
            if connection.usage() == Use::Viewer {
                connection.last(last.clone());
            }
        }
    }

    /// Sends what waits to be sent, to those that read it soon; who connected at the last moment is answered too.
    fn say_farewell(&mut self) {
        self.listener.unlink();
        let begun = Instant::now();
        while self.accept() {}
        loop {
            let now = Instant::now();
            let tokens: Vec<u64> = self.connections.keys().copied().collect();
            for token in tokens {
                if let Some(connection) = self.connections.get_mut(&token) {
                    connection.read(now);
                }
                self.take_frames(token, now);
            }
            for connection in self.connections.values_mut() {
                connection.send();
            }
            let may_still_ask = now < begun + LAST_QUESTIONS;
            self.connections.retain(|_, connection| {
                let asks = may_still_ask && connection.usage() == Use::Requests && connection.is_fresh();
                (connection.wants_to_send() || asks) && !connection.is_over()
            });
            let limit = begun
                + if self.connections.values().any(Connection::wants_to_send) { FAREWELL } else { LAST_QUESTIONS };
            let left = limit.saturating_duration_since(Instant::now());
            if self.connections.is_empty() || left.is_zero() {
                return;
            }
            let mut descriptors: Vec<PollFd<'_>> = self
                .connections
                .values()
                .map(|connection| {
                    let flags = if connection.wants_to_send() { PollFlags::POLLOUT } else { PollFlags::POLLIN };
                    PollFd::new(connection.as_fd(), flags)
                })
                .collect();
            let _ = poll(&mut descriptors, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO));
        }
    }
}
