//! What a session leaves on disk while it runs: the raw output and the recording.

pub mod append;
pub mod json;
pub mod recording;
