//! The gateway: every call of a model, in whichever dialect it is spoken.
//!
//! A request comes to a [`door`], its [`caller`] is found out, the router decides where it goes, [`control`] gives leave under all
//! caps, limits and breakers, a [`provider`] is asked, and the answer passes back as a whole or as a [`stream`], metered, into the
//! [`ledger`]. [`dialect`] is the pure part: what the dialects of LLM APIs say and how one is turned into another.
//!
//! This is the only place with keys of providers and with an HTTP client. Listening is left to the daemon.

pub mod answer;
pub mod attempt;
pub mod bill;
pub mod cache;
mod call;
pub mod caller;
pub mod control;
pub mod dialect;
pub mod door;
pub mod features;
mod gateway;
mod health;
pub mod inner;
pub mod key;
pub mod ledger;
pub mod metrics;
pub mod models;
pub mod named;
mod parking;
pub mod provider;
pub mod settings;
pub mod stream;

pub use gateway::{Gateway, GatewayError, KeyError, Parts};
