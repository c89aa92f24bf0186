//! How much of a flood a viewer is sent. A program can write more than anybody can read or most terminals can show; a viewer
//! then gets pictures of the screen instead of all bytes, as a person would see it, and the program goes on at its own speed.

use std::time::{Duration, Instant};

/// Bytes a second that a viewer is sent of a program that never rests.
const RATE: f64 = 4.0 * 1024.0 * 1024.0;
/// Bytes that it is sent at once: a long listing is passed on as it is, into the scrollback of the user's own terminal.
const BURST: f64 = 512.0 * 1024.0;
/// Between two pictures of a screen that changes faster than that.
const PICTURE: Duration = Duration::from_millis(16);

/// What one viewer may still be sent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    left: f64,
    at: Instant,
    /// When the next picture is due, after bytes were left out.
    picture: Option<Instant>,
}

impl Pace {
    /// That of a viewer that just came.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { left: BURST, at: now, picture: None }
    }

    /// Whether `bytes` more may be sent; they count as sent then. Otherwise a picture is due soon.
    pub fn allows(&mut self, bytes: usize, now: Instant) -> bool {
        self.refill(now);
        let bytes = as_float(bytes);
        let allows = bytes <= self.left;
        if allows {
            self.left -= bytes;
        } else {
            self.picture.get_or_insert(now + PICTURE);
        }
        allows
    }

    /// `bytes` were sent, whether that was allowed or not.
    pub fn spend(&mut self, bytes: usize, now: Instant) {
        self.refill(now);
        self.left = (self.left - as_float(bytes)).max(0.0);
    }

    fn refill(&mut self, now: Instant) {
        self.left = (self.left + RATE * now.saturating_duration_since(self.at).as_secs_f64()).min(BURST);
        self.at = now;
    }

    /// When the picture is due that a viewer waits for, of which bytes were left out.
    #[must_use]
    pub const fn picture_at(&self) -> Option<Instant> {
        self.picture
    }

    /// The viewer gets the screen as it is now.
    pub fn pictured(&mut self) {
        self.picture = None;
    }
}

#[allow(clippy::cast_precision_loss)] // Far fewer bytes than a double counts exactly.
fn as_float(bytes: usize) -> f64 {
    bytes as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_can_follow_passes_and_of_a_flood_pictures_do() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        // Sixty large pictures a second, for a minute.
        for picture in 0..3600_u32 {
            assert!(pace.allows(48 * 1024, start + Duration::from_micros(16_667) * picture), "{picture}");
        }
        let mut pace = Pace::new(start);
        let (mut passed, mut pictures) = (0, 0);
        // 64 MiB in a second.
        for step in 0..1024_u32 {
            let now = start + Duration::from_secs(1) / 1024 * step;
            if pace.picture_at().is_some_and(|at| at <= now) {
                pace.pictured();
                pictures += 1;
            }
            if pace.picture_at().is_none() && pace.allows(64 * 1024, now) {
                passed += 64 * 1024;
            }
        }
        assert!((4 << 20..5 << 20).contains(&passed), "{passed}");
        assert!((30..=62).contains(&pictures), "{pictures}");
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_does_no_harm() {
        let start = Instant::now();
        let mut pace = Pace::new(start + Duration::from_secs(1));
        assert!(pace.allows(512 * 1024, start));
        assert!(!pace.allows(1, start));
        assert_eq!(pace.picture_at(), Some(start + PICTURE));
    }
}
