//! The contract between orx's processes: frames, JSON-RPC bodies, errors, identifiers, events, places, the shapes
//! of every method, and the terminal link's binary codec.
//!
//! It does no I/O and knows no runtime: bytes come in, values go out. Sockets belong to `orchestratord::listen` and
//! `orx-client`, terminals to `pty-proxy`.

pub mod activity;
pub mod api;
pub mod cast;
pub mod clock;
pub mod codec;
pub mod error;
pub mod event;
pub mod frame;
pub mod hold;
pub mod id;
pub mod launch;
pub mod legacy;
pub mod life;
pub mod limits;
pub mod places;
pub mod process;
pub mod rpc;
pub mod terminal;
pub mod watch;

pub use error::{ErrorData, ErrorKind, ErrorSource, RpcError};
pub use event::Event;
pub use id::{ApprovalId, CallId, DispatchId, KeyId, MessageId, NotificationId, RuleId, RunId, SessionId, WorkerId};

/// Version of the wire protocol that this build speaks; `hello` negotiates it.
pub const PROTOCOL_VERSION: u32 = 1;
