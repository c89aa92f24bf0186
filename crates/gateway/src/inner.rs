//! What all calls share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use orx_protocol::event::kind;
use orx_router::Route;
use orx_router::breaker::board::SavedRoute;
use orx_store::{Store, events};
use tokio::sync::{Notify, watch};
use tokio_util::task::TaskTracker;

use crate::cache::Cache;
use crate::caller::Callers;
use crate::control::{Control, Tell, Time};
use crate::key::Keys;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::named::Named;
use crate::provider::client::Client;
use crate::settings::Config;

/// What all calls share.
pub struct Inner {
    /// Keys of callers.
    pub keys: Keys,
    /// Keys with names.
    pub named: Named,
    /// Whoever knows the sessions.
    pub callers: Box<dyn Callers>,
    /// Connections to providers.
    pub client: Client,
    /// Rows of calls.
    pub ledger: Ledger,
    /// Counters.
    pub metrics: Metrics,
    /// Clocks.
    pub time: Time,
    /// Durable state.
    pub store: Store,
    /// Every task of the daemon.
    pub tasks: TaskTracker,
    /// A provider was found gone: it is looked at soon.
    pub(crate) doubt: Notify,
    /// Grows whenever a session was parked, or goes on.
    pub(crate) parked: watch::Sender<u64>,
    pub(crate) config: RwLock<Arc<Config>>,
    pub(crate) cache: RwLock<Option<Arc<Cache>>>,
    pub(crate) control: Mutex<Control>,
}

impl Inner {
    /// The configuration of this moment.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Answers that were given before, where the operator wants them kept.
    #[must_use]
    pub fn cache(&self) -> Option<Arc<Cache>> {
        self.cache.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The shared state. It is never held across a wait.
    pub fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what an attempt's end changed, and keeps it.
    pub fn tell(&self, tell: Tell, route: &Route) {
        for alert in tell.alerts {
            tracing::warn!(cap = alert.cap, "{alert}");
            self.ledger.alerted(alert.cap.clone(), alert.subject.clone(), alert.since_ms);
            let message = alert.to_string();
            self.note(
                kind::BUDGET_ALERT,
                alert.cap.clone(),
                serde_json::json!({"message": message, "standing": alert}),
            );
        }
        if let Some(change) = tell.change {
            tracing::info!(%route, ?change, "A breaker changed.");
            let now = self.time.now();
            let saved = self.control().breakers.save(now);
            self.keep_breakers(&saved);
            let data = serde_json::json!({"route": route.to_string(), "change": format!("{change:?}")});
            self.note(kind::LLM_BREAKER, route.to_string(), data);
        }
    }

    /// Keeps the breakers over the daemon's end.
    pub fn keep_breakers(&self, saved: &[SavedRoute]) {
        let kept = saved.iter().filter_map(|saved| {
            let model = saved.model.as_ref().map(ToString::to_string).unwrap_or_default();
            Some((saved.provider.to_string(), model, serde_json::to_string(saved).ok()?))
        });
        self.ledger.breakers(kept.collect());
    }

    /// Appends an event, without being waited for.
    pub fn note(&self, kind: &'static str, subject: String, data: serde_json::Value) {
        let store = self.store.clone();
        self.tasks.spawn(async move {
            let noted = store.write(move |tx| events::append(tx, kind, &subject, &data)).await;
            if let Err(error) = noted {
                tracing::warn!(%error, kind, "An event of the gateway was not kept.");
            }
        });
    }
}
