//! Conversations as they were at an earlier moment: of an engine whose record of a conversation only grows, a line at a
//! time, its beginning is a conversation too. It is written under a name of its own beside the one that it comes from, which
//! stays as it is.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::resumption::find_conversations;
use crate::{Context, EngineError, EngineKind};

/// Longest record of a conversation that is copied, in bytes.
const RECORD_MAX: u64 = 512 * 1024 * 1024;

/// Why a conversation cannot be set back.
#[derive(Debug, thiserror::Error)]
pub enum NotRewound {
    /// The engine keeps its conversations in another way.
    #[error("{0} cannot set a conversation back to an earlier moment")]
    Engine(EngineKind),
    /// There is no record of it.
    #[error("{engine} keeps no record of the conversation {conversation} any more")]
    Gone {
        /// The engine.
        engine: EngineKind,
        /// Its name.
        conversation: String,
    },
    /// The record is not the one of that moment: it is shorter, or has no end of a line there.
    #[error("what {engine} keeps of the conversation {conversation} is not what it was at that moment")]
    Changed {
        /// The engine.
        engine: EngineKind,
        /// Its name.
        conversation: String,
    },
    /// Files cannot be looked at.
    #[error(transparent)]
    Engines(#[from] EngineError),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Whether an engine's conversations can be set back.
#[must_use]
pub fn can_rewind(kind: EngineKind) -> bool {
    kind.descriptor().conversation.rewinds
}

/// How far the record of a conversation goes at this moment, in bytes of whole lines.
///
/// # Errors
/// [`NotRewound`].
pub fn moment(kind: EngineKind, context: &Context, cwd: &str, conversation: &str) -> Result<u64, NotRewound> {
    let path = record(kind, context, cwd, conversation)?;
    let failed = |source| NotRewound::File { path: path.clone(), source };
    let text = read(&path, u64::MAX).map_err(failed)?;
    Ok(whole_lines(&text))
}

/// Checks that the record of a conversation still has all of this moment.
///
/// # Errors
/// [`NotRewound`].
pub fn check_moment(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    conversation: &str,
    moment: u64,
) -> Result<(), NotRewound> {
    beginning(kind, context, cwd, conversation, moment).map(drop)
}

/// Writes the conversation as it was at that moment, under the name `new`.
///
/// # Errors
/// [`NotRewound`]; nothing is written then.
pub fn rewind(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    conversation: &str,
    moment: u64,
    new: &str,
) -> Result<(), NotRewound> {
    let (path, text) = beginning(kind, context, cwd, conversation, moment)?;
    let text = String::from_utf8_lossy(&text).replace(conversation, new);
    let name = path.file_name().map(|name| name.to_string_lossy().replace(conversation, new)).unwrap_or_default();
    let target = path.with_file_name(name);
    orx_sandbox::file::replace(&target, text.as_bytes()).map_err(|source| NotRewound::File { path: target, source })
}

fn beginning(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    conversation: &str,
    moment: u64,
) -> Result<(PathBuf, Vec<u8>), NotRewound> {
    let path = record(kind, context, cwd, conversation)?;
    let text = read(&path, moment).map_err(|source| NotRewound::File { path: path.clone(), source })?;
    let is_whole = u64::try_from(text.len()).is_ok_and(|length| length == moment) && text.ends_with(b"\n");
    if !is_whole {
        return Err(NotRewound::Changed { engine: kind, conversation: conversation.to_owned() });
    }
    Ok((path, text))
}

/// The file in which an engine keeps a conversation.
fn record(kind: EngineKind, context: &Context, cwd: &str, conversation: &str) -> Result<PathBuf, NotRewound> {
    if !can_rewind(kind) {
        return Err(NotRewound::Engine(kind));
    }
    let found = find_conversations(kind, context, cwd, 0)?;
    found
        .into_iter()
        .find(|found| found.conversation == conversation)
        .map(|found| found.file)
        .ok_or_else(|| NotRewound::Gone { engine: kind, conversation: conversation.to_owned() })
}

fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut file = std::fs::File::open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    if length.min(most) > RECORD_MAX {
        return Err(std::io::Error::other(format!("it has {length} bytes, at most {RECORD_MAX} are copied")));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    Ok(text)
}

fn whole_lines(text: &[u8]) -> u64 {
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |position| position + 1);
    u64::try_from(end).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0190a1b2-c3d4-7e5f-8a6b-0123456789ab";
    const NEW: &str = "0190a1b2-c3d4-7e5f-8a6b-ba9876543210";

    fn line(text: &str) -> String {
        format!("{{\"sessionId\":\"{OLD}\",\"cwd\":\"/work\",\"text\":\"{text}\"}}\n")
    }

    #[test]
    fn the_beginning_of_a_conversation_is_one_of_its_own_and_the_whole_stays() {
        let home = tempfile::tempdir().unwrap();
        let context = Context {
            environment: [("HOME".to_owned(), home.path().to_string_lossy().into_owned())].into(),
            ..Context::default()
        };
        let directory = home.path().join(".claude/projects/-work");
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join(format!("{OLD}.jsonl"));
        std::fs::write(&file, format!("{}{}", line("one"), "{\"half a li")).unwrap();
        let kind = EngineKind::Claude;
        let at = moment(kind, &context, "/work", OLD).unwrap();
        assert_eq!(at, line("one").len() as u64, "a line that is being written is not part of it");
        let whole = format!("{}{}", line("one"), line("two"));
        std::fs::write(&file, &whole).unwrap();
        rewind(kind, &context, "/work", OLD, at, NEW).unwrap();
        assert_eq!(
            std::fs::read_to_string(directory.join(format!("{NEW}.jsonl"))).unwrap(),
            line("one").replace(OLD, NEW)
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);

        let refused = |moment| rewind(kind, &context, "/work", OLD, moment, "x").unwrap_err().to_string();
        assert!(refused(at + 1).contains("is not what it was"), "no line ends there");
        assert!(refused(1_000_000).contains("is not what it was"), "it never was so long");
        assert!(refused(0).contains("is not what it was"));
        let gone = moment(kind, &context, "/elsewhere", OLD).unwrap_err().to_string();
        assert!(gone.contains("keeps no record"), "{gone}");
        let cannot = moment(EngineKind::Opencode, &context, "/work", OLD).unwrap_err().to_string();
        assert!(cannot.contains("opencode cannot set a conversation back"), "{cannot}");
    }
}
