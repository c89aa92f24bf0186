//! Calling providers: where they are, which headers they get, the pool of connections to them. Which provider is called, and what
//! follows from how it answers, is decided elsewhere.

pub mod client;
pub mod headers;
pub mod upstream;
