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

/// A session older than this has started long ago: what it shows is its business.
const YOUNG: Duration = Duration::from_secs(60);
/// How long a text waits for the place where it is to be typed; slow CLIs on a busy machine take 15 s.
const LIMIT: Duration = Duration::from_secs(30);
/// A CLI that draws asks for pastes and reads its keys only when it has drawn: it has once it was quiet for so long.
const QUIET_MS: u64 = 300;
/// One that is at work already is never quiet; it takes a prompt after this time too.
const AT_WORK: Duration = Duration::from_secs(3);
/// How often its screen is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Waits until a young session shows the place where its engine takes a prompt. Any other is not waited for.
///
/// # Errors
/// `FailedPrecondition` when it does not show in time, because a dialog is open as a rule; as the holder answers.
pub async fn until_composer(session: &Session, socket: &Path) -> Result<(), RpcError> {
    let kind = session.engine.parse().unwrap_or(EngineKind::Command);
    let age = Duration::from_millis(clock::now_ms().saturating_sub(session.created_at_ms));
    if kind == EngineKind::Command || age > YOUNG {
        return Ok(());
    }
    let started = Instant::now();
    let mut shown_since: Option<Instant> = None;
    loop {
        let screen: ScreenText = holder::ask_now(socket, method::SCREEN, &Empty {}).await?;
        if orx_engines::shows_composer(kind, &screen.lines) {
            let since = *shown_since.get_or_insert_with(Instant::now);
            let status: Status = holder::ask_now(socket, method::STATUS, &Empty {}).await?;
            if status.quiet_ms >= QUIET_MS || since.elapsed() > AT_WORK {
                return Ok(());
            }
        } else {
            shown_since = None;
            if started.elapsed() > LIMIT {
                return Err(RpcError::new(
                    ErrorKind::FailedPrecondition,
                    format!(
                        "{kind} does not show where to type a prompt after {} s; nothing was typed into session {}",
                        LIMIT.as_secs(),
                        session.session
                    ),
                )
                .with_hint(
                    "`session.screen` shows what it asks; attach to answer it, or press keys with `session.keys`",
                ));
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
