//! The Agent Client Protocol, version 1, with an agent that `pty-proxy launch` holds on pipes. The relay's record of the
//! exchange is the truth: state is what follows from reading it, so that a client which comes back knows what is asked,
//! what runs and what waits.

mod asks;
mod connection;
mod transcript;
mod translate;

pub(crate) use connection::Connection;
pub use transcript::{Page, render};
pub use translate::{Input, Line, Step, Translator};
