//! How well a session does against the time that it was given (S2's score).

use orx_protocol::life::Life;

/// A session with less than this left of its time is at risk, in milliseconds.
pub const AT_RISK_MS: u64 = 300 * 1000;

/// The score in percent: 100 for what is complete, 0 for what failed, and between them by how much of its time is used.
#[must_use]
pub fn score(life: Life, used_ms: u64, limit_ms: Option<u64>) -> u8 {
    match life {
        Life::Completed => 100,
        Life::Failed | Life::Timeout => 0,
        Life::Running | Life::Paused => match limit_ms.map(|limit| used_share(used_ms, limit)) {
            None | Some(..=70) => 90,
            Some(71..=90) => 70,
            Some(_) => 30,
        },
        _ => 80,
    }
}

/// Whether a session that runs is about to run out of time.
#[must_use]
pub fn is_at_risk(life: Life, used_ms: u64, limit_ms: Option<u64>) -> bool {
    matches!(life, Life::Running | Life::Paused | Life::Degraded)
        && limit_ms.is_some_and(|limit| limit.saturating_sub(used_ms) < AT_RISK_MS)
}

/// Percent of the limit that is used, rounded up.
fn used_share(used_ms: u64, limit_ms: u64) -> u64 {
    used_ms.saturating_mul(100).div_ceil(limit_ms.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_score_falls_with_the_time_that_is_used() {
        let hour = Some(3_600_000);
        for (life, used, limit, expected) in [
            (Life::Completed, 9, None, 100),
            (Life::Failed, 9, None, 0),
            (Life::Running, u64::MAX, None, 90),
            (Life::Running, 2_520_000, hour, 90),
            (Life::Running, 2_520_001, hour, 70),
            (Life::Running, 3_240_000, hour, 70),
            (Life::Running, 3_240_001, hour, 30),
            (Life::Running, 1, Some(0), 30),
            (Life::Queued, 0, hour, 80),
        ] {
            assert_eq!(score(life, used, limit), expected, "{life:?} {used} {limit:?}");
        }
        assert!(is_at_risk(Life::Running, 3_300_001, hour));
        assert!(!is_at_risk(Life::Running, 3_300_000, hour));
        assert!(!is_at_risk(Life::Running, u64::MAX, None));
        assert!(!is_at_risk(Life::Completed, 3_600_000, hour));
    }
}
