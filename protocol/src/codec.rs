//! The binary codec of the terminal link: the one file that knows bincode, so that it can be replaced here.
//!
//! bincode is pinned to 2.0.1 (3.0.0 is an empty release); `docs/adr/0001-bincode-pin.md` has the reasons.

use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use bytes::BytesMut;

use crate::frame;
use crate::limits::FRAME_TERMINAL;
use crate::terminal::ToViewer;

const CONFIG: Configuration<LittleEndian, Fixint, Limit<FRAME_TERMINAL>> =
    bincode::config::standard().with_fixed_int_encoding().with_limit::<FRAME_TERMINAL>();

/// A body that does not decode, or a value that does not encode.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The bytes are not a value of the wanted type.
    #[error("a terminal frame could not be read: {0}")]
    Decode(String),
    /// The value is larger than a frame may be.
    #[error("a terminal frame could not be written: {0}")]
    Encode(String),
    /// Bytes were left over.
    #[error("a terminal frame has {0} bytes too many")]
    Trailing(usize),
}

/// The body of a frame that carries `value`.
///
/// # Errors
/// `Encode` when the value is above the frame limit.
pub fn encode<T: bincode::Encode>(value: &T) -> Result<Vec<u8>, CodecError> {
    bincode::encode_to_vec(value, CONFIG).map_err(|error| CodecError::Encode(error.to_string()))
}

/// Appends one frame, its length included, that carries [`ToViewer::Output`] with `bytes`: what [`encode`] and
/// [`frame::encode`] would write, with one copy instead of three.
///
/// # Errors
/// `Encode` when that is above the frame limit.
pub fn output_frame(bytes: &[u8], out: &mut BytesMut) -> Result<(), CodecError> {
    let head = encode(&ToViewer::Output(Vec::new()))?;
    // The head of an empty output ends with its length, eight bytes of zero.
    let variant = head.get(..head.len().saturating_sub(size_of::<u64>())).unwrap_or_default();
    let length = head.len() + bytes.len();
    let announced = u32::try_from(length).ok().filter(|_| length <= FRAME_TERMINAL);
    let announced = announced.ok_or_else(|| CodecError::Encode(format!("{length} bytes are above the limit")))?;
    out.reserve(frame::HEADER + length);
    out.extend_from_slice(&announced.to_be_bytes());
    out.extend_from_slice(variant);
    out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    out.extend_from_slice(bytes);
    Ok(())
}

/// Reads a whole body.
///
/// # Errors
/// `Decode` and `Trailing` for bytes that are not exactly one value.
pub fn decode<T: bincode::Decode<()>>(body: &[u8]) -> Result<T, CodecError> {
    let (value, used) =
        bincode::decode_from_slice(body, CONFIG).map_err(|error| CodecError::Decode(error.to_string()))?;
    if used == body.len() { Ok(value) } else { Err(CodecError::Trailing(body.len() - used)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::{FromViewer, OUTPUT_HEAD, ToViewer};
    use proptest::prelude::*;

    #[test]
    fn the_bytes_of_a_frame_do_not_change_between_releases() {
        assert_eq!(encode(&FromViewer::Resize { cols: 80, rows: 24 }).unwrap(), [1, 0, 0, 0, 80, 0, 24, 0]);
        assert_eq!(
            encode(&ToViewer::Output(b"hi".to_vec())).unwrap(),
            [1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i']
        );
    }

    #[test]
    fn a_frame_of_output_is_what_the_general_way_writes() {
        for bytes in [&b""[..], b"hi", &[7; 70_000]] {
            let mut direct = BytesMut::new();
            output_frame(bytes, &mut direct).unwrap();
            let mut general = BytesMut::new();
            frame::encode(&encode(&ToViewer::Output(bytes.to_vec())).unwrap(), &mut general).unwrap();
            assert_eq!(direct, general);
            assert_eq!(direct.get(OUTPUT_HEAD..).unwrap(), bytes);
        }
        assert!(output_frame(&vec![0; FRAME_TERMINAL], &mut BytesMut::new()).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bodies_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode::<FromViewer>(&body);
            let _ = decode::<ToViewer>(&body);
        }

        #[test]
        fn frames_round_trip(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let frame = ToViewer::Output(bytes);
            prop_assert_eq!(decode::<ToViewer>(&encode(&frame).unwrap()).unwrap(), frame);
        }
    }
}
