//! Whole lives of sessions: a real coding CLI in a session of a real daemon, a scripted model behind it, from its start over
//! a question that is answered in the inbox and the death of everything around it to an end that leaves nothing running.
//!
//! [`Bed`] is what every suite with a real CLI stands on, [`Life`] the steps of a life, [`Road`] what one engine on one of its
//! channels needs for that; there is a file an engine in [`engines`].

mod bed;
pub mod engines;
mod inbox;
mod kept;
mod life;
mod road;
mod script;

use std::time::Duration;

pub use bed::Bed;
pub use inbox::short;
pub use kept::written;
pub use life::{Life, whole_life};
pub use road::Road;
pub use script::{FIRST, SECOND, Turn, called, rule, run, write};

/// The longest that a CLI may take to start, to draw, to ask or to answer on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(150);
/// How long processes may take to go after their session's end was answered.
pub const GONE: Duration = Duration::from_secs(10);
/// The key of the scripted model.
pub const KEY: &str = "scripted-endpoint-key-0123456789";
