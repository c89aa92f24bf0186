//! Qwen Code.

use orx_engines::EngineKind;

use crate::lives::Road;

/// It asks a person, and no model, whether what it wants to do is safe.
const BASE: Road = Road { argv: &["--approval-mode", "default"], ..Road::of(EngineKind::Qwen, "auto") };

/// On its terminal, with hooks.
pub const HOOKS: Road = Road { shown: Some("hooks"), asked_by: Some("hook"), ..BASE };
/// On pipes.
pub const ACP: Road = Road { channel: "acp", shown: Some("acp"), asked_by: Some("protocol"), ..BASE };
/// On its terminal without hooks.
pub const KEYS: Road = Road { argv: &["--approval-mode", "default", "--safe-mode"], asked_by: Some("screen"), ..BASE };
