//! What the ledger's rows say together: spending by any dimension, what was saved, and what could be. Nothing is counted as
//! nothing because it is not known: calls without a cost are told beside the sums.

mod advice;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::amount::{MicroDollars, Tokens};
use crate::catalogue::{Catalogue, ModelIndex};
use crate::complexity::Kind;
use crate::name::Route;
use crate::price::{self, Usage};

pub use advice::{Advice, advise};

/// A call, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// When it was settled, in milliseconds since the epoch.
    pub at_ms: u64,
    /// The day of that in the operator's time zone, as in `2026-11-20`.
    pub day: Arc<str>,
    /// Who answered.
    pub route: Route,
    /// Who was to answer first: the model that was named, or that the router had in front.
    pub first: Option<Route>,
    /// The session.
    pub session: Option<Arc<str>>,
    /// The run.
    pub run: Option<Arc<str>>,
    /// The stage of the run.
    pub stage: Option<Arc<str>>,
    /// The project.
    pub project: Option<Arc<str>>,
    /// The user.
    pub user: Option<Arc<str>>,
    /// The key.
    pub key: Option<Arc<str>>,
    /// What it was for.
    pub kind: Kind,
    /// What it used.
    pub usage: Usage,
    /// What it cost; `None` where the price is not known.
    pub cost: Option<MicroDollars>,
    /// Whether usage and cost are an estimate, because the provider did not say.
    pub is_estimate: bool,
    /// Whether it was answered.
    pub succeeded: bool,
    /// How long it took, in milliseconds.
    pub latency_ms: u64,
}

/// What rows are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Provider.
    Provider,
    /// Model with its provider.
    Model,
    /// Session.
    Session,
    /// Run.
    Run,
    /// Stage of a run.
    Stage,
    /// Project.
    Project,
    /// User.
    User,
    /// Key.
    Key,
    /// What the call was for.
    Kind,
    /// Day.
    Day,
}

/// What rows that belong together come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What they have in common; `None` for those that have it not.
    pub name: Option<String>,
    /// Calls.
    pub calls: u64,
    /// Calls that were not answered.
    pub failed: u64,
    /// What those with a known cost cost.
    pub cost: MicroDollars,
    /// Calls whose cost is not known.
    pub unpriced: u64,
    /// Calls whose usage is an estimate.
    pub estimated: u64,
    /// What they used.
    pub usage: Usage,
    /// How long they took together, in milliseconds.
    pub latency_ms: u64,
}

impl Line {
    fn add(&mut self, row: &Row) {
        self.calls += 1;
        self.failed += u64::from(!row.succeeded);
        self.unpriced += u64::from(row.cost.is_none());
        self.estimated += u64::from(row.is_estimate);
        self.cost = self.cost.plus(row.cost.unwrap_or_default());
        self.latency_ms = self.latency_ms.saturating_add(row.latency_ms);
        let (sum, used) = (&mut self.usage, &row.usage);
        for (sum, used) in [
            (&mut sum.input, used.input),
            (&mut sum.output, used.output),
            (&mut sum.cache_read, used.cache_read),
            (&mut sum.cache_write_5m, used.cache_write_5m),
            (&mut sum.cache_write_1h, used.cache_write_1h),
            (&mut sum.reasoning, used.reasoning),
        ] {
            *sum = sum.plus(used);
        }
    }

    /// What an answered call costs on average; `None` without one, or with costs that are not known.
    #[must_use]
    pub fn cost_of_success(&self) -> Option<MicroDollars> {
        let succeeded = self.calls - self.failed;
        (succeeded > 0 && self.unpriced == 0).then(|| MicroDollars(self.cost.0.div_ceil(succeeded)))
    }

    /// How much of the prompts came from a cache, per mille; `None` without a prompt.
    #[must_use]
    pub fn cached_per_mille(&self) -> Option<u64> {
        let prompt = self.usage.prompt();
        (prompt > Tokens::ZERO).then(|| self.usage.cache_read.per_mille_of(prompt))
    }
}

/// Rows put together by a dimension, the dearest first.
#[must_use]
pub fn spend<'r>(rows: impl IntoIterator<Item = &'r Row>, by: Dimension) -> Vec<Line> {
    /// A dimension's value without a copy of its text.
    #[derive(PartialEq, Eq, Hash)]
    enum Value<'r> {
        None,
        Text(&'r str),
        Model(&'r Route),
        Kind(Kind),
    }
    let mut lines: HashMap<Value<'r>, Line> = HashMap::new();
    for row in rows {
        let text = |text: &'r Option<Arc<str>>| text.as_deref().map_or(Value::None, Value::Text);
        let value = match by {
            Dimension::Provider => Value::Text(&row.route.provider),
            Dimension::Model => Value::Model(&row.route),
            Dimension::Session => text(&row.session),
            Dimension::Run => text(&row.run),
            Dimension::Stage => text(&row.stage),
            Dimension::Project => text(&row.project),
            Dimension::User => text(&row.user),
            Dimension::Key => text(&row.key),
            Dimension::Kind => Value::Kind(row.kind),
            Dimension::Day => Value::Text(&row.day),
        };
        lines.entry(value).or_default().add(row);
    }
    let mut lines: Vec<Line> = lines
        .into_iter()
        .map(|(value, mut line)| {
            line.name = match value {
                Value::None => None,
                Value::Text(text) => Some(text.to_owned()),
                Value::Model(route) => Some(route.to_string()),
                Value::Kind(kind) => Some(kind.to_string()),
            };
            line
        })
        .collect();
    lines.sort_by(|a, b| b.cost.cmp(&a.cost).then_with(|| a.name.cmp(&b.name)));
    lines
}

/// All rows together.
#[must_use]
pub fn total<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Line {
    let mut line = Line::default();
    for row in rows {
        line.add(row);
    }
    line
}

/// What calls are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The model that was to answer first.
    First,
    /// One model for everything.
    Model(ModelIndex),
}

/// What the same usage would have cost elsewhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Savings {
    /// What the compared calls cost.
    pub cost: MicroDollars,
    /// What they would have cost.
    pub instead: MicroDollars,
    /// Calls that were compared.
    pub compared: u64,
    /// Calls that were not, because one of the two costs is not known.
    pub left_out: u64,
}

impl Savings {
    /// What was saved, in micro-dollars; less than nothing where it was dearer.
    #[must_use]
    pub fn saved(&self) -> i128 {
        i128::from(self.instead.0) - i128::from(self.cost.0)
    }
}

impl fmt::Display for Savings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, amount) = if self.instead >= self.cost {
            ("saved", self.instead.minus(self.cost))
        } else {
            ("spent in addition", self.cost.minus(self.instead))
        };
        write!(f, "{amount} {word}: {} instead of {} over {} calls", self.cost, self.instead, self.compared)?;
        if self.left_out > 0 {
            write!(f, "; {} calls have no known price", self.left_out)?;
        }
        Ok(())
    }
}

/// What was saved against one model or the first choice, with the tokens that were used: other models may count others.
#[must_use]
pub fn savings<'r>(rows: impl IntoIterator<Item = &'r Row>, catalogue: &Catalogue, against: Against) -> Savings {
    let mut savings = Savings::default();
    for row in rows {
        let other = match against {
            Against::Model(index) => Some(index),
            Against::First => row.first.as_ref().and_then(|first| catalogue.index_of(&first.provider, &first.model)),
        };
        let instead = other
            .and_then(|index| catalogue.get(index))
            .and_then(|model| price::cost(model, &row.usage, row.at_ms).ok());
        match (row.cost, instead) {
            (Some(cost), Some(instead)) => {
                savings.compared += 1;
                savings.cost = savings.cost.plus(cost);
                savings.instead = savings.instead.plus(instead);
            }
            _ => savings.left_out += 1,
        }
    }
    savings
}

/// The model of the catalogue for which the usage of these rows would have cost most, among those that write text.
#[must_use]
pub fn dearest(catalogue: &Catalogue, usage: &Usage, now_ms: u64) -> Option<ModelIndex> {
    catalogue
        .models()
        .filter_map(|(index, model)| Some((price::cost(model, usage, now_ms).ok()?, std::cmp::Reverse(index))))
        .max()
        .map(|(_, std::cmp::Reverse(index))| index)
}

#[cfg(test)]
mod tests;
