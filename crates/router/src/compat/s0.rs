//! `POST /route` (S0): a decision among what it calls agents, which are models here, and at most two alternatives. The agent
//! that a request prefers is taken where it can be; the cost is of the request's tokens, where it says how many.

use orx_protocol::{ErrorKind, RpcError};
use serde::{Deserialize, Serialize};

use crate::amount::{MicroDollars, Tokens};
use crate::capability::{Capabilities, Capability};
use crate::catalogue::{Catalogue, Model, ModelIndex, UnknownModel};
use crate::strategy::{Ask, Candidate, Decision, Health, Priority, Strategy, choose};

/// Alternatives that are told, and tried.
pub const ALTERNATIVES: usize = 2;
/// Attempts at the decision and its alternatives, before the fallback chain.
pub const ATTEMPTS: usize = 3;
/// Tokens that a request is taken to have when it does not say.
const ASSUMED: Tokens = Tokens(1_000);
/// How sure it is of an agent that the request prefers.
const PREFERRED: f64 = 0.95;
/// How long an answer takes of which nothing is known, in milliseconds.
const UNKNOWN_MS: u32 = 5_000;
/// The types that S0 has.
const TYPES: [Capability; 9] = [
    Capability::CodeGeneration,
    Capability::CodeReview,
    Capability::Refactoring,
    Capability::Documentation,
    Capability::Testing,
    Capability::Debugging,
    Capability::Analysis,
    Capability::Explanation,
    Capability::Chat,
];

/// A request.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Request {
    /// The type of the task.
    #[serde(rename = "type")]
    pub kind: String,
    /// `capability`, `load_balance`, `cost`, `latency` or `score`; `capability` when absent or empty.
    pub strategy: String,
    /// `critical`, `high`, `medium` or `low`; `medium` when absent or empty.
    pub priority: String,
    /// The model to be taken where it can be.
    pub preferred_agent: Option<String>,
    /// Tokens of the prompt, where they are known.
    pub tokens: Option<u64>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reply {
    /// Who is taken.
    pub decision: Agent,
    /// Who else could be, at most two.
    pub alternatives: Vec<Alternative>,
}

/// Who is taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Agent {
    /// The model's name, with its provider's where several have it.
    pub agent_id: String,
    /// Its name for people.
    pub agent_name: String,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// Why.
    pub reasoning: String,
    /// Dollars; `null` where the price is not known.
    pub estimated_cost: Option<f64>,
    /// Milliseconds.
    pub estimated_time: u32,
}

/// Who else could be taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alternative {
    /// As [`Agent::agent_id`].
    pub agent_id: String,
    /// How sure it is, 0 to 1.
    pub confidence: f64,
    /// Why it is not the first.
    pub reason: String,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// A member of the request is wrong.
    #[error("`{member}`: `{value}` is none: there are {known}")]
    Unknown {
        /// Which.
        member: &'static str,
        /// What it is.
        value: String,
        /// What it could be.
        known: String,
    },
    /// The preferred agent is not known.
    #[error("`preferredAgent`: {0}")]
    Preferred(UnknownModel),
    /// No model can take it.
    #[error("no agent is available for {kind}: {explanation}")]
    Nobody {
        /// The type.
        kind: Capability,
        /// Why each cannot.
        explanation: String,
    },
}

impl From<RouteError> for RpcError {
    fn from(error: RouteError) -> Self {
        let message = error.to_string();
        let kind = match error {
            RouteError::Unknown { .. } => ErrorKind::InvalidParams,
            RouteError::Preferred(_) | RouteError::Nobody { .. } => ErrorKind::NotFound,
        };
        Self::new(kind, message).with_hint("`llm.providers` shows the models, which have a key, and which are up")
    }
}

fn unknown(member: &'static str, value: &str, known: &[impl ToString]) -> RouteError {
    let known = known.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    RouteError::Unknown { member, value: value.chars().take(60).flat_map(char::escape_debug).collect(), known }
}

/// The decision itself, for whoever sends the request on: [`crate::chain::Links::plan`] with [`ALTERNATIVES`] makes the way
/// of it.
///
/// # Errors
/// [`RouteError`] for a request that is wrong, and when no model can take it.
pub fn decide(
    request: &Request,
    catalogue: &Catalogue,
    left: Option<MicroDollars>,
    health: impl Fn(ModelIndex, &Model) -> Health,
    now_ms: u64,
) -> Result<Decision, RouteError> {
    let kind = Capability::named(&request.kind).ok_or_else(|| unknown("type", &request.kind, &TYPES))?;
    let strategy = match request.strategy.as_str() {
        "" => Strategy::Capability,
        name => Strategy::ALL
            .into_iter()
            .find(|strategy| strategy.to_string() == name)
            .ok_or_else(|| unknown("strategy", name, &Strategy::ALL))?,
    };
    let priority = match request.priority.as_str() {
        "critical" | "high" => Priority::High,
        "" | "medium" => Priority::Medium,
        "low" => Priority::Low,
        other => return Err(unknown("priority", other, &["critical", "high", "medium", "low"])),
    };
    let preferred = match request.preferred_agent.as_deref() {
        None | Some("") => &[],
        Some(name) => catalogue.find(name).map_err(RouteError::Preferred)?.models,
    };
    let ask = Ask {
        input: request.tokens.map_or(ASSUMED, Tokens),
        needs: Capabilities::only(kind),
        priority,
        left,
        strategy,
        ..Ask::default()
    };
    let mut decision = choose(catalogue, None, &ask, health, now_ms);
    for model in preferred {
        if decision.keep(*model) {
            break;
        }
    }
    if decision.ranked.is_empty() {
        return Err(RouteError::Nobody { kind, explanation: decision.explain(catalogue) });
    }
    Ok(decision)
}

/// Answers a request. `left` is what may still be spent; `None` where no cap holds.
///
/// # Errors
/// As [`decide`].
pub fn route(
    request: &Request,
    catalogue: &Catalogue,
    left: Option<MicroDollars>,
    health: impl Fn(ModelIndex, &Model) -> Health,
    now_ms: u64,
) -> Result<Reply, RouteError> {
    let decision = decide(request, catalogue, left, health, now_ms)?;
    let mut candidates = decision.ranked.iter();
    let first = candidates.next().and_then(|best| {
        let model = catalogue.get(best.model)?;
        let tokens = request.tokens.map_or_else(|| format!("{ASSUMED} assumed"), |count| Tokens(count).to_string());
        let why = if decision.kept {
            "preferred by the request".to_owned()
        } else {
            format!("first by {}", decision.strategy)
        };
        Some(Agent {
            agent_id: agent_id(catalogue, model),
            agent_name: model.title.clone(),
            confidence: if decision.kept { PREFERRED } else { best.confidence },
            reasoning: format!("{why} for {}: {best} ({tokens})", request.kind),
            estimated_cost: best.cost.map(MicroDollars::as_dollars),
            estimated_time: best.latency_ms.unwrap_or(UNKNOWN_MS),
        })
    });
    let Some(first) = first else {
        return Err(unknown("type", &request.kind, &TYPES));
    };
    let alternative = |candidate: &Candidate| {
        Some(Alternative {
            agent_id: agent_id(catalogue, catalogue.get(candidate.model)?),
            confidence: candidate.confidence,
            reason: candidate.to_string(),
        })
    };
    Ok(Reply { decision: first, alternatives: candidates.take(ALTERNATIVES).filter_map(alternative).collect() })
}

fn agent_id(catalogue: &Catalogue, model: &Model) -> String {
    match catalogue.find(&model.route.model) {
        Ok(found) if found.models.len() == 1 => model.route.model.to_string(),
        _ => model.route.to_string(),
    }
}
