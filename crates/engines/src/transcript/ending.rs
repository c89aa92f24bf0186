//! How the lines of a conversation end: whether all of its last turn is written down.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use orx_protocol::activity::AgentState;

use super::{Reader, find_records};
use crate::{Context, EngineError, EngineKind};

/// Most bytes that are read of a file, from its end.
const PART: u64 = 512 * 1024;

/// Whether the lines of a conversation end within a turn. False where that is not seen: without a file, and for an engine
/// whose files do not show it.
///
/// # Errors
/// [`EngineError::Transcripts`] when its files cannot be looked at.
pub fn ends_within_turn(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    conversation: &str,
) -> Result<bool, EngineError> {
    let Some(mut reader) = Reader::of(kind) else { return Ok(false) };
    for file in find_records(kind, context, cwd, conversation)?.into_iter().filter(|file| !file.whole) {
        let end =
            end(&file.path).map_err(|source| EngineError::Transcripts { engine: kind, path: file.path, source })?;
        for line in end.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            reader.line(line, u64::MAX);
        }
    }
    Ok(reader.says().is_some_and(|said| said.state == AgentState::Working))
}

/// The whole lines at the end of a file.
fn end(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = orx_sandbox::file::open_plain(path)?;
    let from = file.metadata()?.len().saturating_sub(PART);
    file.seek(SeekFrom::Start(from))?;
    let mut text = Vec::new();
    file.take(PART).read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    text.truncate(whole);
    if from > 0 {
        let first = text.iter().position(|byte| *byte == b'\n').map_or(text.len(), |first| first + 1);
        text.drain(..first);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190a1b2-c3d4-7e5f-8a6b-0123456789ab";

    #[test]
    fn a_turn_is_written_down_when_its_end_is() {
        let home = tempfile::tempdir().unwrap();
        let context = Context {
            environment: [("HOME".to_owned(), home.path().to_string_lossy().into_owned())].into(),
            ..Context::default()
        };
        let within = || ends_within_turn(EngineKind::Claude, &context, "/w", ID).unwrap();
        assert!(!within(), "there is no file");
        let file = home.path().join(format!(".claude/projects/-w/{ID}.jsonl"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let long = format!("{{\"type\":\"attachment\",\"content\":\"{}\"}}\n", "x".repeat(600 * 1024));
        let prompt = "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"go on\"}}\n";
        let call = "{\"type\":\"assistant\",\"message\":{\"stop_reason\":\"tool_use\",\"content\":[]}}\n";
        let last = "{\"type\":\"assistant\",\"message\":{\"stop_reason\":\"end_turn\",\"content\":[]}}\n";
        for (text, expected) in [
            (prompt.to_owned(), true),
            (format!("{long}{prompt}{call}"), true),
            (format!("{long}{prompt}{call}{}", &last[..20]), true),
            (format!("{long}{prompt}{call}{last}"), false),
            (long, false),
        ] {
            std::fs::write(&file, &text).unwrap();
            assert_eq!(within(), expected, "{}", &text[text.len() - 60..]);
        }
        assert!(!ends_within_turn(EngineKind::Opencode, &context, "/w", ID).unwrap());
    }
}
