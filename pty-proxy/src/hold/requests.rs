//! The requests of the holder's socket.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::Bytes;
use orx_protocol::hold::{
    AdoptParams, AttachParams, KeysParams, NoticeParams, RowText, SendParams, Status, StopParams, TerminalSize, method,
};
use orx_protocol::limits::IN_FLIGHT_PER_CONNECTION;
use orx_protocol::rpc::{self, CallId, Incoming};
use orx_protocol::{ErrorKind, RpcError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::holder::{Holder, Session};
use super::terminal::TerminalSession;
use crate::input::echo::Echo;
use crate::input::keys::{self, type_keys};
use crate::input::paste::paste;
use crate::input::typist::{InputFull, Step};
use crate::link::connection::{Connection, Use};
use crate::process::keeping::running_program;
use crate::terminal::answers::from_hex;

/// Every method, for the one who named another.
const METHODS: [&str; 16] = [
    method::STATUS,
    method::SCREEN,
    method::SCROLLBACK,
    method::WATCH,
    method::SEND,
    method::KEYS,
    method::RESIZE,
    method::NOTICE,
    method::PAUSE,
    method::CONTINUE,
    method::STOP,
    method::WAIT,
    method::ATTACH,
    method::ADOPT,
    method::DESCRIPTORS,
    method::UPGRADE,
];

/// What a request gives.
pub(super) enum Outcome {
    /// Its answer.
    Now(serde_json::Value),
    /// The answer follows when it is known.
    Later,
}

/// Parameters of methods that take none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Holder {
    /// Takes the whole frames that a connection has.
    pub(super) fn take_frames(&mut self, token: u64, now: Instant) {
        loop {
            let Some(connection) = self.connections.get_mut(&token) else { return };
            if connection.usage() == Use::Viewer {
                return self.take_viewer_frames(token, now);
            }
            match connection.next_frame() {
                Ok(Some(body)) => self.take_request(token, &body, now),
                Ok(None) => return,
                Err(error) => {
                    let answer = RpcError::new(ErrorKind::TooLarge, error.to_string())
                        .with_hint("the connection is closed: what follows a bad frame cannot be read");
                    connection.answer(&rpc::failure(None, &answer));
                    connection.close_when_sent();
                    return;
                }
            }
        }
    }

    fn take_request(&mut self, token: u64, body: &Bytes, now: Instant) {
        let (id, result) = match Incoming::parse(body) {
            Err(bad) => return self.refuse(token, bad.id.as_ref(), &bad.error),
            Ok(Incoming::Call { id, method, params }) => {
                let id_in_flight = id.clone();
                if let Some(connection) = self.connections.get_mut(&token) {
                    connection.unanswered += usize::from(id.is_some());
                }
                (id, self.perform(token, id_in_flight, &method, params, now))
            }
            Ok(Incoming::Answer { .. } | Incoming::Legacy(_)) => {
                let error = RpcError::new(ErrorKind::InvalidRequest, "the body is no request with a `method`");
                return self.refuse(token, None, &error);
            }
        };
        match result {
            Ok(Outcome::Later) => {}
            Ok(Outcome::Now(value)) => self.answer(token, id.as_ref(), Ok(value)),
            Err(error) => self.answer(token, id.as_ref(), Err(error)),
        }
    }

    fn refuse(&mut self, token: u64, id: Option<&CallId>, error: &RpcError) {
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.answer(&rpc::failure(id, error));
        }
    }

    /// Answers a request; a notification gets no answer.
    pub(super) fn answer(&mut self, token: u64, id: Option<&CallId>, result: Result<serde_json::Value, RpcError>) {
        let (Some(id), Some(connection)) = (id, self.connections.get_mut(&token)) else { return };
        connection.unanswered = connection.unanswered.saturating_sub(1);
        let body = result.and_then(|value| rpc::success(id, &value));
        connection.answer(&body.unwrap_or_else(|error| rpc::failure(Some(id), &error)));
    }

    fn perform(
        &mut self,
        token: u64,
        id: Option<CallId>,
        name: &str,
        raw: Option<&RawValue>,
        now: Instant,
    ) -> Result<Outcome, RpcError> {
        let in_flight = self.connections.get(&token).map_or(0, |connection| connection.unanswered);
        if in_flight > IN_FLIGHT_PER_CONNECTION {
            let limit = format!("this connection has {IN_FLIGHT_PER_CONNECTION} unanswered requests already");
            return Err(RpcError::new(ErrorKind::Overloaded, limit));
        }
        match name {
            method::STATUS => {
                let _: Nothing = rpc::params(name, raw)?;
                value(&self.status(now))
            }
            method::SCREEN => {
                let _: Nothing = rpc::params(name, raw)?;
                self.screen(token, id, now)
            }
            method::SCROLLBACK => {
                let params = rpc::params(name, raw)?;
                let page = self.terminal(name)?.scrollback(params).map_err(|error| {
                    RpcError::new(ErrorKind::Storage, format!("`{name}`: the lines cannot be read: {error}"))
                })?;
                value(&page)
            }
            method::WATCH => {
                let _: Nothing = rpc::params(name, raw)?;
                self.begin_watch(token, name, now)?;
                Ok(Outcome::Now(serde_json::json!({})))
            }
            method::SEND => self.send_text(token, id, rpc::params(name, raw)?),
            method::KEYS => self.send_keys(token, id, rpc::params(name, raw)?),
            method::RESIZE => {
                let size: TerminalSize = rpc::params(name, raw)?;
                self.terminal(name)?.want_size(size);
                self.apply_size(now, false);
                Ok(Outcome::Now(serde_json::json!({})))
            }
            method::NOTICE => {
                let notice: NoticeParams = rpc::params(name, raw)?;
                Ok(Outcome::Now(serde_json::json!({"viewers": self.notify_viewers(&notice)})))
            }
            method::PAUSE | method::CONTINUE => {
                let _: Nothing = rpc::params(name, raw)?;
                if name == method::PAUSE {
                    self.pause(now)?
                } else {
                    self.go_on(now)
                }
                Ok(Outcome::Now(serde_json::json!({})))
            }
            method::STOP | method::WAIT if self.ended.is_some() => {
                Ok(Outcome::Now(self.ended.clone().unwrap_or_default()))
            }
            method::STOP => {
                let StopParams { grace_ms } = rpc::params(name, raw)?;
                self.waiting.extend(id.map(|id| (token, id)));
                self.stop(Duration::from_millis(grace_ms), now);
                Ok(Outcome::Later)
            }
            method::WAIT => {
                let _: Nothing = rpc::params(name, raw)?;
                self.waiting.extend(id.map(|id| (token, id)));
                Ok(Outcome::Later)
            }
            method::ATTACH => {
                let params: AttachParams = rpc::params(name, raw)?;
                self.terminal(name)?;
                self.switch_over(token, id, &params, now)
            }
            method::ADOPT => self.adopt(token, rpc::params(name, raw)?, now),
            method::DESCRIPTORS => {
                let _: Nothing = rpc::params(name, raw)?;
                self.give_descriptors(token, id)
            }
            method::UPGRADE => self.upgrade(token, id, rpc::params(name, raw)?, now),
            other => Err(RpcError::new(ErrorKind::MethodNotFound, format!("there is no method `{other}` here"))
                .with_hint(format!("methods are {}", METHODS.join(", ")))),
        }
    }

    pub(super) fn terminal(&mut self, name: &str) -> Result<&mut TerminalSession, RpcError> {
        match &mut self.session {
            Session::Terminal(terminal) => Ok(terminal),
            Session::Pipes(_) => {
                let message = format!("`{name}`: this session is on pipes and has no terminal");
                Err(RpcError::new(ErrorKind::FailedPrecondition, message).with_hint("read its log instead"))
            }
        }
    }

    /// Holds the tree still.
    fn pause(&mut self, now: Instant) -> Result<(), RpcError> {
        if self.ending.pause(now) || self.ending.is_paused() {
            self.tree.pause();
            return Ok(());
        }
        Err(RpcError::new(ErrorKind::FailedPrecondition, format!("`{}`: the session is ending", method::PAUSE)))
    }

    /// Lets the tree go on, also one that another holder held still.
    fn go_on(&mut self, now: Instant) {
        self.ending.go_on(now);
        self.tree.go_on();
    }

    fn status(&mut self, now: Instant) -> Status {
        let looked_at = match &self.session {
            Session::Terminal(terminal) => terminal.control.is_looked_at(now),
            Session::Pipes(_) => false,
        };
        let (terminal, viewers, title, lost_bytes) = match &mut self.session {
            Session::Terminal(terminal) => {
                let screen = terminal.emulator.screen();
                let (size, title) = (screen.size(), screen.title().to_owned());
                (Some(size), terminal.control.count(), title, terminal.lost())
            }
            Session::Pipes(pipes) => (None, 0, String::new(), pipes.lost()),
        };
        Status {
            holder: self.record.clone(),
            terminal,
            output_bytes: self.output_bytes,
            viewers: u32::try_from(viewers).unwrap_or(u32::MAX),
            looked_at,
            quiet_ms: u64::try_from(now.saturating_duration_since(self.last_output).as_millis()).unwrap_or(u64::MAX),
            title,
            lost_bytes,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: running_program(),
        }
    }

    /// The screen: at once, or when the program has finished drawing it.
    fn screen(&mut self, token: u64, id: Option<CallId>, now: Instant) -> Result<Outcome, RpcError> {
        let terminal = self.terminal(method::SCREEN)?;
        match id {
            Some(id) if terminal.emulator.drawing_until(now).is_some() => {
                terminal.screens.push((token, id));
                Ok(Outcome::Later)
            }
            _ => value(&terminal.emulator.text()),
        }
    }

    /// Answers the requests that waited for the program to finish drawing.
    pub(super) fn answer_screens(&mut self, now: Instant) {
        let Session::Terminal(terminal) = &mut self.session else { return };
        if terminal.screens.is_empty() || terminal.emulator.drawing_until(now).is_some() {
            return;
        }
        let waiting = std::mem::take(&mut terminal.screens);
        let text = serde_json::to_value(terminal.emulator.text()).unwrap_or_default();
        for (token, id) in waiting {
            self.answer(token, Some(&id), Ok(text.clone()));
        }
    }

    fn send_text(&mut self, token: u64, id: Option<CallId>, params: SendParams) -> Result<Outcome, RpcError> {
        let terminal = self.terminal(method::SEND)?;
        let mode = terminal.emulator.screen().mode();
        let mut steps = Vec::new();
        if !params.text.is_empty() {
            steps.push(Step::Type(paste(&params.text, mode)));
        }
        if params.submit {
            if !steps.is_empty() {
                steps.push(Step::Settle(Echo::of(&params.text, &terminal.emulator.text().lines)));
            }
            steps.push(Step::Type(keys::enter(terminal.key_modes())));
        }
        self.type_steps(method::SEND, steps, token, id)
    }

    fn send_keys(&mut self, token: u64, id: Option<CallId>, params: KeysParams) -> Result<Outcome, RpcError> {
        let KeysParams { keys: names, while_rows } = params;
        let terminal = self.terminal(method::KEYS)?;
        if !while_rows.is_empty() {
            let lines = terminal.emulator.text().lines;
            let shown = |wanted: &RowText| lines.get(usize::from(wanted.row)).map_or("", String::as_str) == wanted.text;
            if let Some(other) = while_rows.iter().find(|wanted| !shown(wanted)) {
                let why = format!("`{}`: row {} of the screen is another by now", method::KEYS, other.row);
                return Err(RpcError::new(ErrorKind::FailedPrecondition, why).with_hint("nothing was pressed"));
            }
        }
        let modes = self.terminal(method::KEYS)?.key_modes();
        let bytes = type_keys(&names, modes)
            .map_err(|error| RpcError::new(ErrorKind::InvalidParams, format!("`{}`: {error}", method::KEYS)))?;
        let steps = if bytes.is_empty() { Vec::new() } else { vec![Step::Type(bytes)] };
        self.type_steps(method::KEYS, steps, token, id)
    }

    fn type_steps(
        &mut self,
        name: &str,
        steps: Vec<Step>,
        token: u64,
        id: Option<CallId>,
    ) -> Result<Outcome, RpcError> {
        let is_nothing = steps.iter().all(|step| matches!(step, Step::Type(bytes) if bytes.is_empty()));
        if is_nothing {
            return Ok(Outcome::Now(serde_json::json!({})));
        }
        if self.watch.has_ended(Instant::now()) {
            return Err(RpcError::new(ErrorKind::FailedPrecondition, format!("`{name}`: the program has ended")));
        }
        let full = |full: InputFull| RpcError::new(ErrorKind::Overloaded, format!("`{name}`: {full}"));
        self.terminal(name)?.typist.request(steps, id.map(|id| (token, id))).map_err(full)?;
        Ok(Outcome::Later)
    }

    fn switch_over(
        &mut self,
        token: u64,
        id: Option<CallId>,
        params: &AttachParams,
        now: Instant,
    ) -> Result<Outcome, RpcError> {
        let refuse =
            |why: &str| Err(RpcError::new(ErrorKind::FailedPrecondition, format!("`{}`: {why}", method::ATTACH)));
        let Some(id) = id else { return refuse("a notification cannot switch a connection over; give an `id`") };
        if self.connections.get(&token).is_some_and(|connection| connection.unanswered > 1) {
            return refuse("this connection still waits for other answers; attach on one of its own");
        }
        self.answer(token, Some(&id), Ok(serde_json::json!({})));
        self.attach(token, params, &[], now);
        Ok(Outcome::Later)
    }

    /// Serves the viewer whose connection came along with the request.
    fn adopt(&mut self, token: u64, params: AdoptParams, now: Instant) -> Result<Outcome, RpcError> {
        let descriptor = self.connections.get_mut(&token).and_then(Connection::take_descriptor);
        self.terminal(method::ADOPT)?;
        let invalid = |why: &str| RpcError::new(ErrorKind::InvalidParams, format!("`{}`: {why}", method::ADOPT));
        let descriptor = descriptor.ok_or_else(|| invalid("no descriptor came along with the request"))?;
        let rest = from_hex(params.rest.as_bytes()).ok_or_else(|| invalid("`rest` is not base 16"))?;
        let stream =
            viewer_stream(descriptor).map_err(|why| invalid(&format!("the descriptor that came along {why}")))?;
        let mut connection = Connection::new(stream);
        connection.answer(params.answer.as_bytes());
        let viewer = self.new_token();
        self.connections.insert(viewer, connection);
        self.attach(viewer, &params.attach, &rest, now);
        Ok(Outcome::Now(serde_json::json!({})))
    }
}

fn value(result: &impl Serialize) -> Result<Outcome, RpcError> {
    serde_json::to_value(result)
        .map(Outcome::Now)
        .map_err(|error| RpcError::new(ErrorKind::Internal, format!("an answer could not be written: {error}")))
}

/// The connection behind a descriptor.
fn viewer_stream(descriptor: OwnedFd) -> Result<UnixStream, String> {
    use nix::sys::socket::{SockType, getsockopt, sockopt};
    match getsockopt(&descriptor, sockopt::SockType) {
        Ok(SockType::Stream) => {}
        Ok(_) => return Err("is no stream socket".to_owned()),
        Err(_) => return Err("is no socket".to_owned()),
    }
    let stream = UnixStream::from(descriptor);
    stream.set_nonblocking(true).map_err(|error| format!("cannot be used: {error}"))?;
    Ok(stream)
}
