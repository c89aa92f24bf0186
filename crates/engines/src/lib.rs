//! The coding CLIs: how each is found, launched, kept from asking, and understood.
//!
//! One file a CLI. Building a launch and reading what a run printed are pure functions; the shells around them look
//! for programs ([`locate()`]), ask them ([`version()`], [`check_login`]) and write private homes ([`prepare`]). Starting and
//! holding the process is the caller's.

mod claude;
mod codex;
mod command;
mod composer;
mod environment;
mod error;
mod gemini;
#[cfg(test)]
mod golden;
mod home;
mod kind;
mod launch;
mod locate;
mod login;
mod opencode;
mod report;
mod request;

pub use composer::shows_composer;
pub use error::EngineError;
pub use home::remove_private_home;
pub use kind::EngineKind;
pub use launch::{headless, interactive, prepare};
pub use locate::{Version, locate, version};
pub use login::check_login;
pub use report::{EngineFailure, FailureKind, StageReport, progress, report};
pub use request::{
    CommandSpec, Context, Endpoint, HeadlessRequest, InteractiveRequest, Launch, Mode, PROMPT_ARGUMENT_MAX,
};
