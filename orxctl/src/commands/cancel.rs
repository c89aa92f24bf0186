//! `orxctl cancel`.

use clap::Args;
use orx_protocol::api::run::RunParams;
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names;
use crate::progress::Progress;

/// Arguments of `cancel`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl cancel 5FAV
  orxctl resume 5FAV      take it up again later")]
pub struct Cancel {
    /// The run: its identifier, or a unique beginning or end of it
    pub run: String,
}

pub(crate) async fn run(context: &Context, arguments: &Cancel) -> Result<Status, Failure> {
    let run = names::run(context, &arguments.run).await?;
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
