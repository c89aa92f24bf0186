//! What happens to approvals by itself: they expire, they end with their session, begin with a dialog on a screen, and
//! after a restart of the daemon those that nobody takes up again are ended.

use orx_protocol::activity::AgentState;
use orx_protocol::api::approval::{Approval, ApprovalState, Delivery};
use orx_protocol::api::session::SessionState;
use orx_protocol::event::{Event, kind};
use orx_protocol::{ApprovalId, RpcError, SessionId, clock};
use orx_store::{StoreError, approvals as table, events};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::policy::OnExpiry;
use super::{Approvals, PENDING_LIMIT, finish, withdrawn};

/// Longest pause between two looks at what expires: the wall clock may be set meanwhile.
const LOOK: Duration = Duration::from_secs(30);
/// How long whoever asked may take to come back after a restart of the daemon.
pub(super) const COME_BACK: Duration = Duration::from_secs(60);
/// How long a hook may be away while the daemon runs, before its question counts as asked no more.
pub(super) const AWAY: Duration = Duration::from_secs(2);
/// Events read at once.
const PAGE: u32 = 256;

impl Approvals {
    /// Takes up what was there before this start, and keeps it in order until `stop`.
    ///
    /// # Errors
    /// As the store cannot be read: without the rules nothing may be decided.
    pub async fn start(&self, stop: CancellationToken) -> Result<(), StoreError> {
        self.read_rules().await.map_err(|error| StoreError::Internal(error.message))?;
        let from = *self.store().head().borrow();
        self.end_with_sessions().await.map_err(|error| StoreError::Internal(error.message))?;
        self.attend_screens().await.map_err(|error| StoreError::Internal(error.message))?;
        let approvals = self.clone();
        self.0.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = approvals.expire() => {}
                () = approvals.follow_sessions(from) => {}
                () = approvals.expect_back() => {}
            }
        });
        Ok(())
    }

    /// Ends what sessions asked that ended while nobody watched.
    async fn end_with_sessions(&self) -> Result<(), RpcError> {
        for row in self.list(false, None).await? {
            let session = self.0.sessions.row(row.session).await?.session;
            if session.state.is_final() {
                self.withdraw(row.approval, &ended(session.state)).await?;
            }
        }
        Ok(())
    }

    /// Ends what a session asked when the journal tells of its end, and looks at its screen when it is blocked.
    async fn follow_sessions(&self, mut seen: u64) {
        let mut head = self.store().head();
        let kinds = [kind::SESSION_ENDED, kind::SESSION_LOST, kind::SESSION_ACTIVITY].map(str::to_owned).to_vec();
        loop {
            let newest = *head.borrow_and_update();
            let wanted = kinds.clone();
            let page = self.store().read(move |reader| events::after(reader, seen, &wanted, None, PAGE)).await;
            let page = match page {
                Ok(page) => page,
                Err(StoreError::Closed) => return,
                Err(error) => {
                    tracing::error!(%error, "The journal cannot be read; it is tried again.");
                    tokio::time::sleep(AWAY).await;
                    continue;
                }
            };
            for event in &page {
                self.session_changed(event).await;
            }
            let full = page.len() >= PAGE as usize;
            let last = page.last().map_or(seen, |event| event.seq);
            seen = if full { last } else { newest.max(last) };
            if !full && head.changed().await.is_err() {
                return;
            }
        }
    }

    async fn session_changed(&self, event: &Event) {
        let Ok(session) = event.subject.parse::<SessionId>() else { return };
        if event.kind == kind::SESSION_ACTIVITY {
            if is_blocked(event) {
                self.attend_screen(session);
            }
            return;
        }
        let state = if event.kind == kind::SESSION_LOST { SessionState::Unknown } else { SessionState::Ended };
        if let Err(error) = self.withdraw_of(session, &ended(state), |_| true).await {
            tracing::error!(%session, %error, "The questions of an ended session cannot be ended.");
        }
    }

    /// Ends what nobody took up again in the time after a restart. What is asked from then on has its own asker.
    async fn expect_back(&self) {
        let began_ms = clock::now_ms();
        tokio::time::sleep(COME_BACK).await;
        match self.list(false, None).await {
            Ok(rows) => {
                let is_left = |row: &&Approval| row.created_at_ms < began_ms && !self.is_listened_to(row.approval);
                for row in rows.iter().filter(is_left) {
                    let why = "whoever asked did not come back after a restart of the daemon";
                    if let Err(error) = self.withdraw(row.approval, why).await {
                        tracing::error!(approval = %row.approval, %error, "A question cannot be ended.");
                    }
                }
            }
            Err(error) => tracing::error!(%error, "The questions that wait cannot be read."),
        }
        std::future::pending::<()>().await;
    }

    /// Ends a question whose asker went away, unless it is back in time.
    pub(crate) fn asker_left(&self, approval: ApprovalId, why: &'static str) {
        let approvals = self.clone();
        self.0.tasks.spawn(async move {
            tokio::time::sleep(AWAY).await;
            if approvals.is_listened_to(approval) {
                return;
            }
            if let Err(error) = approvals.settle(approval, why).await {
                tracing::warn!(%approval, %error, "A question whose asker left cannot be ended; the next start does it.");
            }
        });
    }

    /// A question that nobody decided is asked no more; a decision that nobody fetched was not delivered.
    pub(super) async fn settle(&self, approval: ApprovalId, why: &str) -> Result<(), RpcError> {
        let row = self.get(approval).await?;
        if row.state == ApprovalState::Pending {
            return self.withdraw(approval, why).await;
        }
        let is_open = row.delivery == Delivery::Pending && row.state != ApprovalState::Withdrawn;
        if is_open { self.delivered(approval, Err(why.to_owned())).await } else { Ok(()) }
    }

    /// Ends what nobody decided in time.
    async fn expire(&self) {
        let mut changed = self.0.changed.subscribe();
        loop {
            let next = match self.expire_due().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::error!(%error, "What expired cannot be recorded; it is tried again.");
                    None
                }
            };
            let pause = next.map_or(LOOK, |at| Duration::from_millis(at.saturating_sub(clock::now_ms())).min(LOOK));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                changed = changed.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Ends what is due, and gives the time of the next.
    async fn expire_due(&self) -> Result<Option<u64>, RpcError> {
        let on_expiry = self.policy().on_expiry;
        let rows = self.store().read(|reader| table::list(reader, false, None, PENDING_LIMIT)).await?;
        let now_ms = clock::now_ms();
        let due: Vec<ApprovalId> = rows
            .iter()
            .filter(|row| row.expires_at_ms.is_some_and(|expires| expires <= now_ms))
            .map(|row| row.approval)
            .collect();
        let next = rows.iter().filter_map(|row| row.expires_at_ms).filter(|expires| *expires > now_ms).min();
        if !due.is_empty() {
            let ended = self
                .store()
                .write(move |tx| {
                    let mut ended = Vec::new();
                    for approval in due {
                        let mut row = table::get(tx, approval)?;
                        if row.state == ApprovalState::Pending {
                            expired(&mut row, on_expiry);
                            finish(tx, &row)?;
                            ended.push(row);
                        }
                    }
                    Ok::<_, StoreError>(ended)
                })
                .await?;
            self.tell(&ended);
        }
        Ok(next)
    }
}

fn expired(row: &mut Approval, on_expiry: OnExpiry) {
    match on_expiry {
        OnExpiry::Deny => {
            row.state = ApprovalState::Expired;
            row.decided_at_ms = Some(clock::now_ms());
            row.reason = Some("nobody decided in time".to_owned());
        }
        OnExpiry::Withdraw => withdrawn(row, "nobody decided in time; the agent asks at its own terminal"),
    }
    row.decided_by = Some("expiry".to_owned());
}

fn ended(state: SessionState) -> String {
    format!("its session is {}", state.as_str())
}

/// Whether an event of a session's activity says that it waits for a permission.
fn is_blocked(event: &Event) -> bool {
    let data: Option<serde_json::Value> = serde_json::from_str(event.data.get()).ok();
    data.is_some_and(|data| data["state"] == AgentState::Blocked.as_str())
}
