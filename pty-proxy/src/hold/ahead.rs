//! Reading ahead of a program that writes a flood: while one read is drawn and kept, a thread takes the next from the
//! terminal, whose own buffer is small. A program that draws now and then is read by the holder's own thread, since a key's
//! echo must not wait for another thread to wake.

use std::fs::File;
use std::io::{ErrorKind, Read, Result};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;

use super::unsaved::Room;

/// Reads ahead begin after a read of so many bytes.
pub(super) const FLOOD: usize = 16 * 1024;
/// The thread waits for more no longer than this at a time, so that it sees when what it has is wanted.
const PAUSE_MS: u8 = 1;
/// A read of fewer bytes took all there was: asking again would cost a key's echo a call.
const SHORT: usize = 512;
/// Bytes of the thread's stack: it does nothing but read.
const STACK: usize = 64 * 1024;

/// Why a read took no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// There is no room for more.
    Full,
    /// There is no more at the moment.
    Empty,
    /// Nobody has the terminal open.
    Closed,
}

/// Reads what there is; gives how many bytes, and why not more.
pub(super) fn fill(mut master: &File, buffer: &mut [u8]) -> (usize, Reached) {
    let mut filled = 0;
    while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
        match master.read(room) {
            Ok(0) => return (filled, Reached::Closed),
            Ok(count) => {
                filled += count;
                if count < SHORT {
                    return (filled, Reached::Empty);
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return (filled, Reached::Empty),
            // EIO is how Linux says that nobody has the terminal open.
            Err(_) => return (filled, Reached::Closed),
        }
    }
    (filled, Reached::Full)
}

/// A read that was taken by the thread.
type Taken = (Room, usize, Reached);

/// The thread, once there was a flood.
#[derive(Debug, Default)]
pub(super) struct ReadAhead {
    thread: Option<Thread>,
    is_busy: bool,
}

#[derive(Debug)]
struct Thread {
    asks: SyncSender<Room>,
    taken: Receiver<Taken>,
    /// The holder waits for what was read.
    is_wanted: Arc<AtomicBool>,
    _handle: JoinHandle<()>,
}

impl ReadAhead {
    /// Whether a read is on its way, so that nobody else may read.
    pub(super) const fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Begins to read into `room`; gives it back where no thread can be had.
    pub(super) fn begin(&mut self, master: &File, room: Room) -> Option<Room> {
        if self.thread.is_none() {
            self.thread = Thread::start(master).ok();
        }
        let Some(thread) = &self.thread else { return Some(room) };
        thread.is_wanted.store(false, Ordering::Release);
        match thread.asks.send(room) {
            Ok(()) => {
                self.is_busy = true;
                None
            }
            Err(back) => Some(back.0),
        }
    }

    /// The read that is on its way, with what it has by now.
    pub(super) fn finish(&mut self) -> Option<Taken> {
        if !std::mem::take(&mut self.is_busy) {
            return None;
        }
        let thread = self.thread.as_ref()?;
        thread.is_wanted.store(true, Ordering::Release);
        thread.taken.recv().ok()
    }
}

impl Thread {
    fn start(master: &File) -> Result<Self> {
        let master = master.try_clone()?;
        let (asks, asked) = sync_channel::<Room>(1);
        let (gives, taken) = sync_channel(1);
        let is_wanted = Arc::new(AtomicBool::new(false));
        let wanted = is_wanted.clone();
        let handle = std::thread::Builder::new().name("read-ahead".to_owned()).stack_size(STACK).spawn(move || {
            // Signals are for the holder's own thread, which holds them back while it becomes another program.
            let _ = SigSet::all().thread_block();
            while let Ok(mut room) = asked.recv() {
                let (count, reached) = gather(&master, room.bytes(), &wanted);
                if gives.send((room, count, reached)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { asks, taken, is_wanted, _handle: handle })
    }
}

/// Reads until there is no room for more, or what there is is wanted.
fn gather(master: &File, buffer: &mut [u8], wanted: &AtomicBool) -> (usize, Reached) {
    let mut filled = 0;
    loop {
        let (count, reached) = fill(master, buffer.get_mut(filled..).unwrap_or_default());
        filled += count;
        if reached != Reached::Empty || wanted.load(Ordering::Acquire) {
            return (filled, reached);
        }
        let _ = poll(&mut [PollFd::new(master.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PAUSE_MS));
    }
}
