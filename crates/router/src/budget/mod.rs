//! Caps that hold. What a call may cost is reserved before it is sent, set right when it is known what it did cost, and given
//! back when it failed; so calls that run at the same time cannot spend the same money. Money is counted in the period in
//! which it is settled, which is that of the ledger's row.

mod account;
mod cap;
mod period;
mod standing;

use std::collections::HashMap;

use jiff::tz::TimeZone;
use serde::Serialize;

use crate::amount::{MicroDollars, Tokens};
use crate::clocks::Clocks;
use crate::parking;
use account::Account;
use period::{Calendar, Span};

pub use cap::{AtLimit, Cap, Of, Payer, Period};
pub use standing::{BudgetError, CapError, Standing};

/// Money and tokens together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spend {
    /// Money.
    pub cost: MicroDollars,
    /// Tokens.
    pub tokens: Tokens,
}

impl Spend {
    /// Nothing.
    pub const NOTHING: Self = Self { cost: MicroDollars::ZERO, tokens: Tokens::ZERO };

    const fn plus(self, other: Self) -> Self {
        Self { cost: self.cost.plus(other.cost), tokens: self.tokens.plus(other.tokens) }
    }

    const fn minus(self, other: Self) -> Self {
        Self { cost: self.cost.minus(other.cost), tokens: self.tokens.minus(other.tokens) }
    }
}

/// What a call may cost and use, before it is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// Money; `None` where a price is not known.
    pub cost: Option<MicroDollars>,
    /// Tokens.
    pub tokens: Tokens,
}

/// What is held back for a call. It is given back by [`Budget::settle`] or [`Budget::release`], or it expires.
#[must_use = "a reservation that is not given back holds money until it expires"]
#[derive(Debug, PartialEq, Eq)]
pub struct Reservation {
    id: u64,
    payer: Payer,
}

impl Reservation {
    /// Who pays.
    #[must_use]
    pub const fn payer(&self) -> &Payer {
        &self.payer
    }
}

/// A sum that the ledger is to be asked for when a budget begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Whose, each by itself.
    pub of: Of,
    /// For which sort of period.
    pub per: Period,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
}

/// The accounts of one sort.
#[derive(Debug, Clone)]
struct Line {
    of: Of,
    per: Period,
    accounts: HashMap<Box<str>, Account>,
}

#[derive(Debug, Clone)]
struct Held {
    payer: Payer,
    amount: Spend,
    until: u64,
}

/// All caps with what is spent and held back.
#[derive(Debug, Clone)]
pub struct Budget {
    caps: Vec<(Cap, usize)>,
    lines: Vec<Line>,
    calendar: Calendar,
    held: HashMap<u64, Held>,
    next: u64,
    /// No reservation expires before this.
    first_expiry: u64,
    /// By cap and subject, the beginning of the period for which people were told.
    alerted: HashMap<String, HashMap<Box<str>, u64>>,
}

impl Budget {
    /// A budget in which nothing is spent. What the ledger knows is put in with [`Budget::restore`].
    ///
    /// # Errors
    /// [`CapError`] for a cap that makes no sense.
    pub fn new(caps: Vec<Cap>, zone: TimeZone) -> Result<Self, CapError> {
        let mut budget = Self {
            caps: Vec::new(),
            lines: Vec::new(),
            calendar: Calendar::new(zone),
            held: HashMap::new(),
            next: 0,
            first_expiry: u64::MAX,
            alerted: HashMap::new(),
        };
        budget.configure(caps)?;
        Ok(budget)
    }

    /// Takes other caps over. What is counted already goes on being counted; what is counted from now on has to be restored:
    /// that is the answer. Nothing is changed when a cap makes no sense.
    ///
    /// # Errors
    /// [`CapError`].
    pub fn configure(&mut self, caps: Vec<Cap>) -> Result<Vec<(Of, Period)>, CapError> {
        for (at, cap) in caps.iter().enumerate() {
            cap.check().map_err(CapError)?;
            if caps.iter().skip(at + 1).any(|other| other.name == cap.name) {
                return Err(CapError(format!("two caps are called `{}`", cap.name)));
            }
        }
        let mut new = Vec::new();
        self.caps.clear();
        for cap in caps {
            let (of, per) = (cap.of, cap.period());
            let line = match self.lines.iter().position(|line| (line.of, line.per) == (of, per)) {
                Some(line) => line,
                None => {
                    let mut line = Line { of, per, accounts: HashMap::new() };
                    // Calls at work were reserved before this line was there.
                    for held in self.held.values() {
                        if let Some(subject) = held.payer.subject(of) {
                            let account = line.accounts.entry(subject.into()).or_default();
                            account.reserved = account.reserved.plus(held.amount);
                        }
                    }
                    self.lines.push(line);
                    new.push((of, per));
                    self.lines.len() - 1
                }
            };
            self.caps.push((cap, line));
        }
        Ok(new)
    }

    /// The sums that the ledger is to be asked for.
    pub fn wants(&mut self, now: Clocks) -> Vec<Want> {
        let calendar = &mut self.calendar;
        let want =
            |line: &Line| Want { of: line.of, per: line.per, since_ms: calendar.span(line.per, now.wall_ms).start_ms };
        self.lines.iter().map(want).collect()
    }

    /// Puts a sum of the ledger in the place of what is counted. It is set, not added: twice is as good as once.
    pub fn restore(&mut self, want: Want, subject: &str, spent: Spend) {
        if let Some(line) = self.lines.iter_mut().find(|line| (line.of, line.per) == (want.of, want.per)) {
            let account = account(line, subject);
            (account.start_ms, account.spent, account.before) = (want.since_ms, spent, None);
        }
    }

    /// Notes that people were told of a cap in the period that began at `start_ms`, so that they are not told again.
    pub fn restore_alert(&mut self, cap: &str, subject: &str, start_ms: u64) {
        self.alerted.entry(cap.to_owned()).or_default().insert(subject.into(), start_ms);
    }

    /// Holds back what a call may cost, for at most `ttl_ms`, under every cap that it falls under; or holds back nothing.
    ///
    /// # Errors
    /// [`BudgetError`] that names the cap.
    pub fn reserve(
        &mut self,
        payer: &Payer,
        expected: Expected,
        ttl_ms: u64,
        now: Clocks,
    ) -> Result<Reservation, BudgetError> {
        self.expire(now);
        let amount = Spend { cost: expected.cost.unwrap_or_default(), tokens: expected.tokens };
        for (cap, line) in &self.caps {
            let Some(subject) = applies(cap, payer) else { continue };
            let Some(line) = self.lines.get_mut(*line) else { continue };
            let span = self.calendar.span(line.per, now.wall_ms);
            if cap.micro_dollars.is_some() && expected.cost.is_none() {
                return Err(BudgetError::PriceUnknown { cap: cap.name.clone() });
            }
            let account = account(line, subject);
            account.roll(span.start_ms);
            let after = account.committed().plus(amount);
            // What costs nothing exceeds nothing.
            if cap.micro_dollars.is_some_and(|limit| after.cost > limit) && amount.cost > MicroDollars::ZERO {
                let standing = Box::new(standing(cap, subject, account, span));
                return Err(BudgetError::Money { standing, asked: expected });
            }
            if cap.tokens.is_some_and(|limit| after.tokens > limit) && amount.tokens > Tokens::ZERO {
                let standing = Box::new(standing(cap, subject, account, span));
                return Err(BudgetError::Tokens { standing, asked: expected });
            }
        }
        for line in &mut self.lines {
            if let Some(subject) = payer.subject(line.of) {
                let span = self.calendar.span(line.per, now.wall_ms);
                let account = account(line, subject);
                account.roll(span.start_ms);
                account.reserved = account.reserved.plus(amount);
            }
        }
        let id = self.next;
        self.next += 1;
        let until = now.monotonic_ms.saturating_add(ttl_ms);
        self.first_expiry = self.first_expiry.min(until);
        self.held.insert(id, Held { payer: payer.clone(), amount, until });
        Ok(Reservation { id, payer: payer.clone() })
    }

    /// Gives a reservation back and counts what the call did cost. A reservation that has expired is counted all the same. The
    /// answer is what people have to be told: each cap once a period.
    #[must_use = "people are told of these once"]
    pub fn settle(&mut self, reservation: Reservation, used: Spend, now: Clocks) -> Vec<Standing> {
        self.give_back(reservation.id);
        self.charge(&reservation.payer, used, now)
    }

    /// Gives a reservation back: the call failed and costs nothing.
    pub fn release(&mut self, reservation: Reservation) {
        self.give_back(reservation.id);
    }

    /// Counts what was spent without a reservation.
    #[must_use = "people are told of these once"]
    pub fn charge(&mut self, payer: &Payer, used: Spend, now: Clocks) -> Vec<Standing> {
        for line in &mut self.lines {
            if let Some(subject) = payer.subject(line.of) {
                let span = self.calendar.span(line.per, now.wall_ms);
                let account = account(line, subject);
                account.roll(span.start_ms);
                account.spent = account.spent.plus(used);
            }
        }
        let mut alerts = Vec::new();
        for (cap, line) in &self.caps {
            let Some(subject) = applies(cap, payer) else { continue };
            let Some(line) = self.lines.get(*line) else { continue };
            let Some(account) = line.accounts.get(subject) else { continue };
            let span = self.calendar.span(line.per, now.wall_ms);
            let reached = |spent: u64, limit: u64| {
                u128::from(spent) * 1000 >= u128::from(limit) * u128::from(cap.alert_per_mille)
            };
            let is_near = cap.micro_dollars.is_some_and(|limit| reached(account.spent.cost.0, limit.0))
                || cap.tokens.is_some_and(|limit| reached(account.spent.tokens.0, limit.0));
            let told = self.alerted.get(&cap.name).and_then(|subjects| subjects.get(subject));
            if is_near && told != Some(&account.start_ms) {
                alerts.push(standing(cap, subject, account, span));
                let start_ms = account.start_ms;
                self.alerted.entry(cap.name.clone()).or_default().insert(subject.into(), start_ms);
            }
        }
        alerts
    }

    /// Gives back what was reserved by calls of which nobody heard again.
    pub fn expire(&mut self, now: Clocks) {
        if now.monotonic_ms < self.first_expiry {
            return;
        }
        let expired: Vec<u64> =
            self.held.iter().filter(|(_, held)| held.until <= now.monotonic_ms).map(|(id, _)| *id).collect();
        for id in expired {
            self.give_back(id);
        }
        self.first_expiry = self.held.values().map(|held| held.until).min().unwrap_or(u64::MAX);
    }

    /// What may still be spent under the tightest cap on money that `payer` falls under; `None` where there is none.
    pub fn left(&mut self, payer: &Payer, now: Clocks) -> Option<MicroDollars> {
        let mut least = None;
        for (cap, line) in &self.caps {
            let (Some(limit), Some(subject)) = (cap.micro_dollars, applies(cap, payer)) else { continue };
            let Some(line) = self.lines.get_mut(*line) else { continue };
            let span = self.calendar.span(line.per, now.wall_ms);
            let account = account(line, subject);
            account.roll(span.start_ms);
            let left = limit.minus(account.committed().cost);
            least = Some(least.map_or(left, |least: MicroDollars| least.min(left)));
        }
        least
    }

    /// Whether the cap of this name parks whoever asks for so much under it, however much calls at work hold back.
    pub fn parks(&mut self, cap: &str, (of, subject): (Of, &str), asked: Expected, now: Clocks) -> bool {
        let is_it = |known: &Cap| {
            known.name == cap
                && known.of == of
                && known.at_limit == AtLimit::Park
                && known.only.as_deref().is_none_or(|only| only == subject)
        };
        let Some((cap, line)) = self.caps.iter().find(|(known, _)| is_it(known)) else { return false };
        let Some(line) = self.lines.get_mut(*line) else { return false };
        let span = self.calendar.span(line.per, now.wall_ms);
        let account = account(line, subject);
        account.roll(span.start_ms);
        parking::exceeds(account.spent, asked, cap.micro_dollars, cap.tokens)
    }

    /// Every cap with everyone who falls under it, in the order of the settings and of names.
    pub fn report(&mut self, now: Clocks) -> Vec<Standing> {
        self.expire(now);
        let mut report = Vec::new();
        for (cap, line) in &self.caps {
            let Some(line) = self.lines.get_mut(*line) else { continue };
            let span = self.calendar.span(line.per, now.wall_ms);
            let before = report.len();
            if cap.of == Of::All {
                account(line, "");
            }
            for (subject, account) in &mut line.accounts {
                if cap.only.as_deref().is_none_or(|only| only == &**subject) {
                    account.roll(span.start_ms);
                    report.push(standing(cap, subject, account, span));
                }
            }
            if let Some(own) = report.get_mut(before..) {
                own.sort_by(|a, b| a.subject.cmp(&b.subject));
            }
        }
        report
    }

    /// Forgets a session or run that has ended and will not spend again.
    pub fn forget(&mut self, of: Of, subject: &str) {
        for line in self.lines.iter_mut().filter(|line| line.of == of) {
            if line.accounts.get(subject).is_some_and(|account| account.reserved == Spend::NOTHING) {
                line.accounts.remove(subject);
            }
        }
        for (cap, _) in self.caps.iter().filter(|(cap, _)| cap.of == of) {
            if let Some(subjects) = self.alerted.get_mut(&cap.name) {
                subjects.remove(subject);
            }
        }
    }

    fn give_back(&mut self, id: u64) {
        let Some(held) = self.held.remove(&id) else { return };
        for line in &mut self.lines {
            if let Some(account) = held.payer.subject(line.of).and_then(|subject| line.accounts.get_mut(subject)) {
                account.reserved = account.reserved.minus(held.amount);
            }
        }
    }
}

/// The subject under which a payer falls under a cap.
fn applies<'p>(cap: &Cap, payer: &'p Payer) -> Option<&'p str> {
    payer.subject(cap.of).filter(|subject| cap.only.as_deref().is_none_or(|only| only == *subject))
}

fn account<'l>(line: &'l mut Line, subject: &str) -> &'l mut Account {
    if !line.accounts.contains_key(subject) {
        line.accounts.insert(subject.into(), Account::default());
    }
    line.accounts.entry(subject.into()).or_default()
}

fn standing(cap: &Cap, subject: &str, account: &Account, span: Span) -> Standing {
    Standing {
        cap: cap.name.clone(),
        of: cap.of,
        subject: subject.to_owned(),
        per: cap.period(),
        limit: cap.micro_dollars,
        token_limit: cap.tokens,
        spent: account.spent,
        reserved: account.reserved,
        since_ms: account.start_ms,
        resets_at_ms: span.end_ms,
        at_limit: cap.at_limit,
    }
}

#[cfg(test)]
mod tests;
