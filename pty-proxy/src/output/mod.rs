//! What a session leaves on disk while it runs: the raw output, the recording, and what scrolled away.

pub mod append;
pub mod json;
pub mod moments;
pub mod recording;
pub mod scrollback;
