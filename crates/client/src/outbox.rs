//! Frames that wait to be written: bounded in bytes, so that a daemon that does not read slows its callers down, and
//! handed to the writer all at once, so that many requests cost one write.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::BytesMut;
use orx_protocol::frame;
use orx_protocol::limits::CLIENT_BACKLOG;
use tokio::sync::Notify;

/// The connection ended, so that nothing more can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OutboxClosed;

#[derive(Debug, Default)]
struct State {
    buffer: BytesMut,
    closed: bool,
}

/// Frames on their way to the writer task.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    filled: Notify,
    drained: Notify,
}

impl Outbox {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues one frame; `None` when the queue is full.
    fn try_push(&self, body: &[u8]) -> Option<Result<(), OutboxClosed>> {
        let mut state = self.state();
        if state.closed {
            return Some(Err(OutboxClosed));
        }
        if state.buffer.len() >= CLIENT_BACKLOG {
            return None;
        }
        let wake = state.buffer.is_empty();
        // Only a body above 4 GiB fails here, and callers refuse bodies far below that.
        let queued = frame::encode(body, &mut state.buffer).map_err(|_| OutboxClosed);
        drop(state);
        if wake {
            self.filled.notify_one();
        }
        Some(queued)
    }

    /// Queues one frame, waiting while the queue is full.
    pub(crate) async fn push(&self, body: &[u8]) -> Result<(), OutboxClosed> {
        loop {
            if let Some(outcome) = self.try_push(body) {
                return outcome;
            }
            let room = self.drained.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            // The writer may have taken everything between the first look and the enrolment.
            if let Some(outcome) = self.try_push(body) {
                return outcome;
            }
            room.await;
        }
    }

    /// Waits for frames and swaps all of them into the empty `into`; `false` when the outbox is closed and empty.
    pub(crate) async fn take(&self, into: &mut BytesMut) -> bool {
        loop {
            {
                let mut state = self.state();
                if !state.buffer.is_empty() {
                    std::mem::swap(&mut state.buffer, into);
                    drop(state);
                    self.drained.notify_waiters();
                    return true;
                }
                if state.closed {
                    return false;
                }
            }
            self.filled.notified().await;
        }
    }

    /// Refuses further frames; those already queued are still handed out.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.filled.notify_one();
        self.drained.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test]
    async fn queued_frames_are_handed_out_together_and_then_the_end() {
        let outbox = Outbox::default();
        outbox.push(b"a").await.unwrap();
        outbox.push(b"bc").await.unwrap();
        outbox.close();
        assert_eq!(outbox.push(b"d").await, Err(OutboxClosed));
        let mut taken = BytesMut::new();
        assert!(outbox.take(&mut taken).await);
        assert_eq!(&taken[..], b"\0\0\0\x01a\0\0\0\x02bc");
        taken.clear();
        assert!(!outbox.take(&mut taken).await);
    }

    #[tokio::test]
    async fn a_full_outbox_makes_its_callers_wait_until_it_is_taken() {
        let outbox = Arc::new(Outbox::default());
        outbox.push(&vec![b'x'; CLIENT_BACKLOG]).await.unwrap();
        let waiting = tokio::task::JoinSet::from_iter([{
            let outbox = Arc::clone(&outbox);
            async move { outbox.push(b"late").await }
        }]);
        tokio::task::yield_now().await;
        let mut taken = BytesMut::new();
        assert!(outbox.take(&mut taken).await);
        assert_eq!(waiting.join_all().await, [Ok(())]);
        taken.clear();
        assert!(outbox.take(&mut taken).await);
        assert_eq!(&taken[4..], b"late");
    }
}
