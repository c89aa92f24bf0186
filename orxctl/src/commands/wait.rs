//! `orxctl wait`.

use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use orx_protocol::api::session::{self, SessionParams, SessionState, WaitParams, Waited};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::progress::Progress;
use crate::{figures, names, render};

/// Longest wait of one request; a wait without end is made of such.
const SLICE: Duration = Duration::from_secs(30);
/// How much longer than its wait a request may take.
const MARGIN: Duration = Duration::from_secs(30);

/// What can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// The process runs
    Running,
    /// The process ended, in whatever way
    Ended,
}

/// Arguments of `wait`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl wait 5FAV
  orxctl wait 5FAV --until running --timeout 10s

Exit code 1 when the time is over, or when a session that should run has ended.")]
pub struct Wait {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// For what to wait
    #[arg(long, value_enum, default_value = "ended")]
    pub until: Until,
    /// For how long, such as 90s or 5m (for ever when absent)
    #[arg(long, value_name = "DURATION", value_parser = figures::parse_duration)]
    pub timeout: Option<Duration>,
}

/// Whether a state is the one that is waited for, or rules it out.
const fn reached(until: Until, state: SessionState) -> Option<bool> {
    match (until, state) {
        (Until::Running, SessionState::Running) => Some(true),
        (Until::Running, SessionState::Starting) => None,
        (Until::Running, SessionState::Ended | SessionState::Failed | SessionState::Unknown) => Some(false),
        (Until::Ended, SessionState::Starting | SessionState::Running) => None,
        (Until::Ended, SessionState::Ended | SessionState::Failed | SessionState::Unknown) => Some(true),
    }
}

pub(crate) async fn run(context: &Context, arguments: &Wait) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let progress = Progress::new(context.output, format!("waiting for {session}"));
    let (outcome, shown) = progress.during(wait(context, session, arguments)).await?;
    if context.output.json {
        context.output.json(&shown)?;
    } else {
        context.output.text(&render::sessions::ending(&shown))?;
    }
    match outcome {
        Some(reached) => Ok(Status::of_success(reached)),
        None => {
            let wanted = match arguments.until {
                Until::Running => "does not run",
                Until::Ended => "has not ended",
            };
            let after = arguments.timeout.map_or(0, figures::milliseconds);
            Err(Failure::failed(format!("the session {wanted} after {}", figures::duration_ms(after))))
        }
    }
}

/// Whether the state was reached (`None`: the time was over first), and the session as it is then.
async fn wait(
    context: &Context,
    session: orx_protocol::SessionId,
    arguments: &Wait,
) -> Result<(Option<bool>, session::Session), Failure> {
    let started = Instant::now();
    let client = context.connect().await?;
    let until = match arguments.until {
        Until::Running => session::Until::Running,
        Until::Ended => session::Until::Ended,
    };
    loop {
        let left = arguments.timeout.map_or(SLICE, |timeout| timeout.saturating_sub(started.elapsed()).min(SLICE));
        let params = WaitParams { session, until, timeout_ms: figures::milliseconds(left) };
        let waited: Waited = client.call_idempotent("session.wait", &params, left + MARGIN).await?;
        let outcome = reached(arguments.until, waited.state);
        if outcome.is_some() || arguments.timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
            let shown = client.call_idempotent("session.get", &SessionParams { session }, MARGIN).await?;
            return Ok((outcome, shown));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_reached_ruled_out_or_still_to_come() {
        assert_eq!(reached(Until::Ended, SessionState::Unknown), Some(true));
        assert_eq!(reached(Until::Ended, SessionState::Running), None);
        assert_eq!(reached(Until::Running, SessionState::Running), Some(true));
        assert_eq!(reached(Until::Running, SessionState::Starting), None);
        assert_eq!(reached(Until::Running, SessionState::Failed), Some(false));
    }
}
