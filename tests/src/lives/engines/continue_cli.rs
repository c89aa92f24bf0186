//! Continue's command line.

use orx_engines::EngineKind;

use crate::lives::Road;

/// On its terminal: it has nothing else.
pub const KEYS: Road = Road { asked_by: Some("screen"), ..Road::of(EngineKind::Continue, "auto") };
