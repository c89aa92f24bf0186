//! Pauses between attempts: they double up to a ceiling and carry full jitter, so that many clients of a restarted
//! daemon do not return in step.

use std::time::Duration;

/// A growing, jittered pause.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    ceiling: Duration,
    attempt: u32,
}

impl Backoff {
    /// Pauses of up to `base` at first, up to `ceiling` at last.
    #[must_use]
    pub const fn new(base: Duration, ceiling: Duration) -> Self {
        Self { base, ceiling, attempt: 0 }
    }

    /// Pauses for reaching a daemon again: up to 50 ms at first, up to 2 s at last.
    #[must_use]
    pub const fn reconnect() -> Self {
        Self::new(Duration::from_millis(50), Duration::from_secs(2))
    }

    /// Starts over after a success.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// The next pause: anything from zero to the current bound.
    pub fn next_pause(&mut self) -> Duration {
        let bound = bound(self.base, self.ceiling, self.attempt);
        self.attempt = self.attempt.saturating_add(1);
        // Without randomness the full bound is still a correct pause.
        getrandom::u32().map_or(bound, |roll| bound.mul_f64(f64::from(roll) / f64::from(u32::MAX)))
    }

    /// Sleeps for the next pause.
    pub async fn pause(&mut self) {
        tokio::time::sleep(self.next_pause()).await;
    }
}

fn bound(base: Duration, ceiling: Duration, attempt: u32) -> Duration {
    base.saturating_mul(2u32.saturating_pow(attempt)).min(ceiling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_ceiling_and_never_exceed_their_bound() {
        let (base, ceiling) = (Duration::from_millis(50), Duration::from_secs(2));
        let bounds: Vec<u128> = (0..8).map(|attempt| bound(base, ceiling, attempt).as_millis()).collect();
        assert_eq!(bounds, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        let mut backoff = Backoff::new(base, ceiling);
        for attempt in 0..200 {
            assert!(backoff.next_pause() <= bound(base, ceiling, attempt));
        }
        backoff.reset();
        assert!(backoff.next_pause() <= base);
    }
}
