//! A breaker of one provider or model: closed while it answers, open while it is dead or has asked to be left alone,
//! half-open while a few probes look whether it is back. Times are monotonic milliseconds, so that no jump of the clock
//! holds it open or shut; what is kept over a restart is in [`saved`], the breakers of all routes in [`board`].

pub mod board;
pub mod saved;

use serde::{Deserialize, Serialize};

/// Parts that the window is counted in.
const BUCKETS: usize = 10;
/// Most probes that are begun in one cooldown while none of them succeeded.
const TRIES: u32 = 3;

/// When a breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row, without one success between them, that open it.
    pub in_a_row: u32,
    /// Failures within the window that open it, if they are enough of the calls.
    pub failures: u32,
    /// How many of the window's calls must have failed for that, per mille.
    pub failure_per_mille: u32,
    /// The window.
    pub window_ms: u64,
    /// How long it stays open before it is probed.
    pub cooldown_ms: u64,
    /// Probes at once while it is half-open.
    pub probes: u32,
    /// Probes that must succeed before it closes.
    pub successes: u32,
    /// A probe whose end nobody told gives its place back after this.
    pub probe_lease_ms: u64,
    /// It stays open no longer than this, whatever a provider asks for.
    pub longest_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            in_a_row: 3,
            failures: 5,
            failure_per_mille: 500,
            window_ms: 60_000,
            cooldown_ms: 60_000,
            probes: 1,
            successes: 2,
            probe_lease_ms: 120_000,
            longest_ms: 3_600_000,
        }
    }
}

impl Settings {
    /// Whether they make sense.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), String> {
        for (name, value, most) in [
            ("in_a_row", u64::from(self.in_a_row), 1_000),
            ("failures", u64::from(self.failures), 10_000),
            ("failure_per_mille", u64::from(self.failure_per_mille), 1_000),
            ("window_ms", self.window_ms, 86_400_000),
            ("cooldown_ms", self.cooldown_ms, 86_400_000),
            ("probes", u64::from(self.probes), u64::from(TRIES)),
            ("successes", u64::from(self.successes), 100),
            ("probe_lease_ms", self.probe_lease_ms, 86_400_000),
            ("longest_ms", self.longest_ms, 7 * 86_400_000),
        ] {
            if value == 0 || value > most {
                return Err(format!("`{name}` is {value} and must be 1 to {most}"));
            }
        }
        Ok(())
    }
}

/// How a call ended, as far as a breaker is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Success,
    /// It failed by the provider's fault.
    Failure,
    /// The provider asked to be left alone, for as long where it said so.
    Throttled {
        /// What `Retry-After` said, in milliseconds.
        retry_after_ms: Option<u64>,
    },
    /// It says nothing of the provider: the caller's own error, or the caller has gone.
    Neutral,
}

/// Leave to make one call. It has to be given back with [`Breaker::finish`].
#[must_use = "a permit that is not given back holds a probe's place until its lease ends"]
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    epoch: u64,
    probe: Option<u64>,
}

impl Permit {
    /// Whether the call is a probe: it is to be kept short.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// Why a call may not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// What the breaker is.
    pub standing: Standing,
    /// When to ask again, in milliseconds from now, where that is known.
    pub retry_after_ms: Option<u64>,
}

/// What a breaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Standing {
    /// Calls are made.
    Closed,
    /// No calls are made.
    Open {
        /// For how long, in milliseconds.
        for_ms: u64,
        /// Why.
        why: Why,
    },
    /// Probes are made.
    HalfOpen {
        /// How many may begin now.
        free: u32,
    },
    /// It was marked down by a person, or by a check of its health.
    Down {
        /// For how long, in milliseconds; `None` until it is marked up.
        for_ms: Option<u64>,
    },
}

impl Standing {
    /// Whether a call may be made now.
    #[must_use]
    pub const fn admits(self) -> bool {
        match self {
            Self::Closed => true,
            Self::HalfOpen { free } => free > 0,
            Self::Open { .. } | Self::Down { .. } => false,
        }
    }
}

/// Why a breaker is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Its calls failed.
    Failures,
    /// It asked to be left alone.
    Throttled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Closed { row: u32 },
    Open { until: u64, why: Why },
    HalfOpen { successes: u32, probes: Vec<Probe>, tries: u32, tries_since: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Probe {
    id: u64,
    begun: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Bucket {
    /// Which part of time it counts.
    slot: u64,
    calls: u32,
    failures: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Down {
    reason: String,
    until: Option<u64>,
}

/// A breaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breaker {
    state: State,
    buckets: [Bucket; BUCKETS],
    /// Counts the changes of state, so that a call of an earlier one says nothing of this one.
    epoch: u64,
    next_probe: u64,
    down: Option<Down>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed { row: 0 },
            buckets: [Bucket::default(); BUCKETS],
            epoch: 0,
            next_probe: 0,
            down: None,
        }
    }
}

impl Breaker {
    /// What it is at `now` (monotonic milliseconds).
    #[must_use]
    pub fn standing(&self, settings: &Settings, now: u64) -> Standing {
        if let Some(down) = self.down_at(now) {
            return Standing::Down { for_ms: down.until.map(|until| until.saturating_sub(now)) };
        }
        match &self.state {
            State::Closed { .. } => Standing::Closed,
            State::Open { until, why } if now < *until => Standing::Open { for_ms: until - now, why: *why },
            State::Open { why: Why::Throttled, .. } => Standing::Closed,
            State::Open { why: Why::Failures, .. } => Standing::HalfOpen { free: settings.probes },
            State::HalfOpen { probes, tries, tries_since, .. } => {
                let held = probes.iter().filter(|probe| !probe.has_expired(settings, now)).count();
                let held = u32::try_from(held).unwrap_or(u32::MAX);
                let tries = if now.saturating_sub(*tries_since) >= settings.cooldown_ms { 0 } else { *tries };
                Standing::HalfOpen { free: settings.probes.saturating_sub(held).min(TRIES.saturating_sub(tries)) }
            }
        }
    }

    /// Why it was marked down, if it is.
    #[must_use]
    pub fn down_reason(&self, now: u64) -> Option<&str> {
        self.down_at(now).map(|down| down.reason.as_str())
    }

    /// Whether [`Breaker::acquire`] would give leave.
    fn admit(&self, settings: &Settings, now: u64) -> Result<(), Refused> {
        let standing = self.standing(settings, now);
        let retry_after_ms = match standing {
            _ if standing.admits() => return Ok(()),
            Standing::Open { for_ms, .. } => Some(for_ms),
            Standing::Down { for_ms } => for_ms,
            Standing::Closed | Standing::HalfOpen { .. } => None,
        };
        Err(Refused { standing, retry_after_ms })
    }

    /// Leave for one call at `now`.
    ///
    /// # Errors
    /// [`Refused`] while it is open or down, or its probes are out.
    pub fn acquire(&mut self, settings: &Settings, now: u64) -> Result<Permit, Refused> {
        self.admit(settings, now)?;
        if let State::Open { why, .. } = self.state {
            match why {
                Why::Throttled => self.close(),
                Why::Failures => self.half_open(now),
            }
        }
        let State::HalfOpen { probes, tries, tries_since, .. } = &mut self.state else {
            return Ok(Permit { epoch: self.epoch, probe: None });
        };
        probes.retain(|probe| !probe.has_expired(settings, now));
        if now.saturating_sub(*tries_since) >= settings.cooldown_ms {
            (*tries, *tries_since) = (0, now);
        }
        *tries += 1;
        let id = self.next_probe;
        self.next_probe += 1;
        probes.push(Probe { id, begun: now });
        Ok(Permit { epoch: self.epoch, probe: Some(id) })
    }

    /// Takes back the leave for a call that ended so at `now`. Whether that opened or closed the breaker is the answer.
    pub fn finish(&mut self, settings: &Settings, permit: Permit, outcome: Outcome, now: u64) -> Option<Change> {
        if let State::HalfOpen { probes, .. } = &mut self.state {
            probes.retain(|probe| Some(probe.id) != permit.probe);
        }
        if permit.epoch != self.epoch {
            return None;
        }
        match outcome {
            Outcome::Neutral => None,
            Outcome::Success => self.succeeded(settings, now),
            Outcome::Throttled { retry_after_ms: Some(wait) } => {
                Some(self.open(now.saturating_add(wait.clamp(1, settings.longest_ms)), Why::Throttled))
            }
            Outcome::Failure | Outcome::Throttled { retry_after_ms: None } => self.failed(settings, now),
        }
    }

    /// Closes it by hand, forgets its failures, and marks it up.
    pub fn reset(&mut self) {
        self.down = None;
        self.close();
    }

    /// Marks it down: no calls until it is marked up, or for so many milliseconds.
    pub fn mark_down(&mut self, reason: impl Into<String>, for_ms: Option<u64>, now: u64) {
        self.down = Some(Down { reason: reason.into(), until: for_ms.map(|length| now.saturating_add(length)) });
    }

    /// Takes the mark away; what the calls said stays.
    pub fn mark_up(&mut self) {
        self.down = None;
    }

    fn down_at(&self, now: u64) -> Option<&Down> {
        self.down.as_ref().filter(|down| down.until.is_none_or(|until| now < until))
    }

    fn succeeded(&mut self, settings: &Settings, now: u64) -> Option<Change> {
        match &mut self.state {
            State::Closed { row } => {
                *row = 0;
                self.count(settings, false, now);
                None
            }
            State::HalfOpen { successes, tries, .. } => {
                *successes += 1;
                *tries = 0;
                if *successes < settings.successes {
                    return None;
                }
                self.close();
                Some(Change::Closed)
            }
            State::Open { .. } => None,
        }
    }

    fn failed(&mut self, settings: &Settings, now: u64) -> Option<Change> {
        match &mut self.state {
            State::Closed { row } => {
                *row += 1;
                let row = *row;
                let (calls, failures) = self.count(settings, true, now);
                let many = failures >= settings.failures
                    && u64::from(failures) * 1000 >= u64::from(calls) * u64::from(settings.failure_per_mille);
                (row >= settings.in_a_row || many)
                    .then(|| self.open(now.saturating_add(settings.cooldown_ms), Why::Failures))
            }
            State::HalfOpen { .. } => Some(self.open(now.saturating_add(settings.cooldown_ms), Why::Failures)),
            State::Open { .. } => None,
        }
    }

    /// Counts a call, and gives the calls and failures of the window.
    fn count(&mut self, settings: &Settings, failed: bool, now: u64) -> (u32, u32) {
        let slot = now / (settings.window_ms / BUCKETS as u64).max(1);
        let oldest = slot.saturating_sub(BUCKETS as u64 - 1);
        if let Some(bucket) = self.buckets.get_mut(usize::try_from(slot % BUCKETS as u64).unwrap_or_default()) {
            if bucket.slot != slot {
                *bucket = Bucket { slot, ..Bucket::default() };
            }
            bucket.calls = bucket.calls.saturating_add(1);
            bucket.failures = bucket.failures.saturating_add(u32::from(failed));
        }
        let recent = self.buckets.iter().filter(|bucket| bucket.slot >= oldest && bucket.slot <= slot);
        recent.fold((0, 0), |(calls, failures): (u32, u32), bucket| {
            (calls.saturating_add(bucket.calls), failures.saturating_add(bucket.failures))
        })
    }

    fn open(&mut self, until: u64, why: Why) -> Change {
        self.turn(State::Open { until, why });
        Change::Opened { until, why }
    }

    fn half_open(&mut self, now: u64) {
        self.turn(State::HalfOpen { successes: 0, probes: Vec::new(), tries: 0, tries_since: now });
    }

    fn close(&mut self) {
        self.buckets = [Bucket::default(); BUCKETS];
        self.turn(State::Closed { row: 0 });
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
    }
}

impl Probe {
    const fn has_expired(&self, settings: &Settings, now: u64) -> bool {
        now.saturating_sub(self.begun) >= settings.probe_lease_ms
    }
}

/// What the end of a call changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// No calls until then, in monotonic milliseconds.
    Opened {
        /// Until when.
        until: u64,
        /// Why.
        why: Why,
    },
    /// Calls again.
    Closed,
}

#[cfg(test)]
mod tests;
