//! Submitting a text that stands where prompts are typed, in engines whose keys for that depend on what they show: a paste
//! of several lines may have opened another place, in which Enter begins a new line. Whether the text was taken is followed
//! elsewhere.

use std::path::Path;
use std::time::{Duration, Instant};

use orx_engines::{Draft, EngineKind};
use orx_protocol::api::Empty;
use orx_protocol::hold::{KeysParams, RowText, ScreenText, method};
use orx_protocol::{ErrorKind, RpcError};

use super::holder;

/// How often the screen is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long a text may take to show where it was typed.
const SHOWN: Duration = Duration::from_secs(2);

/// Submits a text that was just typed, once it shows.
///
/// # Errors
/// `FailedPrecondition` when the screen does not show the place for prompts any more: nothing was pressed then.
pub(super) async fn typed(kind: EngineKind, socket: &Path, text: &str) -> Result<(), RpcError> {
    let started = Instant::now();
    loop {
        let screen: ScreenText = holder::ask_now(socket, method::SCREEN, &Empty {}).await?;
        let is_late = started.elapsed() > SHOWN;
        match standing(kind, &screen, text) {
            Draft::Unknown if is_late => {
                let why = "`session.send`: the text was typed, and then the screen did not show the place for prompts any more";
                return Err(RpcError::new(ErrorKind::FailedPrecondition, why).with_hint("it was not submitted"));
            }
            Draft::Absent if is_late && text.contains(char::is_alphanumeric) => {
                let why = "`session.send`: the text was typed and does not show where prompts are typed";
                return Err(RpcError::new(ErrorKind::FailedPrecondition, why).with_hint("it was not submitted"));
            }
            // One without letters is never known again and is there all the same.
            Draft::Absent if !is_late => {}
            Draft::Unknown => {}
            Draft::Present | Draft::Absent => {
                match press(kind, socket, &screen.lines, place(kind, &screen.lines)).await {
                    Err(error) if error.kind() == ErrorKind::FailedPrecondition && !is_late => {}
                    pressed => return pressed,
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Submits once more what still stands there, while these rows show.
///
/// # Errors
/// `FailedPrecondition` when they do not any more.
pub(super) async fn again(kind: EngineKind, socket: &Path, rows: Vec<RowText>) -> Result<(), RpcError> {
    let screen: ScreenText = holder::ask_now(socket, method::SCREEN, &Empty {}).await?;
    press(kind, socket, &screen.lines, rows).await
}

/// What became of a text in the place for prompts; a place that the cursor has left is none any more.
pub(super) fn standing(kind: EngineKind, screen: &ScreenText, text: &str) -> Draft {
    if orx_engines::is_left(kind, &screen.lines, usize::from(screen.cursor.row)) {
        return Draft::Unknown;
    }
    orx_engines::draft(kind, None, &screen.lines, text)
}

/// The rows of the place for prompts.
pub(super) fn place(kind: EngineKind, lines: &[String]) -> Vec<RowText> {
    let rows = orx_engines::composer_rows(kind, None, lines).unwrap_or_default();
    rows.filter_map(|index| Some(RowText { row: u16::try_from(index).ok()?, text: lines.get(index)?.clone() }))
        .collect()
}

async fn press(kind: EngineKind, socket: &Path, lines: &[String], while_rows: Vec<RowText>) -> Result<(), RpcError> {
    let press = KeysParams { keys: orx_engines::submit_keys(kind, lines), while_rows };
    let Empty {} = holder::ask_now(socket, method::KEYS, &press).await?;
    Ok(())
}
