//! Questions that a hook handed back to its engine, which then asks them on the screen: the dialog is answered by keys, and
//! the question stays the one that was asked, with all that the hook told of it.

use orx_engines::EngineKind;
use orx_engines::hooks::{Asking, asking};
use orx_protocol::api::approval::{Approval, ApprovalState, Delivery, Road};
use orx_protocol::api::session::Session;
use orx_protocol::event::kind;
use orx_protocol::{ApprovalId, RpcError, SessionId};
use orx_session::screen::{Dialog, is_about};
use orx_store::{StoreError, approvals as table, events};
use std::time::{Duration, Instant};

use super::{Approvals, NewApproval};
use crate::hooks::install::CHANNEL;

/// The beginning of the keys of what hooks ask.
const KEY: &str = "hook/";
/// How long an engine may take to show the dialog.
const COMES: Duration = Duration::from_secs(20);
/// How often the screen is looked at until then.
const LOOK: Duration = Duration::from_millis(500);

/// Whether the dialogs of a session are answered by keys: it has no other road, or a hook that leaves dialogs to the
/// screen once it ended.
pub(super) fn is_answered_on_screen(session: &Session) -> bool {
    let by_keys = match session.channel.as_deref() {
        None => true,
        Some(CHANNEL) => {
            session.engine.parse::<EngineKind>().is_ok_and(|kind| !matches!(asking(kind), Some(Asking::Beside)))
        }
        Some(_) => false,
    };
    by_keys && session.cols > 0
}

/// Whether a hook asked this and the engine was told nothing yet.
fn is_open(row: &Approval) -> bool {
    let undelivered = row.state != ApprovalState::Withdrawn && row.delivery == Delivery::Pending;
    (row.state == ApprovalState::Pending || undelivered) && row.key.as_ref().is_some_and(|key| key.starts_with(KEY))
}

impl Approvals {
    /// A hook ended without an answer, so that its engine shows a dialog: that is looked for, and answered by keys. Without
    /// one the question is asked no more.
    pub(crate) fn hand_over(&self, session: SessionId, approval: ApprovalId) {
        let approvals = self.clone();
        self.0.tasks.spawn(async move {
            if let Err(error) = approvals.until_taken_over(session, approval).await {
                tracing::warn!(%approval, %error, "A question that a hook handed on cannot be followed.");
            }
        });
    }

    async fn until_taken_over(&self, session: SessionId, approval: ApprovalId) -> Result<(), RpcError> {
        let mut absent_since = Instant::now();
        loop {
            if !is_open(&self.get(approval).await?) {
                return Ok(());
            }
            // Of several the first is on the screen, and the others come after it.
            let waits_its_turn = match self.dialog(session).await {
                Some((_, dialog)) => {
                    self.attend_screen(session);
                    self.told_before(session, &dialog).await?.is_some()
                }
                None => false,
            };
            if waits_its_turn || self.is_listened_to(approval) {
                absent_since = Instant::now();
            } else if absent_since.elapsed() > COMES {
                return self
                    .settle(approval, "its hook ended, and no dialog for it was recognised on the screen")
                    .await;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The oldest question of a hook that a dialog is about, to be asked on from the screen.
    pub(super) async fn told_before(
        &self,
        session: SessionId,
        dialog: &Dialog,
    ) -> Result<Option<NewApproval>, RpcError> {
        let rows = self.list(true, Some(session)).await?;
        let found = rows.into_iter().find(|row| is_open(row) && is_about(&dialog.text, &row.subject));
        Ok(found.map(|row| NewApproval {
            session,
            engine: row.engine,
            kind: row.kind,
            title: Some(row.title),
            subject: row.subject,
            road: Road::Screen,
            expires_at_ms: row.expires_at_ms,
            key: row.key,
        }))
    }

    /// Notes that a question is answered by keys from now on.
    pub(super) async fn moved_to_screen(&self, approval: ApprovalId) -> Result<(), RpcError> {
        self.store()
            .write(move |tx| {
                let mut row = table::get(tx, approval)?;
                if row.road == Road::Screen {
                    return Ok(());
                }
                row.road = Road::Screen;
                table::update(tx, &row)?;
                let data = serde_json::json!({"session": row.session, "road": row.road});
                events::append(tx, kind::APPROVAL_MOVED, &approval.to_string(), &data)?;
                Ok::<_, StoreError>(())
            })
            .await?;
        self.announce();
        Ok(())
    }
}
