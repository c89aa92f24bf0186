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

/// One output: the pipe, whether somebody can still write to it, and its file.
#[derive(Debug)]
pub(super) struct Stream {
    pipe: std::fs::File,
    open: bool,
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
                Stream { pipe: pipes.output, open: true, file: output, name: file::OUTPUT },
                Stream { pipe: pipes.error, open: true, file: error, name: file::ERROR },
            ],
        }
    }

    /// Both pipes, whether or not somebody can still write to them.
    pub(super) fn outputs(&self) -> [BorrowedFd<'_>; 2] {
        self.streams.each_ref().map(|stream| stream.pipe.as_fd())
    }

    /// The open outputs, with the position that [`Self::read`] takes.
    pub(super) fn sources(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        self.streams
            .iter()
            .enumerate()
            .filter(|(_, stream)| stream.open)
            .map(|(index, stream)| (index, stream.pipe.as_fd()))
    }

    /// Takes what an output has; gives how many bytes that were.
    pub(super) fn read(&mut self, index: usize, buffer: &mut [u8], now: Instant) -> usize {
        let Some(stream) = self.streams.get_mut(index) else { return 0 };
        if !stream.open {
            return 0;
        }
        match stream.pipe.read(buffer) {
            Ok(0) => stream.open = false,
            Ok(count) => {
                // At once: who follows a headless program's log is not to wait for more of it.
                stream.file.append(buffer.get(..count).unwrap_or_default(), LOG_MARKER, now);
                stream.file.flush();
                return count;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => stream.open = false,
        }
        0
    }

    /// Whether the program and all that had its outputs closed them.
    pub(super) fn is_drained(&self) -> bool {
        self.streams.iter().all(|stream| !stream.open)
    }

    pub(super) fn lost(&self) -> u64 {
        self.streams.iter().map(|stream| stream.file.lost()).sum()
    }

    pub(super) fn complaints(&self) -> Vec<String> {
        self.streams.iter().filter_map(|stream| stream.file.complaint(stream.name)).collect()
    }
}
