//! `orxctl pause` and `orxctl continue`.

use clap::Args;
use orx_protocol::api::session::{Session, SessionParams};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names;

/// Arguments of `pause`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl pause 5FAV
  orxctl continue 5FAV

Its processes are held still and its time does not run; a call to a model that is under way may be cut.")]
pub struct Pause {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
}

/// Arguments of `continue`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl continue 5FAV")]
pub struct Continue {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
}

pub(crate) async fn pause(context: &Context, arguments: &Pause) -> Result<Status, Failure> {
    step(context, &arguments.session, "session.pause").await
}

pub(crate) async fn go_on(context: &Context, arguments: &Continue) -> Result<Status, Failure> {
    step(context, &arguments.session, "session.continue").await
}

async fn step(context: &Context, session: &str, method: &str) -> Result<Status, Failure> {
    let session = names::session(context, session).await?;
    let now: Session = context.call(method, &SessionParams { session }).await?;
    if context.output.json {
        context.output.json(&now)?;
    } else {
        context.output.text(&format!("{session}: {}", now.life))?;
    }
    Ok(Status::Done)
}
