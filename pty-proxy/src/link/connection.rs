//! One connection: frames that arrive, and a bounded queue of frames that wait to be sent. Of a viewer also what it is sent of a
//! flood, and its own terminal where it handed that over.

use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use nix::poll::PollFlags;
use orx_protocol::codec;
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::limits::{CLIENT_BACKLOG, FRAME_KNOWN, FRAME_TERMINAL};
use orx_protocol::terminal::modes::Modes;
use orx_protocol::terminal::{OUTPUT_HEAD, ToViewer};

use super::pace::Pace;
use super::queue::Queue;
use super::socket;
use super::taken::{Taken, Typed};

/// How long a peer may take from the first to the last byte of a request.
const FRAME_DEADLINE: Duration = Duration::from_secs(10);
/// Bytes read at once: a key, or a piece of a paste. More would cost every key the clearing of it.
const READ: usize = 8 * 1024;
/// Most bytes of one frame when what was to be shown on a terminal goes through the connection instead.
const RETURNED: usize = 1024 * 1024;

/// What a connection is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Requests and answers.
    Requests,
    /// A viewer's terminal.
    Viewer,
}

/// What only a viewer has.
#[derive(Debug)]
struct Viewer {
    /// It gets what the program sends beyond the screen, too.
    raw: bool,
    pace: Pace,
    /// What is set on its terminal by what it was sent.
    modes: Modes,
    taken: Option<Taken>,
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    decoder: FrameDecoder,
    queue: Queue,
    viewer: Option<Viewer>,
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

/// Bytes that a viewer's terminal is to show, in their frame.
#[derive(Debug, Clone)]
pub struct Shown(Bytes);

impl Shown {
    /// What the program wrote; the frame is made in `room`. `None` when it fits no frame.
    pub fn output(bytes: &[u8], room: &mut BytesMut) -> Option<Self> {
        codec::output_frame(bytes, room).ok()?;
        Some(Self(room.split().freeze()))
    }

    /// A part of the screen as it is: the first one, or one that follows.
    #[must_use]
    pub fn screen(part: Vec<u8>, is_first: bool) -> Self {
        Self(viewer_frame(&if is_first { ToViewer::Screen(part) } else { ToViewer::Output(part) }))
    }

    fn bytes(&self) -> Bytes {
        if self.0.len() > OUTPUT_HEAD { self.0.slice(OUTPUT_HEAD..) } else { Bytes::new() }
    }
}

impl Connection {
    /// A connection for requests.
    #[must_use]
    pub fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: FrameDecoder::new(FRAME_KNOWN),
            queue: Queue::default(),
            viewer: None,
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
        connection.queue.push(Bytes::from(unsent));
        connection
    }

    /// What another holder needs to go on with this connection: bytes that were received, and bytes to be sent.
    pub fn hand_over(&mut self) -> (Vec<u8>, Vec<u8>) {
        (self.decoder.buffer().to_vec(), self.queue.rest())
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
        self.queue.push(frame.slice(sent.min(frame.len())..));
        Ok(())
    }

    /// Makes this the connection of a viewer, which has sent `rest` already beyond what was read here.
    pub fn become_viewer(&mut self, rest: &[u8], raw: bool, now: Instant) {
        self.viewer = Some(Viewer { raw, pace: Pace::new(now), modes: Modes::default(), taken: None });
        self.decoder.set_limit(FRAME_TERMINAL);
        self.decoder.buffer().extend_from_slice(rest);
        self.descriptor = None;
    }

    /// Whether this viewer gets what the program sends beyond the screen, too.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.raw)
    }

    /// What it is used for.
    #[must_use]
    pub fn usage(&self) -> Use {
        if self.viewer.is_some() { Use::Viewer } else { Use::Requests }
    }

    /// Reads what has arrived.
    pub fn read(&mut self, now: Instant) {
        let mut buffer = [0; READ];
        match socket::receive(&self.stream, &mut buffer) {
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
        self.partial_since.filter(|_| self.viewer.is_none()).map(|since| since + FRAME_DEADLINE)
    }

    /// Queues the answer to a request. A peer that reads no answers is cut.
    pub fn answer(&mut self, body: &[u8]) {
        self.queue.push(framed(body));
        if self.queue.waiting() > CLIENT_BACKLOG {
            self.dead = true;
        }
    }

    /// Where what a viewer is shown waits, and its particulars.
    fn screen_queue(&mut self) -> Option<(&mut Queue, &mut Pace, &mut Modes, bool)> {
        let Viewer { raw, pace, modes, taken } = self.viewer.as_mut()?;
        let queue = taken.as_mut().map_or(&mut self.queue, |taken| &mut taken.queue);
        Some((queue, pace, modes, *raw))
    }

    /// Queues what a viewer is told beside what it is shown; one that skips is told once it reads again.
    pub fn tell(&mut self, frame: Bytes) {
        if !self.queue.is_behind() {
            self.queue.push(frame);
        }
        // What is shown waits elsewhere: who does not even read this is gone.
        if self.viewer.as_ref().is_some_and(|viewer| viewer.taken.is_some()) && self.queue.waiting() > CLIENT_BACKLOG {
            self.dead = true;
        }
    }

    /// Queues output for a viewer; one that is too far behind, or would be sent more than anybody can follow, skips to the
    /// screen as it is then.
    pub fn output(&mut self, shown: &Shown, now: Instant) {
        let bytes = shown.bytes();
        let is_taken = self.taken().is_some();
        let Some((queue, pace, modes, raw)) = self.screen_queue() else { return };
        if queue.is_behind() {
            return;
        }
        if !raw && !pace.allows(bytes.len(), now) {
            queue.skip();
            return;
        }
        modes.watch(&bytes);
        queue.offer(if is_taken { &bytes } else { &shown.0 });
        self.tell_modes();
    }

    /// Queues what draws nothing and stands by itself, also for a viewer that skips; gives whether it will get it.
    pub fn notice(&mut self, shown: &Shown) -> bool {
        let is_taken = self.taken().is_some();
        let Some((queue, ..)) = self.screen_queue() else { return false };
        queue.insist(if is_taken { shown.bytes() } else { shown.0.clone() })
    }

    /// Queues the parts of a whole screen, whatever waits before them.
    pub fn screen(&mut self, parts: &[Shown], now: Instant) {
        let is_taken = self.taken().is_some();
        let Some((queue, pace, modes, _)) = self.screen_queue() else { return };
        if queue.is_behind() {
            return;
        }
        let mut length = 0;
        for part in parts {
            let bytes = part.bytes();
            length += bytes.len();
            modes.watch(&bytes);
        }
        pace.spend(length, now);
        queue.offer_screen(parts.iter().map(|part| if is_taken { part.bytes() } else { part.0.clone() }));
        self.tell_modes();
    }

    /// Queues the last frame that a viewer gets.
    pub fn last(&mut self, frame: Bytes) {
        self.return_terminal();
        if self.queue.is_behind() {
            self.queue.skip();
        }
        self.queue.push(frame);
        self.closing = true;
    }

    /// Leaves out what waits to be shown, so that the whole screen is what comes next.
    pub fn want_screen(&mut self) {
        if let Some((queue, pace, ..)) = self.screen_queue() {
            queue.skip();
            pace.pictured();
        }
    }

    /// When this viewer, which skipped and was shown all that was left, is to get the screen as it is then.
    #[must_use]
    pub fn screen_at(&self, now: Instant) -> Option<Instant> {
        let viewer = self.viewer.as_ref().filter(|_| !self.closing)?;
        let (queue, is_ready) = match &viewer.taken {
            Some(taken) => (&taken.queue, taken.is_ready()),
            None => (&self.queue, true),
        };
        let waits = is_ready && queue.is_behind() && queue.is_empty();
        waits.then(|| viewer.pace.picture_at().unwrap_or(now))
    }

    /// The viewer gets the screen now and is behind no longer.
    pub fn caught_up(&mut self) {
        if let Some((queue, pace, ..)) = self.screen_queue() {
            queue.caught_up();
            pace.pictured();
        }
    }

    fn taken(&self) -> Option<&Taken> {
        self.viewer.as_ref()?.taken.as_ref()
    }

    fn taken_mut(&mut self) -> Option<&mut Taken> {
        self.viewer.as_mut()?.taken.as_mut()
    }

    /// Takes the terminal that came along with the viewer's wish; gives why that cannot be, which the viewer learns too.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take_terminal(&mut self, keyboard: bool) -> Result<(), &'static str> {
        let descriptor = self.descriptor.take();
        let Some(viewer) = self.viewer.as_mut().filter(|viewer| viewer.taken.is_none()) else {
            return Err("was handed over before");
        };
        let set = viewer.modes.set().clone();
        match descriptor.ok_or("did not come along").and_then(|one| Taken::new(one, keyboard, set.clone())) {
            Ok(taken) => viewer.taken = Some(taken),
            Err(why) => {
                self.queue.push(viewer_frame(&ToViewer::Returned));
                return Err(why);
            }
        }
        self.queue.push(viewer_frame(&ToViewer::Taken));
        self.queue.push(viewer_frame(&ToViewer::Modes(set)));
        // What is left out of the connection is shown on the terminal.
        if self.queue.is_behind() {
            self.queue.caught_up();
            self.want_screen();
        }
        Ok(())
    }

    /// The viewer has shown all that came before its terminal was taken.
    pub fn terminal_is_ready(&mut self) {
        if let Some(taken) = self.taken_mut() {
            taken.ready();
        }
    }

    /// The viewer dealt with so many bytes of keys in all.
    pub fn understood(&mut self, bytes: u64) {
        if let Some(taken) = self.taken_mut() {
            taken.understood(bytes);
        }
    }

    /// Shows bytes of the viewer's own on the terminal that it handed over.
    pub fn show_own(&mut self, bytes: Vec<u8>) {
        if let Some(taken) = self.taken_mut() {
            taken.show_own(bytes);
        }
    }

    /// Gives a viewer its terminal back, together with what was not shown on it yet.
    pub fn return_terminal(&mut self) {
        let Some(viewer) = &mut self.viewer else { return };
        let Some(taken) = viewer.taken.take() else { return };
        let is_behind = taken.queue.is_behind();
        for rest in taken.queue.rest().chunks(RETURNED) {
            self.queue.push(viewer_frame(&ToViewer::Output(rest.to_vec())));
        }
        self.queue.push(viewer_frame(&ToViewer::Modes(viewer.modes.set().clone())));
        self.queue.push(viewer_frame(&ToViewer::Returned));
        if is_behind {
            self.queue.fall_behind();
        }
    }

    /// The terminal that this viewer handed over, and what to wait for there; `room` says whether there is any for keys.
    #[must_use]
    pub fn terminal(&self, room: bool) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let taken = self.taken().filter(|_| !self.closing)?;
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, room && taken.wants_keys());
        flags.set(PollFlags::POLLOUT, taken.wants_to_show());
        (!flags.is_empty()).then(|| (taken.as_fd(), flags))
    }

    /// Reads keys from the terminal that was handed over; gives how many bytes of them are the program's.
    pub fn read_keys(&mut self, buffer: &mut [u8]) -> usize {
        let Some(taken) = self.taken_mut().filter(|taken| taken.wants_keys()) else { return 0 };
        match taken.read(buffer) {
            Ok(Typed::Plain(count)) => count,
            Ok(Typed::Unjudged(count)) => {
                let keys = buffer.get(..count).unwrap_or_default().to_vec();
                self.tell(viewer_frame(&ToViewer::Typed(keys)));
                0
            }
            Ok(Typed::Nothing) => 0,
            // Its viewer sees for itself that the terminal is gone.
            Err(_) => {
                self.return_terminal();
                0
            }
        }
    }

    fn tell_modes(&mut self) {
        let Some(Viewer { modes, taken: Some(taken), .. }) = &mut self.viewer else { return };
        if *modes.set() != taken.told {
            taken.told.clone_from(modes.set());
            let frame = viewer_frame(&ToViewer::Modes(taken.told.clone()));
            self.tell(frame);
        }
    }

    /// Sends and shows what the peer takes.
    pub fn send(&mut self) {
        if self.taken_mut().is_some_and(|taken| taken.send().is_err()) {
            self.return_terminal();
        }
        if !self.dead && self.queue.write_to(&self.stream).is_err() {
            self.dead = true;
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
        let is_viewer = self.viewer.is_some();
        let ended = self.input_ended && (is_viewer || self.unanswered == 0);
        self.dead || ((self.closing || ended) && self.queue.is_empty()) || (is_viewer && ended)
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
