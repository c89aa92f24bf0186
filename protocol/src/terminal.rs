//! Frames of an attached viewer, after a JSON request switched the connection over. Each is one length-prefixed frame
//! whose body is encoded by [`crate::codec`].

use bincode::{Decode, Encode};

/// What a viewer sends.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum FromViewer {
    /// Bytes that its user typed, as its terminal gave them.
    Input(Vec<u8>),
    /// Its terminal has this size now.
    Resize {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// It wants to be the one that types.
    TakeControl,
    /// It leaves.
    Detach,
}

/// What the holder sends.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum ToViewer {
    /// Bytes that make any terminal show the screen as it is now, modes included: at the start, and after a viewer fell
    /// so far behind that it skips to now.
    Screen(Vec<u8>),
    /// Bytes that the program wrote, whole sequences only.
    Output(Vec<u8>),
    /// The screen has this size now.
    Size {
        /// Columns.
        cols: u16,
        /// Rows.
        rows: u16,
    },
    /// Whether this viewer is the one that types.
    Control {
        /// `true` when its input reaches the program.
        held: bool,
    },
    /// The process ended; nothing follows.
    Ended {
        /// Exit status, when it exited.
        code: Option<i32>,
        /// Signal, when a signal ended it.
        signal: Option<i32>,
    },
}
