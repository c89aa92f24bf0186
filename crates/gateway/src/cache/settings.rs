//! What an operator says of the cache.

use orx_router::budget::Of;
use serde::Deserialize;

/// `gateway.cache`. Without it nothing is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSettings {
    /// How long an answer is given again, in seconds.
    pub ttl_s: u64,
    /// The most bytes that are kept in memory.
    pub bytes: u64,
    /// Whose answers are whose: callers of one `project`, `session`, `run`, `user` or `key` get each other's.
    pub of: Of,
    /// Whether calls with tools are answered from it too: an agent that asks the same again gets the same again.
    pub tools: bool,
    /// A Redis in which answers are kept beside memory, as in `redis://127.0.0.1:6379/0`.
    pub redis: Option<String>,
    /// Whether calls that are alike have the same answer.
    pub semantic: Option<Semantic>,
}

impl Default for CacheSettings {
    fn default() -> Self {
        Self { ttl_s: 3_600, bytes: 64 << 20, of: Of::Project, tools: false, redis: None, semantic: None }
    }
}

/// `gateway.cache.semantic`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Semantic {
    /// The model that embeds what is asked.
    pub model: String,
    /// How alike is alike enough: the cosine of the two, in thousandths.
    #[serde(default = "usual")]
    pub threshold_per_mille: u32,
}

impl Semantic {
    /// The least cosine.
    #[must_use]
    pub fn least(&self) -> f32 {
        // Below 1,000, where every whole number is one of these.
        #[allow(clippy::cast_precision_loss)]
        let least = self.threshold_per_mille as f32 / 1_000.0;
        least
    }
}

const fn usual() -> u32 {
    950
}
