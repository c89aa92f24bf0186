//! Which model a request goes to: first what no strategy may pass over (whether a model is there, fits, and may be paid),
//! then an order among the rest. Equal requests in equal circumstances have equal answers.

pub mod rules;
mod score;
pub mod sticky;

use std::cmp::Reverse;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::amount::{MicroDollars, Tokens};
use crate::capability::{Capabilities, Capability};
use crate::catalogue::{Catalogue, Model, ModelIndex};
use crate::price;

pub use score::Factors;

/// How models are put in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Who succeeds most often; among those within a tenth of each other, the fastest.
    Capability,
    /// Who has least to do; among those, who was asked longest ago.
    LoadBalance,
    /// The cheapest.
    Cost,
    /// The fastest.
    Latency,
    /// The best in quality, cost, latency and room together, weighed by the request's priority.
    #[default]
    Score,
}

impl Strategy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Capability, Self::LoadBalance, Self::Cost, Self::Latency, Self::Score];
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Capability => "capability",
            Self::LoadBalance => "load_balance",
            Self::Cost => "cost",
            Self::Latency => "latency",
            Self::Score => "score",
        })
    }
}

/// How much a request matters: what it may cost against how good its answer has to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Cheap before good.
    Low,
    /// Both.
    #[default]
    Medium,
    /// Good before cheap.
    #[serde(alias = "critical")]
    High,
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ask {
    /// Tokens of the prompt.
    pub input: Tokens,
    /// Tokens that the answer is expected to have.
    pub output: Tokens,
    /// What the model has to be able to do.
    pub needs: Capabilities,
    /// How much it matters.
    pub priority: Priority,
    /// The answer has to begin within this.
    pub max_latency_ms: Option<u32>,
    /// The model has to be at least this good, per mille.
    pub min_quality: Option<u16>,
    /// What may still be spent under the tightest cap; `None` where none holds.
    pub left: Option<MicroDollars>,
    /// How the models are put in order.
    pub strategy: Strategy,
    /// Whether a text is to be written, which a model of vectors alone cannot.
    pub writes: bool,
}

/// How a model fares at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether its provider is set up: a key, where it needs one.
    pub configured: bool,
    /// Whether its breakers admit a call.
    pub admitted: bool,
    /// Whether its vendor's quota has something left.
    pub has_quota: bool,
    /// How many of its calls succeeded, per mille; `None` while too few were made.
    pub success: Option<u16>,
    /// How long it took to begin its answers; `None` while too few were made.
    pub latency_ms: Option<u32>,
    /// Calls at work.
    pub at_once: u32,
    /// When it was last asked (monotonic milliseconds); `None` when never.
    pub last_used_ms: Option<u64>,
}

impl Health {
    /// A model that is set up and was never asked.
    pub const UNTRIED: Self = Self {
        configured: true,
        admitted: true,
        has_quota: true,
        success: None,
        latency_ms: None,
        at_once: 0,
        last_used_ms: None,
    };
}

/// Why a model cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its provider has no key.
    NotConfigured,
    /// Its breaker is open, or it is marked down.
    Open,
    /// Its vendor's quota is used up.
    NoQuota,
    /// It cannot do this.
    Lacks(Capabilities),
    /// The prompt is longer than this.
    TooLong(Tokens),
    /// It takes this long.
    TooSlow(u32),
    /// It is no better than this, per mille; `None` where that is not known.
    NotGoodEnough(Option<u16>),
    /// A cap holds and its price is not known.
    PriceUnknown,
    /// The call would cost this, which is more than is left.
    TooDear(MicroDollars),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured => f.write_str("its provider has no key"),
            Self::Open => f.write_str("it is down or its breaker is open"),
            Self::NoQuota => f.write_str("its vendor's quota is used up"),
            Self::Lacks(what) => write!(f, "it lacks {what}"),
            Self::TooLong(context) => write!(f, "the prompt does not fit into its {context}"),
            Self::TooSlow(latency) => write!(f, "it takes {latency} ms"),
            Self::NotGoodEnough(Some(quality)) => write!(f, "its quality is {quality} of 1000"),
            Self::NotGoodEnough(None) => f.write_str("its quality is not known"),
            Self::PriceUnknown => f.write_str("its price is not known, so that no cap can hold"),
            Self::TooDear(cost) => write!(f, "it would cost {cost}, more than is left"),
        }
    }
}

/// A model that can be taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    /// The model.
    pub model: ModelIndex,
    /// What it reaches of everything, 0 to 1; the best has the most only under [`Strategy::Score`].
    pub score: f64,
    /// How sure it is that the model serves this request, 0 to 1.
    pub confidence: f64,
    /// What the call is expected to cost: an estimate; `None` where the price is not known.
    pub cost: Option<MicroDollars>,
    /// How long it takes to begin, measured or by the data; `None` where neither is known.
    pub latency_ms: Option<u32>,
    /// What the score is made of.
    pub factors: Factors,
    /// How it fared.
    pub health: Health,
}

/// An answer: models in the order in which they are to be tried, and why the others are not.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// How they were put in order.
    pub strategy: Strategy,
    /// How much the request matters.
    pub priority: Priority,
    /// Who can be taken, best first.
    pub ranked: Vec<Candidate>,
    /// Who cannot.
    pub refused: Vec<(ModelIndex, Refusal)>,
    /// Whether the first is so because its conversation is with it already.
    pub kept: bool,
}

/// Latency that is taken where none is known (S0).
const UNKNOWN_LATENCY_MS: u32 = 1_000;
/// Success within this of each other is alike, per mille (S0).
const ALIKE: u16 = 100;

/// Puts the models of `pool`, or of the whole catalogue, in order for `ask`. `now_ms` is wall-clock: prices have their days.
pub fn choose(
    catalogue: &Catalogue,
    pool: Option<&[ModelIndex]>,
    ask: &Ask,
    health: impl Fn(ModelIndex, &Model) -> Health,
    now_ms: u64,
) -> Decision {
    let count = pool.map_or_else(|| catalogue.models().len(), <[_]>::len);
    let mut decision = Decision {
        strategy: ask.strategy,
        priority: ask.priority,
        ranked: Vec::with_capacity(count),
        refused: Vec::new(),
        kept: false,
    };
    let mut look = |index: ModelIndex, model: &Model| {
        let health = health(index, model);
        let cost = cost(model, ask, now_ms);
        match refusal(model, &health, ask, cost) {
            Some(refusal) => decision.refused.push((index, refusal)),
            None => decision.ranked.push(Candidate {
                model: index,
                score: 0.0,
                confidence: 0.0,
                cost,
                latency_ms: health.latency_ms.or(model.latency_ms),
                factors: Factors::of(model, &health, ask),
                health,
            }),
        }
    };
    match pool {
        Some(pool) => {
            for index in pool {
                if let Some(model) = catalogue.get(*index) {
                    look(*index, model);
                }
            }
        }
        None => {
            for (index, model) in catalogue.models() {
                look(index, model);
            }
        }
    }
    let dearest = decision.ranked.iter().filter_map(|candidate| candidate.cost).max().unwrap_or_default();
    for candidate in &mut decision.ranked {
        candidate.factors.cost = score::cost(candidate.cost, dearest);
        candidate.score = candidate.factors.weigh(ask);
        candidate.confidence = match ask.strategy {
            Strategy::Score => candidate.score,
            Strategy::Capability | Strategy::LoadBalance | Strategy::Cost | Strategy::Latency => {
                confidence(&candidate.health)
            }
        };
    }
    order(&mut decision.ranked, ask.strategy);
    decision
}

fn cost(model: &Model, ask: &Ask, now_ms: u64) -> Option<MicroDollars> {
    let usage = price::Usage { input: ask.input, output: ask.output, ..price::Usage::default() };
    price::cost(model, &usage, now_ms).ok()
}

fn refusal(model: &Model, health: &Health, ask: &Ask, cost: Option<MicroDollars>) -> Option<Refusal> {
    if !health.configured {
        return Some(Refusal::NotConfigured);
    }
    if !health.admitted {
        return Some(Refusal::Open);
    }
    if !health.has_quota {
        return Some(Refusal::NoQuota);
    }
    let lacks = model.capabilities.lacks(ask.needs);
    if lacks != Capabilities::NONE {
        return Some(Refusal::Lacks(lacks));
    }
    if ask.writes && model.writes_nothing() {
        return Some(Refusal::Lacks(Capabilities::only(Capability::Chat)));
    }
    if let Some(context) = model.context.filter(|context| ask.input > *context) {
        return Some(Refusal::TooLong(context));
    }
    let latency = health.latency_ms.or(model.latency_ms);
    if let (Some(most), Some(latency)) = (ask.max_latency_ms, latency)
        && latency > most
    {
        return Some(Refusal::TooSlow(latency));
    }
    if let Some(least) = ask.min_quality
        && model.quality.is_none_or(|quality| quality < least)
    {
        return Some(Refusal::NotGoodEnough(model.quality));
    }
    match (ask.left, cost) {
        (Some(_), None) => Some(Refusal::PriceUnknown),
        (Some(left), Some(cost)) if cost > left => Some(Refusal::TooDear(cost)),
        _ => None,
    }
}

/// S0's: half, and more for being able, for success, and for a key.
fn confidence(health: &Health) -> f64 {
    let success = health.success.map_or(0.1, |rate| 0.2 * f64::from(rate) / 1000.0);
    0.5 + 0.2 + success + if health.configured { 0.1 } else { 0.0 }
}

fn order(ranked: &mut [Candidate], strategy: Strategy) {
    let latency = |candidate: &Candidate| candidate.latency_ms.unwrap_or(UNKNOWN_LATENCY_MS);
    match strategy {
        Strategy::Score => ranked.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.model.cmp(&b.model))),
        Strategy::Cost => ranked.sort_by_key(|candidate| {
            // What is not known may be anything: last.
            (candidate.cost.is_none(), candidate.cost, Reverse(candidate.factors.quality_per_mille), candidate.model)
        }),
        Strategy::Latency => ranked.sort_by_key(|candidate| {
            (latency(candidate), Reverse(candidate.factors.quality_per_mille), candidate.model)
        }),
        Strategy::LoadBalance => {
            ranked.sort_by_key(|candidate| (candidate.health.at_once, candidate.health.last_used_ms, candidate.model))
        }
        Strategy::Capability => {
            // Who was never tried is taken for as good as it is said to be.
            let success = |candidate: &Candidate| {
                candidate.health.success.unwrap_or_else(|| candidate.factors.quality_per_mille.unwrap_or(500))
            };
            ranked.sort_by_key(|candidate| (Reverse(success(candidate)), candidate.model));
            let mut start = 0;
            while let Some(leader) = ranked.get(start).map(success) {
                let alike =
                    ranked.iter().skip(start).take_while(|candidate| leader - success(candidate) <= ALIKE).count();
                if let Some(group) = ranked.get_mut(start..start + alike) {
                    group.sort_by_key(|candidate| (latency(candidate), candidate.model));
                }
                start += alike;
            }
        }
    }
}

impl Decision {
    /// The first of those that can be taken.
    #[must_use]
    pub fn best(&self) -> Option<&Candidate> {
        self.ranked.first()
    }

    /// Puts the model that a conversation is with in front, if it can be taken. Whether it could is the answer.
    pub fn keep(&mut self, model: ModelIndex) -> bool {
        let Some(at) = self.ranked.iter().position(|candidate| candidate.model == model) else { return false };
        if let Some(front) = self.ranked.get_mut(..=at) {
            front.rotate_right(1);
        }
        self.kept = true;
        true
    }

    /// What was decided and why, in words and numbers.
    #[must_use]
    pub fn explain(&self, catalogue: &Catalogue) -> String {
        let name = |index: ModelIndex| {
            catalogue
                .get(index)
                .map_or_else(|| "a model of another catalogue".to_owned(), |model| model.route.to_string())
        };
        let mut text = match self.best() {
            None => format!("no model can be taken by {}", self.strategy),
            Some(best) => {
                let why = if self.kept { ", which the conversation is with" } else { "" };
                format!("{}{why}, by {} with {} priority: {best}", name(best.model), self.strategy, self.priority)
            }
        };
        for candidate in self.ranked.iter().skip(1).take(2) {
            text.push_str(&format!("; then {}: {candidate}", name(candidate.model)));
        }
        for (index, refusal) in &self.refused {
            text.push_str(&format!("; not {}: {refusal}", name(*index)));
        }
        text
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "score {:.3} ({}), confidence {:.2}", self.score, self.factors, self.confidence)?;
        match self.cost {
            Some(cost) => write!(f, ", about {cost}")?,
            None => f.write_str(", cost not known")?,
        }
        match self.latency_ms {
            Some(latency) => write!(f, ", {latency} ms"),
            None => f.write_str(", latency not known"),
        }
    }
}

#[cfg(test)]
mod tests;
