//! mini-swe-agent.

use orx_engines::EngineKind;

use crate::lives::Road;

/// On its terminal, which is all that it has.
pub const KEYS: Road = Road { asked_by: Some("screen"), ..Road::of(EngineKind::Mini, "auto") };
