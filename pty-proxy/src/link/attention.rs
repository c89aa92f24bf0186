//! Whether the person behind a viewer looks: by the focus that their terminal reports while the program asks for that,
//! else by when they last did something.

use std::time::{Duration, Instant};

/// A viewer whose terminal says nothing of focus counts as looking for this long after it typed or came.
const ACTIVE: Duration = Duration::from_secs(60);
const FOCUS_IN: &[u8] = b"\x1b[I";
const FOCUS_OUT: &[u8] = b"\x1b[O";

/// What is known of a viewer's attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attention {
    has_focus: Option<bool>,
    active_at: Instant,
}

impl Attention {
    /// A viewer that just came.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { has_focus: None, active_at: now }
    }

    /// It sent these bytes.
    pub fn typed(&mut self, bytes: &[u8], now: Instant) {
        let last = |report: &[u8]| bytes.windows(report.len()).rposition(|window| window == report);
        let (gained, lost) = (last(FOCUS_IN), last(FOCUS_OUT));
        if gained != lost {
            self.has_focus = Some(gained > lost);
        }
        if bytes != FOCUS_OUT {
            self.active_at = now;
        }
    }

    /// Whether it looks.
    #[must_use]
    pub fn looks(&self, now: Instant) -> bool {
        self.has_focus.unwrap_or_else(|| now.saturating_duration_since(self.active_at) < ACTIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn focus_decides_where_it_is_reported_and_activity_where_not() {
        let start = Instant::now();
        let mut attention = Attention::new(start);
        assert!(attention.looks(start + Duration::from_secs(59)));
        assert!(!attention.looks(start + ACTIVE));
        attention.typed(b"x", start + ACTIVE);
        assert!(attention.looks(start + ACTIVE + Duration::from_secs(59)));
        attention.typed(FOCUS_OUT, start + ACTIVE);
        assert!(!attention.looks(start + ACTIVE));
        attention.typed(b"\x1b[O\x1b[I", start + ACTIVE);
        assert!(attention.looks(start + ACTIVE * 100), "whoever reads does not type");
        attention.typed(b"\x1b[I\x1b[O", start + ACTIVE);
        assert!(!attention.looks(start + ACTIVE));
    }
}
