//! `orxctl budget`.

use clap::Args;
use orx_protocol::api::Empty;
use orx_protocol::api::llm::Budget as List;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::render;

/// Arguments of `budget`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl budget
  orxctl budget --json

Caps are set in orchestratord.yaml:
  gateway:
    time_zone: Europe/Berlin
    caps:
      - {name: day, of: all, micro_dollars: 20000000}
      - {name: session, of: session, micro_dollars: 5000000}")]
pub struct Budget {}

pub(crate) async fn run(context: &Context, _arguments: &Budget) -> Result<Status, Failure> {
    let list: List = context.call("llm.budget", &Empty {}).await?;
    if context.output.json {
        context.output.json(&list)?;
    } else if list.caps.is_empty() {
        context
            .output
            .note("no cap is set, or nobody falls under one yet; `orxctl budget --help` shows how one is set");
    } else {
        context.output.text(&render::money::caps(&list.caps, context.output))?;
    }
    Ok(Status::Done)
}
