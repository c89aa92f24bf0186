//! How long to wait before a dead worker is started again. Pure.

use std::time::Duration;

/// First pause after a death.
const FIRST: Duration = Duration::from_millis(50);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(30);
/// A worker that lived this long has proven itself: its earlier deaths no longer count.
const PROVEN: Duration = Duration::from_secs(10);
/// Deaths in a row that make a crash loop worth an event.
pub const CRASH_LOOP: u32 = 5;

/// Deaths in a row of one worker.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// Deaths in a row, none of which came after a proven life.
    pub deaths: u32,
}

impl BackOff {
    /// Counts a death after a life of `lived` and gives the pause before the next start. `jitter` in 0..=1 spreads the
    /// starts of workers that died together.
    pub fn died(&mut self, lived: Duration, jitter: f64) -> Duration {
        if lived >= PROVEN {
            self.deaths = 0;
        }
        let doubled = FIRST.saturating_mul(1u32.checked_shl(self.deaths.min(20)).unwrap_or(u32::MAX));
        self.deaths = self.deaths.saturating_add(1);
        doubled.min(LONGEST).mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_a_limit_and_start_over_after_a_proven_life() {
        let mut back_off = BackOff::default();
        let pauses: Vec<u128> = (0..12).map(|_| back_off.died(Duration::ZERO, 1.0).as_millis()).collect();
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(back_off.died(PROVEN, 1.0).as_millis(), 50);
        assert_eq!(back_off.died(Duration::ZERO, 0.0).as_millis(), 50);
    }
}
