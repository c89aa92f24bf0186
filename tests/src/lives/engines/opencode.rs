//! opencode.

use std::path::Path;

use orx_engines::EngineKind;
use serde_json::json;

use crate::lives::Road;

/// Writes settings of a working directory by which it asks before it writes or runs anything.
///
/// # Panics
/// When the directory is not writable.
pub fn asks(work: &Path) {
    let settings = json!({"$schema": "https://opencode.ai/config.json", "permission": {"edit": "ask", "bash": "ask"}});
    std::fs::write(work.join("opencode.json"), settings.to_string()).expect("the working directory is writable");
}

const BASE: Road = Road { prepare: asks, asked_by: Some("protocol"), ..Road::of(EngineKind::Opencode, "auto") };

/// On its terminal, beside its server.
pub const SERVE: Road = Road { shown: Some("serve"), ..BASE };
/// On pipes.
pub const ACP: Road = Road { channel: "acp", shown: Some("acp"), ..BASE };
/// On its terminal alone, where its dialogs do not tell which choice is the chosen one: it may do what it wants. What it calls
/// its conversation is known from itself alone.
pub const ALONE: Road = Road::of(EngineKind::Opencode, "off");
