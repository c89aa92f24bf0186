//! Cline.

use orx_engines::EngineKind;

use crate::lives::Road;

/// On its terminal.
pub const KEYS: Road = Road {
    argv: &["--auto-approve", "false"],
    asked_by: Some("screen"),
    ..Road::of(EngineKind::Cline, "auto")
};
/// On pipes, where it asks of its own.
pub const ACP: Road = Road { shown: Some("acp"), asked_by: Some("protocol"), ..Road::of(EngineKind::Cline, "acp") };
