//! One connection: frames that arrive, and a bounded queue of frames that wait to be sent.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use orx_protocol::codec;
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::limits::{CLIENT_BACKLOG, FRAME_KNOWN, FRAME_TERMINAL};
use orx_protocol::terminal::ToViewer;

use super::socket;

/// Bytes that may wait for a slow viewer before it skips to now.
const VIEWER_BACKLOG: usize = 256 * 1024;
/// How long a peer may take from the first to the last byte of a request.
const FRAME_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes read at once: a key, or a piece of a paste. More would cost every key the clearing of it.
const READ: usize = 8 * 1024;

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Requests and answers.
    Requests,
    /// A viewer's terminal.
    Viewer,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    decoder: FrameDecoder,
    usage: Use,
    /// This viewer gets what the program sends beyond the screen, too.
    raw: bool,
    queue: VecDeque<Bytes>,
    queued: usize,
    /// Bytes of the first frame of the queue that were sent.
    sent: usize,
    behind: bool,
    descriptor: Option<OwnedFd>,
    /// No whole frame has arrived yet.
    fresh: bool,
    partial_since: Option<Instant>,
    input_ended: bool,
    closing: bool,
    dead: bool,
    /// Requests that are not answered yet.
    pub unanswered: usize,
}

/// One frame around `body`.
#[must_use]
pub fn framed(body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    // A body of this process is far below the 4 GiB that a length can say.
    let _ = frame::encode(body, &mut out);
    out.freeze()
}

/// One frame for viewers.
#[must_use]
pub fn viewer_frame(value: &ToViewer) -> Bytes {
    codec::encode(value).map(|body| framed(&body)).unwrap_or_default()
}

impl Connection {
    /// A connection for requests.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(FRAME_KNOWN),
            usage: Use::Requests,
            raw: false,
            queue: VecDeque::new(),
            queued: 0,
            sent: 0,
            behind: false,
            descriptor: None,
            fresh: true,
            partial_since: None,
            input_ended: false,
            closing: false,
            dead: false,
            unanswered: 0,
        }
    }

    /// A connection that another holder had, with what it had read beyond whole requests and had not sent yet.
    #[must_use]
    pub fn go_on(stream: UnixStream, received: &[u8], unsent: Vec<u8>, unanswered: usize) -> Self {
        let mut connection = Self { unanswered, fresh: false, ..Self::new(stream) };
        connection.decoder.buffer().extend_from_slice(received);
        connection.push(Bytes::from(unsent));
        connection
    }

    /// What another holder needs to go on with this connection: bytes that were received, and bytes to be sent. Of what a
    /// viewer is to see that is the rest of a frame that was begun: it gets the screen anew.
    pub fn hand_over(&mut self) -> (Vec<u8>, Vec<u8>) {
        let frames = if self.usage == Use::Viewer { usize::from(self.sent > 0) } else { self.queue.len() };
        let mut unsent: Vec<u8> = self.queue.iter().take(frames).flatten().copied().collect();
        unsent.drain(..self.sent.min(unsent.len()));
        (self.decoder.buffer().to_vec(), unsent)
    }

    /// Sends one answer with descriptors beside it, at once.
    ///
    /// # Errors
    /// When something else waits to be sent before it, or the peer does not take it.
    pub fn answer_with(&mut self, body: &[u8], passed: &[BorrowedFd<'_>]) -> std::io::Result<()> {
        if !self.queue.is_empty() {
            return Err(std::io::Error::other("other answers wait on this connection"));
        }
        let frame = framed(body);
        let sent = orx_sandbox::descriptors::send(self.as_fd(), &frame, passed)?;
        self.push(frame.slice(sent.min(frame.len())..));
        Ok(())
    }

    /// Makes this the connection of a viewer, which has sent `rest` already beyond what was read here.
    pub fn become_viewer(&mut self, rest: &[u8], raw: bool) {
        self.usage = Use::Viewer;
        self.raw = raw;
        self.decoder.set_limit(FRAME_TERMINAL);
        self.decoder.buffer().extend_from_slice(rest);
        self.descriptor = None;
    }

    /// Whether this viewer gets what the program sends beyond the screen, too.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.raw
    }

    /// What it is used for.
    #[must_use]
    pub fn usage(&self) -> Use {
        self.usage
    }

    /// Reads what has arrived.
    pub fn read(&mut self, now: Instant) {
        let mut buffer = [0; READ];
        let read = match self.usage {
            Use::Requests => socket::receive(&self.stream, &mut buffer),
            // Without room for them the kernel closes descriptors that come along.
            Use::Viewer => std::io::Read::read(&mut self.stream, &mut buffer).map(|count| (count, None)),
        };
        match read {
            Ok((0, _)) => self.input_ended = true,
            Ok((count, descriptor)) => {
                self.decoder.buffer().extend_from_slice(buffer.get(..count).unwrap_or_default());
                if self.descriptor.is_none() {
                    self.descriptor = descriptor;
                }
                self.partial_since.get_or_insert(now);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => self.dead = true,
        }
    }

    /// The next whole frame that has arrived.
    ///
    /// # Errors
    /// When what arrived is no frame: nothing more can be read then.
    pub fn next_frame(&mut self) -> Result<Option<Bytes>, frame::FrameError> {
        if self.closing {
            return Ok(None);
        }
        let next = self.decoder.next();
        self.fresh &= matches!(next, Ok(None));
        if self.decoder.buffer().is_empty() {
            self.partial_since = None;
        }
        if matches!(next, Ok(None)) && self.decoder.buffer().is_empty() {
            // Whoever sent a descriptor with something else than a request for it gets it closed.
            self.descriptor = None;
        }
        next
    }

    /// Whether nothing was asked on this connection yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Takes the descriptor that came along.
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptor.take()
    }

    /// When an unfinished request, or a bad one whose answer is not read, is given up.
    #[must_use]
    pub fn gives_up_at(&self) -> Option<Instant> {
        self.partial_since.filter(|_| self.usage == Use::Requests).map(|since| since + FRAME_DEADLINE)
    }

    /// Queues the answer to a request. A peer that reads no answers is cut.
    pub fn answer(&mut self, body: &[u8]) {
        self.push(framed(body));
        if self.queued > CLIENT_BACKLOG {
            self.dead = true;
        }
    }

    /// Queues output for a viewer; one that is too far behind skips to the screen as it is when it reads again.
    pub fn output(&mut self, frame: &Bytes) {
        if self.behind {
            return;
        }
        if self.queued + frame.len() > VIEWER_BACKLOG {
            self.skip();
        } else {
            self.push(frame.clone());
        }
    }

    /// Queues the frames of a whole screen, whatever waits before them.
    pub fn screen(&mut self, frames: &[Bytes]) {
        if self.behind {
            return;
        }
        if self.queued > VIEWER_BACKLOG {
            self.skip();
            return;
        }
        for frame in frames {
            self.push(frame.clone());
        }
    }

    /// Queues the last frame that a viewer gets.
    pub fn last(&mut self, frame: Bytes) {
        if self.behind {
            self.skip();
        }
        self.push(frame);
        self.closing = true;
    }

    /// Drops all that waits, but for a frame of which a part was sent.
    fn skip(&mut self) {
        self.behind = true;
        self.queue.truncate(usize::from(self.sent > 0));
        self.queued = self.queue.iter().map(Bytes::len).sum::<usize>().saturating_sub(self.sent);
    }

    /// Whether this viewer skipped and has read all that was left: it needs the screen as it is now.
    #[must_use]
    pub fn needs_screen(&self) -> bool {
        self.behind && self.queue.is_empty() && !self.closing
    }

    /// The viewer gets the screen now and is behind no longer.
    pub fn caught_up(&mut self) {
        self.behind = false;
    }

    fn push(&mut self, frame: Bytes) {
        if !frame.is_empty() {
            self.queued += frame.len();
            self.queue.push_back(frame);
        }
    }

    /// Sends what the peer takes.
    pub fn send(&mut self) {
        while !self.queue.is_empty() && !self.dead {
            let slices: Vec<IoSlice<'_>> = self
                .queue
                .iter()
                .take(16)
                .enumerate()
                .map(|(position, frame)| {
                    let from = if position == 0 { self.sent } else { 0 };
                    IoSlice::new(frame.get(from..).unwrap_or_default())
                })
                .collect();
            match self.stream.write_vectored(&slices) {
                Ok(0) => self.dead = true,
                Ok(count) => self.count_sent(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => self.dead = true,
            }
        }
    }

    fn count_sent(&mut self, count: usize) {
        self.queued = self.queued.saturating_sub(count);
        let mut count = count + self.sent;
        self.sent = 0;
        while let Some(first) = self.queue.front() {
            if count < first.len() {
                self.sent = count;
                return;
            }
            count -= first.len();
            self.queue.pop_front();
        }
    }

    /// Closes the connection once all that waits is sent; no more is read.
    pub fn close_when_sent(&mut self) {
        self.closing = true;
    }

    /// The peer is gone.
    pub fn mark_dead(&mut self) {
        self.dead = true;
    }

    /// Whether the connection is to be closed now.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let ended = match self.usage {
            Use::Requests => self.input_ended && self.unanswered == 0,
            Use::Viewer => self.input_ended,
        };
        self.dead || ((self.closing || ended) && self.queue.is_empty()) || (self.usage == Use::Viewer && ended)
    }

    /// Whether bytes wait to be sent.
    #[must_use]
    pub fn wants_to_send(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether more may be read.
    #[must_use]
    pub fn wants_to_read(&self) -> bool {
        !self.input_ended && !self.closing
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
