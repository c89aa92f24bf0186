//! What a coding CLI would do with the model's wishes, done directly: the heart of the stand-in CLI that runs where no
//! real one is installed.

use std::path::{Component, Path};

use anyhow::{Context as _, bail};

use super::scenario::Action;

/// What came of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acted {
    /// It was done.
    Done(String),
    /// It was not allowed or did not work; the model would be told so.
    Refused(String),
}

/// Does what the model asks for, below `root`.
///
/// # Errors
/// When the system refuses what the scenario takes for granted, such as writing below `root`.
pub fn act(action: &Action, root: &Path, read_only: bool) -> anyhow::Result<Acted> {
    let inside = |path: &str| -> anyhow::Result<std::path::PathBuf> {
        if Path::new(path).components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
            bail!("the scenario's path `{path}` leaves the working directory");
        }
        Ok(root.join(path))
    };
    if read_only && !matches!(action, Action::ReadFile { .. }) {
        return Ok(Acted::Refused("read only".to_owned()));
    }
    match action {
        Action::ReadFile { path } => match std::fs::read_to_string(inside(path)?) {
            Ok(text) => Ok(Acted::Done(text)),
            Err(error) => Ok(Acted::Refused(error.to_string())),
        },
        Action::WriteFile { path, content } => {
            let file = inside(path)?;
            if let Some(directory) = file.parent() {
                std::fs::create_dir_all(directory)?;
            }
            std::fs::write(&file, content).with_context(|| format!("cannot write {path}"))?;
            Ok(Acted::Done(format!("wrote {path}")))
        }
        Action::EditFile { path, old, new } => {
            let file = inside(path)?;
            let text = match std::fs::read_to_string(&file) {
                Ok(text) => text,
                Err(error) => return Ok(Acted::Refused(format!("{path}: {error}"))),
            };
            if text.matches(old.as_str()).count() != 1 {
                return Ok(Acted::Refused(format!("{path}: the text to replace does not occur just once")));
            }
            std::fs::write(&file, text.replacen(old.as_str(), new, 1))
                .with_context(|| format!("cannot write {path}"))?;
            Ok(Acted::Done(format!("edited {path}")))
        }
        Action::Run { command } => {
            let output = std::process::Command::new("/bin/sh").args(["-c", command]).current_dir(root).output()?;
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() { Ok(Acted::Done(text)) } else { Ok(Acted::Refused(text)) }
        }
        Action::Call { tool, .. } => Ok(Acted::Refused(format!("there is no tool `{tool}` here"))),
    }
}
