//! `orxctl send`.

use std::time::Duration;

use clap::Args;
use orx_protocol::api::delivery::{Receipt, SendParams, Sent, When};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::progress::Progress;
use crate::{names, text as plain, words};

/// A CLI that starts is waited for, a long text is typed, and then followed.
const LIMIT: Duration = Duration::from_secs(120);

/// Arguments of `send`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl send 5FAV \"run the tests again\"
  orxctl send 5FAV @prompt.md
  git diff | orxctl send 5FAV -
  orxctl send 5FAV --when-idle \"then update the changelog\"
  orxctl send 5FAV --no-enter \"not submitted yet\"

Prints how far the text is known to have come, and by what: queued, typed, submitted, accepted, draft_stuck. The exit code
is 0 when it came as far as was asked for, 1 otherwise.")]
pub struct Send {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// The text, @file, or - for standard input
    #[arg(allow_hyphen_values = true, value_name = "TEXT|@FILE|-")]
    pub text: String,
    /// Do not press Enter after it
    #[arg(long)]
    pub no_enter: bool,
    /// Keep it until the agent is idle, also over a restart
    #[arg(long)]
    pub when_idle: bool,
    /// Send it also into a dialog
    #[arg(long, conflicts_with = "when_idle")]
    pub force: bool,
    /// A key of your own: the same command again with it sends nothing twice
    #[arg(long)]
    pub key: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: &Send) -> Result<Status, Failure> {
    let text = words::read(&arguments.text, "text")?;
    let session = names::session(context, &arguments.session).await?;
    let params = SendParams {
        session,
        text,
        submit: !arguments.no_enter,
        when: if arguments.when_idle { When::Idle } else { When::Now },
        key: arguments.key.clone(),
        force: arguments.force,
    };
    let client = context.connect().await?;
    let progress = Progress::new(context.output, "sending");
    let sent: Sent = progress.during(client.call_with_deadline("session.send", &params, LIMIT)).await?;
    if context.output.json {
        context.output.json(&sent)?;
    } else {
        let again = if sent.repaired { ", after a second Enter" } else { "" };
        context.output.text(&format!("{session}: {}{again} ({})", sent.receipt, plain::clean_line(&sent.evidence)))?;
    }
    let is_there = match sent.receipt {
        Receipt::Submitted | Receipt::Accepted | Receipt::Queued => true,
        Receipt::Typed => arguments.no_enter,
        Receipt::DraftStuck | Receipt::Unknown | Receipt::Failed => false,
    };
    Ok(if is_there { Status::Done } else { Status::Failed })
}
