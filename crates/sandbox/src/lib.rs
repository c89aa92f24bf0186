//! Spawning: the one place of orx that starts processes. A program gets exactly the environment it is given, its own
//! process group, no inherited descriptors, no core dumps, a deadline, and an end that takes its whole tree. A session's
//! program is also confined ([`confine`]) and limited ([`limits`]).
//!
//! What is to be run is decided elsewhere: git commands in `orx-workspace`, coding CLIs in `orx-engines`, gates in
//! `orx-pipeline`. Terminals belong to `pty-proxy`.

pub mod capture;
pub mod confine;
pub mod descent;
pub mod descriptors;
pub mod environment;
pub mod file;
pub mod hardening;
pub mod identity;
pub mod limits;
pub mod locate;
pub mod peer;
pub mod spawn;
pub mod tree;

pub use capture::{Captured, Program, capture};
pub use locate::{NotFound, find_program};
pub use spawn::SpawnError;
