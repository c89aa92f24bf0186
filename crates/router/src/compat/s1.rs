//! `POST /api/route-llm` (S1). Two things are other than there: the request's priority changes the answer, and the way out
//! when nothing fits is taken only to a model that is there, has the room and may be paid.

use orx_protocol::{ErrorKind, RpcError};
use serde::{Deserialize, Serialize};

use crate::amount::{MicroDollars, Tokens};
use crate::capability::{Capabilities, Capability};
use crate::catalogue::{Catalogue, Model, ModelIndex};
use crate::strategy::{Ask, Candidate, Decision, Health, Priority, Strategy, choose};

/// A request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Request {
    /// Tokens of the prompt.
    pub token_count: i64,
    /// The type of the task; `reasoning` when absent or empty.
    pub task_type: String,
    /// `high`, `medium` or `low`; `medium` when absent or empty.
    pub priority: String,
    /// How long the answer may take to begin, in milliseconds; any time when 0.
    pub max_latency: i64,
    /// Who asks; `api` when absent or empty.
    pub interface: String,
    /// Tokens that the answer is expected to have (not in S1, which has one price for both).
    pub output_tokens: i64,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reply {
    /// The model's name for people: S1 calls that a provider.
    pub provider: String,
    /// Why, in S1's words.
    pub reasoning: String,
    /// Dollars; `null` where the price is not known.
    pub estimated_cost: Option<f64>,
    /// The score of the winner.
    pub confidence: f64,
    /// The model, as a request names it.
    pub model: String,
    /// The provider, as the settings name it.
    pub provider_id: String,
    /// Who asked.
    pub interface: String,
    /// Whether nothing fitted, and this is the way out.
    pub fallback: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A member of the request is wrong.
    #[error("`{member}`: {message}")]
    Invalid {
        /// Which.
        member: &'static str,
        /// What is wrong.
        message: String,
    },
    /// No model can take it, not even as a way out.
    #[error("No suitable providers found, and no fallback: {explanation}")]
    Nobody {
        /// Why each cannot.
        explanation: String,
    },
}

impl From<RouteError> for RpcError {
    fn from(error: RouteError) -> Self {
        let message = error.to_string();
        match error {
            RouteError::Invalid { .. } => Self::new(ErrorKind::InvalidParams, message)
                .with_hint("send {token_count, task_type, priority, max_latency, interface}"),
            RouteError::Nobody { .. } => Self::new(ErrorKind::Unavailable, message)
                .with_hint("`llm.providers` shows which providers have a key and are up; `llm.budget` what is left"),
        }
    }
}

/// What S1 says when nothing fits.
const FALLBACK: &str = "No suitable providers found, using fallback";
/// How sure it is then.
const FALLBACK_CONFIDENCE: f64 = 0.5;

/// Answers a request. `left` is what may still be spent; `None` where no cap holds.
///
/// # Errors
/// [`RouteError`] for a request that is wrong, and when no model can take it.
pub fn route(
    request: &Request,
    catalogue: &Catalogue,
    left: Option<MicroDollars>,
    health: impl Fn(ModelIndex, &Model) -> Health,
    now_ms: u64,
) -> Result<Reply, RouteError> {
    let count = |member: &'static str, value: i64| {
        let message = || format!("{value} is no number of tokens");
        u64::try_from(value).map(Tokens).map_err(|_| RouteError::Invalid { member, message: message() })
    };
    let task = if request.task_type.is_empty() { "reasoning" } else { request.task_type.as_str() };
    let priority = match request.priority.as_str() {
        "high" => Priority::High,
        "" | "medium" => Priority::Medium,
        "low" => Priority::Low,
        other => {
            let message = format!("`{}` is none: there are high, medium and low", other.escape_debug());
            return Err(RouteError::Invalid { member: "priority", message });
        }
    };
    let max_latency_ms = match request.max_latency {
        0 => None,
        value => Some(u32::try_from(value).map_err(|_| RouteError::Invalid {
            member: "max_latency",
            message: format!("{value} is no time in milliseconds"),
        })?),
    };
    let ask = Ask {
        input: count("token_count", request.token_count)?,
        output: count("output_tokens", request.output_tokens)?,
        needs: Capabilities::NONE,
        priority,
        max_latency_ms,
        min_quality: None,
        left,
        strategy: Strategy::Score,
        writes: false,
    };
    let interface = if request.interface.is_empty() { "api" } else { request.interface.as_str() };
    let reply = |candidate: &Candidate, reasoning: String, confidence: f64, fallback: bool| {
        catalogue.get(candidate.model).map(|model| Reply {
            provider: model.title.clone(),
            reasoning,
            estimated_cost: candidate.cost.map(MicroDollars::as_dollars),
            confidence,
            model: model.route.model.to_string(),
            provider_id: model.route.provider.to_string(),
            interface: interface.to_owned(),
            fallback,
        })
    };
    // A type that nobody has heard of is one that nobody can do.
    let fitting = match Capability::named(task) {
        Some(capability) => {
            choose(catalogue, None, &Ask { needs: Capabilities::only(capability), ..ask }, &health, now_ms)
        }
        None => Decision::default(),
    };
    if let Some(best) = fitting.best()
        && let Some(reply) = reply(best, reasoning(best, &ask, task), best.confidence, false)
    {
        return Ok(reply);
    }
    let any = choose(catalogue, None, &Ask { max_latency_ms: None, ..ask }, &health, now_ms);
    any.ranked
        .iter()
        .filter(|candidate| catalogue.get(candidate.model).is_some_and(writes))
        .find_map(|candidate| reply(candidate, FALLBACK.to_owned(), FALLBACK_CONFIDENCE, true))
        .ok_or_else(|| RouteError::Nobody { explanation: any.explain(catalogue) })
}

/// Whether a model answers with text: one that makes vectors is no way out.
fn writes(model: &Model) -> bool {
    let other = Capabilities::only(Capability::Embedding).with(Capability::Rerank);
    other.lacks(model.capabilities) != Capabilities::NONE
}

/// S1's words.
fn reasoning(best: &Candidate, ask: &Ask, task: &str) -> String {
    let mut reasons = Vec::new();
    if best.score > 0.8 {
        reasons.push("high quality match".to_owned());
    }
    let is_cheap = match (best.cost, ask.left) {
        (Some(cost), Some(left)) => cost == MicroDollars::ZERO || cost.0 < left.0 / 10,
        (Some(cost), None) => cost == MicroDollars::ZERO,
        (None, _) => false,
    };
    if is_cheap {
        reasons.push("cost-effective".to_owned());
    }
    if ask.max_latency_ms.is_some() && best.latency_ms.is_some() {
        reasons.push("meets latency requirements".to_owned());
    }
    reasons.push(format!("supports {task} tasks"));
    reasons.join(", ")
}
