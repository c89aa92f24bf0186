//! `orxctl init`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use orx_protocol::api::config::{Template, TemplateParams};
use serde_json::json;

use crate::context::{self, Context};
use crate::failure::{Failure, Status};
use crate::text;

/// Arguments of `init`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl init
  orxctl init --engine codex
  orxctl init --force        replace the orx.yaml that is there")]
pub struct Init {
    /// Engine to name in it [default: the first that is installed]
    #[arg(short, long)]
    pub engine: Option<String>,
    /// A directory in the repository [default: this one]
    #[arg(short, long, value_name = "PATH")]
    pub directory: Option<PathBuf>,
    /// Replace the file when it exists
    #[arg(short, long)]
    pub force: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Init) -> Result<Status, Failure> {
    let repository = context::directory(arguments.directory.as_deref().unwrap_or(Path::new(".")))?;
    let params = TemplateParams { repository, engine: arguments.engine.clone() };
    let template: Template = context.call("config.template", &params).await?;
    write(Path::new(&template.path), &template.text, arguments.force)?;
    if context.output.json {
        context.output.json(&json!({"path": template.path}))?;
    } else {
        context.output.text(&format!("{} written", text::clean_line(&template.path)))?;
        context.output.note("look it through, then: orxctl run \"...\"");
    }
    Ok(Status::Done)
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), Failure> {
    if !path.is_absolute() {
        return Err(Failure::failed(format!("the daemon named no absolute path for the file: {}", path.display())));
    }
    let mut options = OpenOptions::new();
    if force {
        options.write(true).create(true).truncate(true)
    } else {
        options.write(true).create_new(true)
    };
    let written =
        options.open(path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::failed(format!("{} exists already and was left as it is", path.display()))
            .with_hint("`orxctl init --force` replaces it"),
        _ => Failure::failed(format!("{} cannot be written: {error}", path.display())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_file_is_kept_unless_forced() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("orx.yaml");
        write(&path, "one", false).unwrap();
        let failure = write(&path, "two", false).unwrap_err();
        assert!(failure.hint.contains("--force"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one");
        write(&path, "2", true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "2");
        assert!(write(Path::new("orx.yaml"), "x", true).is_err());
    }
}
