//! The gateway in the daemon: who the sessions behind its keys are, what its ledger says, and its settings. Calls themselves are
//! the gateway's (`crates/gateway`).

pub mod callers;
pub mod parking;
pub mod report;
pub mod route;
