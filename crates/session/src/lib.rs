//! What is decided about sessions, as functions of (state, input, now): their life cycle, what their agents do, who may
//! do what, and how far a text that was sent has come. It reads no clock, no disk and no process: the daemon looks and
//! acts, this crate concludes.

pub mod activity;
pub mod approval;
pub mod delivery;
pub mod life;
pub mod notify;
pub mod screen;
pub mod usage;
