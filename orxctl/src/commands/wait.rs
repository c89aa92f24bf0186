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
    /// Its agent works
    Working,
    /// Its agent takes a prompt and has nothing to do
    Idle,
    /// Its agent asked its user something
    WaitingInput,
    /// Its agent waits for a permission
    Blocked,
    /// Its provider refuses calls for a time
    RateLimited,
    /// Its turn is over while helpers work
    SubagentsRunning,
    /// Its agent is idle, or somebody is needed before it goes on
    Rest,
}

impl Until {
    const fn asked(self) -> session::Until {
        match self {
            Self::Running => session::Until::Running,
            Self::Ended => session::Until::Ended,
            Self::Working => session::Until::Working,
            Self::Idle => session::Until::Idle,
            Self::WaitingInput => session::Until::WaitingInput,
            Self::Blocked => session::Until::Blocked,
            Self::RateLimited => session::Until::RateLimited,
            Self::SubagentsRunning => session::Until::SubagentsRunning,
            Self::Rest => session::Until::Rest,
        }
    }

    /// How it is said that it did not come.
    const fn missed(self) -> &'static str {
        match self {
            Self::Running => "does not run",
            Self::Ended => "has not ended",
            Self::Working => "does not work",
            Self::Idle => "is not idle",
            Self::WaitingInput => "asks nothing",
            Self::Blocked => "waits for no permission",
            Self::RateLimited => "is not limited",
            Self::SubagentsRunning => "has no helpers that work",
            Self::Rest => "is not at rest",
        }
    }
}

/// Arguments of `wait`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl wait 5FAV
  orxctl wait 5FAV --until running --timeout 10s
  orxctl wait 5FAV --until idle --timeout 10m
  orxctl wait 5FAV --until rest

Exit code 1 when the time is over, or when the session has ended before that.")]
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
fn reached(until: Until, waited: &Waited) -> Option<bool> {
    let states = until.asked().agent_states();
    if !states.is_empty() {
        let is_over = waited.state.is_final().then_some(false);
        return if states.contains(&waited.activity.state) { Some(true) } else { is_over };
    }
    process_reached(until, waited.state)
}

/// The same for states of the process.
const fn process_reached(until: Until, state: SessionState) -> Option<bool> {
    match (until, state) {
        (Until::Running, SessionState::Running) => Some(true),
        (Until::Running, SessionState::Starting) => None,
        (Until::Running, SessionState::Ended | SessionState::Failed | SessionState::Unknown) => Some(false),
        (_, SessionState::Ended | SessionState::Failed | SessionState::Unknown) => Some(true),
        (_, SessionState::Starting | SessionState::Running) => None,
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
            let wanted = arguments.until.missed();
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
    let until = arguments.until.asked();
    loop {
        let left = arguments.timeout.map_or(SLICE, |timeout| timeout.saturating_sub(started.elapsed()).min(SLICE));
        let params = WaitParams { session, until, timeout_ms: figures::milliseconds(left) };
        let waited: Waited = client.call_idempotent("session.wait", &params, left + MARGIN).await?;
        let outcome = reached(arguments.until, &waited);
        if outcome.is_some() || arguments.timeout.is_some_and(|timeout| started.elapsed() >= timeout) {
            let shown = client.call_idempotent("session.get", &SessionParams { session }, MARGIN).await?;
            return Ok((outcome, shown));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::activity::{Activity, AgentState};

    #[test]
    fn a_state_is_reached_ruled_out_or_still_to_come() {
        let waited = |state, agent| Waited { state, activity: Activity { state: agent, ..Activity::default() } };
        let of_process = |until, state| reached(until, &waited(state, AgentState::Unknown));
        assert_eq!(of_process(Until::Ended, SessionState::Unknown), Some(true));
        assert_eq!(of_process(Until::Ended, SessionState::Running), None);
        assert_eq!(of_process(Until::Running, SessionState::Running), Some(true));
        assert_eq!(of_process(Until::Running, SessionState::Starting), None);
        assert_eq!(of_process(Until::Running, SessionState::Failed), Some(false));
        for (until, state, agent, outcome) in [
            (Until::Idle, SessionState::Running, AgentState::Working, None),
            (Until::Idle, SessionState::Running, AgentState::Idle, Some(true)),
            (Until::Idle, SessionState::Ended, AgentState::Done, Some(false)),
            (Until::Rest, SessionState::Running, AgentState::Blocked, Some(true)),
            (Until::Rest, SessionState::Running, AgentState::Unknown, None),
            (Until::Rest, SessionState::Failed, AgentState::Failed, Some(true)),
        ] {
            assert_eq!(reached(until, &waited(state, agent)), outcome, "{until:?} {state:?} {agent:?}");
        }
    }
}
