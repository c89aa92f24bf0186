//! Codex.

use orx_engines::EngineKind;
use serde_json::json;

use crate::lives::{Road, Turn, called};
use crate::model::{Action, Step};

/// It asks for what leaves its own sandbox.
fn escalated(turn: Turn) -> Vec<Step> {
    let arguments = json!({
        "cmd": format!("echo hello > {}", turn.file),
        "sandbox_permissions": "require_escalated",
        "justification": "It writes a file of the project.",
    });
    called(turn.prompt, vec![Action::Call { tool: "exec_command".to_owned(), arguments }])
}

const BASE: Road = Road { steps: escalated, ..Road::of(EngineKind::Codex, "auto") };

/// On its terminal, beside its server.
pub const APP_SERVER: Road = Road { shown: Some("app-server"), asked_by: Some("protocol"), ..BASE };
/// On its terminal alone.
pub const KEYS: Road = Road { channel: "off", asked_by: Some("screen"), ..BASE };
/// On pipes, through its adapter.
pub const ACP: Road = Road {
    channel: "acp",
    shown: Some("acp"),
    asked_by: Some("protocol"),
    adapters: &["codex-acp"],
    env: &[("INITIAL_AGENT_MODE", "read-only")],
    ..Road::of(EngineKind::Codex, "acp")
};
