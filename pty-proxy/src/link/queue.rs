//! What waits for one slow reader, within bounds. Which bytes these are is for the connection; a reader that falls too far
//! behind skips to the present, which is for the holder to show.

use std::collections::VecDeque;
use std::io::{ErrorKind, IoSlice, Result, Write};

use bytes::Bytes;

/// Bytes that may wait for a viewer before it skips to the present.
pub const VIEWER_BACKLOG: usize = 256 * 1024;
/// Pieces of one write.
const AT_ONCE: usize = 16;

/// What arrives whole or not at all.
#[derive(Debug)]
struct Piece {
    bytes: Bytes,
    /// Whether it makes sense by itself, also to a reader that skips what is around it.
    stays: bool,
}

/// Pieces that each are to arrive whole, in their order.
#[derive(Debug, Default)]
pub struct Queue {
    pieces: VecDeque<Piece>,
    waiting: usize,
    /// Bytes of the first piece that were written.
    written: usize,
    behind: bool,
}

impl Queue {
    /// Bytes that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether pieces were left out, so that nothing makes sense to the reader but the present as a whole.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// The reader gets the present now.
    pub fn caught_up(&mut self) {
        self.behind = false;
    }

    /// Puts a piece at the end.
    pub fn push(&mut self, piece: Bytes) {
        self.put(piece, false);
    }

    /// Puts a piece at the end that stays when the reader skips, if there is room for it; gives whether there was.
    pub fn insist(&mut self, piece: Bytes) -> bool {
        let has_room = self.waiting + piece.len() <= VIEWER_BACKLOG;
        if has_room {
            self.put(piece, true);
        }
        has_room
    }

    fn put(&mut self, bytes: Bytes, stays: bool) {
        if !bytes.is_empty() {
            self.waiting += bytes.len();
            self.pieces.push_back(Piece { bytes, stays });
        }
    }

    /// Puts a piece at the end, unless the reader skips or now begins to.
    pub fn offer(&mut self, piece: &Bytes) {
        if self.behind {
            return;
        }
        if self.waiting + piece.len() > VIEWER_BACKLOG {
            self.skip();
        } else {
            self.push(piece.clone());
        }
    }

    /// Puts the pieces of a whole screen at the end, however many they are, unless too much waits before them.
    pub fn offer_screen(&mut self, pieces: impl Iterator<Item = Bytes>) {
        if self.behind {
            return;
        }
        if self.waiting > VIEWER_BACKLOG {
            self.skip();
        } else {
            pieces.for_each(|piece| self.push(piece));
        }
    }

    /// Leaves out all that waits, but for what stays and the rest of a piece of which a part was written.
    pub fn skip(&mut self) {
        self.behind = true;
        let mut is_begun = self.written > 0;
        self.pieces.retain(|piece| std::mem::take(&mut is_begun) || piece.stays);
        self.waiting = self.pieces.iter().map(|piece| piece.bytes.len()).sum::<usize>().saturating_sub(self.written);
    }

    /// Writes what the reader takes now.
    ///
    /// # Errors
    /// When the reader is gone.
    pub fn write_to(&mut self, mut to: impl Write) -> Result<()> {
        while !self.pieces.is_empty() {
            let mut slices = [IoSlice::new(&[]); AT_ONCE];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
                let from = if count == 0 { self.written } else { 0 };
                *slice = IoSlice::new(piece.bytes.get(from..).unwrap_or_default());
                count += 1;
            }
            match to.write_vectored(slices.get(..count).unwrap_or_default()) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.count_written(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn count_written(&mut self, count: usize) {
        self.waiting = self.waiting.saturating_sub(count);
        let mut count = count + self.written;
        self.written = 0;
        while let Some(first) = self.pieces.front() {
            if count < first.bytes.len() {
                self.written = count;
                return;
            }
            count -= first.bytes.len();
            self.pieces.pop_front();
        }
    }

    /// Pieces were left out elsewhere; what waits here stays.
    pub fn fall_behind(&mut self) {
        self.behind = true;
    }

    /// All that waits, from the first byte that was not written on.
    #[must_use]
    pub fn rest(&self) -> Vec<u8> {
        let mut rest: Vec<u8> = self.pieces.iter().flat_map(|piece| &piece.bytes).copied().collect();
        rest.drain(..self.written.min(rest.len()));
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes so many bytes at a time, then none.
    struct Slow(Vec<u8>, Vec<usize>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> Result<usize> {
            let Some(room) = self.1.pop().filter(|room| *room > 0) else { return Err(ErrorKind::WouldBlock.into()) };
            let count = room.min(bytes.len());
            self.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_falls_behind_gets_the_rest_of_what_was_begun_and_then_nothing() {
        let mut queue = Queue::default();
        queue.offer(&Bytes::from(vec![b'a'; 10]));
        queue.offer(&Bytes::from_static(b"never written"));
        let mut to = Slow(Vec::new(), vec![4]);
        queue.write_to(&mut to).unwrap();
        queue.offer(&Bytes::from(vec![b'b'; VIEWER_BACKLOG]));
        assert!(queue.is_behind() && queue.waiting() == 6 && queue.rest() == [b'a'; 6]);
        queue.offer(&Bytes::from_static(b"nor this"));
        to.1 = vec![100];
        queue.write_to(&mut to).unwrap();
        assert_eq!((to.0.as_slice(), queue.is_empty()), (&[b'a'; 10][..], true));
        queue.caught_up();
        queue.offer_screen([Bytes::from(vec![b's'; VIEWER_BACKLOG + 1])].into_iter());
        assert_eq!(queue.waiting(), VIEWER_BACKLOG + 1, "a screen is whole however large it is");
    }

    #[test]
    fn what_makes_sense_by_itself_stays_when_the_rest_is_skipped() {
        let mut queue = Queue::default();
        queue.offer(&Bytes::from_static(b"begun, "));
        queue.offer(&Bytes::from_static(b"skipped, "));
        assert!(queue.insist(Bytes::from_static(b"a notice")));
        let mut to = Slow(Vec::new(), vec![2]);
        queue.write_to(&mut to).unwrap();
        queue.skip();
        assert_eq!((queue.rest().as_slice(), queue.waiting()), (&b"gun, a notice"[..], 13));
        assert!(!queue.insist(Bytes::from(vec![b'n'; VIEWER_BACKLOG])), "a reader that does not read piles up nothing");
    }

    proptest! {
        #[test]
        fn what_is_pushed_arrives_in_order_however_it_is_cut(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..40),
            rooms in prop::collection::vec(0..40_usize, 0..60),
        ) {
            let mut queue = Queue::default();
            let whole: Vec<u8> = pieces.iter().flatten().copied().collect();
            pieces.into_iter().for_each(|piece| queue.push(piece.into()));
            let mut to = Slow(Vec::new(), rooms);
            while !to.1.is_empty() && !queue.is_empty() {
                queue.write_to(&mut to).unwrap();
                prop_assert_eq!(queue.waiting() + to.0.len(), whole.len());
            }
            to.0.extend(queue.rest());
            prop_assert_eq!(to.0, whole);
        }
    }
}
