//! The dialects against each other, over recorded and made samples in `tests/data`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)] // A test says by a panic that it failed.

mod conformance;
mod defects;
mod embed;
mod losses;
mod replay;
mod sample;
mod speed;
mod streams;
