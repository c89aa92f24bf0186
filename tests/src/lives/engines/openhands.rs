//! OpenHands.

use orx_engines::EngineKind;

use crate::lives::Road;

/// On its terminal.
pub const KEYS: Road = Road { asked_by: Some("screen"), ..Road::of(EngineKind::Openhands, "off") };
/// On pipes.
pub const ACP: Road = Road { shown: Some("acp"), asked_by: Some("protocol"), ..Road::of(EngineKind::Openhands, "acp") };
