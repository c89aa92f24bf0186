//! How much a provider may be asked, and a caller may ask: requests and tokens a minute, and calls at once. A refusal
//! says when to come again. Times are monotonic milliseconds.

use std::collections::HashMap;
use std::fmt;

use orx_protocol::{ErrorKind, RpcError};
use serde::{Deserialize, Serialize};

use crate::amount::Tokens;

const MINUTE_MS: u64 = 60_000;
/// Callers that are remembered; those that have been idle longest are forgotten first.
const CALLERS: usize = 10_000;

/// What is allowed; `None` is without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rate {
    /// Requests a minute; as many may come at once after a pause.
    pub requests_per_minute: Option<u32>,
    /// Tokens a minute.
    pub tokens_per_minute: Option<u64>,
    /// Calls at once.
    pub concurrent: Option<u32>,
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Requests a minute.
    RequestsPerMinute,
    /// Tokens a minute.
    TokensPerMinute,
    /// Calls at once.
    Concurrent,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RequestsPerMinute => "requests a minute",
            Self::TokensPerMinute => "tokens a minute",
            Self::Concurrent => "calls at once",
        })
    }
}

/// A limit was reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{whose} may have {allowed} {limit}, and has them{}", self.again())]
pub struct Limited {
    /// Who may not have more: a provider's or a caller's name.
    pub whose: String,
    /// Which limit.
    pub limit: Limit,
    /// What is allowed.
    pub allowed: u64,
    /// When to come again, in milliseconds; `None` where that depends on the end of a call.
    pub retry_after_ms: Option<u64>,
}

impl Limited {
    fn again(&self) -> String {
        match self.retry_after_ms {
            Some(wait) => format!(": the next is possible in {} s", wait.div_ceil(1000)),
            None => ": the next is possible when one of them ends".to_owned(),
        }
    }
}

impl From<Limited> for RpcError {
    fn from(error: Limited) -> Self {
        Self::new(ErrorKind::Overloaded, error.to_string()).with_hint("come again then, or raise the limit")
    }
}

/// A bucket that fills by the minute. It is kept in parts of a 60,000th, so that a millisecond fills whole parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    /// What is in it; below nothing after a call that used more than it was let in with.
    level: i128,
    at: u64,
}

impl Bucket {
    fn full(per_minute: u64, now: u64) -> Self {
        Self { level: i128::from(per_minute) * i128::from(MINUTE_MS), at: now }
    }

    fn fill(&mut self, per_minute: u64, now: u64) {
        let passed = now.saturating_sub(self.at);
        let most = i128::from(per_minute) * i128::from(MINUTE_MS);
        self.level = (self.level + i128::from(passed) * i128::from(per_minute)).min(most);
        self.at = self.at.max(now);
    }

    /// How long until `amount` is in it. More than it can hold is let in when it is full.
    fn wait(&self, amount: u64, per_minute: u64) -> u64 {
        let needed = i128::from(amount.min(per_minute)) * i128::from(MINUTE_MS) - self.level;
        if needed <= 0 {
            return 0;
        }
        let wait = (needed + i128::from(per_minute.max(1)) - 1) / i128::from(per_minute.max(1));
        u64::try_from(wait).unwrap_or(u64::MAX)
    }

    fn take(&mut self, amount: i128) {
        self.level -= amount * i128::from(MINUTE_MS);
    }
}

#[derive(Debug, Clone)]
struct Meter {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    at_once: u32,
    used: u64,
}

impl Meter {
    fn new(now: u64) -> Self {
        Self { requests: None, tokens: None, at_once: 0, used: now }
    }

    /// What is in the way of a call at `now`, and until when.
    fn obstacle(&mut self, rate: &Rate, tokens: Tokens, now: u64) -> Option<(Limit, u64, Option<u64>)> {
        self.used = now;
        if let Some(allowed) = rate.concurrent
            && self.at_once >= allowed
        {
            return Some((Limit::Concurrent, u64::from(allowed), None));
        }
        for (bucket, allowed, amount, limit) in [
            (&mut self.requests, rate.requests_per_minute.map(u64::from), 1, Limit::RequestsPerMinute),
            (&mut self.tokens, rate.tokens_per_minute, tokens.0, Limit::TokensPerMinute),
        ] {
            let Some(allowed) = allowed else {
                *bucket = None;
                continue;
            };
            let bucket = bucket.get_or_insert_with(|| Bucket::full(allowed, now));
            bucket.fill(allowed, now);
            let wait = if allowed == 0 { None } else { Some(bucket.wait(amount, allowed)) };
            if wait != Some(0) {
                return Some((limit, allowed, wait));
            }
        }
        None
    }

    fn enter(&mut self, tokens: Tokens) {
        if let Some(bucket) = &mut self.requests {
            bucket.take(1);
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.take(i128::from(tokens.0));
        }
        self.at_once += 1;
    }

    fn leave(&mut self, let_in_with: Tokens, used: Tokens, now: u64) {
        if let Some(bucket) = &mut self.tokens {
            bucket.take(i128::from(used.0) - i128::from(let_in_with.0));
        }
        self.at_once = self.at_once.saturating_sub(1);
        self.used = now;
    }
}

/// A call that was let in. It has to be given back with [`Limits::leave`].
#[must_use = "a pass that is not given back holds a place for ever"]
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    tokens: Tokens,
}

/// The meters of all providers and callers.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    providers: HashMap<Box<str>, Meter>,
    callers: HashMap<Box<str>, Meter>,
}

/// Whose call it is, and what each may have.
#[derive(Debug, Clone, Copy)]
pub struct Parties<'a> {
    /// The provider.
    pub provider: &'a str,
    /// What the provider may be asked.
    pub provider_rate: &'a Rate,
    /// The caller: a key, a user or a session.
    pub caller: &'a str,
    /// What the caller may ask.
    pub caller_rate: &'a Rate,
}

impl Limits {
    /// Lets a call of about so many tokens in at `now`, or neither changes nor lets anything in.
    ///
    /// # Errors
    /// [`Limited`]: the caller's own limits are looked at first.
    pub fn enter(&mut self, parties: Parties<'_>, tokens: Tokens, now: u64) -> Result<Pass, Limited> {
        if self.callers.len() >= CALLERS && !self.callers.contains_key(parties.caller) {
            self.forget_idle();
        }
        for (meters, whose, rate) in [
            (&mut self.callers, parties.caller, parties.caller_rate),
            (&mut self.providers, parties.provider, parties.provider_rate),
        ] {
            if let Some((limit, allowed, retry_after_ms)) = meter(meters, whose, now).obstacle(rate, tokens, now) {
                return Err(Limited { whose: whose.to_owned(), limit, allowed, retry_after_ms });
            }
        }
        meter(&mut self.callers, parties.caller, now).enter(tokens);
        meter(&mut self.providers, parties.provider, now).enter(tokens);
        Ok(Pass { tokens })
    }

    /// Takes a call back that used so many tokens; what it was let in with is set right.
    pub fn leave(&mut self, provider: &str, caller: &str, pass: Pass, used: Tokens, now: u64) {
        for (meters, whose) in [(&mut self.callers, caller), (&mut self.providers, provider)] {
            if let Some(meter) = meters.get_mut(whose) {
                meter.leave(pass.tokens, used, now);
            }
        }
    }

    /// Calls at once at a provider, as its load.
    #[must_use]
    pub fn at_once(&self, provider: &str) -> u32 {
        self.providers.get(provider).map_or(0, |meter| meter.at_once)
    }

    /// Makes room: the idle half that was used longest ago. Whoever has calls at work is kept.
    fn forget_idle(&mut self) {
        let mut used: Vec<u64> =
            self.callers.values().filter(|meter| meter.at_once == 0).map(|meter| meter.used).collect();
        let middle = used.len() / 2;
        if used.is_empty() {
            return;
        }
        let (_, oldest, _) = used.select_nth_unstable(middle);
        let oldest = *oldest;
        self.callers.retain(|_, meter| meter.at_once > 0 || meter.used > oldest);
    }
}

fn meter<'m>(meters: &'m mut HashMap<Box<str>, Meter>, whose: &str, now: u64) -> &'m mut Meter {
    if !meters.contains_key(whose) {
        meters.insert(whose.into(), Meter::new(now));
    }
    meters.entry(whose.into()).or_insert_with(|| Meter::new(now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FREE: Rate = Rate { requests_per_minute: None, tokens_per_minute: None, concurrent: None };

    fn parties<'a>(caller_rate: &'a Rate, provider_rate: &'a Rate) -> Parties<'a> {
        Parties { provider: "openai", provider_rate, caller: "key_1", caller_rate }
    }

    #[test]
    fn requests_come_back_as_the_minute_passes() {
        let rate = Rate { requests_per_minute: Some(60), ..FREE };
        let mut limits = Limits::default();
        for _ in 0..60 {
            let pass = limits.enter(parties(&rate, &FREE), Tokens(1), 0).unwrap();
            limits.leave("openai", "key_1", pass, Tokens(1), 0);
        }
        let limited = limits.enter(parties(&rate, &FREE), Tokens(1), 0).unwrap_err();
        assert_eq!((limited.limit, limited.retry_after_ms), (Limit::RequestsPerMinute, Some(1_000)));
        assert_eq!(
            limited.to_string(),
            "key_1 may have 60 requests a minute, and has them: the next is possible in 1 s"
        );
        assert!(limits.enter(parties(&rate, &FREE), Tokens(1), 999).is_err());
        assert!(limits.enter(parties(&rate, &FREE), Tokens(1), 1_000).is_ok());
        assert_eq!(RpcError::from(limited).kind(), ErrorKind::Overloaded);
    }

    #[test]
    fn tokens_are_set_right_when_the_call_ends() {
        let rate = Rate { tokens_per_minute: Some(60_000), ..FREE };
        let mut limits = Limits::default();
        let pass = limits.enter(parties(&FREE, &rate), Tokens(60_000), 0).unwrap();
        assert_eq!(limits.enter(parties(&FREE, &rate), Tokens(1_000), 0).unwrap_err().retry_after_ms, Some(1_000));
        limits.leave("openai", "key_1", pass, Tokens(10_000), 0);
        let pass = limits.enter(parties(&FREE, &rate), Tokens(50_000), 0).unwrap();
        limits.leave("openai", "key_1", pass, Tokens(110_000), 0);
        // It used a minute's worth more than it had: the next waits for that too.
        assert_eq!(limits.enter(parties(&FREE, &rate), Tokens(60), 0).unwrap_err().retry_after_ms, Some(60_060));
        // What is more than a whole minute's worth comes in when the bucket is full.
        let mut limits = Limits::default();
        assert!(limits.enter(parties(&FREE, &rate), Tokens(1_000_000), 0).is_ok());
    }

    #[test]
    fn calls_at_once_are_bounded_and_a_refusal_changes_nothing() {
        let (one, none) = (Rate { concurrent: Some(1), ..FREE }, Rate { concurrent: Some(0), ..FREE });
        let mut limits = Limits::default();
        let pass = limits.enter(parties(&one, &FREE), Tokens(1), 0).unwrap();
        assert_eq!(limits.at_once("openai"), 1);
        assert_eq!(limits.enter(parties(&one, &FREE), Tokens(1), 9).unwrap_err().retry_after_ms, None);
        assert_eq!(limits.at_once("openai"), 1);
        limits.leave("openai", "key_1", pass, Tokens(1), 9);
        assert!(
            limits.enter(parties(&one, &none), Tokens(1), 9).unwrap_err().to_string().starts_with("openai may have 0")
        );
        assert!(limits.enter(parties(&one, &FREE), Tokens(1), 9).is_ok(), "the provider's refusal took no place");
    }

    #[test]
    fn a_limit_that_is_changed_holds_from_then_on() {
        let mut limits = Limits::default();
        let (narrow, wide) =
            (Rate { requests_per_minute: Some(1), ..FREE }, Rate { requests_per_minute: Some(600), ..FREE });
        assert!(limits.enter(parties(&narrow, &FREE), Tokens(1), 0).is_ok());
        assert!(limits.enter(parties(&narrow, &FREE), Tokens(1), 0).is_err());
        assert!(limits.enter(parties(&wide, &FREE), Tokens(1), 1_000).is_ok());
        let shut = Rate { requests_per_minute: Some(0), ..FREE };
        assert_eq!(limits.enter(parties(&shut, &FREE), Tokens(1), 2_000).unwrap_err().retry_after_ms, None);
    }

    #[test]
    fn callers_are_not_remembered_without_end() {
        let mut limits = Limits::default();
        let rate = Rate { requests_per_minute: Some(1), ..FREE };
        for at in 0..3 * CALLERS {
            let caller = format!("key_{at}");
            let parties = Parties { provider: "openai", provider_rate: &FREE, caller: &caller, caller_rate: &rate };
            let pass = limits.enter(parties, Tokens(1), at as u64).unwrap();
            limits.leave("openai", &caller, pass, Tokens(1), at as u64);
            assert!(limits.callers.len() <= CALLERS);
        }
    }

    proptest! {
        #[test]
        fn no_minute_has_more_than_twice_what_a_minute_may_have(
            allowed in 1_u32..50, pauses in prop::collection::vec(0_u64..4_000, 1..400)
        ) {
            let rate = Rate { requests_per_minute: Some(allowed), ..FREE };
            let mut limits = Limits::default();
            let (mut now, mut let_in) = (0, Vec::new());
            for pause in pauses {
                now += pause;
                match limits.enter(parties(&rate, &FREE), Tokens(1), now) {
                    Ok(pass) => {
                        let_in.push(now);
                        limits.leave("openai", "key_1", pass, Tokens(1), now);
                    }
                    Err(limited) => {
                        // What it says of the time is true.
                        let wait = limited.retry_after_ms.unwrap();
                        let mut later = limits.clone();
                        prop_assert!(later.enter(parties(&rate, &FREE), Tokens(1), now + wait).is_ok());
                        let mut sooner = limits.clone();
                        prop_assert!(sooner.enter(parties(&rate, &FREE), Tokens(1), now + wait - 1).is_err());
                    }
                }
            }
            for start in &let_in {
                let within = let_in.iter().filter(|at| (*start..start + MINUTE_MS).contains(*at)).count();
                prop_assert!(within <= 2 * allowed as usize);
            }
        }
    }
}
