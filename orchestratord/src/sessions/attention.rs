//! Whether somebody looks at a session.

use orx_protocol::api::Empty;
use orx_protocol::hold::{Status, method};
use orx_protocol::{RpcError, SessionId};
use std::path::Path;

use super::{Sessions, holder};

impl Sessions {
    /// Whether somebody looks at the terminal of a session at this moment; nobody does where its holder does not say so.
    pub(crate) async fn is_looked_at(&self, session: SessionId) -> bool {
        let Ok(row) = self.row(session).await else { return false };
        let status: Result<Status, RpcError> = holder::ask_now(Path::new(&row.socket), method::STATUS, &Empty {}).await;
        status.is_ok_and(|status| status.looked_at)
    }
}
