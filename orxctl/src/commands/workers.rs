//! `orxctl workers`.

use clap::Args;
use orx_protocol::api::Empty;
use orx_protocol::api::worker::Workers as List;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::render;

/// Arguments of `workers`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl workers
  orxctl workers --json")]
pub struct Workers {}

pub(crate) async fn run(context: &Context, _arguments: &Workers) -> Result<Status, Failure> {
    let list: List = context.call("worker.list", &Empty {}).await?;
    if context.output.json {
        context.output.json(&list)?;
    } else {
        context.output.text(&render::workers::list(&list, context.output))?;
        if list.workers.is_empty() {
            context.output.note("no worker is registered");
        }
    }
    Ok(Status::Done)
}
