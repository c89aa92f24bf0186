//! The dialects of LLM APIs and their translation, as pure functions of bytes.
//!
//! Two ways through: a call whose caller and provider speak the same dialect is only looked at ([`peek`]), edited in place
//! ([`splice`]) and metered ([`meter`]); one that must change dialect is parsed into a common form ([`model`], [`reply`],
//! [`event`]) and written again ([`translate`], [`stream`]). Listening, forwarding, keys and budgets are left to others.

pub mod anthropic;
pub mod chat;
pub mod compress;
pub mod count;
pub mod embed;
pub mod error;
pub mod event;
pub mod gemini;
pub mod hide_usage;
pub mod json;
mod linear;
pub mod loss;
pub mod meter;
pub mod model;
mod name;
pub mod ollama;
pub mod peek;
pub mod problem;
pub mod redact;
pub mod reply;
pub mod rerank;
pub mod responses;
mod scan;
pub mod signature;
pub mod splice;
pub mod sse;
pub mod stream;
mod tool_id;
pub mod translate;
pub(crate) mod tree;
mod usage;
pub mod write;

pub use loss::Loss;
pub use name::Dialect;
pub use problem::DialectError;
pub use usage::Usage;
