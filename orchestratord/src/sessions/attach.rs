//! Handing a viewer's connection to its session's holder. The daemon passes the descriptor on and steps aside, so that its
//! own end does not reach anybody who is attached.

use bytes::BytesMut;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use orx_protocol::api::session::{Attached, TERMINAL_CODEC};
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::hold::{AdoptParams, AttachParams, TerminalSize, method};
use orx_protocol::limits::FRAME_KNOWN;
use orx_protocol::rpc::{self, CallId, Incoming};
use orx_protocol::{ErrorKind, RpcError};
use std::io::{IoSlice, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Sessions;
use crate::api::session::AttachRequest;

/// How long the holder may take to take over.
const LIMIT: Duration = Duration::from_secs(10);

impl Sessions {
    /// Hands the connection behind `viewer` to the session's holder, which answers the request on it. `rest` is what was
    /// read beyond the request.
    ///
    /// # Errors
    /// What the caller must be told; the connection is still the daemon's then.
    pub async fn hand_over(&self, request: &AttachRequest, viewer: OwnedFd, rest: &BytesMut) -> Result<(), RpcError> {
        let row = self.running(request.params.session).await?;
        if row.session.cols == 0 {
            return Err(RpcError::new(
                ErrorKind::FailedPrecondition,
                format!("session {} runs on pipes and has no screen", row.session.session),
            )
            .with_hint(
                "`session.log` (`orxctl logs`) reads what it writes, `session.send` (`orxctl send`) prompts an agent",
            ));
        }
        let answer =
            rpc::success(&request.id, &Attached { session: row.session.session, codec: TERMINAL_CODEC.to_owned() })?;
        let size = TerminalSize { cols: request.params.cols, rows: request.params.rows }.clamped();
        let params = AdoptParams {
            attach: AttachParams { size, mode: request.params.mode, raw: request.params.raw },
            rest: rest.iter().map(|byte| format!("{byte:02x}")).collect(),
            answer: String::from_utf8_lossy(&answer).into_owned(),
        };
        let socket = PathBuf::from(row.socket);
        let handed = tokio::task::spawn_blocking(move || adopt(&socket, &viewer, &params)).await;
        handed.map_err(|error| RpcError::new(ErrorKind::Internal, format!("handing over failed: {error}")))?
    }
}

/// Sends the descriptor with the request and waits for the holder's word.
fn adopt(socket: &Path, viewer: &OwnedFd, params: &AdoptParams) -> Result<(), RpcError> {
    let failed = |error: std::io::Error| {
        RpcError::new(ErrorKind::Unavailable, format!("the session's holder does not answer: {error}"))
    };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.set_read_timeout(Some(LIMIT)).map_err(failed)?;
    stream.set_write_timeout(Some(LIMIT)).map_err(failed)?;
    let body = rpc::call(Some(&CallId::Number(1)), method::ADOPT, params)?;
    let mut wire = BytesMut::new();
    frame::encode(&body, &mut wire).map_err(|error| RpcError::new(ErrorKind::TooLarge, error.to_string()))?;
    let descriptors = [viewer.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&descriptors)];
    let sent = sendmsg::<()>(stream.as_raw_fd(), &[IoSlice::new(&wire)], &control, MsgFlags::empty(), None)
        .map_err(|errno| failed(errno.into()))?;
    std::io::Write::write_all(&mut stream, wire.get(sent..).unwrap_or_default()).map_err(failed)?;
    let mut decoder = FrameDecoder::new(FRAME_KNOWN);
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer).map_err(failed)?;
        if count == 0 {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
        decoder.buffer().extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(body) = decoder.next().map_err(|error| RpcError::new(ErrorKind::Internal, error.to_string()))? {
            return match Incoming::parse(&body) {
                Ok(Incoming::Answer { outcome, .. }) => outcome.map(|_| ()),
                _ => Err(RpcError::new(ErrorKind::Internal, "the holder answered with something else than an answer")),
            };
        }
    }
}
