//! Cline.

use orx_engines::EngineKind;

use crate::lives::{Road, called, run};

/// On its terminal.
pub const KEYS: Road =
    Road { argv: &["--auto-approve", "false"], asked_by: Some("screen"), ..Road::of(EngineKind::Cline, "auto") };
/// On pipes, where it asks of its own. Which tool it writes files with depends on the model that it believes to talk to.
pub const ACP: Road = Road {
    shown: Some("acp"),
    steps: |turn| called(turn.prompt, vec![run(&format!("printf 'hello\\n' > {}", turn.file))]),
    asked_by: Some("protocol"),
    ..Road::of(EngineKind::Cline, "acp")
};
