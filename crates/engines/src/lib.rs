//! The coding CLIs: how each is found, launched, kept from asking, and understood.
//!
//! What is known of a CLI is one file of data (`data/`), what it takes code to do is one file of code. Building a launch and reading what a run printed are pure functions; the shells around them look
//! for programs ([`locate()`]), ask them ([`version()`], [`check_login`]) and write private homes ([`prepare`]). Starting and
//! holding the process is the caller's.

mod aider;
mod amp;
pub mod channel;
mod claude;
mod cline;
mod codex;
mod command;
mod composer;
mod continue_cli;
mod copilot;
mod crush;
mod cursor;
mod descriptor;
mod draft;
mod driver;
mod environment;
mod error;
mod gemini;
#[cfg(test)]
mod golden;
mod goose;
mod home;
pub mod hooks;
mod kind;
mod launch;
mod listed;
mod locate;
mod login;
mod mini;
mod opencode;
mod openhands;
mod pi;
mod places;
mod qwen;
mod report;
mod request;
mod resumption;
mod rewind;
pub mod screen;
#[cfg(test)]
mod table;
pub mod transcript;

pub use composer::{Composer, Submission, is_left, shows_composer, shows_composer_of, submit_keys, submits_otherwise};
pub use descriptor::{Channels, Cloud, Descriptor, Dialect, EndpointUse, Headless, TerminalUse};
pub use draft::{Draft, composer_rows, draft};
pub use error::EngineError;
pub use home::remove_private_home;
pub use kind::EngineKind;
pub use launch::{headless, interactive, prepare, resume};
pub use listed::{Listed, Listing, list_conversations, lists_conversations};
pub use locate::{Version, locate, question, version};
pub use login::check_login;
pub use places::{logins_of_others, writable_paths};
pub use report::{EngineFailure, FailureKind, StageReport, progress, report};
pub use request::{
    CommandSpec, Context, Endpoint, HeadlessRequest, InteractiveRequest, Launch, Mode, PROMPT_ARGUMENT_MAX,
    ResumeRequest,
};
pub use resumption::{
    Conversation, Found, Learn, NameShape, can_resume, conversation_at_launch, conversation_name, find_conversation,
    find_conversations, forks_conversation, keeps_by_minute,
};
pub use rewind::{NotRewound, can_rewind, check_moment, moment, rewind};
pub use screen::screen_rules;
