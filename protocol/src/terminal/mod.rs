//! Frames of an attached viewer, after a JSON request switched the connection over. Each is one length-prefixed frame
//! whose body is encoded by [`crate::codec`].
//!
//! A viewer may hand its own terminal to the holder ([`FromViewer::Terminal`]), which then reads its keys and writes to it by
//! itself: two processes fewer stand between a key and its echo. What may be meant for the viewer's program (a key that
//! leaves, say) comes back to it; a holder that does not know this cuts the viewer, which attaches again without.

pub mod modes;

use bincode::{Decode, Encode};

use modes::Set;

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
    /// Its terminal comes along as a descriptor that does not wait: the holder may use it from [`Self::Ready`] on. The viewer
    /// reads it no more.
    Terminal {
        /// Whether the holder reads its keys, too.
        keyboard: bool,
    },
    /// All that came before [`ToViewer::Taken`] is on the terminal.
    Ready,
    /// So many bytes of [`ToViewer::Typed`] in all were dealt with, and none is held back.
    Understood {
        /// Since the terminal was taken.
        bytes: u64,
    },
    /// Bytes of its own for its terminal, to be shown between what the program writes.
    Show(Vec<u8>),
    /// It wants the whole screen once more.
    Redraw,
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
    /// The holder has the viewer's terminal.
    Taken,
    /// What was typed and may be for the viewer; it sends back what is not.
    Typed(Vec<u8>),
    /// What is set on the viewer's terminal by now.
    Modes(Set),
    /// The viewer's terminal is its own again, at the place where the output that came before this ends.
    Returned,
}

/// Bytes of a frame of [`ToViewer::Screen`] or [`ToViewer::Output`] before those of the terminal: its length, which of them it is,
/// and how many bytes follow.
pub const OUTPUT_HEAD: usize = crate::frame::HEADER + size_of::<u32>() + size_of::<u64>();
