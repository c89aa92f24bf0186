//! `orxctl status`.

use clap::Args;
use orx_protocol::RunId;
use orx_protocol::api::run::{Run, RunParams, RunState};
use orx_protocol::api::{Empty, daemon};
use orx_protocol::clock::now_ms;

use crate::context::Context;
use crate::failure::{self, Failure};
use crate::follow::{self, Ending};
use crate::{names, render};

/// Arguments of `status`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl status
  orxctl status 5FAV
  orxctl status 5FAV --follow
  orxctl status 5FAV --follow --json    an event a line, the run as the last

With --follow the exit code is 0 when the run is done, 1 otherwise.")]
pub struct Status {
    /// A run: its identifier, or a unique beginning or end of it
    pub run: Option<String>,
    /// Show what the run does until it stands still
    #[arg(short, long, requires = "run")]
    pub follow: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Status) -> Result<failure::Status, Failure> {
    match &arguments.run {
        None => overview(context).await,
        Some(run) => {
            let run = names::run(context, run).await?;
            if arguments.follow { follow(context, run).await } else { show(context, run).await }
        }
    }
}

async fn overview(context: &Context) -> Result<failure::Status, Failure> {
    let status: daemon::Status = context.call("status", &Empty {}).await?;
    if context.output.json {
        context.output.json(&status)?;
    } else {
        context.output.text(&render::daemon::status(&status, context.output))?;
    }
    Ok(failure::Status::Done)
}

async fn show(context: &Context, run: RunId) -> Result<failure::Status, Failure> {
    let run: Run = context.call("run.get", &RunParams { run }).await?;
    if context.output.json {
        context.output.json(&run)?;
    } else {
        context.output.text(&render::run::details(&run, now_ms(), context.output))?;
    }
    Ok(failure::Status::Done)
}

async fn follow(context: &Context, run: RunId) -> Result<failure::Status, Failure> {
    let output = context.output;
    let ending = follow::run(context, run, |event| {
        if output.json {
            output.json_line(event)
        } else {
            output.text(&render::events::line(event, output).unwrap_or_default())
        }
    })
    .await?;
    match ending {
        Ending::Final(run) => {
            if output.json {
                output.json_line(&*run)?;
            } else {
                output.text(&render::run::summary(&run, now_ms(), output))?;
            }
            Ok(failure::Status::of_success(run.state == RunState::Done))
        }
        Ending::Left => {
            output.note(&format!("\n{run} goes on"));
            Ok(failure::Status::Failed)
        }
    }
}
