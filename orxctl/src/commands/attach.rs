//! `orxctl attach`.

use clap::Args;
use orx_protocol::SessionId;
use orx_protocol::api::session::{AttachMode, Session, SessionParams, Until, WaitParams, Waited};
use orx_protocol::hold::ScreenText;
use orx_protocol::places::variable;
use orx_protocol::process::{EndReason, Exit};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names;
use crate::terminal::{self, Left};

/// A session that lasted for less than this, in milliseconds, is one that did not come up.
const SHORT_MS: u64 = 10_000;

/// How long an end that a viewer was told of may take to be on record, in milliseconds.
const RECORDED_MS: u64 = 5_000;

/// Arguments of `attach`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl attach 5FAV
  orxctl attach 5FAV --view

Keys:
  Ctrl+B d, Ctrl+Q    leave; the session goes on
  Ctrl+B w            take control when another viewer types
  Ctrl+B r            draw the screen anew
  Ctrl+B ?            show these keys
  Ctrl+B Ctrl+B       send Ctrl+B to the program")]
pub struct Attach {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// Only look; nothing that is typed reaches the program
    #[arg(long)]
    pub view: bool,
    /// Let the program reach beyond the screen: your clipboard (OSC 52), notifications and the like
    #[arg(long)]
    pub raw: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Attach) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let record: Session = context.call("session.get", &SessionParams { session }).await?;
    if record.state.is_final() {
        return show_end(context, &record).await;
    }
    terminal::require()?;
    let mode = if arguments.view { AttachMode::View } else { AttachMode::Control };
    attach(context, session, mode, arguments.raw).await
}

/// Shows what a session that is over left on its screen, and how it ended.
async fn show_end(context: &Context, record: &Session) -> Result<Status, Failure> {
    let session = record.session;
    let screen: Result<ScreenText, Failure> = context.call("session.screen", &SessionParams { session }).await;
    // One that never drew anything has none.
    if let Ok(screen) = screen {
        context.output.text(&super::screen::as_text(&screen))?;
    }
    let how = record.exit.map_or_else(|| record.state.as_str().to_owned(), |exit| exit.to_string());
    context.output.text(&format!("[session {session} is over: {how}]"))?;
    if let Some(message) = &record.message {
        context.output.note(message);
    }
    context.output.note(&left_behind(session));
    Ok(Status::Done)
}

/// Whether a session gave up by itself before anybody can have worked with it.
fn was_short(record: &Session) -> bool {
    record.reason != Some(EndReason::Stopped)
        && record.ended_at_ms.is_some_and(|ended_ms| ended_ms.saturating_sub(record.created_at_ms) < SHORT_MS)
}

/// Where to look for what a session that is over showed.
fn left_behind(session: SessionId) -> String {
    format!("`orxctl logs {session}` and `orxctl replay {session}` show what it wrote")
}

/// The record of a session that is over, or will be within this time in milliseconds; `None` otherwise, and where that is not
/// known.
async fn ended(context: &Context, session: SessionId, within_ms: u64) -> Option<Session> {
    let wanted = WaitParams { session, until: Until::Ended, timeout_ms: within_ms };
    let waited: Waited = context.call("session.wait", &wanted).await.ok()?;
    if !waited.state.is_final() {
        return None;
    }
    context.call("session.get", &SessionParams { session }).await.ok()
}

/// Attaches this terminal to a session until the user leaves or the session ends.
pub(crate) async fn attach(
    context: &Context,
    session: SessionId,
    mode: AttachMode,
    raw: bool,
) -> Result<Status, Failure> {
    if std::env::var(variable::SESSION).is_ok_and(|own| own == session.to_string()) {
        return Err(Failure::usage(
            "this terminal is that very session: attached to itself it would show itself for ever",
        )
        .with_hint("attach from another terminal"));
    }
    let left = match terminal::view(&context.places.socket, session, mode, raw).await {
        // One that ends at once is over before a viewer is there, or while it joins: that is an end like any other.
        Ok(Left::Lost(_)) | Err(_) if let Some(record) = ended(context, session, 0).await => {
            return show_end(context, &record).await;
        }
        left => left?,
    };
    match left {
        Left::Detached => {
            context.output.text(&format!("[detached from {session}]"))?;
            Ok(Status::Done)
        }
        Left::Ended { code, signal } => {
            let exit = code.map(Exit::Code).or(signal.map(Exit::Signal));
            let how = exit.map_or_else(|| "how is not known".to_owned(), |exit| exit.to_string());
            let went_well = exit.is_some_and(Exit::is_success);
            // What a program said that gave up at once was on the first rows, which are pushed out by what stands below them now.
            if !went_well && let Some(record) = ended(context, session, RECORDED_MS).await.filter(was_short) {
                return show_end(context, &record).await;
            }
            context.output.text(&format!("[session ended: {how}]"))?;
            if !went_well {
                context.output.note(&left_behind(session));
            }
            Ok(Status::Done)
        }
        Left::Signalled => Ok(Status::Failed),
        Left::Lost(why) => Err(Failure::failed(format!("the connection to {session} was lost: {why}"))
            .with_hint(format!("`orxctl attach {session}` attaches again, `orxctl ls --all` shows its state"))),
    }
}
