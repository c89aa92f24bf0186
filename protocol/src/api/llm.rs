//! `llm.*`: providers and models, what calls of them cost, and the caps on that.

use serde::{Deserialize, Serialize};

/// Parameters of `llm.usage`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UsageParams {
    /// What calls are put together by: `provider`, `model`, `session`, `run`, `stage`, `project`, `user`, `key`, `kind`, `day`; `model`
    /// when absent.
    pub by: Option<String>,
    /// Since when, in milliseconds since the epoch; for a day when absent.
    pub since_ms: Option<u64>,
    /// Calls of this session alone.
    pub session: Option<String>,
    /// Calls of this run alone.
    pub run: Option<String>,
    /// A model to hold the calls against: what they would have cost there.
    pub against: Option<String>,
}

/// What calls that belong together come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLine {
    /// What they have in common; `None` for those that have it not.
    pub name: Option<String>,
    /// Calls.
    pub calls: u64,
    /// Calls that were not answered.
    pub failed: u64,
    /// Tokens of prompts that no cache had.
    pub input: u64,
    /// Tokens of answers.
    pub output: u64,
    /// Tokens of prompts that came from a cache.
    pub cache_read: u64,
    /// Tokens of prompts that were written to a cache.
    pub cache_write: u64,
    /// What those with a known price cost, in micro-dollars.
    pub cost_microusd: u64,
    /// Calls whose price is not known.
    pub unpriced: u64,
    /// Calls whose usage is an estimate, because their provider did not say.
    pub estimated: u64,
    /// How long a call took on average, in milliseconds.
    pub mean_ms: u64,
}

/// What `llm.usage` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// What calls were put together by.
    pub by: String,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: u64,
    /// The lines, the dearest first.
    pub lines: Vec<UsageLine>,
    /// All of them together.
    pub total: UsageLine,
    /// Whether there were more calls than are counted at once; the newest are missing then.
    pub is_partial: bool,
    /// Calls that were answered out of the cache; they are among the others.
    #[serde(default)]
    pub from_cache: u64,
    /// What those had cost when they were answered first, in micro-dollars.
    #[serde(default)]
    pub saved_by_cache_microusd: u64,
    /// What was saved against another model, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savings: Option<String>,
    /// What could be done about it, the most pressing first.
    pub advice: Vec<String>,
}

/// A cap in figures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    /// Its name.
    pub cap: String,
    /// Whose spending it bounds: `all`, `session`, `run`, `project`, `user`, `key`.
    pub of: String,
    /// Who that is; empty for all.
    pub subject: String,
    /// How long it counts: `day`, `month`, `ever`.
    pub per: String,
    /// The most money, in micro-dollars.
    pub limit_microusd: Option<u64>,
    /// The most tokens.
    pub limit_tokens: Option<u64>,
    /// What is spent, in micro-dollars.
    pub spent_microusd: u64,
    /// Tokens that are used.
    pub spent_tokens: u64,
    /// What is held back for calls at work, in micro-dollars.
    pub reserved_microusd: u64,
    /// How much of it is spent, per mille.
    pub spent_per_mille: u64,
    /// When it begins anew, in milliseconds since the epoch; `None` when never.
    pub resets_at_ms: Option<u64>,
}

/// What `llm.budget` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Every cap with everyone who falls under it.
    pub caps: Vec<Cap>,
}

/// A model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// Its name.
    pub model: String,
    /// Its name for people.
    pub title: String,
    /// Tokens of a request with its answer; `None` where it is not known.
    pub context: Option<u64>,
    /// Micro-dollars for a million tokens of a prompt; `None` where it is not known.
    pub input_microusd: Option<u64>,
    /// Micro-dollars for a million tokens of an answer; `None` where it is not known.
    pub output_microusd: Option<u64>,
    /// When the source of its price said so.
    pub priced_on: Option<String>,
    /// Whether its breaker lets calls through.
    pub is_up: bool,
}

/// A provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its name.
    pub provider: String,
    /// Its name for people.
    pub title: String,
    /// What it speaks.
    pub dialect: String,
    /// Where it is.
    pub base_url: Option<String>,
    /// Whether it has the key that it needs.
    pub is_configured: bool,
    /// The variable that holds its key; `None` where it needs none.
    pub key_variable: Option<String>,
    /// What it is: `no_key`, `untried` since the daemon began, else what its breaker is: `closed`, `open`, `half_open`, `down`.
    pub state: String,
    /// Why, and for how long, in words; empty while it is closed.
    pub why: String,
    /// Its models.
    pub models: Vec<Model>,
}

/// What `llm.providers` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Providers {
    /// The providers, in the order of the data.
    pub providers: Vec<Provider>,
}

/// What is done with a provider by `llm.mark`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Its breakers are closed, and what is said of it is forgotten.
    Reset,
    /// It is not asked until it is marked up.
    Down,
    /// It is asked again.
    Up,
}

/// Parameters of `llm.mark`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarkParams {
    /// The provider.
    pub provider: String,
    /// One of its models alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What is done.
    pub mark: Mark,
    /// For how long it is down, in milliseconds; until it is marked up when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Why, for whoever asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
