//! A worker process of orx: it registers one role with the daemon and serves its actions.
//!
//! It keeps nothing that must last: numbers and records are the daemon's, over the worker's own connection, and what is
//! kept here (the search index) can be rebuilt. So any number of instances of a role are alike.

pub mod link;
pub mod roles;
