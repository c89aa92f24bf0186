//! Whether a coding CLI that was just started takes a prompt yet. What is typed earlier is lost or answers a dialog,
//! while whoever sent it was told that it was submitted.

use orx_engines::EngineKind;
use orx_protocol::api::Empty;
use orx_protocol::api::session::Session;
use orx_protocol::hold::{ScreenText, Status, method};
use orx_protocol::{ErrorKind, RpcError, clock};
use std::path::Path;
use std::time::{Duration, Instant};

use super::holder;

/// A process older than this has started long ago.
const YOUNG: Duration = Duration::from_secs(60);
/// How long a text waits for the place where it is to be typed; slow CLIs on a busy machine take 30 s.
const LIMIT: Duration = Duration::from_secs(45);
/// The same in a session that started long ago: a screen may be drawn anew just then.
const LIMIT_LATER: Duration = Duration::from_secs(3);
/// A CLI asks for pastes and reads its keys only some time after it has drawn: it does once it was quiet for so long.
const QUIET_MS: u64 = 1000;
/// One that is at work already is never quiet; it takes a prompt after this time too.
const AT_WORK: Duration = Duration::from_secs(3);
/// How often its screen is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// What is to be done with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Type,
    Wait,
    Refuse,
}

/// What is to be done after waiting for `waited`, when the place has been on the screen for `shown` (`None`: it is not)
/// and the program has been quiet for so long.
fn judge(is_young: bool, waited: Duration, shown: Option<Duration>, quiet_ms: u64) -> Verdict {
    let limit = if is_young { LIMIT } else { LIMIT_LATER };
    match shown {
        Some(_) if !is_young => Verdict::Type,
        Some(shown) if quiet_ms >= QUIET_MS || shown > AT_WORK => Verdict::Type,
        None if waited > limit => Verdict::Refuse,
        _ => Verdict::Wait,
    }
}

/// Waits until a session shows the place where its engine takes a prompt; one that started long ago at `started_at_ms`
/// (milliseconds since the epoch) is not waited for long. A dialog, a shell in the engine's place or a view that hides
/// the place is so never typed into.
///
/// # Errors
/// `FailedPrecondition` when it does not show in time, because a dialog is open as a rule; as the holder answers.
pub async fn until_composer(session: &Session, started_at_ms: u64, socket: &Path) -> Result<(), RpcError> {
    let kind = session.engine.parse().unwrap_or(EngineKind::Command);
    if kind == EngineKind::Command {
        return Ok(());
    }
    let age = Duration::from_millis(clock::now_ms().saturating_sub(started_at_ms));
    let is_young = age < YOUNG;
    let started = Instant::now();
    let mut shown_since: Option<Instant> = None;
    loop {
        let screen: ScreenText = holder::ask_now(socket, method::SCREEN, &Empty {}).await?;
        let status: Status = holder::ask_now(socket, method::STATUS, &Empty {}).await?;
        let is_left = orx_engines::is_left(kind, &screen.lines, usize::from(screen.cursor.row));
        let is_shown = orx_engines::shows_composer(kind, &screen.lines) && !is_left;
        shown_since = is_shown.then(|| shown_since.unwrap_or_else(Instant::now));
        match judge(is_young, started.elapsed(), shown_since.map(|since| since.elapsed()), status.quiet_ms) {
            Verdict::Type => return Ok(()),
            Verdict::Wait => tokio::time::sleep(LOOK).await,
            Verdict::Refuse => {
                let why = format!(
                    "{kind} does not show where to type a prompt after {} s; nothing was typed into session {}",
                    started.elapsed().as_secs(),
                    session.session
                );
                return Err(RpcError::new(ErrorKind::FailedPrecondition, why).with_hint(
                    "`session.screen` shows what it asks; attach to answer it, or press keys with `session.keys`",
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_typed_when_its_place_is_drawn_and_refused_when_it_never_is() {
        let seconds = Duration::from_secs;
        for (is_young, waited, shown, quiet_ms, verdict) in [
            (true, seconds(0), None, 5000, Verdict::Wait),
            (true, seconds(44), None, 5000, Verdict::Wait),
            (true, seconds(46), None, 0, Verdict::Refuse),
            (true, seconds(1), Some(seconds(1)), 999, Verdict::Wait),
            (true, seconds(2), Some(seconds(1)), 1000, Verdict::Type),
            (true, seconds(46), Some(seconds(2)), 100, Verdict::Wait),
            (true, seconds(46), Some(seconds(4)), 0, Verdict::Type),
            (false, seconds(0), Some(seconds(0)), 0, Verdict::Type),
            (false, seconds(3), None, 5000, Verdict::Wait),
            (false, seconds(4), None, 5000, Verdict::Refuse),
        ] {
            assert_eq!(judge(is_young, waited, shown, quiet_ms), verdict, "{waited:?} {shown:?} {quiet_ms}");
        }
    }
}
