//! What the user types. The terminal stays in blocking mode, which it shares with the shell; a thread of its own waits
//! for keys, and it can be told to end, so that no key that is meant for the shell is read after the viewer has left.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Most bytes of one read.
const CHUNK: usize = 4096;
/// Reads that may wait for the loop.
const QUEUE: usize = 4;

/// Standard input as a terminal.
#[derive(Debug)]
pub(crate) struct Input {
    pieces: mpsc::Receiver<Result<Vec<u8>>>,
    /// Its end tells the thread to end.
    _alive: UnixStream,
    _thread: JoinSet<()>,
}

impl Input {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub(crate) fn start() -> Result<Self> {
        let (alive, watched) = UnixStream::pair()?;
        let (queue, pieces) = mpsc::channel(QUEUE);
        let mut thread = JoinSet::new();
        thread.spawn_blocking(move || {
            while let Some(piece) = next(&watched).transpose() {
                let failed = piece.is_err();
                if queue.blocking_send(piece).is_err() || failed {
                    return;
                }
            }
        });
        Ok(Self { pieces, _alive: alive, _thread: thread })
    }

    /// The next bytes; none when the terminal is gone. Waiting may be given up without losing any.
    ///
    /// # Errors
    /// When the terminal cannot be read.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>> {
        self.pieces.recv().await.unwrap_or_else(|| Err(Error::from(ErrorKind::UnexpectedEof)))
    }
}

/// The next bytes of standard input; `None` when `watched` says that nobody wants them any more.
fn next(watched: &UnixStream) -> Result<Option<Vec<u8>>> {
    let stdin = std::io::stdin();
    loop {
        let mut both = [PollFd::new(watched.as_fd(), PollFlags::POLLIN), PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        match poll(&mut both, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [left, typed] = both.map(|watched| watched.any().unwrap_or(true));
        if left {
            return Ok(None);
        }
        if typed {
            let mut buffer = vec![0; CHUNK];
            match nix::unistd::read(stdin.as_fd(), &mut buffer) {
                Ok(count) => {
                    buffer.truncate(count);
                    return Ok(Some(buffer));
                }
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
