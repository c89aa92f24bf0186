//! Clients of the structured channels that coding CLIs offer beside their screens: Codex's app-server, opencode's server,
//! and the Agent Client Protocol. Each protocol is a pure translation between its messages and [`ChannelEvent`]s, and a
//! thin connection with deadlines, bounded queues and reconnection around it.
//!
//! Nothing here knows the daemon, starts a process or keeps anything: what an event means for a session, and who decides
//! what an agent asks for, belongs to whoever holds the [`Channel`].

pub mod acp;
pub mod app_server;
mod channel;
mod error;
mod event;
mod frames;
pub mod opencode;
mod text;

pub use channel::{Channel, Protocol, Step, Target, open};
pub use error::ChannelError;
pub use event::{Ask, ChannelCommand, ChannelEvent, PromptOutcome, Usage};
