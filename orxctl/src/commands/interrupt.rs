//! `orxctl interrupt`.

use clap::Args;
use orx_protocol::api::session::{Interrupted, SessionParams};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names;
use crate::text;

/// Arguments of `interrupt`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl interrupt 5FAV
  orxctl interrupt 5FAV --json

The agent stops what it works on and takes prompts again; `orxctl stop` ends the session.
It is told over its structured channel, or by the keys that its interface takes for that.
Exit code 1 when its turn is not seen to end within 5 s.")]
pub struct Interrupt {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
}

pub(crate) async fn run(context: &Context, arguments: &Interrupt) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let now: Interrupted = context.call("session.interrupt", &SessionParams { session }).await?;
    if context.output.json {
        context.output.json(&now)?;
    } else {
        let how = if now.stopped { "stopped" } else { "told to stop" };
        let evidence = text::clean_line(&now.evidence);
        context.output.text(&format!("{session}: {how}, {} ({evidence})", now.state.as_str()))?;
    }
    Ok(Status::of_success(now.stopped))
}
