//! The score of several factors (S1's), as a weighted geometric mean: each factor is raised to a weight that depends on the
//! request's priority, so that the priority changes the order and no factor alone decides it.

use std::fmt;

use super::{Ask, Health, Priority};
use crate::amount::MicroDollars;
use crate::catalogue::Model;

/// What a model reaches in each respect, 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Factors {
    /// How good it is.
    pub quality: f64,
    /// The same as the data have it; `None` where it is not known.
    pub quality_per_mille: Option<u16>,
    /// How cheap it is among those that can be taken.
    pub cost: f64,
    /// How fast it is.
    pub latency: f64,
    /// How much room it has: less when the prompt fills more than half of its window.
    pub context: f64,
    /// How often it succeeds.
    pub success: f64,
}

/// Quality that is taken where it is not known.
const UNKNOWN_QUALITY: f64 = 0.5;
/// What the dearest reaches, and whoever's price is not known.
const DEAREST: f64 = 0.1;
/// A latency at which half is reached.
const HALF_LATENCY_MS: f64 = 5_000.0;

impl Factors {
    /// All but the cost, which is relative to the other candidates.
    pub(super) fn of(model: &Model, health: &Health, ask: &Ask) -> Self {
        let latency = health.latency_ms.or(model.latency_ms);
        let crowded = model.context.is_some_and(|context| ask.input.0 > context.0 / 2);
        Self {
            quality: model.quality.map_or(UNKNOWN_QUALITY, |quality| f64::from(quality) / 1000.0),
            quality_per_mille: model.quality,
            cost: DEAREST,
            latency: latency.map_or(0.5, |latency| 1.0 / (1.0 + f64::from(latency) / HALF_LATENCY_MS)),
            context: if crowded { 0.8 } else { 1.0 },
            success: health.success.map_or(1.0, |rate| f64::from(rate) / 1000.0),
        }
    }

    /// The score under the request's priority.
    pub(super) fn weigh(&self, ask: &Ask) -> f64 {
        // Quality is spread less than cost, from one half to one against one tenth to one: its weights are larger.
        let (quality, cost) = match ask.priority {
            Priority::High => (8.0, 0.2),
            Priority::Medium => (3.0, 0.5),
            Priority::Low => (1.0, 1.0),
        };
        // Whoever sets a bound is in a hurry.
        let latency = if ask.max_latency_ms.is_some() { 1.0 } else { 0.5 };
        let sum = quality + cost + latency + 1.0 + 1.0;
        let product = self.quality.powf(quality)
            * self.cost.powf(cost)
            * self.latency.powf(latency)
            * self.context
            * self.success;
        product.powf(1.0 / sum).clamp(0.0, 1.0)
    }
}

/// How cheap a cost is against the dearest: one for nothing, one tenth for the dearest and for what is not known.
#[allow(clippy::cast_precision_loss)] // A ratio of amounts: the last digits do not matter.
pub(super) fn cost(cost: Option<MicroDollars>, dearest: MicroDollars) -> f64 {
    match cost {
        None => DEAREST,
        Some(_) if dearest == MicroDollars::ZERO => 1.0,
        Some(cost) => 1.0 - (1.0 - DEAREST) * (cost.0 as f64 / dearest.0 as f64),
    }
}

impl fmt::Display for Factors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "quality {:.2}, cost {:.2}, latency {:.2}, room {:.2}, success {:.2}",
            self.quality, self.cost, self.latency, self.context, self.success
        )
    }
}
