//! `orxctl retry`.

use clap::Args;
use orx_protocol::api::life::AgainParams;

use crate::commands::new::variable;
use crate::commands::resume::take_up;
use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names;

/// Arguments of `retry`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl retry 5FAV
  orxctl retry 5FAV --detach

A session that failed, ran out of time, was stopped or was lost is tried again, three times at most: the files of its
worktree are set back to its last checkpoint, and its conversation goes on.")]
pub struct Retry {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// Do not attach
    #[arg(long)]
    pub detach: bool,
    /// A variable that the session was made with; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Begin a new conversation where the old one cannot be taken up
    #[arg(long)]
    pub fresh: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Retry) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let params = AgainParams { session, env: arguments.env.iter().cloned().collect(), fresh: arguments.fresh };
    take_up(context, "session.retry", &params, arguments.detach).await
}
