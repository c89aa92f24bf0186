//! `orxctl logs`.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use orx_client::ClientError;
use orx_protocol::SessionId;
use orx_protocol::api::session::{Log, LogParams};
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{names, text};

/// Lines asked for at once.
const PAGE: u32 = 1000;
/// Pauses between looks at a log that does not grow: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Arguments of `logs`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl logs 5FAV
  orxctl logs 5FAV --follow
  orxctl logs 5FAV --tail 20 --stderr

With --json each line is an object {\"line\": ...} of its own.")]
pub struct Logs {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// Go on as the session writes, until it ends
    #[arg(short, long)]
    pub follow: bool,
    /// Standard error instead of output (sessions without a terminal)
    #[arg(long)]
    pub stderr: bool,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
}

#[derive(Serialize)]
struct Line<'a> {
    line: &'a str,
}

pub(crate) async fn run(context: &Context, arguments: &Logs) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let mut reader = Reader { context, session, stderr: arguments.stderr, from: 0, client: None };
    let mut last = VecDeque::new();
    let mut ended;
    loop {
        let page = reader.page().await?;
        ended = page.end;
        let is_last = page.lines.is_empty() || page.end;
        match arguments.tail {
            Some(tail) => {
                last.extend(page.lines);
                last.drain(..last.len().saturating_sub(tail));
            }
            None => show(context, page.lines.iter())?,
        }
        if is_last {
            break;
        }
    }
    show(context, last.iter())?;
    let mut pause = FIRST_PAUSE;
    while arguments.follow && !ended {
        tokio::time::sleep(pause).await;
        let page = match reader.page().await {
            // The log outlives the daemon; so does a reader of it.
            Err(error) if error.is_disconnect() => {
                reader.client = None;
                pause = LONGEST_PAUSE;
                continue;
            }
            page => page?,
        };
        ended = page.end;
        pause = if page.lines.is_empty() { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
        show(context, page.lines.iter())?;
    }
    Ok(Status::Done)
}

struct Reader<'a> {
    context: &'a Context,
    session: SessionId,
    stderr: bool,
    from: u64,
    client: Option<orx_client::Client>,
}

impl Reader<'_> {
    async fn page(&mut self) -> Result<Log, ClientError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => orx_client::Client::connect(&self.context.places.socket).await?,
        };
        let params = LogParams { session: self.session, from: Some(self.from), limit: Some(PAGE), stderr: self.stderr };
        let page: Log = self.client.insert(client).call("session.log", &params).await?;
        self.from = page.next;
        Ok(page)
    }
}

fn show<'a>(context: &Context, lines: impl Iterator<Item = &'a String>) -> Result<(), Failure> {
    let mut shown = String::new();
    for line in lines {
        if context.output.json {
            let line = serde_json::to_string(&Line { line }).unwrap_or_default();
            shown.push_str(&text::clean_json(&line));
        } else {
            shown.push_str(&text::clean(line));
        }
        shown.push('\n');
    }
    context.output.bytes(shown.as_bytes())
}
