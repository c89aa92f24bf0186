//! The processes of a session: the holder's own detachment, the start of the program, and the end of its tree.

pub mod child;
pub mod detach;
pub mod ending;
