//! The frame: an unsigned 32-bit big-endian length, then that many bytes of body.
//!
//! The decoder's memory grows with the bytes that arrived, never with the length that a peer announced.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of the length prefix.
pub const HEADER: usize = 4;

/// Why a byte stream is not a sequence of frames. Each of these ends the connection: what follows cannot be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced length is above the limit.
    #[error("a frame of {announced} bytes was announced, the limit here is {limit} bytes")]
    TooLarge {
        /// The length that the peer announced, in bytes.
        announced: usize,
        /// The limit in force, in bytes.
        limit: usize,
    },
    /// A frame without a body says nothing and is refused.
    #[error("a frame of 0 bytes was announced; a frame carries a JSON body")]
    Empty,
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame: {have} of {want} bytes had arrived")]
    Truncated {
        /// Bytes that had arrived, the header included.
        have: usize,
        /// Bytes that the frame needs, the header included; the header's own size while it is incomplete.
        want: usize,
    },
}

/// Appends one frame with `body` to `out`.
///
/// # Errors
/// `TooLarge` when the body cannot be described by a 32-bit length.
pub fn encode(body: &[u8], out: &mut BytesMut) -> Result<(), FrameError> {
    let length = u32::try_from(body.len())
        .map_err(|_| FrameError::TooLarge { announced: body.len(), limit: u32::MAX as usize })?;
    out.reserve(HEADER + body.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(body);
    Ok(())
}

/// Cuts a byte stream into frames.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    limit: usize,
}

impl FrameDecoder {
    /// A decoder that refuses bodies above `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit }
    }

    /// Changes the limit for the frames that follow, once the peer is known.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The buffer to read into: append what arrived, then call [`FrameDecoder::next`] until it gives `None`.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole body, or `None` until more bytes arrive.
    ///
    /// # Errors
    /// `TooLarge` and `Empty`, as soon as the header says so.
    #[allow(clippy::should_implement_trait)] // It is fallible and borrows mutably between reads: not an iterator.
    pub fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(head) = self.buffer.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*head) as usize;
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > self.limit {
            return Err(FrameError::TooLarge { announced: length, limit: self.limit });
        }
        if self.buffer.len() < HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(HEADER);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Checks, at the end of the stream, that it did not stop inside a frame.
    ///
    /// # Errors
    /// `Truncated` with what had arrived.
    pub fn finish(&self) -> Result<(), FrameError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let want =
            self.buffer.first_chunk::<HEADER>().map_or(HEADER, |head| HEADER + u32::from_be_bytes(*head) as usize);
        Err(FrameError::Truncated { have: self.buffer.len(), want })
    }

    /// Takes the bytes that arrived beyond the frames already given, when a connection is handed to somebody else.
    #[must_use]
    pub fn into_rest(self) -> BytesMut {
        self.buffer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn frames_survive_any_cut(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..20), step in 1usize..50) {
            let mut wire = BytesMut::new();
            for body in &bodies {
                encode(body, &mut wire).unwrap();
            }
            let mut decoder = FrameDecoder::new(1024);
            let mut got = Vec::new();
            for piece in wire.chunks(step) {
                decoder.buffer().extend_from_slice(piece);
                while let Some(body) = decoder.next().unwrap() {
                    got.push(body.to_vec());
                }
            }
            prop_assert_eq!(got, bodies);
            prop_assert!(decoder.finish().is_ok());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = FrameDecoder::new(64);
            decoder.buffer().extend_from_slice(&bytes);
            while let Ok(Some(body)) = decoder.next() {
                prop_assert!(body.len() <= 64);
            }
        }
    }

    #[test]
    fn an_announced_length_above_the_limit_is_refused_at_the_header() {
        let mut decoder = FrameDecoder::new(16);
        decoder.buffer().extend_from_slice(&17u32.to_be_bytes());
        assert_eq!(decoder.next(), Err(FrameError::TooLarge { announced: 17, limit: 16 }));
    }

    #[test]
    fn an_empty_frame_is_refused() {
        let mut decoder = FrameDecoder::new(16);
        decoder.buffer().extend_from_slice(&0u32.to_be_bytes());
        assert_eq!(decoder.next(), Err(FrameError::Empty));
    }

    #[test]
    fn a_stream_that_stops_inside_a_frame_is_named() {
        let mut decoder = FrameDecoder::new(16);
        decoder.buffer().extend_from_slice(&[0, 0, 0, 9, b'{']);
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!(decoder.finish(), Err(FrameError::Truncated { have: 5, want: 13 }));
    }
}
