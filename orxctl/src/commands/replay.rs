//! `orxctl replay`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use orx_protocol::api::session::{Recorded, RecordingParams, Session, SessionParams};
use orx_protocol::cast::{Cast, Happening};
use orx_protocol::hold::file;
use orx_protocol::terminal::modes::Modes;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::terminal::safe;
use crate::{commands, figures, names, terminal};

/// Fastest and slowest way to play.
const SPEEDS: (f64, f64) = (0.01, 1000.0);

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl replay 5FAV
  orxctl replay 5FAV --at 1m30s --speed 2
  orxctl replay 5FAV --at 1m30s | cat        print the screen of that moment
  orxctl replay recording.cast --pause 2s

Ctrl+C stops it.")]
pub struct Replay {
    /// The session: its identifier, or a unique beginning or end of it; or a file in asciicast v2 or v3
    #[arg(value_name = "SESSION|FILE")]
    pub recording: String,
    /// Begin at this moment, such as 90s or 1m30s
    #[arg(long, value_name = "TIME", value_parser = figures::parse_duration)]
    pub at: Option<Duration>,
    /// How many times as fast as it was
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Longest pause between two changes
    #[arg(long, value_name = "TIME", value_parser = figures::parse_duration)]
    pub pause: Option<Duration>,
}

fn speed(text: &str) -> Result<f64, String> {
    let (slowest, fastest) = SPEEDS;
    let speed: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if (slowest..=fastest).contains(&speed) { Ok(speed) } else { Err(format!("it must be {slowest} to {fastest}")) }
}

pub(crate) async fn run(context: &Context, arguments: &Replay) -> Result<Status, Failure> {
    let named = Path::new(&arguments.recording);
    let is_file = named.is_file();
    let plays = !context.output.json && terminal::require().is_ok();
    if is_file {
        if !plays {
            return Err(Failure::usage("a file is played on a terminal, and this is none")
                .with_hint("give a session with --at to print the screen of a moment"));
        }
        return play(context, arguments, named).await;
    }
    // No session is named like a path.
    if arguments.recording.contains('/') || arguments.recording.ends_with(".cast") {
        let missing = if named.exists() { "is no file" } else { "is not there" };
        return Err(Failure::usage(format!("{}: the recording {missing}", named.display())));
    }
    let session = names::session(context, &arguments.recording).await?;
    if !plays {
        let at_ms = arguments.at.map(figures::milliseconds);
        let recorded: Recorded = context.call("session.recording", &RecordingParams { session, at_ms }).await?;
        if context.output.json {
            context.output.json(&recorded)?;
        } else {
            context.output.text(&commands::screen::as_text(&recorded.screen))?;
        }
        return Ok(Status::Done);
    }
    let Session { directory, .. } = context.call("session.get", &SessionParams { session }).await?;
    play(context, arguments, &PathBuf::from(directory).join(file::RECORDING)).await
}

/// Plays a recording on this terminal.
async fn play(context: &Context, arguments: &Replay, path: &Path) -> Result<Status, Failure> {
    let failed = |why: String| Failure::failed(format!("{}: {why}", path.display()));
    let text = std::fs::read(path).map_err(|error| failed(format!("it cannot be read: {error}")))?;
    // A line at the end that is just being written is left out.
    let end = text.iter().rposition(|byte| *byte == b'\n').map_or(text.len(), |end| end + 1);
    let text = String::from_utf8_lossy(text.get(..end).unwrap_or_default());
    let cast = Cast::open(&text).map_err(|error| failed(error.to_string()))?;
    let begin = arguments.at.unwrap_or_default();
    let mut modes = Modes::default();
    let mut now = begin;
    context.output.bytes(b"\x1b[H\x1b[2J")?;
    let mut interrupted = false;
    for event in cast {
        let event = event.map_err(|error| failed(error.to_string()))?;
        let pause = event.at.saturating_sub(now);
        let pause = arguments.pause.map_or(pause, |longest| pause.min(longest)).div_f64(arguments.speed);
        now = now.max(event.at);
        if !pause.is_zero() {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = tokio::signal::ctrl_c() => interrupted = true,
            }
        }
        if interrupted {
            break;
        }
        if let Happening::Output(output) = event.what {
            let output = safe::for_terminal(&output);
            modes.watch(output.as_bytes());
            context.output.bytes(output.as_bytes())?;
        }
    }
    context.output.bytes(&modes.leave())?;
    context.output.text(if interrupted { "[stopped]" } else { "[end of the recording]" })?;
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_bounded() {
        assert_eq!(speed("2").ok(), Some(2.0));
        for wrong in ["0", "-1", "nan", "1e9", "fast"] {
            assert!(speed(wrong).is_err(), "{wrong}");
        }
    }
}
