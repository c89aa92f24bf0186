//! `orxctl send`.

use clap::Args;
use orx_protocol::api::session::{SendParams, Sent};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{names, words};

/// Arguments of `send`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl send 5FAV \"run the tests again\"
  orxctl send 5FAV @prompt.md
  git diff | orxctl send 5FAV -
  orxctl send 5FAV --no-enter \"not submitted yet\"")]
pub struct Send {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// The text, @file, or - for standard input
    #[arg(allow_hyphen_values = true, value_name = "TEXT|@FILE|-")]
    pub text: String,
    /// Do not press Enter after it
    #[arg(long)]
    pub no_enter: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Send) -> Result<Status, Failure> {
    let text = words::read(&arguments.text, "text")?;
    let session = names::session(context, &arguments.session).await?;
    let params = SendParams { session, text, submit: !arguments.no_enter };
    let sent: Sent = context.call("session.send", &params).await?;
    if context.output.json {
        context.output.json(&sent)?;
    } else {
        context.output.text(&format!("{session}: {}", crate::text::clean_line(&sent.receipt)))?;
    }
    Ok(Status::Done)
}
