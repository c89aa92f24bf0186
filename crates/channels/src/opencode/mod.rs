//! opencode's server: HTTP on loopback behind a password, events as they happen. The engine's own terminal interface is
//! another client of the same server.

mod connection;
mod server;
mod survey;
mod translate;

pub(crate) use connection::Connection;
pub use server::Server;
pub use survey::{Surveyed, survey};
pub use translate::{Call, Input, Purpose, Step, Translator};
