//! Codex's app-server: WebSocket frames on a Unix socket, bodies as JSON-RPC without the member `jsonrpc`. The engine's own
//! terminal interface is another client of the same server, so whatever is asked is asked of both, and the first answer
//! counts. What this client does not understand is left to the interface.

mod asks;
mod connection;
mod threads;
mod translate;

pub(crate) use connection::Connection;
pub use threads::{LoadedThread, loaded_threads};
pub use translate::{Step, Translator};
