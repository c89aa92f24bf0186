//! Which viewer types: one at a time. Its terminal's size is the session's.

use orx_protocol::api::session::AttachMode;
use orx_protocol::hold::TerminalSize;
use std::time::Instant;

use super::attention::Attention;

/// A viewer of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Viewer {
    token: u64,
    mode: AttachMode,
    size: TerminalSize,
    attention: Attention,
}

/// The viewers, oldest first, and which of them types.
#[derive(Debug, Default)]
pub struct Control {
    viewers: Vec<Viewer>,
    holder: Option<u64>,
}

/// What a change means for the session.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Another viewer types now, or none: every viewer is to be told.
    pub control: bool,
    /// The session's terminal gets this size.
    pub size: Option<TerminalSize>,
}

impl Control {
    /// A viewer came. The first that wants to type, does.
    pub fn join(&mut self, token: u64, mode: AttachMode, size: TerminalSize, now: Instant) -> Change {
        self.viewers.push(Viewer { token, mode, size, attention: Attention::new(now) });
        if mode == AttachMode::Control && self.holder.is_none() { self.give(Some(token)) } else { Change::default() }
    }

    /// A viewer's person did something.
    pub fn typed(&mut self, token: u64, bytes: &[u8], now: Instant) {
        if let Some(viewer) = self.viewers.iter_mut().find(|viewer| viewer.token == token) {
            viewer.attention.typed(bytes, now);
        }
    }

    /// Whether somebody looks at the session.
    #[must_use]
    pub fn is_looked_at(&self, now: Instant) -> bool {
        self.viewers.iter().any(|viewer| viewer.attention.looks(now))
    }

    /// A viewer left. When it typed, the oldest of the others that want to, does.
    pub fn leave(&mut self, token: u64) -> Change {
        self.viewers.retain(|viewer| viewer.token != token);
        if self.holder != Some(token) {
            return Change::default();
        }
        let next = self.viewers.iter().find(|viewer| viewer.mode == AttachMode::Control).map(|viewer| viewer.token);
        self.give(next)
    }

    /// A viewer wants to type; one that came only to look does not get to.
    pub fn take(&mut self, token: u64) -> Change {
        let may = self.viewers.iter().any(|viewer| viewer.token == token && viewer.mode == AttachMode::Control);
        if may && self.holder != Some(token) { self.give(Some(token)) } else { Change::default() }
    }

    /// A viewer's terminal has another size.
    pub fn resized(&mut self, token: u64, size: TerminalSize) -> Change {
        if let Some(viewer) = self.viewers.iter_mut().find(|viewer| viewer.token == token) {
            viewer.size = size;
        }
        Change { control: false, size: self.holds(token).then_some(size) }
    }

    fn give(&mut self, to: Option<u64>) -> Change {
        self.holder = to;
        let size = self.viewers.iter().find(|viewer| Some(viewer.token) == to).map(|viewer| viewer.size);
        Change { control: true, size }
    }

    /// Whether this viewer types.
    #[must_use]
    pub fn holds(&self, token: u64) -> bool {
        self.holder == Some(token)
    }

    /// The viewers, oldest first, with what each came for and its size.
    pub fn viewers(&self) -> impl Iterator<Item = (u64, AttachMode, TerminalSize)> {
        self.viewers.iter().map(|viewer| (viewer.token, viewer.mode, viewer.size))
    }

    /// How many viewers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.viewers.len()
    }

    /// The viewers, oldest first.
    #[must_use]
    pub fn tokens(&self) -> Vec<u64> {
        self.viewers.iter().map(|viewer| viewer.token).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: TerminalSize = TerminalSize { cols: 80, rows: 24 };
    const LARGE: TerminalSize = TerminalSize { cols: 120, rows: 40 };

    #[test]
    fn control_goes_to_the_first_that_wants_it_and_on_to_the_oldest() {
        let mut control = Control::default();
        assert_eq!(control.join(1, AttachMode::View, SMALL, Instant::now()), Change::default());
        assert_eq!(
            control.join(2, AttachMode::Control, LARGE, Instant::now()),
            Change { control: true, size: Some(LARGE) }
        );
        assert_eq!(control.join(3, AttachMode::Control, SMALL, Instant::now()), Change::default());
        assert_eq!(control.join(4, AttachMode::Control, LARGE, Instant::now()), Change::default());
        assert_eq!(control.take(1), Change::default());
        assert_eq!(control.take(4), Change { control: true, size: Some(LARGE) });
        assert_eq!(control.leave(2), Change::default());
        assert_eq!(control.leave(4), Change { control: true, size: Some(SMALL) });
        assert!(control.holds(3));
        assert_eq!(control.leave(3), Change { control: true, size: None });
        assert_eq!(control.tokens(), [1]);
    }

    #[test]
    fn only_the_size_of_the_one_that_types_counts() {
        let mut control = Control::default();
        control.join(1, AttachMode::Control, SMALL, Instant::now());
        control.join(2, AttachMode::Control, SMALL, Instant::now());
        assert_eq!(control.resized(2, LARGE).size, None);
        assert_eq!(control.resized(1, LARGE).size, Some(LARGE));
        assert_eq!(control.take(2).size, Some(LARGE));
    }
}
