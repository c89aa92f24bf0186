//! What the agent of a session does, concluded from what several sources say of it.
//!
//! A [`Fusion`] keeps the newest word of each source, weighs them at a given time and gives an [`Activity`] with its
//! reason. Where no source says anything the answer is `unknown`; silence is never taken for `idle`.
//!
//! [`Activity`]: orx_protocol::activity::Activity

mod fusion;
#[cfg(test)]
mod fusion_tests;
pub mod hook;
mod observer;
mod progress;
pub mod shell;
mod weigh;

pub use fusion::Fusion;
pub use observer::{Observer, ended};
