//! Conversations of engines whose files nobody but they themselves can read: they are asked for a list of them.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::resumption::check;
use crate::{Context, EngineError, EngineKind, home, locate};

/// How an engine is asked for its conversations, and what its answer, a list in JSON, says of each.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listing {
    /// The arguments. They are run outside every working directory, so that no repository has a say in it.
    arguments: Vec<String>,
    /// JSON pointer to the name.
    id: String,
    /// JSON pointer to the working directory.
    cwd: String,
    /// JSON pointer to the moment at which it began, in milliseconds since the epoch.
    began: String,
}

/// A conversation that an engine lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub conversation: String,
    /// When it began, in milliseconds since the epoch.
    pub began_at_ms: u64,
}

/// Whether an engine's conversations are found by asking it alone.
#[must_use]
pub fn lists_conversations(kind: EngineKind) -> bool {
    kind.descriptor().conversation.list.is_some()
}

/// The conversations that an engine says it began in a working directory, in its own order; none for an engine that cannot
/// be asked.
///
/// # Errors
/// [`EngineError::NotInstalled`]; [`EngineError::Probe`] when it does not answer, or with what is no such list.
pub async fn list_conversations(kind: EngineKind, context: &Context, cwd: &str) -> Result<Vec<Listed>, EngineError> {
    let Some(listing) = &kind.descriptor().conversation.list else { return Ok(Vec::new()) };
    let program = locate::locate(kind, context)?;
    let private = context.endpoint.as_ref().map(|_| home::of(kind, context, cwd));
    let arguments: Vec<&str> = listing.arguments.iter().map(String::as_str).collect();
    let captured = locate::ask(kind, context, &program, &arguments, private.as_deref()).await?;
    let failed = |reason: String| EngineError::Probe { engine: kind, program: program.clone(), reason };
    if !captured.exit.is_success() {
        let said = captured.stderr_text();
        let said = said.lines().next().unwrap_or_default();
        return Err(failed(format!("asked for its conversations, it ended with {}: {said}", captured.exit)));
    }
    let listed: Vec<Value> = serde_json::from_str(captured.stdout_text().trim())
        .map_err(|error| failed(format!("its list of conversations cannot be read: {error}")))?;
    let real = std::fs::canonicalize(cwd).ok();
    let is_here = |said: &str| Path::new(said) == Path::new(cwd) || real.as_deref() == Some(Path::new(said));
    let text = |row: &Value, pointer: &str| row.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let shape = kind.descriptor().conversation.id;
    let read = |row: &Value| {
        let conversation = text(row, &listing.id).filter(|name| check(shape, name).is_ok())?;
        let began_at_ms = row.pointer(&listing.began)?.as_u64()?;
        text(row, &listing.cwd).is_some_and(|said| is_here(&said)).then_some(Listed { conversation, began_at_ms })
    };
    Ok(listed.iter().filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    async fn listed(script: &str) -> Result<Vec<Listed>, String> {
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("opencode");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut context =
            Context { environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(), ..Context::default() };
        context.binaries.insert("opencode".to_owned(), program.to_string_lossy().into_owned());
        list_conversations(EngineKind::Opencode, &context, "/work").await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_began_here_is_listed_and_nothing_that_is_no_name() {
        let script = r#"echo '[{"id":"ses_new","directory":"/work","time_created":20},
            {"id":"--last","directory":"/work","time_created":20}, {"id":"ses_no_time","directory":"/work"},
            {"id":"ses_elsewhere","directory":"/other","time_created":20}, 7,
            {"id":"ses_old","directory":"/work","time_created":10}]'"#;
        let known = |name: &str, began_at_ms| Listed { conversation: name.to_owned(), began_at_ms };
        assert_eq!(listed(script).await.unwrap(), [known("ses_new", 20), known("ses_old", 10)]);
        assert_eq!(listed("echo '[]'").await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_engine_that_does_not_tell_is_an_error_and_no_empty_list() {
        assert!(listed("echo no database >&2; exit 3").await.unwrap_err().contains("no database"));
        assert!(listed("echo hello").await.unwrap_err().contains("cannot be read"));
        assert!(listed("echo '[{\"id\":'").await.unwrap_err().contains("cannot be read"));
    }

    #[tokio::test]
    async fn an_engine_with_files_is_not_asked() {
        let context = Context::default();
        assert_eq!(list_conversations(EngineKind::Codex, &context, "/work").await.unwrap(), []);
        assert!(lists_conversations(EngineKind::Opencode) && !lists_conversations(EngineKind::Codex));
    }
}
