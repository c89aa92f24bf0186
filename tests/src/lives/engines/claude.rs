//! Claude Code.

use orx_engines::EngineKind;

use crate::lives::{Road, called, run};

/// On its terminal, with hooks.
pub const HOOKS: Road = Road { shown: Some("hooks"), asked_by: Some("hook"), ..Road::of(EngineKind::Claude, "auto") };
/// On pipes, through its adapter.
pub const ACP: Road = Road {
    shown: Some("acp"),
    asked_by: Some("protocol"),
    adapters: &["claude-agent-acp"],
    ..Road::of(EngineKind::Claude, "acp")
};
/// On its terminal without hooks: what is on the screen is all there is. It has fewer tools then.
pub const KEYS: Road = Road {
    argv: &["--bare"],
    asked_by: Some("screen"),
    steps: |turn| called(turn.prompt, vec![run(&format!("echo hello > {}", turn.file))]),
    ..Road::of(EngineKind::Claude, "off")
};
