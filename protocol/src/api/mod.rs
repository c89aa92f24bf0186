//! Parameters and results of the methods, one file a noun. Fields may be added; none changes its meaning.

pub mod adopt;
pub mod approval;
pub mod config;
pub mod confinement;
pub mod daemon;
pub mod delivery;
pub mod event;
pub mod explain;
pub mod hook;
pub mod key;
pub mod life;
pub mod llm;
pub mod notification;
pub mod record;
pub mod run;
pub mod session;
pub mod worker;

use serde::{Deserialize, Serialize};

/// Parameters of a method that takes none; unknown members are refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}
