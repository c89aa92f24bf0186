//! `orxctl screen`.

use clap::Args;
use orx_protocol::api::session::SessionParams;
use orx_protocol::hold::ScreenText;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{names, text};

/// Arguments of `screen`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl screen 5FAV
  orxctl screen 5FAV --json | jq .cursor")]
pub struct Screen {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
}

pub(crate) async fn run(context: &Context, arguments: &Screen) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let screen: ScreenText = context.call("session.screen", &SessionParams { session }).await?;
    if context.output.json {
        context.output.json(&screen)?;
    } else {
        context.output.text(&as_text(&screen))?;
    }
    Ok(Status::Done)
}

/// The rows down to the last one that shows something.
pub(crate) fn as_text(screen: &ScreenText) -> String {
    let rows = screen.lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |last| last + 1);
    screen
        .lines
        .iter()
        .take(rows)
        .map(|line| text::clean(line).replace('\n', " ").trim_end().to_owned() + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::session::Cursor;

    #[test]
    fn a_screen_is_its_rows_without_what_could_control_a_terminal() {
        let lines = ["one  ", "", "\u{1b}[31mtwo\u{1b}[0m", "", " "].map(str::to_owned).to_vec();
        let cursor = Cursor { row: 0, col: 0, visible: true };
        let screen = ScreenText { cols: 80, rows: 5, lines, cursor, title: String::new() };
        assert_eq!(as_text(&screen), "one\n\ntwo\n");
    }
}
