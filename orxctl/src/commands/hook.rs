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
    /// How long a question waits for a daemon that cannot be reached, for engines that show no dialog while their hook
    /// waits; without it as long as the engine does
    #[arg(long, value_name = "SECONDS")]
    pub away: Option<u64>,
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
    let limit = if is_question(&params.payload) { QUESTION } else { NOTICE };
    let away = arguments.away.map_or(limit, Duration::from_secs);
    let (client, reported) = match report(context, &params, limit, away).await {
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

/// Whether an engine waits for an answer: engines name that point alike, and the member that says so differently.
fn is_question(payload: &Value) -> bool {
    let point = ["hook_event_name", "hookName"].iter().find_map(|member| payload.get(member)?.as_str());
    point.is_some_and(|point| point.eq_ignore_ascii_case("PermissionRequest"))
}

/// Asks until there is an answer, over restarts of the daemon that take no longer than `away`: the call has a name by which
/// its question is found again.
async fn report(
    context: &Context,
    params: &ReportParams,
    limit: Duration,
    away: Duration,
) -> Result<(Client, Reported), ClientError> {
    let started = Instant::now();
    let mut unreached_since = started;
    let options = ConnectOptions { deadline: limit, ..ConnectOptions::default() };
    let mut pauses = Backoff::reconnect();
    loop {
        match Client::connect_with(&context.places.socket, options.clone()).await {
            Ok(client) => {
                let left = limit.saturating_sub(started.elapsed());
                match client.call_with_deadline("hook.report", params, left).await {
                    Ok(reported) => return Ok((client, reported)),
                    Err(error) if !error.is_repeatable() || started.elapsed() >= limit => return Err(error),
                    Err(_) => unreached_since = Instant::now(),
                }
            }
            Err(error) if started.elapsed() >= limit || unreached_since.elapsed() >= away => return Err(error),
            Err(_) => {}
        }
        pauses.pause().await;
    }
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
