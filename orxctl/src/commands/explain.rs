//! `orxctl explain`.

use clap::Args;
use orx_protocol::api::approval::{Approvals, ListParams};
use orx_protocol::api::explain::Explanation;
use orx_protocol::api::session::SessionParams;
use orx_protocol::clock::now_ms;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{names, render};

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl explain 5FAV
  orxctl explain 5FAV --json

Shows what the session's agent does, how sure that is, and what each source says: its channel, its hooks, its title,
notifications, progress and screen, its transcript and its process.")]
pub struct Explain {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
}

pub(crate) async fn run(context: &Context, arguments: &Explain) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let explanation: Explanation = context.call("session.explain", &SessionParams { session }).await?;
    if context.output.json {
        context.output.json(&explanation)?;
    } else {
        let asked: Approvals =
            context.call("approval.list", &ListParams { all: false, session: Some(session) }).await?;
        context.output.text(&render::activity::explanation(
            &explanation,
            &asked.approvals,
            now_ms(),
            context.output,
        ))?;
    }
    Ok(Status::Done)
}
