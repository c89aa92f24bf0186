//! What is decided about calls of language models, as functions of (state, input, now): which model a call goes to, what
//! it may cost, whether it may be made, and what follows when it fails. It reads no clock, no disk and no network, and
//! rolls no dice: the gateway looks and acts, this crate concludes.

pub mod amount;
pub mod breaker;
pub mod budget;
pub mod capability;
pub mod catalogue;
pub mod chain;
pub mod clocks;
pub mod compat;
pub mod complexity;
pub mod failure;
pub mod limits;
pub mod name;
pub mod parking;
pub mod price;
pub mod quota;
pub mod report;
pub mod retry;
pub mod strategy;

pub use amount::{MicroDollars, Tokens};
pub use name::{ModelId, ProviderId, Route};
