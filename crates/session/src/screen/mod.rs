//! What a screen says about the agent that drew it: rules that are data, one file an engine, and the look they are held
//! against.
//!
//! A rule that matches is a vote, no more; how votes are weighed is [`crate::activity`]'s. Where no rule matches the
//! screen says nothing.

mod about;
mod condition;
mod dialog;
mod region;
mod rules;

pub use about::{is_about, is_same_dialog};
pub use dialog::{Answerable, Answers, CERTAIN, Dialog};
pub use region::{Look, Region};
pub use rules::{Matched, Rule, RuleError, Rules};
