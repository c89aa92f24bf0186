//! The held program and all that it starts: its start, how its end is known, and the end of its whole tree.

pub mod child;
pub mod confined;
pub mod detach;
pub mod ending;
pub mod foreground;
#[cfg(target_os = "linux")]
pub mod keeper;
pub mod keeping;
pub mod prompt;
pub mod tree;
pub mod watch;
