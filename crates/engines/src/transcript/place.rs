//! Where the files of one conversation are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::resumption::{self, NameShape};
use crate::{Context, EngineError, EngineKind};

/// Largest file that is opened to see whose it is, in bytes.
const NAMED_MAX: u64 = 1024 * 1024;

/// A file in which an engine keeps one conversation, or what it does in it. In the pattern `{id}` is the name of the
/// conversation, `{id8}` its first eight characters, and `{conversations}` a directory of orx's own.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Pattern of its path, below the home directory.
    files: String,
    /// Whether it is rewritten as a whole; else lines are added to it.
    #[serde(default)]
    whole: bool,
    /// JSON pointer to the name of the conversation, where the path alone does not tell; in the first line, where it has
    /// lines.
    #[serde(default)]
    names: Option<String>,
}

/// A file of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFile {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is rewritten as a whole; else lines are added to it.
    pub whole: bool,
}

/// How many files an engine keeps of one conversation.
#[must_use]
pub fn record_count(kind: EngineKind) -> usize {
    kind.descriptor().conversation.records.len()
}

/// The files that are there of a conversation; of several that could be the same one, that which was written last.
///
/// # Errors
/// [`EngineError::Transcripts`] when the engine's directories cannot be looked at.
pub fn find_records(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    conversation: &str,
) -> Result<Vec<RecordFile>, EngineError> {
    let records = kind.descriptor().conversation.records.iter();
    let found = records.filter_map(|record| find_record(kind, context, cwd, conversation, record).transpose());
    found.collect()
}

fn find_record(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    conversation: &str,
    record: &Record,
) -> Result<Option<RecordFile>, EngineError> {
    // A name becomes a part of a path.
    if resumption::check(NameShape::Word, conversation).is_err() {
        return Ok(None);
    }
    let (root, pattern) = match record.files.strip_prefix("{conversations}/") {
        Some(rest) => (resumption::directory(kind, context), rest.to_owned()),
        None => {
            let none = BTreeMap::new();
            let home = kind.descriptor().conversation.learn.as_ref().map_or(&none, |learn| &learn.home);
            let Some(place) = resumption::place(kind, context, cwd, &record.files, home) else { return Ok(None) };
            place
        }
    };
    let start: String = conversation.chars().take(8).collect();
    let pattern = pattern.replace("{id8}", &start).replace("{id}", conversation);
    let paths = resumption::matching(&root, &pattern).map_err(|(path, source)| EngineError::Transcripts {
        engine: kind,
        path,
        source,
    })?;
    let own = paths.into_iter().filter(|path| match &record.names {
        None => true,
        Some(pointer) => is_of(path, record.whole, pointer, conversation),
    });
    let newest = own.max_by_key(|path| std::fs::symlink_metadata(path).and_then(|data| data.modified()).ok());
    Ok(newest.map(|path| RecordFile { path, whole: record.whole }))
}

/// Whether an engine keeps a conversation that was given its name at the launch: one in which nothing was said is kept by
/// none. `None` where no file tells.
#[must_use]
pub fn is_kept(kind: EngineKind, context: &Context, cwd: &str, conversation: &str) -> Option<bool> {
    let known = &kind.descriptor().conversation;
    // What lies under another name than the conversation's is not the conversation.
    let tells = |record: &&Record| record.files.contains("{id");
    if known.launch.is_empty() || !known.records.iter().any(|record| tells(&record)) {
        return None;
    }
    let records = known.records.iter().filter(tells);
    let mut found = false;
    for record in records {
        found |= find_record(kind, context, cwd, conversation, record).ok()?.is_some();
    }
    Some(found)
}

/// Whether a file says that it is of a conversation.
fn is_of(path: &Path, whole: bool, pointer: &str, conversation: &str) -> bool {
    use std::io::{BufRead as _, Read as _};
    let Ok(file) = orx_sandbox::file::open_plain(path) else { return false };
    let mut head = std::io::BufReader::new(file.take(NAMED_MAX));
    let mut text = Vec::new();
    let read = if whole { head.read_to_end(&mut text) } else { head.read_until(b'\n', &mut text) };
    let value = read.ok().and_then(|_| serde_json::from_slice::<Value>(&text).ok());
    value.is_some_and(|value| value.pointer(pointer).and_then(Value::as_str) == Some(conversation))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0190a1b2-c3d4-7e5f-8a6b-0123456789ab";

    fn context(home: &Path) -> Context {
        Context {
            environment: [("HOME".to_owned(), home.to_string_lossy().into_owned())].into(),
            private_homes: home.join("private"),
            ..Context::default()
        }
    }

    fn write(home: &Path, path: &str, text: &str) -> PathBuf {
        let path = home.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_conversation_in_which_nothing_was_said_is_not_kept() {
        let home = tempfile::tempdir().unwrap();
        let kept = |kind| is_kept(kind, &context(home.path()), "/w", ID);
        let status = format!("{{\"sessionId\":\"{ID}\"}}");
        write(home.path(), ".claude/sessions/7.json", &status);
        assert_eq!((kept(EngineKind::Claude), kept(EngineKind::Gemini)), (Some(false), Some(false)));
        write(home.path(), &format!(".claude/projects/-w/{ID}.jsonl"), "{}\n");
        assert_eq!((kept(EngineKind::Claude), kept(EngineKind::Gemini)), (Some(true), Some(false)));
        for unknown in [EngineKind::Codex, EngineKind::Opencode, EngineKind::Aider, EngineKind::Goose] {
            assert_eq!(kept(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn the_files_of_a_conversation_are_found_and_no_other_s() {
        let home = tempfile::tempdir().unwrap();
        let other = ID.replace('0', "f");
        let lines = write(home.path(), &format!(".claude/projects/-w/{ID}.jsonl"), "{}\n");
        write(home.path(), &format!(".claude/projects/-w/{other}.jsonl"), "{}\n");
        let status = write(home.path(), ".claude/sessions/7.json", &format!("{{\"sessionId\":\"{ID}\"}}"));
        write(home.path(), ".claude/sessions/8.json", &format!("{{\"sessionId\":\"{other}\"}}"));
        write(home.path(), ".claude/sessions/9.json", "{\"sess");
        let found = find_records(EngineKind::Claude, &context(home.path()), "/w", ID).unwrap();
        let wanted = [RecordFile { path: lines, whole: false }, RecordFile { path: status, whole: true }];
        assert_eq!(found, wanted);
        let chat = format!(".gemini/tmp/w/chats/session-2026-11-20T17-47-{}.jsonl", &ID[..8]);
        let chat = write(home.path(), &chat, &format!("{{\"sessionId\":\"{ID}\"}}\n{{}}\n"));
        let found = find_records(EngineKind::Gemini, &context(home.path()), "/w", ID).unwrap();
        assert_eq!(found, [RecordFile { path: chat, whole: false }]);
        let own = write(home.path(), &format!("private/pi/conversations/{ID}.jsonl"), "{}\n");
        let found = find_records(EngineKind::Pi, &context(home.path()), "/w", ID).unwrap();
        assert_eq!(found, [RecordFile { path: own, whole: false }]);
    }

    #[test]
    fn a_name_that_would_leave_the_directory_and_what_is_no_file_are_not_opened() {
        let home = tempfile::tempdir().unwrap();
        write(home.path(), ".claude/secret.jsonl", "{}\n");
        for name in ["../../secret", "", "a/b", "*"] {
            assert_eq!(find_records(EngineKind::Claude, &context(home.path()), "/w", name).unwrap(), [], "{name}");
        }
        let elsewhere = write(home.path(), "elsewhere.json", &format!("{{\"sessionId\":\"{ID}\"}}"));
        std::fs::create_dir_all(home.path().join(".claude/sessions")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, home.path().join(".claude/sessions/1.json")).unwrap();
        assert_eq!(find_records(EngineKind::Claude, &context(home.path()), "/w", ID).unwrap(), []);
    }
}
