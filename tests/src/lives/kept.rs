//! What an engine has written down of a conversation. Most write a moment after they said it, and one that is killed in that
//! moment has lost it.

use std::path::Path;

use orx_engines::EngineKind;
use serde_json::Value;

use super::Bed;
use crate::harness::engines;

/// Where an engine keeps its conversations: a directory somewhere below its home, and the type of the lines in it by which the
/// agent speaks, where they have one. What lies beside them, such as a log, and what other lines say is not read again.
const fn conversations(kind: EngineKind) -> (&'static str, Option<&'static str>) {
    match kind {
        EngineKind::Claude => ("projects", Some("assistant")),
        EngineKind::Codex => ("sessions", Some("response_item")),
        EngineKind::Copilot => ("session-state", Some("assistant.message")),
        EngineKind::Qwen => ("chats", Some("assistant")),
        EngineKind::Gemini => ("chats", None),
        EngineKind::Cline | EngineKind::Continue => ("sessions", None),
        EngineKind::Opencode => ("opencode", None),
        _ => ("conversations", None),
    }
}

/// Whether an engine has written these words down where it reads them when the conversation is taken up.
///
/// # Panics
/// When its home cannot be read.
#[must_use]
pub fn written(bed: &Bed, kind: EngineKind, words: &str) -> bool {
    let (directory, speaks) = conversations(kind);
    let is_conversation = |path: &Path| path.components().any(|component| component.as_os_str() == directory);
    let home = bed.daemon.places().home.join("engines").join(kind.name());
    engines::files(&home).into_iter().filter(|(path, _)| is_conversation(path)).any(|(path, text)| {
        let text = String::from_utf8_lossy(&text);
        let json = |text: &str| serde_json::from_str::<Value>(text).ok();
        match (speaks, path.extension().and_then(|extension| extension.to_str())) {
            (Some(kind), _) => text
                .lines()
                .filter(|line| line.contains(words))
                .any(|line| json(line).is_some_and(|line| line["type"] == kind)),
            // One that is written anew as a whole may be half there.
            (None, Some("json")) => text.contains(words) && json(&text).is_some(),
            (None, _) => text.contains(words),
        }
    })
}
