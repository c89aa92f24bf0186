//! What a watcher is told of a terminal: the marks and notifications in the program's output, and when the screen is
//! worth a look. Pure: the holder's loop and the replay of recordings drive it with their own clocks.

pub mod tap;
pub mod watched;
