//! `orxctl stop`.

use std::time::Duration;

use clap::Args;
use orx_protocol::api::session::{StopParams, Stopped};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::progress::Progress;
use crate::{figures, names};

/// How much longer than its grace a stop may take.
const MARGIN: Duration = Duration::from_secs(30);
/// The daemon's own grace.
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

/// Arguments of `stop`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl stop 5FAV
  orxctl stop 5FAV --grace 30s")]
pub struct Stop {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// Time to end by itself before force is used [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = figures::parse_duration)]
    pub grace: Option<Duration>,
}

pub(crate) async fn run(context: &Context, arguments: &Stop) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let client = context.connect().await?;
    let params = StopParams { session, grace_ms: arguments.grace.map(figures::milliseconds) };
    let deadline = arguments.grace.unwrap_or(DEFAULT_GRACE).saturating_add(MARGIN);
    let progress = Progress::new(context.output, format!("stopping {session}"));
    let stopped: Stopped = progress.during(client.call_with_deadline("session.stop", &params, deadline)).await?;
    if context.output.json {
        context.output.json(&stopped)?;
    } else {
        let how = stopped.exit.map_or_else(|| "how it ended is not known".to_owned(), |exit| exit.to_string());
        context.output.text(&format!("{session}: ended, {how}"))?;
    }
    Ok(Status::Done)
}
