//! `orchestratord`: owns the state, listens, dispatches, supervises. What runs in a session is held by a `pty-proxy` each,
//! what workers do is done by `agentd` processes; losing the daemon loses neither.

pub mod access;
pub mod adopt;
pub mod api;
pub mod approvals;
pub mod channels;
pub mod config;
pub mod confinement;
pub mod daemon;
pub mod hooks;
pub mod journal;
pub mod listen;
pub mod llm;
pub mod notify;
pub mod reply;
pub mod runs;
mod screens;
pub mod sessions;
pub mod start;
pub mod subscription;
pub mod workers;

pub use config::{Flags, Settings};
pub use start::{StartError, run};
