//! Gemini CLI.

use orx_engines::EngineKind;

use crate::lives::Road;

/// On pipes.
pub const ACP: Road = Road { shown: Some("acp"), asked_by: Some("protocol"), ..Road::of(EngineKind::Gemini, "acp") };
/// On its terminal: its hooks tell what it asks, and keys answer it.
pub const KEYS: Road = Road { shown: Some("hooks"), asked_by: Some("screen"), ..Road::of(EngineKind::Gemini, "off") };
