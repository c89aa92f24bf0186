//! What a program says of its progress (OSC 9;4): the bar that some terminals draw in a tab or a task bar.

use orx_protocol::activity::{AgentState, Observation, Source};
use orx_protocol::watch::Progress;

/// How sure a bar that moves is, in percent: a program that forgets to clear it is seen on its screen.
const MOVES: u8 = 82;
/// How sure a bar that shows a failure is: often it is of one step alone.
const FAILED: u8 = 55;

/// What the bar says at `at_ms`; `None` where it says nothing. That it was cleared does not say that nothing is done.
pub(super) fn observe(told: Progress, at_ms: u64) -> Option<Observation> {
    let (state, reason, confidence) = match told {
        Progress::Busy => (AgentState::Working, "OSC 9;4: it works".to_owned(), MOVES),
        Progress::Percent(percent) => (AgentState::Working, format!("OSC 9;4: {percent} % are done"), MOVES),
        Progress::Failed => (AgentState::Failed, "OSC 9;4: something failed".to_owned(), FAILED),
        Progress::None | Progress::Paused => return None,
    };
    Some(Observation { source: Source::Progress, state, reason, confidence, at_ms, until_ms: None })
}
