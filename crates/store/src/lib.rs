//! What must last: the journal of events, cursors, sequences, records, sessions and runs, in one SQLite database.
//!
//! All SQL of the daemon is here. Writes of many callers share one transaction and one disk sync ([`Store::write`]), and
//! none is answered before its own is on disk; reads run beside them on connections of their own. What the stored things
//! mean, who may see them and what happens next is left to the callers.
//!
//! Each domain is a module of plain functions over a [`Transaction`] or a [`Reader`], so that several of them make one
//! atomic step:
//!
//! ```
//! # async fn example(store: orx_store::Store) -> Result<(), orx_store::StoreError> {
//! let number = store
//!     .write(|tx| {
//!         orx_store::events::append(tx, "run.warning", "run_1", &serde_json::json!({"message": "disk is slow"}))?;
//!         orx_store::sequences::next(tx, "invoices", Some("order-17"))
//!     })
//!     .await?;
//! # let _ = number; Ok(()) }
//! ```

pub mod approvals;
pub mod calls;
pub mod checkpoints;
mod connection;
pub mod cursors;
mod error;
pub mod events;
pub mod keys;
mod lock;
pub mod messages;
mod migrations;
mod names;
pub mod notifications;
pub mod parkings;
mod readers;
pub mod records;
pub mod runs;
pub mod sequences;
pub mod sessions;
mod sql;
mod store;
mod template;
mod wal;
mod writer;

pub use calls::{CallRow, Word};
pub use error::StoreError;
pub use runs::RunRow;
pub use sessions::SessionRow;
pub use sql::{Reader, Row, Transaction, Value};
pub use store::{Statistics, Store};
