//! What the end of an engine's session means to the machine.

use orx_engines::{EngineKind, FailureKind, StageReport, report};
use orx_protocol::hold::{Ended, Holder, file};
use orx_protocol::process::EndReason;

use crate::gates;
use crate::guardrails::secrets;
use crate::machine::{Answer, AnswerOutcome, Trouble};
use crate::port::HeldOutcome;
use crate::settings::choose::Selection;
use crate::settings::{Settings, StageKey};

/// Bytes of an engine's output that are read: its end.
const OUTPUT: u64 = 64 * 1024 * 1024;

/// What a held process wrote, read from its directory.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) output: Vec<u8>,
    pub(super) error: Vec<u8>,
    /// When it started, in milliseconds since the epoch, where that is known.
    pub(super) started_at_ms: Option<u64>,
}

/// Reads what a held process wrote. A file that is not there is empty: the process wrote nothing.
pub(super) async fn written(outcome: &HeldOutcome) -> std::io::Result<Written> {
    let directory = outcome.directory.clone();
    let read = tokio::task::spawn_blocking(move || {
        let holder = std::fs::read(directory.join(file::HOLDER)).ok();
        let holder = holder.and_then(|text| serde_json::from_slice::<Holder>(&text).ok());
        Ok(Written {
            output: end_of(&directory.join(file::OUTPUT))?,
            error: end_of(&directory.join(file::ERROR))?,
            started_at_ms: holder.map(|holder| holder.started_at_ms),
        })
    });
    read.await.map_err(std::io::Error::other)?
}

fn end_of(path: &std::path::Path) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(OUTPUT)))?;
    let mut bytes = Vec::new();
    file.take(OUTPUT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is known of a try beside how it came out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Try<'a> {
    pub(super) stage: StageKey,
    pub(super) kind: EngineKind,
    pub(super) selection: &'a Selection,
    pub(super) settings: &'a Settings,
    pub(super) session: orx_protocol::SessionId,
    /// When the stage began, in milliseconds since the epoch.
    pub(super) since_ms: u64,
}

/// The answer in what an engine's session came to.
pub(super) fn answer(tried: Try<'_>, ended: &Ended, written: &Written) -> Answer {
    let told = match ended.reason {
        EndReason::SpawnFailed | EndReason::Lost => StageReport::default(),
        EndReason::Exited | EndReason::Stopped | EndReason::Deadline => {
            report(tried.kind, &written.output, &written.error, ended)
        }
    };
    let outcome = match ended.reason {
        EndReason::Lost => AnswerOutcome::Lost,
        EndReason::Stopped => failed(tried, Trouble::Stopped, "somebody stopped the engine's session".to_owned()),
        EndReason::SpawnFailed => {
            let why = ended.message.clone().unwrap_or_else(|| "no reason was given".to_owned());
            failed(tried, Trouble::Unusable, format!("{} could not be started: {why}", tried.kind))
        }
        EndReason::Deadline => {
            let limit = tried.selection.timeout;
            failed(tried, Trouble::TimedOut, format!("{} did not end within {limit} s", tried.kind))
        }
        EndReason::Exited => outcome(tried, &told),
    };
    let begun = written.started_at_ms.unwrap_or(tried.since_ms);
    Answer {
        session: tried.session,
        outcome,
        engine: tried.selection.engine.to_string(),
        model: told.model.or_else(|| tried.selection.model.clone()),
        tokens: told.tokens,
        cost_microusd: told.cost_microusd,
        tool_calls: told.tool_calls,
        duration_ms: ended.ended_at_ms.saturating_sub(begun),
    }
}

fn outcome(tried: Try<'_>, told: &StageReport) -> AnswerOutcome {
    let Some(failure) = &told.failure else {
        if !tried.stage.writes() && told.text.trim().is_empty() {
            return failed(tried, Trouble::Other, format!("{} ended in good order and answered nothing", tried.kind));
        }
        return AnswerOutcome::Text(secrets::redact(&told.text));
    };
    let trouble = match failure.kind {
        FailureKind::NotLoggedIn => {
            let message = format!("{}; {}", failure.message, tried.kind.login());
            return failed(tried, Trouble::Unusable, message);
        }
        FailureKind::RateLimited { retry_after_ms } => Trouble::RateLimited { retry_after_ms },
        FailureKind::Overloaded => Trouble::Overloaded,
        FailureKind::TimedOut => Trouble::TimedOut,
        FailureKind::Crashed | FailureKind::Refused | FailureKind::BadOutput => Trouble::Other,
    };
    failed(tried, trouble, failure.message.clone())
}

/// A failure, with what could take over.
pub(super) fn failed(tried: Try<'_>, trouble: Trouble, message: String) -> AnswerOutcome {
    let offer = tried
        .settings
        .fallback_for(tried.stage, tried.selection, &message)
        .filter(|fallen| fallen.selection.engine.served().is_some());
    // A provider's complaint may repeat what it was sent.
    AnswerOutcome::Failed { trouble, message: secrets::redact(&gates::plain(&message)), offer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::load::parse;
    use orx_protocol::SessionId;
    use orx_protocol::process::Exit;

    #[test]
    fn an_end_that_is_no_answer_is_none() {
        let settings = parse("engine: {type: command}\nfallback_engine: {type: fake}\n", "x").unwrap();
        let selection = settings.choose(StageKey::Plan).unwrap();
        let tried = Try {
            stage: StageKey::Plan,
            kind: EngineKind::Command,
            selection: &selection,
            settings: &settings,
            session: SessionId::generate(),
            since_ms: 5,
        };
        let read = |reason, exit, output: &str| {
            let ended = Ended { exit, reason, message: None, ended_at_ms: 9 };
            let written = Written { output: output.into(), ..Written::default() };
            answer(tried, &ended, &written)
        };
        let trouble = |answer: &Answer| match &answer.outcome {
            AnswerOutcome::Failed { trouble, offer, .. } => {
                assert_eq!(*offer, None, "an engine that orx does not serve takes nothing over");
                Some(*trouble)
            }
            AnswerOutcome::Text(_) | AnswerOutcome::Lost => None,
        };
        let done = read(EndReason::Exited, Some(Exit::Code(0)), "the plan");
        assert_eq!((&done.outcome, done.duration_ms), (&AnswerOutcome::Text("the plan".to_owned()), 4));
        assert_eq!(trouble(&read(EndReason::Deadline, Some(Exit::Code(0)), "half")), Some(Trouble::TimedOut));
        assert_eq!(trouble(&read(EndReason::Stopped, Some(Exit::Code(0)), "half")), Some(Trouble::Stopped));
        assert_eq!(trouble(&read(EndReason::SpawnFailed, None, "")), Some(Trouble::Unusable));
        assert_eq!(read(EndReason::Lost, None, "half").outcome, AnswerOutcome::Lost);
        assert_eq!(trouble(&read(EndReason::Exited, Some(Exit::Code(0)), " \n")), Some(Trouble::Other));
    }
}
