//! The whole pipeline over real git and a real store, with a host that plays the engines' part.

mod crashes;
mod harness;
mod refusals;
mod whole;
