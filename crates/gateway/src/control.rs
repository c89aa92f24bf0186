//! What all calls share: caps, limits, breakers, conversations, how each model fares. One lock, held for a few microseconds and never
//! across a wait; every decision in it is the router's.

use std::collections::HashMap;
use std::time::Instant;

use orx_protocol::clock;
use orx_router::breaker::board::{Breakers, Concerns, RoutePermit, SavedRoute};
use orx_router::breaker::{self, Change, Outcome, Refused};
use orx_router::budget::{Budget, BudgetError, CapError, Expected, Payer, Reservation, Spend, Standing};
use orx_router::catalogue::{Model, Provider};
use orx_router::clocks::Clocks;
use orx_router::limits::{Limited, Limits, Parties, Pass, Rate};
use orx_router::parking::{Lot, Resumed, Why};
use orx_router::quota::Quota;
use orx_router::retry;
use orx_router::strategy::Health;
use orx_router::strategy::sticky::Stickies;
use orx_router::{ModelId, ProviderId, Route, Tokens};

use crate::settings::Config;

/// How long money is held back for a call of which nobody hears again, in milliseconds.
const HELD_MS: u64 = 4 * 3_600_000;
/// Of how many calls a model's success and speed are the mean; the newest count most.
const SMOOTH: u64 = 8;

/// Both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Time {
    began: Instant,
}

impl Default for Time {
    fn default() -> Self {
        Self { began: Instant::now() }
    }
}

impl Time {
    /// Now. The monotonic clock begins an hour after nothing, so that what is long ago can be told.
    #[must_use]
    pub fn now(&self) -> Clocks {
        let passed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Clocks { monotonic_ms: 3_600_000 + passed, wall_ms: clock::now_ms() }
    }
}

/// How a model fared here.
#[derive(Debug, Clone, Copy, Default)]
struct Fare {
    calls: u64,
    success_per_mille: u64,
    latency_ms: u64,
    used_ms: u64,
    at_once: u32,
}

impl Fare {
    fn ended(&mut self, success: bool, latency_ms: Option<u64>) {
        let weigh = |mean: u64, value: u64, count: u64| {
            let weight = count.clamp(1, SMOOTH);
            (mean * (weight - 1) + value) / weight
        };
        self.calls += 1;
        self.success_per_mille = weigh(self.success_per_mille, if success { 1000 } else { 0 }, self.calls);
        if let Some(latency) = latency_ms {
            self.latency_ms = if self.latency_ms == 0 { latency } else { weigh(self.latency_ms, latency, SMOOTH) };
        }
    }
}

/// Why a route is not asked.
#[derive(Debug, Clone)]
pub enum Barrier {
    /// Its provider has no key.
    NoKey {
        /// The variable that should hold it.
        variable: String,
    },
    /// A breaker is open.
    Breaker(Refused),
    /// Somebody may not have more.
    Limited(Limited),
    /// A cap is reached.
    Budget(BudgetError),
}

impl std::fmt::Display for Barrier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoKey { variable } => {
                write!(f, "its provider has no key: set {variable} in the environment that orchestratord is started in")
            }
            Self::Breaker(refused) => {
                f.write_str(match refused.standing {
                    breaker::Standing::Down { .. } => "it is marked down",
                    breaker::Standing::HalfOpen { .. } => "its breaker lets no further probe through",
                    breaker::Standing::Open { .. } | breaker::Standing::Closed => "its breaker is open",
                })?;
                match refused.retry_after_ms {
                    Some(wait) => write!(f, " for another {} s", wait.div_ceil(1000)),
                    None => Ok(()),
                }
            }
            Self::Limited(limited) => limited.fmt(f),
            Self::Budget(error) => error.fmt(f),
        }
    }
}

/// Leave for one attempt. It is given back with [`Control::end`].
#[derive(Debug)]
pub struct Leave {
    /// What is asked.
    pub route: Route,
    permit: Option<RoutePermit>,
    pass: Option<Pass>,
    reservation: Option<Reservation>,
    caller: Box<str>,
}

/// What a call is let in with.
#[derive(Debug, Clone, Copy)]
pub struct Entrance<'a> {
    /// Who pays.
    pub payer: &'a Payer,
    /// The caller's name.
    pub caller: &'a str,
    /// What the caller may ask.
    pub rate: &'a Rate,
    /// What the call may cost.
    pub expected: Expected,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// What it says to the breakers, and to which.
    pub outcome: (Outcome, Concerns),
    /// What is charged; `None` for what failed and costs nothing.
    pub spend: Option<Spend>,
    /// Tokens that were used.
    pub tokens: Tokens,
    /// How long the answer took to begin, in milliseconds.
    pub latency_ms: Option<u64>,
}

/// What has to be told after an attempt.
#[derive(Debug, Default)]
pub struct Tell {
    /// Caps that are near their end.
    pub alerts: Vec<Standing>,
    /// A breaker that changed.
    pub change: Option<Change>,
}

/// The shared state.
#[derive(Debug)]
pub struct Control {
    /// Caps.
    pub budget: Budget,
    /// Breakers.
    pub breakers: Breakers,
    /// Conversations.
    pub stickies: Stickies,
    /// Sessions that are parked.
    pub parking: Lot,
    limits: Limits,
    retries: HashMap<ProviderId, retry::Budget>,
    fares: HashMap<Route, Fare>,
    quotas: HashMap<ProviderId, Quota>,
    /// Caps and subjects for which people were told that nothing is left, by the beginning of the period.
    reached: HashMap<(String, String), u64>,
}

impl Control {
    /// State in which nothing was called yet.
    ///
    /// # Errors
    /// [`CapError`].
    pub fn new(config: &Config, saved: &[SavedRoute], now: Clocks) -> Result<Self, CapError> {
        Ok(Self {
            budget: Budget::new(config.caps.clone(), config.zone.clone())?,
            breakers: Breakers::new(config.catalogue.providers(), saved, now),
            stickies: Stickies::default(),
            parking: Lot::default(),
            limits: Limits::default(),
            retries: HashMap::new(),
            fares: HashMap::new(),
            quotas: HashMap::new(),
            reached: HashMap::new(),
        })
    }

    /// How a model fares at the moment.
    #[must_use]
    pub fn health(&self, model: &Model, config: &Config, now: Clocks) -> Health {
        let fare = self.fares.get(&model.route).copied().unwrap_or_default();
        let tried = fare.calls >= 3;
        Health {
            configured: config.upstreams.get(&model.route.provider).is_some_and(|upstream| upstream.is_configured()),
            admitted: self.breakers.standing(&model.route, now.monotonic_ms).admits(),
            has_quota: self.quotas.get(&model.route.provider).is_none_or(|quota| quota.has_left(now.wall_ms)),
            success: tried.then(|| u16::try_from(fare.success_per_mille).unwrap_or(1000)),
            latency_ms: (tried && fare.latency_ms > 0).then(|| u32::try_from(fare.latency_ms).unwrap_or(u32::MAX)),
            at_once: fare.at_once,
            last_used_ms: (fare.used_ms > 0).then_some(fare.used_ms),
        }
    }

    /// Leave to ask `route`, with everything that it takes held back; or nothing is.
    ///
    /// # Errors
    /// [`Barrier`].
    pub fn enter(
        &mut self,
        route: &Route,
        provider: &Provider,
        entrance: Entrance<'_>,
        now: Clocks,
    ) -> Result<Leave, Barrier> {
        let reservation =
            self.budget.reserve(entrance.payer, entrance.expected, HELD_MS, now).map_err(Barrier::Budget)?;
        let parties = Parties {
            provider: &provider.id,
            provider_rate: &provider.limits,
            caller: entrance.caller,
            caller_rate: entrance.rate,
        };
        let pass = match self.limits.enter(parties, entrance.expected.tokens, now.monotonic_ms) {
            Ok(pass) => pass,
            Err(limited) => {
                self.budget.release(reservation);
                return Err(Barrier::Limited(limited));
            }
        };
        // Last, since a probe's place that is taken and given back is taken from others.
        let permit = match self.breakers.acquire(route, now.monotonic_ms) {
            Ok(permit) => permit,
            Err(refused) => {
                self.limits.leave(&provider.id, entrance.caller, pass, Tokens::ZERO, now.monotonic_ms);
                self.budget.release(reservation);
                return Err(Barrier::Breaker(refused));
            }
        };
        let fare = self.fares.entry(route.clone()).or_default();
        fare.at_once += 1;
        fare.used_ms = now.monotonic_ms;
        Ok(Leave {
            route: route.clone(),
            permit: Some(permit),
            pass: Some(pass),
            reservation: Some(reservation),
            caller: entrance.caller.into(),
        })
    }

    /// Takes leave back.
    pub fn end(&mut self, leave: &mut Leave, end: End, now: Clocks) -> Tell {
        let mut tell = Tell::default();
        if let Some(permit) = leave.permit.take() {
            let (outcome, concerns) = end.outcome;
            tell.change = self.breakers.finish(&leave.route, permit, outcome, concerns, now.monotonic_ms);
            let fare = self.fares.entry(leave.route.clone()).or_default();
            fare.at_once = fare.at_once.saturating_sub(1);
            if !matches!(outcome, Outcome::Neutral) {
                fare.ended(matches!(outcome, Outcome::Success), end.latency_ms);
            }
        }
        if let Some(pass) = leave.pass.take() {
            self.limits.leave(&leave.route.provider, &leave.caller, pass, end.tokens, now.monotonic_ms);
        }
        if let Some(reservation) = leave.reservation.take() {
            match end.spend {
                Some(spend) => tell.alerts = self.budget.settle(reservation, spend, now),
                None => self.budget.release(reservation),
            }
        }
        tell
    }

    /// Whether a call that failed so far is made again at the same provider, and after which pause.
    pub fn again(
        &mut self,
        policy: &retry::Policy,
        provider: &ProviderId,
        sofar: retry::Sofar,
        random: u64,
        now: Clocks,
    ) -> retry::Again {
        let budget = self.retries.entry(provider.clone()).or_insert_with(|| retry::Budget::new(now.monotonic_ms));
        if sofar.attempts == 1 {
            budget.deposit(now.monotonic_ms);
        }
        policy.again(sofar, budget, random, now.monotonic_ms)
    }

    /// Whether a refusal by a cap is the first of its period: people are told once.
    pub fn is_first_refusal(&mut self, error: &BudgetError) -> bool {
        let (BudgetError::Money { standing, .. } | BudgetError::Tokens { standing, .. }) = error else { return false };
        let of = (standing.cap.clone(), standing.subject.clone());
        self.reached.insert(of, standing.since_ms) != Some(standing.since_ms)
    }

    /// Takes out the sessions whose cap parks them no more, since it was raised, or is gone.
    pub fn review_parking(&mut self, now: Clocks) -> Vec<Resumed> {
        let Self { parking, budget, .. } = self;
        parking.review(|why| match why {
            Why::Cap { cap, of, subject, cost, tokens } => {
                budget.parks(cap, (*of, subject), Expected { cost: *cost, tokens: *tokens }, now)
            }
            Why::Vendor { .. } => true,
        })
    }

    /// Closes the breakers of a provider, or of one model of it, by hand: what it said of its quota counts no more, and gives the
    /// sessions that it had parked.
    pub fn reset(&mut self, provider: &ProviderId, model: Option<&ModelId>) -> Vec<Resumed> {
        self.breakers.reset(provider, model);
        self.quotas.remove(provider);
        self.parking.reset(provider)
    }

    /// Whether the provider was called since the daemon began.
    #[must_use]
    pub fn was_called(&self, provider: &ProviderId) -> bool {
        self.fares.keys().any(|route| route.provider == *provider)
    }

    /// Notes what a provider said of its quota.
    pub fn quota(&mut self, provider: &ProviderId, quota: Quota) {
        if !quota.windows.is_empty() || quota.retry_at_ms.is_some() {
            self.quotas.insert(provider.clone(), quota);
        }
    }

    /// What a provider last said of its quota.
    #[must_use]
    pub fn quota_of(&self, provider: &ProviderId) -> Option<&Quota> {
        self.quotas.get(provider)
    }
}
