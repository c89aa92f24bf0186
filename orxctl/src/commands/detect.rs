//! `orxctl detect`.

use std::path::Path;

use clap::{Args, Subcommand};
use orx_protocol::api::explain::{DetectParams, Detection, RulesListed, RulesParams};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{names, render};

/// Arguments of `detect`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl detect replay 5FAV
  orxctl detect rules claude")]
pub struct Detect {
    /// What to do
    #[command(subcommand)]
    pub command: DetectCommand,
}

/// Commands of `detect`.
#[derive(Debug, Subcommand)]
pub enum DetectCommand {
    /// Print what a recording shows its agent to do, over time
    Replay(Replay),
    /// List the rules over the screens of the engines
    Rules(Rules),
}

/// Arguments of `detect replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl detect replay claude.cast --engine claude
  orxctl detect replay 5FAV
  orxctl detect replay codex.cast --engine codex --version 0.169.0 --json

The recording is played through the same model of the screen, the same rules and the same weighing as a session that
runs, on its own clock.")]
pub struct Replay {
    /// An asciicast of version 2 or 3, or a session whose own recording is meant
    pub cast: String,
    /// The engine whose rules are held against it (a session's own when absent)
    #[arg(long, value_name = "NAME")]
    pub engine: Option<String>,
    /// The engine's version (any when absent)
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
}

/// Arguments of `detect rules`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl detect rules
  orxctl detect rules claude")]
pub struct Rules {
    /// Of this engine alone
    pub engine: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: Detect) -> Result<Status, Failure> {
    match arguments.command {
        DetectCommand::Replay(arguments) => replay(context, arguments).await,
        DetectCommand::Rules(arguments) => rules(context, arguments).await,
    }
}

async fn replay(context: &Context, arguments: Replay) -> Result<Status, Failure> {
    let path = Path::new(&arguments.cast);
    // What is a file is meant as one; anything else can only be a session.
    let cast = if path.exists() || arguments.cast.contains(['/', '.']) {
        let full = std::path::absolute(path)
            .map_err(|error| Failure::usage(format!("{} is no path: {error}", path.display())))?;
        full.to_string_lossy().into_owned()
    } else {
        names::session(context, &arguments.cast).await?.to_string()
    };
    let params = DetectParams { cast, engine: arguments.engine, version: arguments.version };
    let detection: Detection = context.call("session.detect", &params).await?;
    if context.output.json {
        context.output.json(&detection)?;
    } else {
        context.output.text(&render::activity::detection(&detection, context.output))?;
    }
    Ok(Status::Done)
}

async fn rules(context: &Context, arguments: Rules) -> Result<Status, Failure> {
    let listed: RulesListed = context.call("session.rules", &RulesParams { engine: arguments.engine }).await?;
    if context.output.json {
        context.output.json(&listed)?;
    } else {
        context.output.text(&render::activity::rules(&listed, context.output))?;
    }
    Ok(Status::Done)
}
