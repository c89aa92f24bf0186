//! How a conversation is named at its launch, taken up again, and found in the files that its CLI keeps.
//!
//! Some CLIs take a name that orx gives; the others choose their own, which is learnt from their files. Where several
//! conversations could be the wanted one, none is: taking up a stranger's is worse than saying that it is not known.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use globset::{Glob, GlobMatcher};
use serde::Deserialize;
use serde_json::Value;

use crate::listed::Listing;
use crate::transcript::Record;
use crate::{Context, EngineError, EngineKind, home};

/// Bytes at the start of a file in which its identity is looked for.
const HEAD: u64 = 512 * 1024;
/// Lines of them.
const LINES: usize = 64;
/// Most characters of a name.
const NAME_MAX: usize = 128;

/// How an engine names its conversations. In arguments, `{id}` is the name and `{conversations}` a directory of orx's own.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversation {
    /// Arguments that start a conversation of a given name; empty where the engine chooses one itself.
    #[serde(default)]
    pub launch: Vec<String>,
    /// Arguments that take a conversation up; empty where the engine cannot.
    #[serde(default)]
    pub resume: Vec<String>,
    /// Whether a conversation that is taken up goes on under another name, which the engine chooses.
    #[serde(default)]
    pub forks: bool,
    /// Whether a conversation is lost that is taken up over ACP in the very minute, of UTC, in which it began.
    #[serde(default)]
    pub kept_by_minute: bool,
    /// What its names look like.
    #[serde(default)]
    pub id: NameShape,
    /// Where a name that the engine chose is found.
    #[serde(default)]
    pub learn: Option<Learn>,
    /// Files that show what the agent does in a conversation; read by [`crate::transcript`].
    #[serde(default)]
    pub records: Vec<Record>,
    /// How it is asked for, where no file tells.
    #[serde(default)]
    pub list: Option<Listing>,
    /// Whether the beginning of such a file, under another name, is a conversation too; see [`crate::rewind()`].
    #[serde(default)]
    pub rewinds: bool,
}

/// What the names of an engine's conversations look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameShape {
    /// A UUID.
    Uuid,
    /// A word of its own making.
    #[default]
    Word,
}

/// Files of an engine in which its conversations are found.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learn {
    /// Pattern of their paths below the home directory.
    files: String,
    /// Variables that move the start of that path: name, and the part that it stands for.
    #[serde(default)]
    pub(crate) home: BTreeMap<String, String>,
    /// Where the name of the conversation is.
    id: NamePlace,
    /// JSON pointer to the working directory, in the file or in one of its first lines.
    cwd: String,
}

/// Where a file has the name of its conversation.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NamePlace {
    /// The file's name without its extension.
    Stem,
    /// The name of its directory.
    Parent,
    /// A JSON pointer, in the file or in one of its first lines.
    Member(String),
}

/// A conversation that an engine keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub conversation: String,
    /// When its file was made, in milliseconds since the epoch; when it was last changed, where the system does not tell.
    pub began_at_ms: u64,
    /// The file.
    pub file: PathBuf,
}

/// Whether a conversation of this engine can be given a name at its launch ([`crate::InteractiveRequest::conversation`]).
#[must_use]
pub fn conversation_at_launch(kind: EngineKind) -> bool {
    !kind.descriptor().conversation.launch.is_empty()
}

/// Whether a conversation of this engine can be taken up again by its name.
#[must_use]
pub fn can_resume(kind: EngineKind) -> bool {
    !kind.descriptor().conversation.resume.is_empty()
}

/// Whether a conversation of this engine is lost that is taken up over ACP in the very minute in which it began.
#[must_use]
pub fn keeps_by_minute(kind: EngineKind) -> bool {
    kind.descriptor().conversation.kept_by_minute
}

/// Whether a conversation of this engine goes on under another name once it is taken up.
#[must_use]
pub fn forks_conversation(kind: EngineKind) -> bool {
    kind.descriptor().conversation.forks
}

/// A name for the conversation of a session, always the same for the same session: a UUID made of the session's own bits,
/// that says it is of version 4, since some CLIs take no newer one.
#[must_use]
pub fn conversation_name(session: orx_protocol::SessionId) -> String {
    let text = session.to_string();
    // Crockford's alphabet, as identifiers are written.
    let bits = text.bytes().skip(orx_protocol::SessionId::PREFIX.len()).fold(0_u128, |bits, byte| {
        let digit = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".iter().position(|known| *known == byte).unwrap_or(0);
        (bits << 5) | digit as u128
    });
    // Version and variant take the place of six of the 80 random bits.
    let uuid = bits & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let hex = format!("{uuid:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

/// The arguments of a conversation: `resume` takes it up, else it is begun.
pub(crate) fn arguments(
    kind: EngineKind,
    context: &Context,
    conversation: &str,
    resume: bool,
) -> Result<Vec<String>, EngineError> {
    let known = &kind.descriptor().conversation;
    let (template, cannot) = if resume {
        (&known.resume, "it cannot take a conversation up by its name")
    } else {
        (&known.launch, "it chooses the name of a conversation itself")
    };
    let refused = |why| EngineError::Conversation { engine: kind, conversation: conversation.to_owned(), why };
    if template.is_empty() {
        return Err(refused(cannot));
    }
    check(known.id, conversation).map_err(refused)?;
    let directory = directory(kind, context).to_string_lossy().into_owned();
    let fill = |text: &String| text.replace("{conversations}", &directory).replace("{id}", conversation);
    Ok(template.iter().map(fill).collect())
}

/// Where orx keeps conversations of engines that take a path for a name.
pub(crate) fn directory(kind: EngineKind, context: &Context) -> PathBuf {
    context.private_homes.join(kind.name()).join("conversations")
}

/// A name comes from files and requests, and becomes an argument and a part of a path.
pub(crate) fn check(shape: NameShape, conversation: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    let starts = conversation.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts || conversation.len() > NAME_MAX || !conversation.chars().all(fits) {
        return Err(
            "a name has letters, digits and `-_.:`, begins with a letter or a digit, and has 128 characters at most",
        );
    }
    let parts: Vec<usize> = conversation.split('-').map(str::len).collect();
    let is_uuid = parts == [8, 4, 4, 4, 12] && conversation.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    if shape == NameShape::Uuid && !is_uuid { Err("its names are UUIDs") } else { Ok(()) }
}

/// The conversation that an engine began in a working directory at or after a moment (milliseconds since the epoch), from
/// its own files. `None` when there is none, and when there are several.
///
/// # Errors
/// [`EngineError::Transcripts`] when its files cannot be looked at.
pub fn find_conversation(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    since_ms: u64,
) -> Result<Option<String>, EngineError> {
    let mut found = find_conversations(kind, context, cwd, since_ms)?;
    Ok(if found.len() == 1 { found.pop().map(|found| found.conversation) } else { None })
}

/// All of them, the earliest first; none for an engine that keeps no files which tell.
///
/// # Errors
/// As [`find_conversation`].
pub fn find_conversations(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    since_ms: u64,
) -> Result<Vec<Found>, EngineError> {
    let known = &kind.descriptor().conversation;
    let Some(learn) = &known.learn else { return Ok(Vec::new()) };
    let Some((root, pattern)) = place(kind, context, cwd, &learn.files, &learn.home) else { return Ok(Vec::new()) };
    let failed = |path: &Path, source| EngineError::Transcripts { engine: kind, path: path.to_owned(), source };
    let real = std::fs::canonicalize(cwd).unwrap_or_else(|_| PathBuf::from(cwd));
    let mut found: Vec<Found> = Vec::new();
    for file in matching(&root, &pattern).map_err(|(path, source)| failed(&path, source))? {
        let Ok(data) = std::fs::metadata(&file) else { continue };
        let began_at_ms = millis(data.created().or_else(|_| data.modified()));
        if began_at_ms < since_ms || !data.is_file() {
            continue;
        }
        let documents = documents(&file).map_err(|source| failed(&file, source))?;
        let member = |pointer: &str| {
            documents.iter().find_map(|document| document.pointer(pointer)?.as_str()).map(str::to_owned)
        };
        let is_here =
            member(&learn.cwd).is_some_and(|said| Path::new(&said) == Path::new(cwd) || Path::new(&said) == real);
        let text = |name: Option<&std::ffi::OsStr>| name.map(|name| name.to_string_lossy().into_owned());
        let conversation = match &learn.id {
            NamePlace::Stem => text(file.file_stem()),
            NamePlace::Parent => text(file.parent().and_then(Path::file_name)),
            NamePlace::Member(pointer) => member(pointer),
        };
        let Some(conversation) = conversation.filter(|name| is_here && check(known.id, name).is_ok()) else { continue };
        if !found.iter().any(|other| other.conversation == conversation) {
            found.push(Found { conversation, began_at_ms, file });
        }
    }
    found.sort_by_key(|found| found.began_at_ms);
    Ok(found)
}

/// The directory and the pattern below it.
pub(crate) fn place(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    files: &str,
    moved: &BTreeMap<String, String>,
) -> Option<(PathBuf, String)> {
    if context.endpoint.is_some() {
        return Some((home::of(kind, context, cwd), files.to_owned()));
    }
    for (variable, part) in moved {
        let moved = context.environment.get(variable).filter(|path| Path::new(path).is_absolute());
        if let (Some(moved), Some(rest)) = (moved, files.strip_prefix(part.as_str())) {
            return Some((PathBuf::from(moved), rest.trim_start_matches('/').to_owned()));
        }
    }
    Some((PathBuf::from(context.environment.get("HOME")?), files.to_owned()))
}

/// The files below `root` whose path fits, part by part; what is not there is nothing.
pub(crate) fn matching(root: &Path, pattern: &str) -> Result<Vec<PathBuf>, (PathBuf, std::io::Error)> {
    let mut paths = vec![root.to_owned()];
    for part in pattern.split('/') {
        let Some(glob) = glob(part) else {
            paths = paths.into_iter().map(|path| path.join(part)).collect();
            continue;
        };
        let mut next = Vec::new();
        for path in paths {
            let entries = match std::fs::read_dir(&path) {
                Ok(entries) => entries,
                Err(error)
                    if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
                {
                    continue;
                }
                Err(error) => return Err((path, error)),
            };
            next.extend(
                entries.filter_map(Result::ok).filter(|entry| glob.is_match(entry.file_name())).map(|e| e.path()),
            );
        }
        paths = next;
    }
    Ok(paths.into_iter().filter(|path| path.exists()).collect())
}

fn glob(part: &str) -> Option<GlobMatcher> {
    part.contains('*').then(|| Glob::new(part).ok().map(|glob| glob.compile_matcher())).flatten()
}

/// What the start of a file says: the whole as JSON or YAML, or its first lines as JSON.
fn documents(file: &Path) -> std::io::Result<Vec<Value>> {
    let mut head = BufReader::new(std::fs::File::open(file)?.take(HEAD));
    let is = |extension: &str| file.extension().is_some_and(|own| own == extension);
    if is("jsonl") {
        let mut found = Vec::new();
        let mut line = Vec::new();
        while found.len() < LINES && head.read_until(b'\n', &mut line)? > 0 {
            found.extend(serde_json::from_slice::<Value>(&line));
            line.clear();
        }
        return Ok(found);
    }
    let mut text = String::new();
    match head.read_to_string(&mut text) {
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Ok(Vec::new()),
        other => other?,
    };
    let parsed = if is("yaml") { serde_saphyr::from_str(&text).ok() } else { serde_json::from_str(&text).ok() };
    Ok(parsed.into_iter().collect())
}

fn millis(time: std::io::Result<SystemTime>) -> u64 {
    let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{InteractiveRequest, ResumeRequest};

    fn context(home: &Path) -> Context {
        let mut context = Context {
            environment: [("HOME".to_owned(), home.to_string_lossy().into_owned())].into(),
            private_homes: PathBuf::from("/homes"),
            ..Context::default()
        };
        for kind in EngineKind::ALL {
            context.binaries.insert(kind.name().to_owned(), "/bin/sh".to_owned());
        }
        context
    }

    const UUID: &str = "0190a1b2-c3d4-7e5f-8a6b-0123456789ab";

    #[test]
    fn a_sessions_conversation_has_the_same_name_every_time() {
        let session: orx_protocol::SessionId = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        assert_eq!(conversation_name(session), "01563e3a-b5d3-4676-8c61-efb99302bd5b");
        let other = orx_protocol::SessionId::generate();
        assert_ne!(conversation_name(session), conversation_name(other));
        assert_eq!(check(NameShape::Uuid, &conversation_name(other)), Ok(()));
    }

    #[test]
    fn names_are_placed_where_each_engine_takes_them_and_refused_elsewhere() {
        let context = context(Path::new("/home/ada"));
        for kind in EngineKind::ALL {
            let begun = InteractiveRequest {
                cwd: "/".to_owned(),
                prompt: None,
                argv: vec!["--more".to_owned()],
                conversation: Some(UUID.to_owned()),
            };
            let taken_up =
                ResumeRequest { cwd: "/".to_owned(), conversation: UUID.to_owned(), argv: vec!["--more".to_owned()] };
            for (launch, offered) in [
                (crate::interactive(kind, &context, &begun), conversation_at_launch(kind)),
                (crate::resume(kind, &context, &taken_up), can_resume(kind)),
            ] {
                match launch {
                    Ok(launch) => assert!(offered && launch.argv.iter().any(|a| a.contains(UUID)), "{kind} {launch:?}"),
                    Err(error) => {
                        assert!(matches!(error, EngineError::Conversation { .. }), "{kind}: {error}");
                        assert!(!offered, "{kind}: {error}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_name_that_would_be_more_than_a_name_is_refused() {
        for bad in ["", "-x", "--last", "a b", "../x", "a/b", "a\0b", &"x".repeat(200), "not-a-uuid", "{id}"] {
            let request = ResumeRequest { cwd: "/".to_owned(), conversation: (*bad).to_owned(), argv: Vec::new() };
            let refused = crate::resume(EngineKind::Claude, &context(Path::new("/home/ada")), &request);
            assert!(matches!(refused, Err(EngineError::Conversation { .. })), "{bad:?}");
        }
    }

    fn write(path: &Path, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_conversation_is_found_by_its_directory_and_its_time_and_never_guessed() {
        let scratch = tempfile::tempdir().unwrap();
        let context = context(scratch.path());
        let find = |since| find_conversation(EngineKind::Codex, &context, "/work", since).unwrap();
        assert_eq!(find(0), None, "there are no files yet");
        let day = scratch.path().join(".codex/sessions/2026/11/20");
        let rollout = |id: &str, cwd: &str| {
            format!(
                "{{\"type\":\"session_meta\",\"payload\":{{\"id\":\"{id}\",\"cwd\":\"{cwd}\"}}}}\n{{\"type\":\"x\"}}\n"
            )
        };
        write(&day.join(format!("rollout-1-{UUID}.jsonl")), &rollout(UUID, "/work"));
        write(&day.join("rollout-2-elsewhere.jsonl"), &rollout("0190a1b2-c3d4-7e5f-8a6b-000000000000", "/elsewhere"));
        write(&day.join("rollout-3-damaged.jsonl"), "\u{0}{{{ no JSON\n");
        write(&day.join("rollout-4-hostile.jsonl"), &rollout("--last", "/work"));
        assert_eq!(find(0).as_deref(), Some(UUID));
        assert_eq!(find(u64::MAX), None, "it began before");
        let second = "0190a1b2-c3d4-7e5f-8a6b-111111111111";
        write(&day.join(format!("rollout-5-{second}.jsonl")), &rollout(second, "/work"));
        assert_eq!(find(0), None, "there are two");
        let both = find_conversations(EngineKind::Codex, &context, "/work", 0).unwrap();
        assert_eq!(both.iter().map(|found| found.conversation.as_str()).collect::<Vec<_>>(), [UUID, second]);
    }

    #[test]
    fn files_are_looked_for_where_the_operator_moved_them() {
        let scratch = tempfile::tempdir().unwrap();
        let mut context = context(Path::new("/nonexistent"));
        let moved = scratch.path().join("moved");
        context.environment.insert("CLAUDE_CONFIG_DIR".to_owned(), moved.to_string_lossy().into_owned());
        let line = "{\"type\":\"summary\"}\n{\"cwd\":\"/work\"}\n";
        write(&moved.join(format!("projects/-work/{UUID}.jsonl")), line);
        let found = find_conversation(EngineKind::Claude, &context, "/work", 0).unwrap();
        assert_eq!(found.as_deref(), Some(UUID));
    }

    #[test]
    fn an_engine_that_keeps_no_such_files_has_no_conversations() {
        assert_eq!(find_conversation(EngineKind::Command, &context(Path::new("/")), "/", 0).unwrap(), None);
    }
}
