//! Which sessions are parked: those whose calls nobody takes until a time, because a cap is reached or a vendor's quota is used up.
//! Each is told of once, however often its client asks again. Keeping them over a restart, and telling, is left to the gateway.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::amount::{MicroDollars, Tokens};
use crate::budget::{AtLimit, BudgetError, Expected, Of, Spend};
use crate::quota::Quota;

/// Two ends that are this close are the same one, in milliseconds: vendors round their countdowns.
const ROUNDED_MS: u64 = 1_500;
/// When to come again where a cap is exhausted by calls at work alone, in milliseconds: what they leave is known soon.
const HELD_MS: u64 = 5_000;

/// What parks a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Why {
    /// A cap is reached.
    Cap {
        /// Its name.
        cap: String,
        /// Whose spending it bounds.
        of: Of,
        /// Who that is; empty for all.
        subject: String,
        /// What the call that was refused may cost: what has to fit before the session goes on.
        cost: Option<MicroDollars>,
        /// What it may use.
        tokens: Tokens,
    },
    /// A vendor's quota is used up.
    Vendor {
        /// The provider.
        provider: String,
        /// The window, where the vendor names one.
        window: Option<String>,
    },
}

impl Why {
    /// Whether both are the same cap or quota, whatever was asked of it.
    fn is_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Cap { cap, subject, .. }, Self::Cap { cap: other, subject: whose, .. }) => {
                cap == other && subject == whose
            }
            (Self::Vendor { .. }, Self::Vendor { .. }) => self == other,
            _ => false,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A session knows which it is.
            Self::Cap { cap, of: Of::All | Of::Session, .. } => write!(f, "the cap `{cap}` has no room for its calls"),
            Self::Cap { cap, of: Of::Key, subject, .. } => {
                write!(f, "the cap `{cap}` of the key named {subject} has no room for its calls")
            }
            Self::Cap { cap, of, subject, .. } => {
                write!(f, "the cap `{cap}` of {of} {subject} has no room for its calls")
            }
            Self::Vendor { provider, window: Some(window) } => {
                write!(f, "the quota `{window}` of {provider} is used up")
            }
            Self::Vendor { provider, window: None } => write!(f, "{provider} refuses calls"),
        }
    }
}

/// A session that is parked, or is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parking {
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
    /// Until when, in milliseconds since the epoch; `None` until its cap is raised.
    pub until_ms: Option<u64>,
    /// By what.
    pub why: Why,
}

impl Parking {
    /// What the header `Retry-After` says at `now_ms`, in seconds; `None` where no time helps.
    #[must_use]
    pub fn retry_after(&self, now_ms: u64) -> Option<u64> {
        self.until_ms.map(|until| until.saturating_sub(now_ms).div_ceil(1000).max(1))
    }
}

impl fmt::Display for Parking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until_ms {
            Some(at_ms) => match i64::try_from(at_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok()) {
                Some(at) => write!(f, "{}, until {at}", self.why),
                None => self.why.fmt(f),
            },
            None => write!(f, "{}, until that cap is raised", self.why),
        }
    }
}

/// What a refusal by a cap parks; `None` where the cap is not to park, or where only calls at work hold its money.
#[must_use]
pub fn of_cap(error: &BudgetError, now_ms: u64) -> Option<Parking> {
    let (standing, asked) = match error {
        BudgetError::Money { standing, asked } | BudgetError::Tokens { standing, asked } => (standing, *asked),
        BudgetError::PriceUnknown { .. } => return None,
    };
    let exceeds = exceeds(standing.spent, asked, standing.limit, standing.token_limit);
    (standing.at_limit == AtLimit::Park && exceeds).then(|| Parking {
        since_ms: now_ms,
        until_ms: standing.resets_at_ms,
        why: Why::Cap {
            cap: standing.cap.clone(),
            of: standing.of,
            subject: standing.subject.clone(),
            cost: asked.cost,
            tokens: asked.tokens,
        },
    })
}

/// When a caller who was refused by a cap that parks is to come again, in milliseconds; `None` when no time helps.
#[must_use]
pub fn wait_for_cap(error: &BudgetError, now_ms: u64) -> Option<u64> {
    let (BudgetError::Money { standing, .. } | BudgetError::Tokens { standing, .. }) = error else { return None };
    match of_cap(error, now_ms) {
        Some(parking) => parking.until_ms.map(|until| until.saturating_sub(now_ms)),
        None if standing.at_limit == AtLimit::Park => Some(HELD_MS),
        None => None,
    }
}

/// Whether `asked` does not fit under a limit beside what is spent. What costs nothing exceeds nothing.
pub(crate) fn exceeds(spent: Spend, asked: Expected, limit: Option<MicroDollars>, token_limit: Option<Tokens>) -> bool {
    let cost = asked.cost.unwrap_or_default();
    (cost > MicroDollars::ZERO && limit.is_some_and(|limit| spent.cost.plus(cost) > limit))
        || (asked.tokens > Tokens::ZERO && token_limit.is_some_and(|limit| spent.tokens.plus(asked.tokens) > limit))
}

/// What a vendor's refusal parks: a wait of `shortest_ms` or more.
#[must_use]
pub fn of_vendor(provider: &str, quota: &Quota, now_ms: u64, shortest_ms: u64) -> Option<Parking> {
    let park = quota.park(429, now_ms, shortest_ms)?;
    let why = Why::Vendor { provider: provider.to_owned(), window: park.window };
    Some(Parking { since_ms: now_ms, until_ms: Some(park.until_ms), why })
}

/// Of several that stand in a call's way the one that is over first: then the call can be made again.
#[must_use]
pub fn soonest(found: impl IntoIterator<Item = Parking>) -> Option<Parking> {
    found.into_iter().min_by_key(|parking| parking.until_ms.unwrap_or(u64::MAX))
}

/// What is new about a parking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// The session was not parked before.
    Parked,
    /// It was, until another time or by something else.
    Changed,
    /// It was, just so.
    Known,
}

/// Why a session is parked no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its time has come.
    Time,
    /// Its cap has room again.
    Cap,
    /// A call of it was answered.
    Answered,
    /// A person says that its vendor is to be asked again.
    Reset,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "its time has come",
            Self::Cap => "its cap has room again",
            Self::Answered => "its calls are answered again",
            Self::Reset => "its provider was reset",
        })
    }
}

/// A session that is parked no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed {
    /// Which.
    pub session: Box<str>,
    /// How it was parked.
    pub parking: Parking,
    /// Why it goes on.
    pub by: End,
}

/// All sessions that are parked.
#[derive(Debug, Clone, Default)]
pub struct Lot {
    parked: BTreeMap<Box<str>, Parking>,
}

impl Lot {
    /// The sessions that were parked when they were kept.
    #[must_use]
    pub fn restore(kept: impl IntoIterator<Item = (String, Parking)>) -> Self {
        Self { parked: kept.into_iter().map(|(session, parking)| (session.into(), parking)).collect() }
    }

    /// Whether nobody is parked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }

    /// How a session is parked; `None` when it is not.
    #[must_use]
    pub fn get(&self, session: &str) -> Option<&Parking> {
        self.parked.get(session)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Parking)> {
        self.parked.iter().map(|(session, parking)| (&**session, parking))
    }

    /// Parks a session, since when it was parked first.
    pub fn park(&mut self, session: &str, parking: Parking) -> News {
        let Some(known) = self.parked.get_mut(session) else {
            self.parked.insert(session.into(), parking);
            return News::Parked;
        };
        let same_end = match (known.until_ms, parking.until_ms) {
            (Some(known), Some(until)) => known.abs_diff(until) <= ROUNDED_MS,
            (known, until) => known == until,
        };
        if same_end && known.why.is_of(&parking.why) {
            return News::Known;
        }
        *known = Parking { since_ms: known.since_ms, ..parking };
        News::Changed
    }

    /// A call of a session that came at `asked_ms` was answered. One that was at work before the session was parked says nothing.
    pub fn answered(&mut self, session: &str, asked_ms: u64) -> Option<Resumed> {
        let parking = self.parked.get(session).filter(|parking| asked_ms >= parking.since_ms)?.clone();
        self.parked.remove(session);
        Some(Resumed { session: session.into(), parking, by: End::Answered })
    }

    /// Takes those out whose time has come at `now_ms`.
    pub fn due(&mut self, now_ms: u64) -> Vec<Resumed> {
        self.take(End::Time, |parking| parking.until_ms.is_some_and(|until| until <= now_ms))
    }

    /// The next time at which one of them is due; `None` when there is none.
    #[must_use]
    pub fn next_due(&self) -> Option<u64> {
        self.parked.values().filter_map(|parking| parking.until_ms).min()
    }

    /// Takes those out whose cap `holds` no more.
    pub fn review(&mut self, mut holds: impl FnMut(&Why) -> bool) -> Vec<Resumed> {
        self.take(End::Cap, |parking| !holds(&parking.why))
    }

    /// Takes those out that a vendor parked who is to be asked again.
    pub fn reset(&mut self, vendor: &str) -> Vec<Resumed> {
        self.take(End::Reset, |parking| matches!(&parking.why, Why::Vendor { provider, .. } if provider == vendor))
    }

    /// Forgets a session that has ended; gives whether it was parked.
    pub fn forget(&mut self, session: &str) -> bool {
        self.parked.remove(session).is_some()
    }

    fn take(&mut self, by: End, mut is_over: impl FnMut(&Parking) -> bool) -> Vec<Resumed> {
        let over: Vec<Box<str>> =
            self.parked.iter().filter(|(_, parking)| is_over(parking)).map(|(session, _)| session.clone()).collect();
        over.into_iter()
            .filter_map(|session| {
                let parking = self.parked.remove(&session)?;
                Some(Resumed { session, parking, by })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
