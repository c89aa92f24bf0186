//! Async client of the daemon's Unix socket: calls, notifications, the event journal, serving as a worker, and attached
//! terminals.
//!
//! It owns sockets and deadlines and nothing else: the shapes of methods are `orx-protocol`'s, starting a daemon is
//! `orxctl`'s, and what a worker does with a request is the worker's.

mod backoff;
mod client;
mod connection;
mod error;
mod events;
mod outbox;
mod retry;
mod terminal;
mod worker;

pub use backoff::Backoff;
pub use client::{Client, ConnectOptions, Notifications};
pub use connection::Notification;
pub use error::ClientError;
pub use events::{EventFollower, EventStream, follow_events};
pub use terminal::{Terminal, TerminalReader, TerminalWriter};
pub use worker::{Answer, Request, WorkerEnd, WorkerLink};
