//! What the tests of orx share: a scripted model, and the handling of real processes.

pub mod activity;
pub mod calculator;
pub mod harness;
pub mod lives;
pub mod model;
pub mod provider;
pub mod terminal;
