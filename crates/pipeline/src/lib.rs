//! Runs: from a task to verified commits on a branch.
mod error;
pub mod backlog;
pub mod gates;
pub mod guardrails;
mod knowledge;
pub mod machine;
mod port;
mod prompts;
mod record;
pub mod settings;
pub mod verdict;
pub use error::PipelineError;
pub use port::{HeldOutcome, HeldRequest, HostError, SessionHost};
