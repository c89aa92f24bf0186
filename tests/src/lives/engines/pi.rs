//! pi.

use orx_engines::EngineKind;

use crate::lives::Road;

/// On its terminal, with the extension that asks for it.
pub const HOOKS: Road = Road { shown: Some("hooks"), asked_by: Some("hook"), ..Road::of(EngineKind::Pi, "auto") };
