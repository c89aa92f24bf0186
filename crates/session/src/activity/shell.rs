//! What a terminal says of a program of which no rules are known: marks of its shell, and whether something waits for
//! a line.

use orx_protocol::activity::{AgentState, Observation, Source};
use orx_protocol::watch::{PromptMark, Reader};

/// How sure a shell's own marks are, in percent.
const MARKED: u8 = 85;
/// How sure it is that a process which waits for a line waits for its user, in percent.
const WAITING: u8 = 60;
/// A process waits for its user only when it has been quiet for so long, in milliseconds: then the holder looks at it.
const QUIET_MS: u64 = 150;

/// What the marks and the foreground process say at `at_ms`; `None` where they say nothing. Silence alone says nothing.
#[must_use]
pub fn observe(mark: Option<PromptMark>, reader: Option<Reader>, quiet_ms: u64, at_ms: u64) -> Option<Observation> {
    let said = |state, reason: &str, confidence| {
        Some(Observation {
            source: Source::Process,
            state,
            reason: reason.to_owned(),
            confidence,
            at_ms,
            until_ms: None,
        })
    };
    match (mark, reader) {
        (Some(PromptMark::Prompt), _) => said(AgentState::Idle, "OSC 133: its shell shows a prompt", MARKED),
        (Some(PromptMark::Running), Some(Reader::Other | Reader::Own)) if quiet_ms >= QUIET_MS => {
            said(AgentState::WaitingInput, "the command that its shell runs waits for a line", WAITING)
        }
        (Some(PromptMark::Running), _) => said(AgentState::Working, "OSC 133: its shell runs a command", MARKED),
        (None, Some(Reader::Own)) if quiet_ms >= QUIET_MS => {
            said(AgentState::Idle, "its process waits for a line on its terminal", WAITING)
        }
        (None, Some(Reader::Other)) if quiet_ms >= QUIET_MS => {
            said(AgentState::WaitingInput, "a process that it started waits for a line on the terminal", WAITING)
        }
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_readers_say_what_they_say_and_silence_nothing() {
        use AgentState::{Idle, WaitingInput, Working};
        for (mark, reader, quiet_ms, state) in [
            (None, None, u64::MAX, None),
            (None, Some(Reader::Own), 149, None),
            (None, Some(Reader::Own), 150, Some(Idle)),
            (None, Some(Reader::Other), 150, Some(WaitingInput)),
            (Some(PromptMark::Prompt), None, 0, Some(Idle)),
            (Some(PromptMark::Running), None, u64::MAX, Some(Working)),
            (Some(PromptMark::Running), Some(Reader::Other), 0, Some(Working)),
            (Some(PromptMark::Running), Some(Reader::Other), 900, Some(WaitingInput)),
        ] {
            assert_eq!(
                observe(mark, reader, quiet_ms, 1).map(|said| said.state),
                state,
                "{mark:?} {reader:?} {quiet_ms}"
            );
        }
    }
}
