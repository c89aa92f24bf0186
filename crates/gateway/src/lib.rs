//! The gateway: every call of a model, in whichever dialect it is spoken.
//!
//! [`dialect`] is the pure part: what the dialects of LLM APIs say and how one is turned into another, as functions of bytes.
//! It opens no socket, reads no clock and holds no key.

pub mod dialect;
