//! `orxctl events`.

use clap::Args;
use orx_client::follow_events;
use orx_protocol::api::event::{Events as Page, ListParams};
use orx_protocol::event::Event;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::follow::interrupts;
use crate::render;

/// Events asked for at once.
const PAGE: u32 = 500;

/// Arguments of `events`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl events --since 1200
  orxctl events --kind 'session.*' --kind run.ended --follow
  orxctl events --follow --json | jq .kind

With --json each event is an object on a line of its own. --follow goes on over restarts of the daemon, without a gap.")]
pub struct Events {
    /// Only events with a greater sequence number [default: from the beginning; with --follow from now on]
    #[arg(long, value_name = "SEQUENCE")]
    pub since: Option<u64>,
    /// Only this kind; `*` at its end stands for any rest; may be repeated
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<String>,
    /// Only events about this subject, such as a session's full identifier
    #[arg(long, value_name = "SUBJECT")]
    pub subject: Option<String>,
    /// Go on with events as they come
    #[arg(short, long)]
    pub follow: bool,
}

pub(crate) async fn run(context: &Context, arguments: Events) -> Result<Status, Failure> {
    if arguments.follow {
        let mut follower =
            follow_events(&context.places.socket, arguments.since, arguments.kind, arguments.subject).await?;
        let mut interrupts = interrupts()?;
        loop {
            tokio::select! {
                event = follower.next() => show(context, &event?)?,
                _ = interrupts.recv() => return Ok(Status::Done),
            }
        }
    }
    let client = context.connect().await?;
    let mut since = arguments.since;
    loop {
        let params =
            ListParams { since, kinds: arguments.kind.clone(), subject: arguments.subject.clone(), limit: Some(PAGE) };
        let page: Page = client.call("event.list", &params).await?;
        for event in &page.events {
            show(context, event)?;
        }
        if page.events.is_empty() || since.is_some_and(|since| page.next <= since) {
            return Ok(Status::Done);
        }
        since = Some(page.next);
    }
}

fn show(context: &Context, event: &Event) -> Result<(), Failure> {
    if context.output.json {
        context.output.json_line(event)
    } else {
        context.output.text(&render::events::journal_line(event, context.output))
    }
}
