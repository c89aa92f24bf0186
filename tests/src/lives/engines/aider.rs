//! Aider.

use orx_engines::EngineKind;

use crate::lives::{Road, write};
use crate::model::Step;

/// On its terminal, which is all that it has. It is told nothing after it has made its file, so that the model's last words
/// come with it; and outside a repository it would ask for one first.
pub const KEYS: Road = Road {
    argv: &["--no-git"],
    asked_by: Some("screen"),
    steps: |turn| vec![Step { text: turn.last_words(), tools: vec![write(turn.file)], ..Step::default() }],
    ..Road::of(EngineKind::Aider, "auto")
};
