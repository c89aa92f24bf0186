//! Workers: who is registered, which of them gets a request, and the processes that the daemon keeps alive.

pub mod back_off;
pub mod dispatch;
pub mod health;
pub mod registry;
pub mod supervisor;

pub use dispatch::Dispatcher;
