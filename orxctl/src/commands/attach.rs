//! `orxctl attach`.

use clap::Args;
use orx_protocol::SessionId;
use orx_protocol::api::session::{AttachMode, Session, SessionParams};
use orx_protocol::hold::ScreenText;
use orx_protocol::places::variable;
use orx_protocol::process::Exit;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names;
use crate::terminal::{self, Left};

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
    context.output.note(&format!("`orxctl scrollback {session}` and `orxctl replay {session}` show what came before"));
    Ok(Status::Done)
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
    match terminal::view(&context.places.socket, session, mode, raw).await? {
        Left::Detached => {
            context.output.text(&format!("[detached from {session}]"))?;
            Ok(Status::Done)
        }
        Left::Ended { code, signal } => {
            let exit = code.map(Exit::Code).or(signal.map(Exit::Signal));
            let how = exit.map_or_else(|| "how is not known".to_owned(), |exit| exit.to_string());
            context.output.text(&format!("[session ended: {how}]"))?;
            Ok(Status::Done)
        }
        Left::Signalled => Ok(Status::Failed),
        Left::Lost(why) => Err(Failure::failed(format!("the connection to {session} was lost: {why}"))
            .with_hint(format!("`orxctl attach {session}` attaches again, `orxctl ls --all` shows its state"))),
    }
}
