//! When a failed call is made again: after a pause of full jitter, or when the provider says so, within bounds of attempts,
//! time and of a budget a provider, so that what its clients repeat is not multiplied by what orx repeats.

use jiff::fmt::{rfc2822, strtime};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Progress};

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Attempts at one provider, the first among them.
    pub attempts: u32,
    /// The pause before the second attempt is at most this, before the third at most twice this, and so on.
    pub base_ms: u64,
    /// No pause is longer by itself.
    pub cap_ms: u64,
    /// No attempt begins later than this after the first.
    pub total_ms: u64,
    /// A provider that asks for a longer pause is not waited for.
    pub longest_wait_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { attempts: 2, base_ms: 250, cap_ms: 8_000, total_ms: 30_000, longest_wait_ms: 5_000 }
    }
}

/// What is decided about another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// After so many milliseconds.
    After(u64),
    /// Not at this provider.
    No(WhyNot),
}

/// Why there is no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyNot {
    /// It would fail again, or the caller has had the beginning of an answer.
    Final,
    /// There were enough.
    Attempts,
    /// The time is over.
    Time,
    /// The provider asks for a longer pause than anybody waits.
    Wait,
    /// Too many calls of this provider are repeated already.
    Budget,
}

/// How a call has fared so far.
#[derive(Debug, Clone, Copy)]
pub struct Sofar {
    /// Attempts that were made at this provider.
    pub attempts: u32,
    /// Milliseconds since the first began.
    pub elapsed_ms: u64,
    /// How the last one failed.
    pub failure: Failure,
    /// How far it had come.
    pub progress: Progress,
}

impl Policy {
    /// Whether and when there is another attempt. `random` is a random number: the pause depends on it alone.
    pub fn again(&self, sofar: Sofar, budget: &mut Budget, random: u64, now: u64) -> Again {
        if !sofar.failure.may_retry(sofar.progress) {
            return Again::No(WhyNot::Final);
        }
        if sofar.attempts >= self.attempts {
            return Again::No(WhyNot::Attempts);
        }
        let jitter = self.jitter(sofar.attempts, random);
        let pause = match sofar.failure.retry_after_ms() {
            Some(wait) if wait > self.longest_wait_ms => return Again::No(WhyNot::Wait),
            // All who were told the same time would come at the same time.
            Some(wait) => wait.saturating_add(jitter.min(self.base_ms)),
            None => jitter,
        };
        if sofar.elapsed_ms.saturating_add(pause) > self.total_ms {
            return Again::No(WhyNot::Time);
        }
        if !budget.withdraw(now) {
            return Again::No(WhyNot::Budget);
        }
        Again::After(pause)
    }

    /// Full jitter: anything from nothing to what the number of attempts allows.
    fn jitter(&self, attempts: u32, random: u64) -> u64 {
        let doubled = 1_u64.checked_shl(attempts.saturating_sub(1)).unwrap_or(u64::MAX);
        let most = self.base_ms.saturating_mul(doubled).min(self.cap_ms);
        // The upper half of the product is evenly spread below `most + 1`.
        let wide = u128::from(random) * (u128::from(most) + 1);
        u64::try_from(wide >> 64).unwrap_or(most)
    }
}

/// What a retry takes from the budget, in thousandths of a call.
const RETRY: u64 = 1_000;
/// What a first attempt gives to it: one call in five may be repeated.
const CALL: u64 = 200;
/// What a second gives to it, so that a quiet provider may be asked again too.
const SECOND: u64 = 500;
/// The most that it holds.
const FULL: u64 = 10 * RETRY;

/// How many calls of one provider may still be repeated. Times are monotonic milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// In thousandths of a call, times a thousand so that a millisecond gives a whole part.
    level: u64,
    at: u64,
}

impl Budget {
    /// A full one.
    #[must_use]
    pub const fn new(now: u64) -> Self {
        Self { level: FULL * 1000, at: now }
    }

    /// Notes a first attempt.
    pub fn deposit(&mut self, now: u64) {
        self.pass(now);
        self.level = (self.level + CALL * 1000).min(FULL * 1000);
    }

    /// Takes a retry, if there is one.
    pub fn withdraw(&mut self, now: u64) -> bool {
        self.pass(now);
        let Some(left) = self.level.checked_sub(RETRY * 1000) else { return false };
        self.level = left;
        true
    }

    fn pass(&mut self, now: u64) {
        let gained = now.saturating_sub(self.at).saturating_mul(SECOND);
        self.level = self.level.saturating_add(gained).min(FULL * 1000);
        self.at = self.at.max(now);
    }
}

/// The longest time that is believed of a `Retry-After`: a week, in milliseconds.
pub const LONGEST_MS: u64 = 7 * 24 * 3_600_000;

/// What a `Retry-After` says, in milliseconds from `now_ms` (since the epoch): seconds, or one of the dates of HTTP. A time that
/// is over is 0; one that is too far off is [`LONGEST_MS`]; what is neither is `None`.
#[must_use]
pub fn retry_after(value: &str, now_ms: u64) -> Option<u64> {
    let value = value.trim();
    if value.starts_with(|first: char| first.is_ascii_digit()) && !value.contains([' ', ':']) {
        return seconds(value);
    }
    date(value).map(|at_ms| at_ms.saturating_sub(now_ms).min(LONGEST_MS))
}

/// Decimal seconds in milliseconds, rounded up.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    // More digits than fit are more seconds than are believed.
    let whole = whole.parse::<u64>().unwrap_or(u64::MAX).saturating_mul(1000);
    let mut thousandths = 0;
    for at in 0..3 {
        let digit = fraction.as_bytes().get(at).map_or(0, |byte| u64::from(byte - b'0'));
        thousandths = thousandths * 10 + digit;
    }
    let rest = u64::from(fraction.bytes().skip(3).any(|byte| byte != b'0'));
    Some(whole.saturating_add(thousandths + rest).min(LONGEST_MS))
}

/// A date of HTTP, in milliseconds since the epoch: the usual form, and the two that are no longer written but have to be read.
fn date(value: &str) -> Option<u64> {
    let usual = rfc2822::DateTimeParser::new().parse_timestamp(value).ok();
    let old = || {
        ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"].iter().find_map(|form| {
            let broken = strtime::parse(form, value).ok()?;
            broken.to_datetime().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
        })
    };
    let at = usual.or_else(old)?;
    Some(u64::try_from(at.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::KeyOwner;
    use proptest::prelude::*;

    const NOW: u64 = 1_795_000_000_000;

    fn sofar(attempts: u32, failure: Failure) -> Sofar {
        Sofar { attempts, elapsed_ms: 0, failure, progress: Progress::Nothing }
    }

    fn status(status: u16, wait: Option<u64>) -> Failure {
        Failure::of_status(status, wait, KeyOwner::Operator).unwrap()
    }

    #[test]
    fn the_bounds_hold_each_by_itself() {
        let policy = Policy { attempts: 3, ..Policy::default() };
        let again = |sofar, random| policy.again(sofar, &mut Budget::new(0), random, 0);
        let server = status(503, None);
        assert_eq!(again(sofar(1, server), 0), Again::After(0));
        assert_eq!(again(sofar(1, server), u64::MAX), Again::After(250));
        assert_eq!(again(sofar(2, server), u64::MAX), Again::After(500));
        assert_eq!(again(sofar(2, server), u64::MAX / 2), Again::After(250));
        assert_eq!(again(sofar(3, server), 0), Again::No(WhyNot::Attempts));
        assert_eq!(again(sofar(1, status(400, None)), 0), Again::No(WhyNot::Final));
        let begun = Sofar { progress: Progress::Begun, ..sofar(1, server) };
        assert_eq!(again(begun, 0), Again::No(WhyNot::Final));
        assert_eq!(again(Sofar { elapsed_ms: 30_000, ..sofar(1, server) }, 0), Again::After(0));
        assert_eq!(again(Sofar { elapsed_ms: 29_900, ..sofar(1, server) }, u64::MAX), Again::No(WhyNot::Time));
        assert_eq!(again(sofar(1, status(429, Some(2_000))), 0), Again::After(2_000));
        assert_eq!(again(sofar(1, status(429, Some(2_000))), u64::MAX), Again::After(2_250));
        assert_eq!(again(sofar(1, status(429, Some(5_001))), 0), Again::No(WhyNot::Wait));
    }

    #[test]
    fn a_dead_provider_is_not_asked_twice_as_often() {
        let (policy, mut budget) = (Policy::default(), Budget::new(0));
        let mut retries = 0;
        for call in 0..1_000 {
            let now = call * 10;
            budget.deposit(now);
            if let Again::After(_) = policy.again(sofar(1, status(500, None)), &mut budget, call, now) {
                retries += 1;
            }
        }
        // A fifth of 1,000 calls, ten at the start, and one in two seconds.
        assert!((205..=216).contains(&retries), "{retries}");
        budget.pass(1_000_000);
        assert_eq!((0..20).filter(|_| budget.withdraw(1_000_000)).count(), 10, "it fills up with time and not beyond");
        assert!(!budget.withdraw(5), "a time before the last is no time");
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let at = 784_111_777_000_u64; // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, now, expected) in [
            ("120", NOW, Some(120_000)),
            (" 0 ", NOW, Some(0)),
            ("1.5", NOW, Some(1_500)),
            ("0.0001", NOW, Some(1)),
            ("99999999999999999999999", NOW, Some(LONGEST_MS)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", at - 7_000, Some(7_000)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", NOW, Some(0)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", at - 7_000, Some(7_000)),
            ("Sun Nov  6 08:49:37 1994", at - 7_000, Some(7_000)),
            ("Wed, 01 Jan 2200 00:00:00 GMT", NOW, Some(LONGEST_MS)),
            ("-1", NOW, None),
            ("soon", NOW, None),
            ("", NOW, None),
            ("1e9", NOW, None),
            ("١٢٠", NOW, None),
        ] {
            assert_eq!(retry_after(value, now), expected, "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn a_pause_is_within_its_bounds_and_evenly_spread(attempts in 1_u32..80, random in any::<u64>()) {
            let policy = Policy { attempts: 100, total_ms: u64::MAX, ..Policy::default() };
            let most = policy.base_ms.saturating_mul(1_u64.checked_shl(attempts - 1).unwrap_or(u64::MAX)).min(policy.cap_ms);
            let Again::After(pause) = policy.again(sofar(attempts, status(500, None)), &mut Budget::new(0), random, 0) else {
                return Err(TestCaseError::fail("there is another attempt"));
            };
            prop_assert!(pause <= most);
            let share = (random as f64 / u64::MAX as f64) * (most as f64 + 1.0);
            prop_assert!((pause as f64 - share).abs() <= 1.0);
        }

        #[test]
        fn no_value_brings_it_down(value in ".{0,40}", now in any::<u64>()) {
            prop_assert!(retry_after(&value, now).is_none_or(|wait| wait <= LONGEST_MS));
        }
    }
}
