//! A session on pipes: the program's outputs go to their files; the program is never held up by them.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Instant;

use orx_protocol::hold::file;

use crate::output::append::{AppendFile, LIMIT};
use crate::process::child::Pipes;

/// Ends a log that reached its limit.
pub(super) const LOG_MARKER: &[u8] = b"\n[the log ends here: it reached its limit]\n";

/// One output: the pipe until it is closed, and its file.
#[derive(Debug)]
pub(super) struct Stream {
    pipe: Option<std::fs::File>,
    file: AppendFile,
    name: &'static str,
}

/// A session on pipes.
#[derive(Debug)]
pub(super) struct PipesSession {
    streams: [Stream; 2],
}

/// The files of a session on pipes.
pub(super) fn open_files(directory: &Path) -> std::io::Result<[AppendFile; 2]> {
    Ok([
        AppendFile::open(&directory.join(file::OUTPUT), LIMIT)?,
        AppendFile::open(&directory.join(file::ERROR), LIMIT)?,
    ])
}

impl PipesSession {
    pub(super) fn new(pipes: Pipes, files: [AppendFile; 2]) -> Self {
        let [output, error] = files;
        Self {
            streams: [
                Stream { pipe: Some(pipes.output), file: output, name: file::OUTPUT },
                Stream { pipe: Some(pipes.error), file: error, name: file::ERROR },
            ],
        }
    }

    /// The open outputs, with the position that [`Self::read`] takes.
    pub(super) fn sources(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        self.streams.iter().enumerate().filter_map(|(index, stream)| Some((index, stream.pipe.as_ref()?.as_fd())))
    }

    /// Takes what an output has; gives how many bytes that were.
    pub(super) fn read(&mut self, index: usize, buffer: &mut [u8], now: Instant) -> usize {
        let Some(stream) = self.streams.get_mut(index) else { return 0 };
        let Some(pipe) = stream.pipe.as_mut() else { return 0 };
        match pipe.read(buffer) {
            Ok(0) => stream.pipe = None,
            Ok(count) => {
                // At once: who follows a headless program's log is not to wait for more of it.
                stream.file.append(buffer.get(..count).unwrap_or_default(), LOG_MARKER, now);
                stream.file.flush();
                return count;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => stream.pipe = None,
        }
        0
    }

    /// Whether the program and all that had its outputs closed them.
    pub(super) fn is_drained(&self) -> bool {
        self.streams.iter().all(|stream| stream.pipe.is_none())
    }

    pub(super) fn lost(&self) -> u64 {
        self.streams.iter().map(|stream| stream.file.lost()).sum()
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        self.streams.iter().filter_map(|stream| stream.file.complaint(stream.name)).collect()
    }
}
