//! The harness: real daemons in short temporary directories, and what tests need to talk to them and to look at them.
//!
//! It starts, watches and ends processes. What must hold is said by the suites in `tests/tests/suite`, one file a room.

pub mod binary;
pub mod cli;
pub mod daemon;
pub mod deadline;
pub mod engines;
pub mod http;
pub mod process;
pub mod repository;
pub mod scripted_model;
pub mod settings;
pub mod websocket;
pub mod wire;

pub use binary::{binary, search_path};
pub use cli::Ran;
pub use daemon::{Daemon, Pids, Refused};
pub use deadline::{eventually, eventually_async, eventually_or};
pub use http::{Http, Reply};
pub use repository::Repository;
pub use scripted_model::ScriptedModel;
pub use settings::Settings;
pub use websocket::WebSocket;
pub use wire::Wire;
