//! `orxctl hook`: what engines call at points of their work. It carries what it is told to the daemon and prints what comes
//! back; it never decides by itself, and where it cannot reach the daemon it prints nothing, so that the engine asks its
//! user as ever.

use std::io::Read;
use std::time::{Duration, Instant};

use clap::Args;
use orx_client::{Backoff, Client, ClientError, ConnectOptions};
use orx_protocol::SessionId;
use orx_protocol::api::Empty;
use orx_protocol::api::hook::{DeliveredParams, ReportParams, Reported};
use orx_protocol::id::ulid_text;
use orx_protocol::places::variable;
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Failure, Status};

/// Longest payload, in bytes.
const PAYLOAD: u64 = 16 * 1024 * 1024;
/// How long a question waits for its decision, and for a daemon that is away: longer than any engine does.
const QUESTION: Duration = Duration::from_secs(30 * 24 * 3600);
/// The same for what only tells something: the engine stands still meanwhile.
const NOTICE: Duration = Duration::from_secs(3);
/// How long the daemon may take to hear that its answer was handed on.
const CONFIRM: Duration = Duration::from_secs(10);

/// Arguments of `hook`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  echo '{\"hook_event_name\":\"Stop\",\"session_id\":\"…\"}' | orxctl hook claude

Engines call this themselves; `orxctl new claude` installs it for that one session. The payload is read from standard
input, the answer is printed. Exit code 0 also when there is no answer; 1 when the call is refused, which stops no engine.")]
pub struct Hook {
    /// The engine whose hook it is
    pub engine: String,
}

pub(crate) async fn run(context: &Context, arguments: &Hook) -> Result<Status, Failure> {
    match told(context, arguments).await {
        Ok(()) => Ok(Status::Done),
        // Code 2 would tell some engines to stop; every refusal of ours is the code that only says so.
        Err(failure) => Err(Failure { status: Status::Failed, ..failure }),
    }
}

async fn told(context: &Context, arguments: &Hook) -> Result<(), Failure> {
    let Some(session) = std::env::var(variable::SESSION).ok().filter(|name| !name.is_empty()) else {
        return Err(Failure::failed(format!("`orxctl hook {}` was called outside a session of orx", arguments.engine))
            .with_hint("engines call it in sessions that `orxctl new` started; there is nothing to call by hand"));
    };
    let session: SessionId =
        session.parse().map_err(|error| Failure::failed(format!("{} names no session: {error}", variable::SESSION)))?;
    let params = ReportParams {
        engine: arguments.engine.clone(),
        payload: payload()?,
        call: Some(ulid_text()),
        session: Some(session),
    };
    let is_question = params.payload.get("hook_event_name").and_then(Value::as_str) == Some("PermissionRequest");
    let limit = if is_question { QUESTION } else { NOTICE };
    let (client, reported) = match report(context, &params, limit).await {
        Ok(answered) => answered,
        // Nobody is there to say anything: the engine goes on as without hooks.
        Err(error) if error.is_repeatable() => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if let Some(output) = &reported.output {
        context.output.bytes(format!("{output}\n").as_bytes())?;
    }
    if let Some(approval) = reported.approval {
        let confirmed: Result<Empty, ClientError> =
            client.call_idempotent("hook.delivered", &DeliveredParams { approval }, CONFIRM).await;
        // The engine has its answer; that the daemon does not know it is the daemon's to say.
        drop(confirmed);
    }
    Ok(())
}

/// Asks until there is an answer, over restarts of the daemon: the call has a name by which its question is found again.
async fn report(context: &Context, params: &ReportParams, limit: Duration) -> Result<(Client, Reported), ClientError> {
    let started = Instant::now();
    let options = ConnectOptions { deadline: limit, ..ConnectOptions::default() };
    let mut pauses = Backoff::reconnect();
    let client = loop {
        match Client::connect_with(&context.places.socket, options.clone()).await {
            Ok(client) => break client,
            Err(error) if started.elapsed() >= limit => return Err(error),
            Err(_) => pauses.pause().await,
        }
    };
    let left = limit.saturating_sub(started.elapsed());
    let reported = client.call_idempotent("hook.report", params, left).await?;
    Ok((client, reported))
}

/// What the engine hands to its hook.
fn payload() -> Result<Value, Failure> {
    let mut bytes = Vec::new();
    let unreadable = |why: String| Failure::failed(format!("the hook's payload on standard input {why}"));
    std::io::stdin()
        .lock()
        .take(PAYLOAD + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(format!("could not be read: {error}")))?;
    if bytes.len() as u64 > PAYLOAD {
        return Err(unreadable(format!("is longer than {PAYLOAD} bytes")));
    }
    serde_json::from_slice(&bytes).map_err(|error| unreadable(format!("is not JSON: {error}")))
}
