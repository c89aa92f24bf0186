//! Becoming another version: the same process goes on as another program, with its terminal, its socket and its viewers. The
//! program that it holds notices nothing; viewers see their screen drawn once more. And giving duplicates of the program's
//! terminal to whoever keeps it open.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use orx_protocol::hold::{Descriptors, HAND_OVER_VERSION, HandOver, UpgradeParams, method};
use orx_protocol::rpc::{self, CallId};
use orx_protocol::{ErrorKind, RpcError};
use orx_sandbox::{descriptors, environment, spawn};
use serde::{Deserialize, Serialize};

use super::holder::{Holder, Session};
use super::requests::Outcome;
use super::signals::Signals;
use super::take_over::{Handed, Serving, Viewer};
use crate::journal;
use crate::link::connection::{Connection, Use};
use crate::process::keeping::arguments;

/// Output after which the screen is kept before the other version starts: less is read again from the log.
const KEEP_AFTER: u64 = 256 * 1024;
/// How long another version may take to say what it is.
const PROBE: Duration = Duration::from_secs(5);
/// Longest answer to that, in bytes.
const PROBE_BYTES: u64 = 4096;

/// What a holder's program says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// Its version.
    pub(super) version: String,
    /// The [`HAND_OVER_VERSION`] that it takes.
    pub(super) hand_over: u32,
}

impl About {
    /// This program.
    pub(super) fn own() -> Self {
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), hand_over: HAND_OVER_VERSION }
    }
}

impl Holder {
    /// Answers with duplicates of the program's terminal, or of its pipes.
    pub(super) fn give_descriptors(&mut self, token: u64, id: Option<CallId>) -> Result<Outcome, RpcError> {
        let refuse =
            |why: String| RpcError::new(ErrorKind::FailedPrecondition, format!("`{}`: {why}", method::DESCRIPTORS));
        let id = id.ok_or_else(|| refuse("a notification gets no answer; give an `id`".to_owned()))?;
        let holder = self.record.clone();
        // Borrowed apart from the connections, which the answer goes through.
        let passed: Vec<BorrowedFd<'_>> = match &self.session {
            Session::Terminal(terminal) => vec![terminal.descriptor().as_fd()],
            Session::Pipes(pipes) => pipes.outputs().to_vec(),
        };
        let answer = serde_json::to_value(Descriptors { holder, count: passed.len() }).unwrap_or_default();
        let body = rpc::success(&id, &answer)?;
        let Some(connection) = self.connections.get_mut(&token) else { return Ok(Outcome::Later) };
        connection.answer_with(&body, &passed).map_err(|error| refuse(error.to_string()))?;
        connection.unanswered = connection.unanswered.saturating_sub(1);
        Ok(Outcome::Later)
    }

    /// Goes on as another version. It returns only with a reason why that is not possible; all is as it was then.
    pub(super) fn upgrade(
        &mut self,
        token: u64,
        id: Option<CallId>,
        params: UpgradeParams,
        now: Instant,
    ) -> Result<Outcome, RpcError> {
        let refuse = |kind, why: String| RpcError::new(kind, format!("`{}`: {why}", method::UPGRADE));
        let program = params.program.map_or_else(|| self.program.clone(), PathBuf::from);
        if !program.is_absolute() {
            let why = format!("`program` is `{}`, it must be an absolute path", program.display());
            return Err(refuse(ErrorKind::InvalidParams, why));
        }
        if self.ending.has_begun() || self.watch.has_ended(now) {
            return Err(refuse(ErrorKind::FailedPrecondition, "the session is ending".to_owned()));
        }
        self.end_read_ahead(now);
        if let Session::Terminal(terminal) = &self.session
            && (!terminal.typist.is_idle() || !terminal.screens.is_empty())
        {
            let error = refuse(ErrorKind::Unavailable, "something is being typed into the session".to_owned());
            return Err(error.with_hint("ask again in a moment"));
        }
        let cannot = |why: String| refuse(ErrorKind::FailedPrecondition, format!("{}: {why}", program.display()));
        let about = probe(&program).map_err(cannot)?;
        if about.hand_over != HAND_OVER_VERSION {
            let why = format!(
                "version {} takes sessions over in form {}, this holder hands them over in form {HAND_OVER_VERSION}",
                about.version, about.hand_over
            );
            return Err(cannot(why).with_hint("the session goes on with the holder that it has"));
        }
        if let Session::Terminal(terminal) = &mut self.session {
            terminal.keep(KEEP_AFTER);
            terminal.flush();
        }
        // Their viewers hand them to the other version again.
        self.connections.values_mut().for_each(Connection::return_terminal);
        let before = std::mem::replace(&mut self.program, program.clone());
        // From now on the keeper starts the new version, if that one should die.
        self.say_what_to_keep();
        let error = self.become_program(&program, token, id, now);
        self.program = before;
        self.say_what_to_keep();
        journal::note(&format!("could not go on as {}: {error}", program.display()));
        Err(cannot(error.to_string()))
    }

    /// Becomes the program; gives why it did not.
    fn become_program(&mut self, program: &Path, token: u64, id: Option<CallId>, now: Instant) -> std::io::Error {
        let prepared = self.hand_over(token, id, now);
        let (bytes, numbers) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return error,
        };
        let file = match descriptors::nameless(&bytes) {
            Ok(file) => file,
            Err(error) => return error,
        };
        let Ok(path) = CString::new(program.as_os_str().as_bytes()) else {
            return std::io::Error::other("the path holds a zero byte");
        };
        let arguments = arguments(&self.directory, file.as_raw_fd());
        let pass = |passed: bool| -> std::io::Result<()> {
            let own = numbers.iter().copied().chain(std::iter::once(file.as_raw_fd()));
            for number in own {
                // SAFETY: these descriptors are owned by this holder, which outlives the borrow.
                #[allow(unsafe_code)]
                let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
                descriptors::pass_on(borrowed, passed)?;
            }
            Ok(())
        };
        let error = match Signals::hold_back(true).and_then(|()| pass(true)) {
            Ok(()) => match nix::unistd::execv(&path, &arguments) {
                Err(errno) => errno.into(),
                Ok(never) => match never {},
            },
            Err(error) => error,
        };
        for undone in [pass(false), Signals::hold_back(false)] {
            if let Err(error) = undone {
                journal::note(&format!("after an upgrade that failed: {error}"));
            }
        }
        error
    }

    /// What the other version needs, and which descriptors that are.
    fn hand_over(&mut self, token: u64, id: Option<CallId>, now: Instant) -> std::io::Result<(Vec<u8>, Vec<i32>)> {
        let mut serving = Serving {
            output_bytes: self.output_bytes,
            quiet_ms: milliseconds(now.saturating_duration_since(self.last_output)),
            deadline_left_ms: self.ending.left(now).map(milliseconds),
            paused: self.ending.is_paused(),
            is_own: self.watch.is_own(),
            ..Serving::default()
        };
        let viewers: Vec<(u64, Viewer)> = match &self.session {
            Session::Terminal(terminal) => terminal
                .control
                .viewers()
                .map(|(token, mode, size)| {
                    let raw = self.connections.get(&token).is_some_and(Connection::is_raw);
                    (token, Viewer { mode, size, types: terminal.control.holds(token), raw })
                })
                .collect(),
            Session::Pipes(_) => Vec::new(),
        };
        for (viewer, described) in viewers {
            self.hand_connection(viewer, Some(described), &mut serving);
        }
        // What a watcher knows already is not handed over: it is closed, asks again, and is told all there is.
        let watches = |token: &u64| match &self.session {
            Session::Terminal(terminal) => terminal.watchers.has(*token),
            Session::Pipes(_) => false,
        };
        let others: Vec<u64> = self
            .connections
            .iter()
            .filter(|(token, connection)| connection.usage() == Use::Requests && !watches(token))
            .map(|(token, _)| *token)
            .collect();
        for other in others {
            let asks = usize::from(other == token && id.is_some());
            let waits = self.waiting.iter().filter(|(waiting, _)| *waiting == other).count();
            // What else a connection waits for is not handed over: it is closed, and its peer asks again.
            if self.connections.get(&other).is_some_and(|connection| connection.unanswered == asks + waits) {
                self.hand_connection(other, None, &mut serving);
                if other == token {
                    serving.asked = id.clone().map(|id| (serving.connections.len() - 1, id));
                }
            }
        }
        let outputs: Vec<i32> = self.outputs().iter().map(AsRawFd::as_raw_fd).collect();
        let listener = self.listener.as_fd().as_raw_fd();
        let lock = self.lock.as_raw_fd();
        let link = self.link.as_ref().map(|link| link.as_fd().as_raw_fd());
        let mut numbers = outputs.clone();
        numbers.extend([Some(listener), Some(lock), link].into_iter().flatten());
        numbers.extend(serving.connections.iter().map(|handed| handed.descriptor));
        let told = HandOver {
            version: HAND_OVER_VERSION,
            child: self.record.child,
            started_at_ms: self.record.started_at_ms,
            outputs,
            listener: Some(listener),
            lock: Some(lock),
            unsaved: None,
            link,
            keeper: self.record.keeper,
            exit: None,
            serving: Some(serde_json::to_value(serving)?),
        };
        Ok((serde_json::to_vec(&told)?, numbers))
    }

    fn hand_connection(&mut self, token: u64, viewer: Option<Viewer>, serving: &mut Serving) {
        let waits = self.waiting.iter().filter(|(waiting, _)| *waiting == token).map(|(_, id)| id.clone()).collect();
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let (received, unsent) = connection.hand_over();
        serving.connections.push(Handed {
            descriptor: connection.as_fd().as_raw_fd(),
            viewer,
            received,
            unsent,
            waits,
            unanswered: connection.unanswered,
        });
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Asks another version what it is. The session stands still meanwhile, as it does while that version starts.
fn probe(program: &Path) -> Result<About, String> {
    let argv = [program.to_string_lossy().into_owned(), "about".to_owned()];
    let streams = [Stdio::null(), Stdio::piped(), Stdio::null()];
    let own = environment::base(&environment::own());
    let mut child = spawn::on_streams(&argv, Path::new("/"), &own, streams).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    let deadline = Instant::now() + PROBE;
    if let Some(mut output) = child.stdout.take() {
        let mut buffer = [0; 512];
        while (text.len() as u64) < PROBE_BYTES {
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let ready = poll(&mut [PollFd::new(output.as_fd(), PollFlags::POLLIN)], limit);
            if !matches!(ready, Ok(1..)) {
                break;
            }
            match output.read(&mut buffer) {
                Ok(count @ 1..) => text.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Ok(_) | Err(_) => break,
            }
        }
    }
    // One that said all it had to say has ended; any other is not waited for.
    let _ = child.kill();
    let _ = child.wait();
    serde_json::from_slice(&text).map_err(|_| "it does not say that it is a holder of sessions".to_owned())
}
