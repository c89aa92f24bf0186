//! `orxctl resume`.

use clap::Args;
use orx_protocol::api::run::RunParams;
use serde_json::Value;

use crate::commands::run::conclude;
use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names;

/// Arguments of `resume`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl resume 5FAV
  orxctl resume 5FAV --detach

Exit code 0 when the run is done, 1 otherwise. Ctrl-C leaves the run at work.")]
pub struct Resume {
    /// The run: its identifier, or a unique beginning or end of it
    pub run: String,
    /// Do not wait for its end
    #[arg(long)]
    pub detach: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Resume) -> Result<Status, Failure> {
    let run = names::run(context, &arguments.run).await?;
    let result: Value = context.call("run.resume", &RunParams { run }).await?;
    if arguments.detach {
        if context.output.json {
            context.output.json(&result)?;
        } else {
            context.output.text(&format!("{run}: resumed; `orxctl status {run} --follow` follows it"))?;
        }
        return Ok(Status::Done);
    }
    conclude(context, run).await
}
