//! What scrolled away, and the screens of a recording.

use orx_protocol::api::session::{Recorded, RecordingParams, ScrollbackPage, ScrollbackParams};
use orx_protocol::{ErrorKind, RpcError};
use std::sync::Arc;

use crate::daemon::Daemon;

/// Lines of a page where no limit is named.
const LINES: u32 = 1000;
/// Most lines of a page.
const LINES_MAX: u32 = 10_000;

pub(super) async fn scrollback(daemon: Arc<Daemon>, params: ScrollbackParams) -> Result<ScrollbackPage, RpcError> {
    let limit = params.limit.unwrap_or(LINES);
    if limit == 0 || limit > LINES_MAX {
        return Err(RpcError::new(
            ErrorKind::InvalidParams,
            format!("`session.scrollback`: `limit` is {limit}, it must be 1 to {LINES_MAX}"),
        ));
    }
    daemon.sessions.scrollback(params.session, params.from, limit, params.styled).await
}

pub(super) async fn recording(daemon: Arc<Daemon>, params: RecordingParams) -> Result<Recorded, RpcError> {
    daemon.sessions.recorded(params.session, params.at_ms).await
}
