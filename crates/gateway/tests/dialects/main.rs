//! The dialects against each other, over recorded and made samples in `tests/data`.

mod conformance;
mod defects;
mod losses;
mod replay;
mod sample;
mod speed;
mod streams;
