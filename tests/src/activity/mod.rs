//! Recorded sessions of real coding CLIs with what was true of them when: how they are recorded, and how they are read.
//!
//! The truth of a recording never comes from the rules that are judged by it: it is the scripted model's own timeline
//! (a request came, its answer was handed over) and what the recorder did (a key was pressed).

mod bed;
mod corpus;
mod evaluate;
mod recipe;
mod script;
mod witness;

pub use bed::{Bed, Timeline};
pub use corpus::{Heard, Labels, Take, Truth, Word};
pub use evaluate::{Figures, Hearing, LATEST_MS, Played, Told, judge, played, told};
pub use recipe::{Recipe, recipe};
pub use script::{Script, record};
