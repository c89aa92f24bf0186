//! Viewers of a session on a terminal: their arrival, what they type and see, and which of them types.

use std::time::Instant;

use bytes::Bytes;
use orx_protocol::codec;
use orx_protocol::hold::{AttachParams, NoticeForm, NoticeParams, TerminalSize};
use orx_protocol::terminal::{FromViewer, ToViewer};

use super::holder::{Holder, Session};
use crate::journal;
use crate::link::connection::{Connection, Shown, Use, viewer_frame};
use crate::link::control::Change;
use crate::terminal::screen;

/// Bytes of keys that are read at once.
const KEYS: usize = 4096;

impl Holder {
    /// Makes a connection the viewer that `params` describes; `rest` are bytes that it sent before.
    pub(super) fn attach(&mut self, token: u64, params: &AttachParams, rest: &[u8], now: Instant) {
        let Session::Terminal(terminal) = &mut self.session else { return };
        let change = terminal.control.join(token, params.mode, screen::usable(params.size), now);
        // The size first, so that the first screen that the viewer gets is already its own.
        if let Some(size) = change.size {
            terminal.want_size(size);
        }
        self.apply_size(now, true);
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.become_viewer(rest, params.raw, now);
        }
        self.show_screen(token, now);
        if change.control {
            self.tell_control();
        } else {
            self.tell_control_to(token);
        }
    }

    /// A viewer types from now on, as it did before another version of the holder.
    pub(super) fn give_control(&mut self, token: u64, now: Instant) {
        let Session::Terminal(terminal) = &mut self.session else { return };
        let change = terminal.control.take(token);
        self.apply_change(change, now);
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, token: u64, now: Instant) {
        self.waiting.retain(|(waiting, _)| *waiting != token);
        let Session::Terminal(terminal) = &mut self.session else { return };
        terminal.screens.retain(|(waiting, _)| *waiting != token);
        terminal.watchers.forget(token);
        if terminal.control.holds(token) {
            terminal.typist.viewer_left();
        }
        let change = terminal.control.leave(token);
        self.apply_change(change, now);
    }

    fn apply_change(&mut self, change: Change, now: Instant) {
        if let (Some(size), Session::Terminal(terminal)) = (change.size, &mut self.session) {
            terminal.want_size(size);
        }
        self.apply_size(now, false);
        if change.control {
            self.tell_control();
        }
    }

    /// Gives the terminal the size that is wanted, and shows the screen anew to every viewer.
    pub(super) fn apply_size(&mut self, now: Instant, at_once: bool) {
        let Session::Terminal(terminal) = &mut self.session else { return };
        let Some(size) = terminal.take_size(now, at_once) else { return };
        let parts = screen_parts(terminal.emulator.redraw());
        for connection in self.connections.values_mut().filter(|connection| connection.usage() == Use::Viewer) {
            connection.tell(size_frame(size));
            connection.screen(&parts, now);
        }
    }

    /// Shows every viewer what the program wrote; who types comes first.
    pub(super) fn show_output(&mut self, now: Instant) {
        let Session::Terminal(terminal) = &self.session else { return };
        let passed = &terminal.passed;
        for raw in [false, true] {
            let mut viewers: Vec<(bool, &mut Connection)> = self
                .connections
                .iter_mut()
                .filter(|(_, connection)| connection.usage() == Use::Viewer && connection.is_raw() == raw)
                .map(|(token, connection)| (terminal.control.holds(*token), connection))
                .collect();
            let bytes = if raw { passed.bytes.as_slice().into() } else { passed.on_screen() };
            if bytes.is_empty() || viewers.is_empty() {
                continue;
            }
            let Some(shown) = Shown::output(&bytes, &mut self.frames) else { continue };
            viewers.sort_by_key(|(types, _)| !types);
            for (_, connection) in viewers {
                connection.output(&shown, now);
                connection.send();
            }
        }
    }

    fn show_screen(&mut self, token: u64, now: Instant) {
        let Session::Terminal(terminal) = &self.session else { return };
        let Some(connection) = self.connections.get_mut(&token) else { return };
        connection.screen(&screen_parts(terminal.emulator.redraw()), now);
        connection.tell(size_frame(terminal.emulator.screen().size()));
    }

    /// Shows the screen as it is now to viewers that skipped output, have been shown what was left for them, and are due for it;
    /// at the session's `end` also to those that are not due yet.
    pub(super) fn catch_up(&mut self, now: Instant, end: bool) {
        let is_due = |connection: &Connection| connection.screen_at(now).is_some_and(|at| end || at <= now);
        let due: Vec<u64> =
            self.connections.iter().filter(|(_, connection)| is_due(connection)).map(|(token, _)| *token).collect();
        for token in due {
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.caught_up();
            }
            self.show_screen(token, now);
            self.tell_control_to(token);
            if let Some(connection) = self.connections.get_mut(&token) {
                connection.send();
            }
        }
    }

    fn tell_control(&mut self) {
        let Session::Terminal(terminal) = &self.session else { return };
        for token in terminal.control.tokens() {
            self.tell_control_to(token);
        }
    }

    fn tell_control_to(&mut self, token: u64) {
        let Session::Terminal(terminal) = &self.session else { return };
        let frame = viewer_frame(&ToViewer::Control { held: terminal.control.holds(token) });
        if let Some(connection) = self.connections.get_mut(&token) {
            connection.tell(frame);
        }
    }

    /// Takes keys from the terminal that a viewer handed over.
    pub(super) fn read_keys(&mut self, token: u64, now: Instant) {
        let mut buffer = [0; KEYS];
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let count = connection.read_keys(&mut buffer);
        let typed = buffer.get(..count).unwrap_or_default();
        if !typed.is_empty() {
            self.typed(token, typed, now);
        }
    }

    /// A viewer typed something for the program.
    fn typed(&mut self, token: u64, bytes: &[u8], now: Instant) {
        let Session::Terminal(terminal) = &mut self.session else { return };
        terminal.control.typed(token, bytes, now);
        if terminal.control.holds(token) {
            terminal.typist.viewer(bytes, now);
        }
    }

    /// Viewers of which whole frames may wait to be taken.
    pub(super) fn viewers_with_input(&self) -> Vec<u64> {
        match &self.session {
            Session::Terminal(terminal) => terminal.control.tokens(),
            Session::Pipes(_) => Vec::new(),
        }
    }

    /// Takes the whole frames that a viewer sent, while there is room for what it types.
    pub(super) fn take_viewer_frames(&mut self, token: u64, now: Instant) {
        loop {
            let Session::Terminal(terminal) = &self.session else { return };
            if !terminal.typist.has_room() {
                return;
            }
            let Some(connection) = self.connections.get_mut(&token) else { return };
            let frame = match connection.next_frame() {
                Ok(Some(body)) => codec::decode::<FromViewer>(&body).map_err(|error| error.to_string()),
                Ok(None) => return,
                Err(error) => Err(error.to_string()),
            };
            match frame {
                Ok(frame) => self.take_viewer_frame(token, frame, now),
                Err(why) => {
                    journal::note(&format!("a viewer sent what is no frame and was cut: {why}"));
                    connection.mark_dead();
                    return;
                }
            }
        }
    }

    /// Shows a notice on the terminals of all viewers; gives how many of them get it.
    pub(super) fn notify_viewers(&mut self, notice: &NoticeParams) -> usize {
        let Session::Terminal(terminal) = &self.session else { return 0 };
        let Some(shown) = Shown::output(&sequence_of(notice), &mut self.frames) else { return 0 };
        let mut told = 0;
        for token in terminal.control.tokens() {
            if let Some(connection) = self.connections.get_mut(&token) {
                told += usize::from(connection.notice(&shown));
                connection.send();
            }
        }
        told
    }

    fn take_viewer_frame(&mut self, token: u64, frame: FromViewer, now: Instant) {
        let Session::Terminal(terminal) = &mut self.session else { return };
        let Some(connection) = self.connections.get_mut(&token) else { return };
        match frame {
            FromViewer::Input(bytes) => self.typed(token, &bytes, now),
            FromViewer::Resize { cols, rows } => {
                let change = terminal.control.resized(token, screen::usable(TerminalSize { cols, rows }));
                self.apply_change(change, now);
            }
            FromViewer::TakeControl => {
                let change = terminal.control.take(token);
                if change.control {
                    terminal.typist.viewer_left();
                    self.apply_change(change, now);
                } else {
                    self.tell_control_to(token);
                }
            }
            FromViewer::Detach => connection.mark_dead(),
            FromViewer::Terminal { keyboard } => {
                if let Err(why) = connection.take_terminal(keyboard) {
                    journal::note(&format!("the terminal of a viewer {why}; it is left to the viewer"));
                }
            }
            FromViewer::Ready => connection.terminal_is_ready(),
            FromViewer::Understood { bytes } => connection.understood(bytes),
            FromViewer::Show(bytes) => connection.show_own(bytes),
            FromViewer::Redraw => connection.want_screen(),
        }
    }
}

/// What a terminal is sent. A control character or the separator of OSC 777 in a text would end or split it.
fn sequence_of(notice: &NoticeParams) -> Vec<u8> {
    let clean = |text: &str| text.chars().filter(|c| !c.is_control() && *c != ';').collect::<String>();
    let (title, body) = (clean(&notice.title), clean(&notice.body));
    match notice.form {
        NoticeForm::Osc9 => format!("\x1b]9;{title}: {body}\x07"),
        NoticeForm::Osc777 => format!("\x1b]777;notify;{title};{body}\x07"),
    }
    .into_bytes()
}

fn size_frame(size: TerminalSize) -> Bytes {
    viewer_frame(&ToViewer::Size { cols: size.cols, rows: size.rows })
}

/// A redraw for viewers: the first part is the screen, further ones of a very large one follow as output.
fn screen_parts(parts: Vec<Vec<u8>>) -> Vec<Shown> {
    parts.into_iter().enumerate().map(|(position, part)| Shown::screen(part, position == 0)).collect()
}
