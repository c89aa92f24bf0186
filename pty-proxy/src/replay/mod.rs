//! Recordings, played again through the model of the screen on their own clock: what a watcher would have been told.

mod moment;
mod play;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use orx_protocol::watch::Played;

pub use orx_protocol::cast;

pub use moment::{MomentError, screen_at};
pub use play::play;

/// Longest recording that is replayed, in bytes.
const LIMIT: u64 = 1024 * 1024 * 1024;

/// Why a recording was not replayed to its end.
#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("{0}")]
    Cast(#[from] cast::CastError),
    #[error("it cannot be read: {0}")]
    Read(std::io::Error),
    #[error("it has {0} bytes, at most {LIMIT} are replayed")]
    TooLarge(u64),
    #[error("it is not UTF-8 text, as an asciicast is")]
    NoText,
    #[error("what it shows cannot be printed: {0}")]
    Print(std::io::Error),
}

/// Replays a recording: lines of JSON ([`Played`]) on standard output, or the reason why not on standard error.
#[must_use]
pub fn replay(path: &Path) -> ExitCode {
    match print(path) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody hears it when even that cannot be written.
            let _ = writeln!(std::io::stderr(), "{}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn print(path: &Path) -> Result<(), ReplayError> {
    let size = std::fs::metadata(path).map_err(ReplayError::Read)?.len();
    if size > LIMIT {
        return Err(ReplayError::TooLarge(size));
    }
    let text = String::from_utf8(std::fs::read(path).map_err(ReplayError::Read)?).map_err(|_| ReplayError::NoText)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut line = |played: &Played| {
        serde_json::to_writer(&mut out, played).map_err(std::io::Error::from)?;
        out.write_all(b"\n")
    };
    let (length, exit) = play(&text, |news| line(&Played::Changed(news)).map_err(ReplayError::Print))?;
    let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    line(&Played::Ended { length_ms, exit }).map_err(ReplayError::Print)?;
    out.flush().map_err(ReplayError::Print)
}
