//! `orxctl ls`.

use clap::Args;
use orx_protocol::api::session::{ListParams, Sessions};
use orx_protocol::clock::now_ms;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::render;

/// Arguments of `ls`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl ls
  orxctl ls --survival
  orxctl ls --all --json")]
pub struct Ls {
    /// Also sessions that ended, and those of pipeline stages
    #[arg(short, long)]
    pub all: bool,
    /// Show what would be left of each session when processes or the machine end, and why
    #[arg(long)]
    pub survival: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Ls) -> Result<Status, Failure> {
    let sessions: Sessions = context.call("session.list", &ListParams { all: arguments.all }).await?;
    if context.output.json {
        context.output.json(&sessions)?;
    } else if sessions.sessions.is_empty() {
        let more = if arguments.all { "" } else { " (`orxctl ls --all` also shows those that ended)" };
        context.output.note(&format!("no sessions{more}; start one with `orxctl new claude`"));
    } else if arguments.survival {
        context.output.text(&render::survival::list(&sessions.sessions, context.output))?;
    } else {
        context.output.text(&render::sessions::list(&sessions.sessions, now_ms(), context.output))?;
    }
    Ok(Status::Done)
}
