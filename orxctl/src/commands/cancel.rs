//! `orxctl cancel`.

use clap::Args;
use orx_protocol::SessionId;
use orx_protocol::api::run::RunParams;
use orx_protocol::api::session::{Session, SessionParams};
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names::{self, Target};
use crate::progress::Progress;

/// Arguments of `cancel`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl cancel 5FAV
  orxctl resume 5FAV      take a run up again later

A session is given up for good when it waits for a place, is paused, or ended badly; `orxctl stop` ends one that runs.")]
pub struct Cancel {
    /// The run or session: its identifier, or a unique beginning or end of it
    #[arg(value_name = "RUN|SESSION")]
    pub target: String,
}

pub(crate) async fn run(context: &Context, arguments: &Cancel) -> Result<Status, Failure> {
    let run = match names::target(context, &arguments.target).await? {
        Target::Run(run) => run,
        Target::Session(session) => return give_up(context, session).await,
    };
    let client = context.connect().await?;
    let progress = Progress::new(context.output, format!("cancelling {run}"));
    let result: Value = progress.during(client.call("run.cancel", &RunParams { run })).await?;
    if context.output.json {
        context.output.json(&result)?;
    } else {
        context.output.text(&format!("{run}: cancelled; `orxctl resume {run}` takes it up again"))?;
    }
    Ok(Status::Done)
}

async fn give_up(context: &Context, session: SessionId) -> Result<Status, Failure> {
    let now: Session = context.call("session.cancel", &SessionParams { session }).await?;
    if context.output.json {
        context.output.json(&now)?;
    } else {
        context.output.text(&format!("{session}: {}", now.life))?;
    }
    Ok(Status::Done)
}
