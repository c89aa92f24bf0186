//! Parked sessions as the gateway keeps them: who is parked lasts over the daemon's end, is told of once, and goes on at its time.
//! What parks a session is the router's; what the session's record and its texts make of it is the daemon's.

use std::sync::Arc;
use std::time::Duration;

use orx_protocol::clock;
use orx_router::parking::{News, Parking, Resumed};
use orx_store::{Store, StoreError, parkings};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::inner::Inner;

/// How long what was decided may take to the disk before whoever waits for that goes on without.
const DURABLE: Duration = Duration::from_secs(2);
/// The wall clock is looked at so often, since it may be set.
const LOOK: Duration = Duration::from_secs(30);

/// What was kept of parked sessions. What another version kept and this one cannot read is forgotten: the session's next call
/// parks it again.
pub(crate) async fn kept(store: &Store) -> Result<Vec<(String, Parking)>, StoreError> {
    let kept = store.read(parkings::all).await?;
    Ok(kept.into_iter().filter_map(|(session, body)| Some((session, serde_json::from_str(&body).ok()?))).collect())
}

impl Inner {
    /// Parks a session, and waits until that is on disk: its caller is told so.
    pub(crate) async fn park(self: &Arc<Self>, session: &str, parking: Parking) {
        let (news, parking) = {
            let mut control = self.control();
            let news = control.parking.park(session, parking);
            (news, control.parking.get(session).cloned())
        };
        let Some(parking) = parking.filter(|_| news != News::Known) else { return };
        tracing::info!(session, %parking, "A session is parked.");
        let body = match serde_json::to_string(&parking) {
            Ok(body) => body,
            Err(error) => return tracing::error!(session, %error, "A parked session cannot be kept."),
        };
        let data = json!({
            "message": parking.to_string(), "reason": parking.why.to_string(), "until_ms": parking.until_ms,
            "why": parking.why, "again": news == News::Changed,
        });
        self.ledger.parked(session.to_owned(), body, data);
        // A task of its own, since the caller may go away meanwhile; where it fails the daemon ends.
        let _ = self.announce_parking().await;
    }

    /// Keeps and tells that sessions go on.
    pub(crate) fn resume(self: &Arc<Self>, resumed: Vec<Resumed>) {
        if resumed.is_empty() {
            return;
        }
        let now_ms = clock::now_ms();
        for Resumed { session, parking, by } in resumed {
            tracing::info!(%session, %by, "A session is parked no more.");
            let data = json!({
                "message": by.to_string(), "reason": parking.why.to_string(),
                "lasted_ms": now_ms.saturating_sub(parking.since_ms),
            });
            self.ledger.resumed(session.into(), Some(data));
        }
        drop(self.announce_parking());
    }

    /// Forgets a session that ended: its end is what is told.
    pub(crate) fn forget_parking(self: &Arc<Self>, session: &str) {
        if self.control().parking.forget(session) {
            self.ledger.resumed(session.to_owned(), None);
            drop(self.announce_parking());
        }
    }

    /// Tells that somebody is parked, or no more, once that is on disk.
    fn announce_parking(self: &Arc<Self>) -> tokio::task::JoinHandle<()> {
        let gateway = Arc::clone(self);
        self.tasks.spawn(async move {
            // A disk that is full keeps nobody waiting for ever.
            if tokio::time::timeout(DURABLE, gateway.ledger.flush()).await.is_err() {
                tracing::warn!("Who is parked is not on disk yet.");
            }
            gateway.parked.send_modify(|count| *count = count.wrapping_add(1));
        })
    }
}

/// Lets sessions go on when their time has come, until `stop`.
pub(crate) async fn watch(gateway: Arc<Inner>, stop: CancellationToken) {
    let mut changed = gateway.parked.subscribe();
    loop {
        changed.mark_unchanged();
        let now_ms = clock::now_ms();
        let (due, next) = {
            let mut control = gateway.control();
            (control.parking.due(now_ms), control.parking.next_due())
        };
        gateway.resume(due);
        let pause = next.map(|at| Duration::from_millis(at.saturating_sub(now_ms)).min(LOOK));
        tokio::select! {
            () = stop.cancelled() => return,
            change = changed.changed() => if change.is_err() { return },
            () = sleep(pause) => {}
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}
