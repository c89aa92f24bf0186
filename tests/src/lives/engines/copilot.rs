//! GitHub Copilot CLI.

use orx_engines::EngineKind;

use crate::lives::Road;

/// On its terminal, with hooks.
pub const HOOKS: Road = Road { shown: Some("hooks"), asked_by: Some("hook"), ..Road::of(EngineKind::Copilot, "auto") };
/// On pipes.
pub const ACP: Road = Road { shown: Some("acp"), asked_by: Some("protocol"), ..Road::of(EngineKind::Copilot, "acp") };
