//! Signals to the holder: a child that ended, and the request to end.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

fn held_back() -> SigSet {
    [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT].into_iter().collect()
}

/// What signals told.
pub(super) struct Signals {
    pub(super) wake: UnixStream,
    pub(super) terminate: Arc<AtomicBool>,
}

impl Signals {
    pub(super) fn register() -> std::io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let terminate = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGTERM, Arc::clone(&terminate))?;
        // The holder has no terminal whose hang-up or interrupt could be meant for it.
        for ignored in [SIGHUP, SIGINT] {
            signal_hook::flag::register(ignored, Arc::new(AtomicBool::new(false)))?;
        }
        signal_hook::low_level::pipe::register(SIGTERM, woken.try_clone()?)?;
        signal_hook::low_level::pipe::register(SIGCHLD, woken)?;
        // The holder before this one held them back, so that none was lost in between.
        held_back().thread_unblock()?;
        Ok(Self { wake, terminate })
    }

    /// Holds the signals back that would end this process once it is another program, until that listens to them; or no
    /// longer, when it did not become one.
    pub(super) fn hold_back(hold: bool) -> std::io::Result<()> {
        if hold { held_back().thread_block() } else { held_back().thread_unblock() }.map_err(std::io::Error::from)
    }

    pub(super) fn drain(&mut self) {
        let mut bytes = [0; 256];
        while self.wake.read(&mut bytes).is_ok_and(|count| count == bytes.len()) {}
    }
}
