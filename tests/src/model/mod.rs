//! A scripted model: a small server that speaks the APIs of the model vendors and answers from a scenario file. It
//! stands in for the model alone; the coding CLIs that call it are the real ones.

mod act;
mod chat_tools;
mod conversation;
mod scenario;
mod schema;
mod server;
mod tools;
mod wire;

pub use act::{Acted, act};
pub use conversation::{Conversation, Wire};
pub use scenario::{Action, Failure, Rule, Scenario, Step, Usage, When};
pub use server::{Happened, Moment, Options, Request, ScriptedModel};
