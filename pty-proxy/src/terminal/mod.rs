//! The terminal that the program believes to be talking to: cutting its output into sequences, answering its queries,
//! the model of its screen, and redrawing that screen on another terminal.
//!
//! Nothing here does I/O or knows of viewers, files or processes.

pub mod answers;
mod changes;
pub mod emulator;
mod handler;
pub mod history;
#[cfg(test)]
mod history_tests;
mod pass;
pub mod redraw;
#[cfg(test)]
mod redraw_tests;
mod run;
pub mod scan;
pub mod screen;
pub mod sequence;
mod style;
