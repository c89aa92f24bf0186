//! Runs: from a task in words to verified commits on a branch.
//!
//! The core is pure: [`settings`] read `orx.yaml`, [`machine`] decides what comes next, [`backlog`], [`verdict`],
//! [`gates`] and [`guardrails`] judge what engines wrote. The shell around it ([`Pipeline`]) starts, drives, ends and
//! shows runs: it saves each state in the store before the next effect, and mirrors it into `runs/<id>/`.
//!
//! Processes are held by what the daemon implements as [`SessionHost`]; git is `orx-workspace`'s, command lines of the
//! coding CLIs are `orx-engines`'. Nothing here starts a process of its own but `gh`, for a pull request that was asked for.

pub mod backlog;
mod driver;
mod error;
mod files;
pub mod gates;
pub mod guardrails;
mod handover;
mod knowledge;
mod look;
pub mod machine;
mod metrics;
mod port;
mod prompts;
mod record;
pub mod settings;
pub mod verdict;

pub use driver::{Parts, Pipeline};
pub use error::PipelineError;
pub use port::{HeldOutcome, HeldRequest, HostError, SessionHost};
pub use settings::init::init_file;
