//! The screen of a recording at a moment.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use orx_protocol::api::session::Recorded;
use orx_protocol::hold::file;

use super::cast::{Cast, CastError, Happening};
use crate::output::moments;
use crate::terminal::emulator::Emulator;

/// The screen of a recording could not be told.
#[derive(Debug, thiserror::Error)]
pub enum MomentError {
    /// The recording cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no recording.
    #[error("{path}: {source}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// Where, and what is wrong.
        source: CastError,
    },
}

/// Plays the recording of a session's directory up to `at`, or to its end, and gives the screen there. A line at the end that
/// a holder is just writing, or died over, is left out.
///
/// # Errors
/// [`MomentError`].
pub fn screen_at(directory: &Path, at: Option<Duration>) -> Result<Recorded, MomentError> {
    let path = directory.join(file::RECORDING);
    let unreadable = |source| MomentError::Unreadable { path: path.clone(), source };
    let broken = |source| MomentError::Broken { path: path.clone(), source };
    let kept = moments::last_before(&directory.join(file::MOMENTS), at);
    let mut source = BufReader::new(File::open(&path).map_err(unreadable)?);
    let mut text = Vec::new();
    source.read_until(b'\n', &mut text).map_err(unreadable)?;
    if let Some(moment) = &kept {
        source.seek(SeekFrom::Start(moment.offset)).map_err(unreadable)?;
    }
    source.read_to_end(&mut text).map_err(unreadable)?;
    text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    let text = String::from_utf8_lossy(&text);
    let cast = Cast::open(&text).map_err(broken)?;
    let now = Instant::now();
    let mut emulator = Emulator::new(cast.size);
    let mut base = Duration::ZERO;
    if let Some(moment) = &kept {
        emulator.resize(moment.size);
        emulator.accept(moment.screen.as_bytes(), now);
        base = Duration::from_micros(moment.at_us);
    }
    let mut shown = base;
    let mut exit = None;
    for event in cast {
        let event = event.map_err(broken)?;
        let time = base + event.at;
        if at.is_some_and(|at| time > at) {
            break;
        }
        shown = time;
        match event.what {
            Happening::Output(output) => drop(emulator.accept(output.as_bytes(), now)),
            Happening::Resize(size) => emulator.resize(size),
            Happening::Exit(status) => exit = Some(status),
            Happening::Other => {}
        }
    }
    let at_ms = u64::try_from(shown.as_millis()).unwrap_or(u64::MAX);
    Ok(Recorded { screen: emulator.text(), at_ms, exit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::moments::Moments;
    use crate::output::recording::Recording;
    use orx_protocol::hold::TerminalSize;
    use orx_protocol::process::Exit;
    use std::io::Write;

    const SIZE: TerminalSize = TerminalSize { cols: 40, rows: 5 };

    #[test]
    fn any_moment_is_found_also_by_a_picture_and_after_a_torn_end() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join(file::RECORDING);
        let start = Instant::now();
        let mut recording = Recording::begin(&path, SIZE, "xterm-256color", 0, start).unwrap();
        let mut moments = Moments::open(&scratch.path().join(file::MOMENTS), 0).unwrap();
        let mut model = Emulator::new(SIZE);
        for second in 1..=20u32 {
            let at = start + Duration::from_secs(u64::from(second));
            let text = format!("\x1b[{}mat {second}\x1b[m\r\n", 30 + second % 8);
            model.accept(text.as_bytes(), at);
            recording.output(text.as_bytes(), at);
            if second % 6 == 0 {
                let (time, end) = recording.position();
                moments.keep(time, end, SIZE, &model.redraw().concat());
            }
        }
        recording.end(Some(Exit::Code(3)), start + Duration::from_secs(21));
        let last = |at: Option<u64>| {
            let recorded = screen_at(scratch.path(), at.map(Duration::from_millis)).unwrap();
            let lines = recorded.screen.lines.iter().rfind(|line| !line.is_empty()).cloned();
            (lines.unwrap_or_default(), recorded.at_ms, recorded.exit)
        };
        assert_eq!(last(Some(500)), (String::new(), 0, None));
        for second in 1..=20u64 {
            assert_eq!(last(Some(second * 1000 + 500)), (format!("at {second}"), second * 1000, None));
        }
        assert_eq!(last(None), ("at 20".to_owned(), 21_000, Some("3".to_owned())));
        // The picture is used: without what is before it the end is the same.
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"[0.1, \"o\", \"hal").unwrap();
        assert_eq!(last(None).0, "at 20");
        std::fs::write(&path, "nonsense\n").unwrap();
        assert!(screen_at(scratch.path(), None).unwrap_err().to_string().contains("line 1"));
    }
}
