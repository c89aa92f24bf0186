//! Recordings, played again through the model of the screen on their own clock: what a watcher would have been told.

pub mod cast;
mod play;

pub use play::play;
