//! What the rows suggest, each with the figures that it rests on. It is told only where there is enough to tell from.

use std::fmt;

use serde::Serialize;

use super::{Dimension, Row, spend, total};
use crate::amount::{MicroDollars, Tokens};
use crate::budget::Standing;
use crate::capability::{Capabilities, Capability};
use crate::catalogue::Catalogue;
use crate::complexity::Band;
use crate::price;

/// Fewer calls than this say nothing.
const ENOUGH: u64 = 20;
/// Share of prompts from the cache below which it is lost, per mille.
const CACHED: u64 = 200;
/// Prompts below this are not cached by anybody.
const CACHEABLE: Tokens = Tokens(4_096);
/// Share of failures that is too much, per mille (the alert of S4 is at 50).
const FAILING: u64 = 50;
/// Share of calls that ought to be local where there are local models, per mille (S1).
const LOCAL: u64 = 700;
/// What an answered call ought to cost at most (S1: half a dollar a task).
const DEAR: MicroDollars = MicroDollars(500_000);
/// The least quality of a model for small calls, per mille.
const SMALL_QUALITY: u16 = 400;

/// A recommendation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "advice")]
pub enum Advice {
    /// A cap is nearly reached.
    CapNear {
        /// In figures.
        standing: Standing,
    },
    /// A model without a price is used.
    Unpriced {
        /// The model.
        model: String,
        /// How often.
        calls: u64,
    },
    /// A model fails often.
    Failing {
        /// The model.
        model: String,
        /// Its calls.
        calls: u64,
        /// Those that failed.
        failed: u64,
    },
    /// Prompts are sent anew that could come from the cache.
    CacheLost {
        /// The model.
        model: String,
        /// Tokens of its prompts.
        prompt: Tokens,
        /// How much of them came from the cache, per mille.
        cached_per_mille: u64,
    },
    /// Small calls and calls on the side go to a dear model.
    SmallCalls {
        /// How many.
        calls: u64,
        /// What they cost.
        cost: MicroDollars,
        /// Who could do them.
        model: String,
        /// What they would cost there.
        instead: MicroDollars,
    },
    /// Few calls are local though there are local models that answer.
    LocalUnused {
        /// How many of the calls are, per mille.
        local_per_mille: u64,
    },
    /// An answered call is dear.
    DearSuccess {
        /// What it costs on average.
        cost: MicroDollars,
    },
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CapNear { standing } => write!(f, "{standing}: raise it, or take cheaper models"),
            Self::Unpriced { model, calls } => write!(f, "{model} has no price for {calls} calls: give it one"),
            Self::Failing { model, calls, failed } => {
                write!(f, "{failed} of {calls} calls of {model} failed: put another model before it")
            }
            Self::CacheLost { model, prompt, cached_per_mille } => write!(
                f,
                "only {}.{} % of {prompt} sent to {model} came from its cache: keep conversations with one model and what \
                 changes at the end of the prompt",
                cached_per_mille / 10,
                cached_per_mille % 10
            ),
            Self::SmallCalls { calls, cost, model, instead } => {
                write!(f, "{calls} small calls cost {cost}: {model} would do them for {instead}")
            }
            Self::LocalUnused { local_per_mille } => write!(
                f,
                "{}.{} % of the calls are local: send small ones to a local model",
                local_per_mille / 10,
                local_per_mille % 10
            ),
            Self::DearSuccess { cost } => {
                write!(f, "an answered call costs {cost} on average: look at what the dear ones do")
            }
        }
    }
}

/// What the rows and the caps suggest, the most pressing first.
#[must_use]
pub fn advise(rows: &[Row], caps: &[Standing], catalogue: &Catalogue, now_ms: u64) -> Vec<Advice> {
    let mut advice: Vec<Advice> = caps
        .iter()
        .filter(|standing| standing.spent_per_mille() >= 800)
        .map(|standing| Advice::CapNear { standing: standing.clone() })
        .collect();
    for line in spend(rows, Dimension::Model) {
        let Some(model) = line.name.clone() else { continue };
        if line.unpriced > 0 {
            advice.push(Advice::Unpriced { model: model.clone(), calls: line.unpriced });
        }
        if line.calls < ENOUGH {
            continue;
        }
        if line.failed * 1000 >= line.calls * FAILING {
            advice.push(Advice::Failing { model: model.clone(), calls: line.calls, failed: line.failed });
        }
        let prompt = line.usage.prompt();
        let caches =
            catalogue.find(&model).ok().and_then(|found| catalogue.get(*found.models.first()?)).is_some_and(|model| {
                let rates = model.price.as_ref().map(|price| price.rates(Tokens::ZERO, now_ms)).unwrap_or_default();
                rates.cache_read < rates.input && rates.cache_read.is_some()
            });
        if caches
            && prompt.0 / line.calls >= CACHEABLE.0
            && let Some(cached_per_mille) = line.cached_per_mille().filter(|share| *share < CACHED)
        {
            advice.push(Advice::CacheLost { model, prompt, cached_per_mille });
        }
    }
    advice.extend(small_calls(rows, catalogue, now_ms));
    let whole = total(rows);
    if whole.calls >= ENOUGH {
        let is_local = |row: &&Row| catalogue.provider(&row.route.provider).is_some_and(|provider| provider.local);
        let local = u64::try_from(rows.iter().filter(is_local).count()).unwrap_or(u64::MAX);
        let local_per_mille = local.saturating_mul(1000) / whole.calls;
        // Where no local model has ever answered there may be none.
        if local > 0 && local_per_mille < LOCAL {
            advice.push(Advice::LocalUnused { local_per_mille });
        }
        if let Some(cost) = whole.cost_of_success().filter(|cost| *cost > DEAR) {
            advice.push(Advice::DearSuccess { cost });
        }
    }
    advice
}

/// Calls that are small or on the side, held against the cheapest model that answers in these rows and is good enough.
fn small_calls(rows: &[Row], catalogue: &Catalogue, now_ms: u64) -> Option<Advice> {
    let small: Vec<&Row> = rows
        .iter()
        // A model that writes makes no vectors, however cheap it is.
        .filter(|row| row.cost.is_some() && !row.kind.is_of_texts())
        .filter(|row| row.kind.is_side_call() || Band::of(row.usage.prompt()) <= Band::Simple)
        .collect();
    let whole = total(small.iter().copied());
    if whole.calls < ENOUGH {
        return None;
    }
    let writes = Capabilities::only(Capability::Chat);
    let (instead, model) = catalogue
        .models()
        .filter(|(_, model)| {
            model.capabilities.covers(writes)
                && model.quality.is_some_and(|quality| quality >= SMALL_QUALITY)
                // Only who has answered is known to be there.
                && rows.iter().any(|row| row.succeeded && row.route == model.route)
        })
        .filter_map(|(index, model)| {
            let costs = small.iter().map(|row| price::cost(model, &row.usage, now_ms).ok());
            Some((costs.sum::<Option<MicroDollars>>()?, index))
        })
        .min()
        .and_then(|(cost, index)| Some((cost, catalogue.get(index)?)))?;
    // A tenth is not worth a rule.
    (instead.0 < whole.cost.0 - whole.cost.0 / 10).then(|| Advice::SmallCalls {
        calls: whole.calls,
        cost: whole.cost,
        model: model.route.to_string(),
        instead,
    })
}
