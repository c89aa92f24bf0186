//! A breaker as it is kept over a restart. It holds wall-clock times, which may be wrong by any amount when they are read
//! again: what is taken from them is only how long is left, and never more than there was.

use serde::{Deserialize, Serialize};

use super::{Breaker, Down, Settings, State, Why};
use crate::clocks::Clocks;

/// What is kept of a breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// When it was saved, in milliseconds since the epoch.
    pub at_ms: u64,
    /// What it was.
    pub state: SavedState,
    /// Why it was marked down, and until when (since the epoch).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub down: Option<SavedDown>,
}

/// The state of a saved breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum SavedState {
    /// Closed.
    Closed {
        /// Failures in a row.
        row: u32,
    },
    /// Open.
    Open {
        /// Until when, in milliseconds since the epoch.
        until_ms: u64,
        /// Why.
        why: Why,
    },
    /// Half-open. Its probes ended with the process that made them.
    HalfOpen {
        /// Probes that succeeded.
        successes: u32,
    },
}

/// The mark of a breaker that is down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDown {
    /// Why.
    pub reason: String,
    /// Until when, in milliseconds since the epoch; `None` until it is marked up.
    pub until_ms: Option<u64>,
}

impl Breaker {
    /// What is to be kept of it.
    #[must_use]
    pub fn save(&self, now: Clocks) -> Saved {
        let wall = |monotonic: u64| now.wall_ms.saturating_add(monotonic.saturating_sub(now.monotonic_ms));
        Saved {
            at_ms: now.wall_ms,
            state: match &self.state {
                State::Closed { row } => SavedState::Closed { row: *row },
                State::Open { until, why } => SavedState::Open { until_ms: wall(*until), why: *why },
                State::HalfOpen { successes, .. } => SavedState::HalfOpen { successes: *successes },
            },
            down: self
                .down_at(now.monotonic_ms)
                .map(|down| SavedDown { reason: down.reason.clone(), until_ms: down.until.map(wall) }),
        }
    }

    /// A breaker as it was saved. A time that lies further ahead than it can is brought back to what is possible.
    #[must_use]
    pub fn restore(saved: &Saved, settings: &Settings, now: Clocks) -> Self {
        // A clock that was set back says that nothing has passed; one that was set forward, that all of it has.
        let passed = now.wall_ms.saturating_sub(saved.at_ms);
        let until = |until_ms: u64, most: u64| {
            let left = until_ms.saturating_sub(saved.at_ms).min(most).saturating_sub(passed);
            now.monotonic_ms.saturating_add(left)
        };
        let state = match saved.state {
            SavedState::Closed { row } => State::Closed { row },
            SavedState::Open { until_ms, why } => {
                let most = match why {
                    Why::Failures => settings.cooldown_ms,
                    Why::Throttled => settings.longest_ms,
                };
                State::Open { until: until(until_ms, most), why }
            }
            SavedState::HalfOpen { successes } => State::HalfOpen {
                successes: successes.min(settings.successes.saturating_sub(1)),
                probes: Vec::new(),
                tries: 0,
                tries_since: now.monotonic_ms,
            },
        };
        let down = saved.down.as_ref().map(|down| Down {
            reason: down.reason.clone(),
            until: down.until_ms.map(|until_ms| until(until_ms, u64::MAX)),
        });
        Self { state, down, ..Self::default() }
    }
}
