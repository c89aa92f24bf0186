//! `orxctl run`.

use std::path::{Path, PathBuf};

use clap::Args;
use orx_protocol::RunId;
use orx_protocol::api::run::{RunState, StartParams, Started};
use orx_protocol::clock::now_ms;
use serde_json::{Map, Value, json};

use crate::context::{self, Context};
use crate::failure::{Failure, Status};
use crate::follow::{self, Ending};
use crate::{render, text, words};

/// Largest settings file that is read, in bytes.
const SETTINGS_LIMIT: u64 = 1024 * 1024;

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl run \"add a --version flag\"
  orxctl run @task.md --engine codex --base main
  gh issue view 12 | orxctl run - --pipeline fast_fix
  orxctl run \"fix the flaky test\" --detach

Exit code 0 when the run is done, 1 otherwise. Ctrl-C leaves the run at work.")]
pub struct Run {
    /// What to do, in words, @file, or - for standard input
    #[arg(value_name = "TASK|@FILE|-")]
    pub task: String,
    /// Engine of every stage; wins over orx.yaml
    #[arg(short, long)]
    pub engine: Option<String>,
    /// Pipeline [default: standard]
    #[arg(short, long)]
    pub pipeline: Option<String>,
    /// A directory in the repository [default: this one]
    #[arg(short, long, value_name = "PATH")]
    pub directory: Option<PathBuf>,
    /// Branch to start from; wins over git.base_branch
    #[arg(short, long, value_name = "BRANCH")]
    pub base: Option<String>,
    /// Model of the engine; wins over engine.model
    #[arg(short, long)]
    pub model: Option<String>,
    /// Further settings in the shape of orx.yaml; they win over it
    #[arg(short = 'c', long = "settings", value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Do not wait for its end
    #[arg(long)]
    pub detach: bool,
    /// Show what would be started, and start nothing
    #[arg(long, conflicts_with = "detach")]
    pub dry_run: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Run) -> Result<Status, Failure> {
    let params = StartParams {
        repository: context::directory(arguments.directory.as_deref().unwrap_or(Path::new(".")))?,
        task: words::read(&arguments.task, "task")?,
        pipeline: arguments.pipeline.clone(),
        engine: arguments.engine.clone(),
        settings: settings(arguments)?,
    };
    if arguments.dry_run {
        return show_plan(context, &params);
    }
    let started: Started = context.call("run.start", &params).await?;
    for warning in &started.warnings {
        context.output.warning(&text::clean_line(warning));
    }
    let run = started.run;
    if arguments.detach {
        if context.output.json {
            context.output.json(&started)?;
        } else {
            context.output.text(&run.to_string())?;
            context.output.note(&format!("`orxctl status {run} --follow` follows it, `orxctl cancel {run}` ends it"));
        }
        return Ok(Status::Done);
    }
    if !context.output.json {
        context.output.text(&format!("{run} in {}", text::clean_line(&params.repository)))?;
    }
    conclude(context, run).await
}

/// Follows a run to its end and shows the summary; Ctrl-C leaves it at work.
pub(crate) async fn conclude(context: &Context, run: RunId) -> Result<Status, Failure> {
    let output = context.output;
    let ending = follow::run(context, run, |event| {
        if output.json { Ok(()) } else { output.text(&render::events::line(event, output).unwrap_or_default()) }
    })
    .await?;
    match ending {
        Ending::Final(run) => {
            if output.json {
                output.json(&*run)?;
            } else {
                output.text(&render::run::summary(&run, now_ms(), output))?;
            }
            Ok(Status::of_success(run.state == RunState::Done))
        }
        Ending::Left => {
            output.note(&format!(
                "\n{run} goes on without this terminal: `orxctl status {run} --follow` follows it, `orxctl cancel {run}` ends it"
            ));
            Ok(Status::Failed)
        }
    }
}

fn show_plan(context: &Context, params: &StartParams) -> Result<Status, Failure> {
    if context.output.json {
        context.output.json(params)?;
    } else {
        context.output.text(&render::run::plan(params, context.output))?;
        context.output.note("nothing was started");
    }
    Ok(Status::Done)
}

/// The settings of the file and of the flags; flags win.
fn settings(arguments: &Run) -> Result<Option<Value>, Failure> {
    let mut settings = arguments.settings.as_deref().map(settings_file).transpose()?;
    let mut put = |section: &str, key: &str, value: &Option<String>| {
        let Some(value) = value else { return Ok(()) };
        let all = settings.get_or_insert_with(Map::new);
        match all.entry(section).or_insert_with(|| json!({})) {
            Value::Object(section) => {
                section.insert(key.to_owned(), Value::String(value.clone()));
                Ok(())
            }
            _ => Err(Failure::configuration(format!("`{section}` in the settings file is not a mapping"))),
        }
    };
    put("git", "base_branch", &arguments.base)?;
    put("engine", "model", &arguments.model)?;
    Ok(settings.map(Value::Object))
}

fn settings_file(path: &Path) -> Result<Map<String, Value>, Failure> {
    let wrong = |why: String| Failure::configuration(format!("the settings {} {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| wrong(format!("cannot be read: {error}")))?.len();
    if size > SETTINGS_LIMIT {
        return Err(wrong(format!("are too long: more than {} KiB", SETTINGS_LIMIT / 1024)));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    // JSON is YAML, so that one reader serves both.
    match serde_saphyr::from_str::<Value>(&text) {
        Ok(Value::Object(settings)) => Ok(settings),
        Ok(Value::Null) => Ok(Map::new()),
        Ok(_) => Err(wrong("are not a mapping of keys to values".to_owned())),
        Err(error) => Err(wrong(format!("are not YAML: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(settings: Option<PathBuf>, base: Option<&str>) -> Run {
        Run {
            task: "t".into(),
            engine: None,
            pipeline: None,
            directory: None,
            base: base.map(str::to_owned),
            model: Some("m".into()),
            settings,
            detach: false,
            dry_run: false,
        }
    }

    #[test]
    fn flags_win_over_the_settings_file() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("s.yaml");
        std::fs::write(&path, "git:\n  base_branch: old\n  remote: origin\nrun: {max_fix_attempts: 2}\n").unwrap();
        let merged = settings(&arguments(Some(path), Some("new"))).unwrap().unwrap();
        assert_eq!(
            merged,
            json!({"git": {"base_branch": "new", "remote": "origin"}, "run": {"max_fix_attempts": 2}, "engine": {"model": "m"}})
        );
        assert_eq!(settings(&arguments(None, None)).unwrap(), Some(json!({"engine": {"model": "m"}})));
    }

    #[test]
    fn a_settings_file_that_is_none_is_named() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("s.yaml");
        for (text, wanted) in [("[1]", "not a mapping"), ("a: [", "not YAML"), ("git: 3", "`git`")] {
            std::fs::write(&path, text).unwrap();
            let failure = settings(&arguments(Some(path.clone()), Some("b"))).unwrap_err();
            assert_eq!(failure.status, Status::Configuration);
            assert!(failure.message.contains(wanted), "{}", failure.message);
        }
        assert!(settings_file(Path::new("/nonexistent.yaml")).is_err());
    }
}
