//! Confining a session's program: what may be written, what is kept from it, what it reaches over the network.
//!
//! [`plan()`] decides with what this machine has ([`Abilities`]) and says truthfully what will not hold; [`enter()`] carries a
//! plan out in the process that becomes the program. Which sessions are confined, and what their engines need, is
//! decided by `orchestratord`.

mod abilities;
mod bubblewrap;
mod enter;
mod gateway;
mod git;
#[cfg(target_os = "linux")]
mod landlock;
mod plan;
mod secrets;
mod start;

pub use abilities::Abilities;
pub use enter::{EnterError, Inside, apart, enter, inside};
pub use plan::{Confined, Surroundings, plan};
pub use start::{Report, StartLine};

/// A session cannot be confined as it was wished.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// This machine has nothing that confines.
    #[error("there is no sandbox on this machine: {why}")]
    Missing {
        /// What was looked for and why it cannot be used.
        why: String,
    },
    /// The wish goes beyond what the mechanism can hold.
    #[error("{0}")]
    Beyond(String),
    /// A path of the wish cannot be used.
    #[error("{path} cannot be made writable for the session: {why}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// A directory that the session needs cannot be made.
    #[error("{path} cannot be made: {source}")]
    Directory {
        /// The directory.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl ConfineError {
    /// What to do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Beyond(_) => {
                "install bubblewrap and allow user namespaces, or start the session without a sandbox: `orxctl new --no-sandbox`, `sandbox: {mode: preferred}` in orchestratord.yaml"
            }
            Self::Path { .. } => "name an existing absolute path outside orx's own state",
            Self::Directory { .. } => "make the directory yourself, or start the session without a sandbox",
        }
    }
}
