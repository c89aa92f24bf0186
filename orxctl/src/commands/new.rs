//! `orxctl new`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use orx_protocol::api::session::{AttachMode, CreateParams, Created};
use orx_protocol::life::Priority;

use crate::commands::attach;
use crate::confinement::Confinement;
use crate::context::{self, Context};
use crate::failure::{Failure, Status};
use crate::progress::Progress;
use crate::{figures, terminal, words};

/// The engine that runs any program.
const COMMAND: &str = "command";

/// Arguments of `new`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl new claude
  orxctl new codex --worktree --prompt \"fix the flaky test\" --detach
  orxctl new gemini --cwd ../api -- --model gemini-2.5-pro
  orxctl new command -- bash -l
  orxctl new claude --network gateway --memory 4G --cpu 2

With --json the session is started and not attached to.")]
pub struct New {
    /// claude, codex, gemini, opencode, or command for any program
    pub engine: String,
    /// Further arguments of the engine; the program and its arguments for `command`
    #[arg(last = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<String>,
    /// Working directory [default: this one]
    #[arg(long, value_name = "PATH")]
    pub cwd: Option<PathBuf>,
    /// A line that says what the session is for
    #[arg(short, long)]
    pub title: Option<String>,
    /// Work in a worktree of the repository
    #[arg(short, long)]
    pub worktree: bool,
    /// First prompt: text, @file, or - for standard input
    #[arg(short, long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    pub prompt: Option<String>,
    /// A variable of the session's environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// How urgent it is where sessions wait for a place: critical, high, medium, low or deferred [default: medium]
    #[arg(long, value_parser = priority, value_name = "PRIORITY")]
    pub priority: Option<Priority>,
    /// How long it may run, such as 90m
    #[arg(long, value_name = "DURATION", value_parser = figures::parse_duration)]
    pub max_duration: Option<Duration>,
    /// The structured channel beside the terminal: auto, off, app-server, serve, or acp, which has no terminal
    /// [default: auto]
    #[arg(long, value_name = "CHANNEL")]
    pub channel: Option<String>,
    /// What it may touch and use.
    #[command(flatten)]
    pub confinement: Confinement,
    /// Do not attach; print the session's identifier
    #[arg(short, long)]
    pub detach: bool,
}

fn priority(text: &str) -> Result<Priority, String> {
    serde_json::from_value(serde_json::Value::from(text))
        .map_err(|_| format!("`{text}` is none of critical, high, medium, low, deferred"))
}

/// Reads `NAME=VALUE`.
pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not NAME=VALUE")),
    }
}

pub(crate) async fn run(context: &Context, arguments: New) -> Result<Status, Failure> {
    let detach = arguments.detach || context.output.json;
    if arguments.engine == COMMAND && arguments.arguments.is_empty() {
        return Err(Failure::usage("the engine `command` needs a program to run")
            .with_hint("write it after --, such as: orxctl new command -- bash"));
    }
    if !detach {
        terminal::require()?;
    }
    let size = terminal::size();
    let (sandbox, limits) = arguments.confinement.params()?;
    let params = CreateParams {
        engine: arguments.engine,
        argv: arguments.arguments,
        cwd: context::directory(arguments.cwd.as_deref().unwrap_or(Path::new(".")))?,
        title: arguments.title,
        cols: size.map(|size| size.cols),
        rows: size.map(|size| size.rows),
        env: arguments.env.into_iter().collect::<BTreeMap<_, _>>(),
        worktree: arguments.worktree,
        prompt: arguments.prompt.as_deref().map(|prompt| words::read(prompt, "prompt")).transpose()?,
        priority: arguments.priority.unwrap_or_default(),
        max_duration_ms: arguments.max_duration.map(figures::milliseconds),
        sandbox,
        limits,
        channel: arguments.channel,
    };
    let client = context.connect().await?;
    let progress = Progress::new(context.output, "starting the session");
    let created: Created = progress.during(client.call("session.create", &params)).await?;
    if context.output.json {
        context.output.json(&created)?;
        return Ok(Status::Done);
    }
    if detach {
        context.output.text(&created.session.to_string())?;
        return Ok(Status::Done);
    }
    if created.pid.is_none() {
        let session = created.session;
        context
            .output
            .text(&format!("{session}: waits for a place; `orxctl wait {session} --until running` waits with it"))?;
        return Ok(Status::Done);
    }
    attach::attach(context, created.session, AttachMode::Control, false).await
}
