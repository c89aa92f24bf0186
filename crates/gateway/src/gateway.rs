//! The gateway as the daemon holds it: made at the start from what the store kept, changed by new settings, asked by requests.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use orx_protocol::api::key::{Key, KeyCap};
use orx_protocol::{ErrorKind, KeyId, RpcError, SessionId, clock};
use orx_router::breaker::board::SavedRoute;
use orx_router::budget::{Cap, CapError, Of, Spend, Want};
use orx_router::parking::{Lot, Parking, Resumed};
use orx_router::{MicroDollars, Tokens};
use orx_store::calls::{self, Subject};
use orx_store::{Store, StoreError, keys};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer::Answer;
use crate::cache::Cache;
use crate::call;
use crate::caller::Callers;
use crate::control::{Control, Time};
use crate::door::{self, Door};
use crate::health;
use crate::inner::Inner;
use crate::key::Keys;
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::named::{self, Named};
use crate::parking;
use crate::provider::client::Client;
use crate::settings::Config;

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The cache cannot be kept so.
    #[error("`gateway.cache`: {0}")]
    Cache(String),
    /// A cap makes no sense.
    #[error("`gateway.caps`: {0}")]
    Cap(#[from] CapError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a key is not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Its name, or its cap, is none.
    #[error("{0}")]
    Invalid(String),
    /// Its cap makes no sense.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// There is one with this name, or none, or the store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<KeyError> for RpcError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Invalid(why) | KeyError::Gateway(GatewayError::Cache(why)) => {
                Self::new(ErrorKind::InvalidParams, why)
            }
            KeyError::Gateway(GatewayError::Cap(error)) => error.into(),
            KeyError::Gateway(GatewayError::Store(error)) | KeyError::Store(error) => error.into(),
        }
    }
}

/// What a gateway is made of.
pub struct Parts {
    /// Its settings.
    pub config: Arc<Config>,
    /// The local user's token.
    pub token: String,
    /// Whoever knows the sessions.
    pub callers: Box<dyn Callers>,
    /// Durable state.
    pub store: Store,
    /// Every task of the daemon.
    pub tasks: TaskTracker,
    /// Cancelled when the daemon begins to end.
    pub stop: CancellationToken,
}

/// The gateway.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

impl Gateway {
    /// A gateway that knows what was spent before, and the task that writes its ledger.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn new(parts: Parts) -> Result<(Self, impl Future<Output = ()> + Send + 'static), GatewayError> {
        let Parts { config, token, callers, store, tasks, stop } = parts;
        let now_ms = clock::now_ms();
        let lost = store.write(move |tx| calls::end_lost(tx, now_ms)).await?;
        if lost > 0 {
            tracing::warn!(
                lost,
                "Calls were at work when an earlier daemon ended: what was held back for them is taken for spent."
            );
        }
        let time = Time::default();
        let saved = store.read(calls::breakers).await?;
        // What an older version kept and this one cannot read is forgotten: a breaker that is closed by mistake opens again.
        let saved: Vec<SavedRoute> = saved.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
        let control = Control::new(&config, &saved, time.now())?;
        let keys = Keys::new(&token);
        let cache = cache_of(&config, &keys)?;
        let client = Client::new(Duration::from_millis(config.timeouts.connect_ms));
        let (ledger, writing) = Ledger::new(store.clone(), tasks.clone());
        let named = Named::new(store.read(keys::all).await?, ledger.clone());
        let gateway = Self(Arc::new(Inner {
            keys,
            named,
            callers,
            client,
            ledger,
            metrics: Metrics::default(),
            time,
            store,
            tasks,
            doubt: Notify::new(),
            parked: watch::Sender::new(0),
            config: RwLock::new(config),
            cache: RwLock::new(cache),
            control: Mutex::new(control),
        }));
        gateway.0.control().budget.configure(gateway.caps(&gateway.0.config()))?;
        gateway.recall().await?;
        let kept = parking::kept(&gateway.0.store).await?;
        gateway.0.control().parking = Lot::restore(kept);
        gateway.review_parking();
        health::look_at_local(&gateway.0).await;
        gateway.0.tasks.spawn(health::watch(Arc::clone(&gateway.0), stop.clone()));
        gateway.0.tasks.spawn(parking::watch(Arc::clone(&gateway.0), stop));
        Ok((gateway, writing))
    }

    /// Puts what the ledger knows in the place of what is counted, for every cap.
    async fn recall(&self) -> Result<(), StoreError> {
        let wants = self.0.control().budget.wants(self.0.time.now());
        for want in wants {
            let Want { of, since_ms, .. } = want;
            let sums = self.0.store.read(move |reader| calls::spent_since(reader, subject(of), since_ms)).await?;
            let mut control = self.0.control();
            for sum in sums {
                let spent = Spend { cost: MicroDollars(sum.cost_microusd), tokens: Tokens(sum.tokens) };
                control.budget.restore(want, &sum.subject, spent);
            }
        }
        let alerts = self.0.store.read(calls::alerts).await?;
        let mut control = self.0.control();
        for (cap, subject, start_ms) in alerts {
            control.budget.restore_alert(&cap, &subject, start_ms);
        }
        Ok(())
    }

    /// Puts other settings in force, with an empty cache: models may answer to other names now. Nothing is changed when a cap
    /// makes no sense.
    ///
    /// # Errors
    /// [`GatewayError`].
    pub async fn reload(&self, config: Arc<Config>) -> Result<(), GatewayError> {
        let cache = cache_of(&config, &self.0.keys)?;
        let new = {
            let mut control = self.0.control();
            let new = control.budget.configure(self.caps(&config))?;
            control.breakers.configure(config.catalogue.providers());
            // Under the same lock as the caps, so that whoever makes a key meanwhile puts none of the former ones back.
            *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
            new
        };
        *self.0.cache.write().unwrap_or_else(PoisonError::into_inner) = cache;
        if !new.is_empty() {
            self.0.ledger.flush().await;
            self.recall().await?;
        }
        self.review_parking();
        Ok(())
    }

    /// The caps of the settings, and those of keys with names.
    fn caps(&self, config: &Config) -> Vec<Cap> {
        config.caps.iter().cloned().chain(self.0.named.caps()).collect()
    }

    /// Puts the caps of keys in force that were made or revoked.
    async fn recap(&self) -> Result<(), GatewayError> {
        let new = {
            let mut control = self.0.control();
            control.budget.configure(self.caps(&self.0.config()))?
        };
        if !new.is_empty() {
            self.0.ledger.flush().await;
            self.recall().await?;
        }
        Ok(())
    }

    /// Makes a key with a name; gives its record and the key itself, which is kept nowhere.
    ///
    /// # Errors
    /// [`KeyError`]; nothing was made then.
    pub async fn add_key(&self, name: &str, cap: Option<KeyCap>) -> Result<(Key, String), KeyError> {
        named::check(name)?;
        if let Some(cap) = &cap {
            named::check_cap(name, cap, &self.0.config().caps)?;
        }
        let key = Key {
            key: KeyId::generate(),
            name: name.to_owned(),
            created_ms: clock::now_ms(),
            revoked_ms: None,
            last_used_ms: None,
            cap,
        };
        let kept = key.clone();
        self.0.store.write(move |tx| keys::add(tx, &kept)).await?;
        self.0.named.add(&key);
        self.recap().await?;
        let secret = self.0.keys.named(key.key);
        Ok((key, secret))
    }

    /// Makes a key void, at once and for good; gives its record.
    ///
    /// # Errors
    /// [`KeyError`] when there is no such key in force.
    pub async fn revoke_key(&self, name: &str) -> Result<Key, KeyError> {
        let (wanted, now_ms) = (name.to_owned(), clock::now_ms());
        let key = self.0.store.write(move |tx| keys::revoke(tx, &wanted, now_ms)).await?;
        self.0.named.revoke(&key);
        self.recap().await?;
        Ok(key)
    }

    /// The keys with names, those that are revoked among them, in the order in which they were made.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn keys(&self) -> Result<Vec<Key>, StoreError> {
        self.0.ledger.flush().await;
        self.0.store.read(keys::all).await
    }

    /// Lets sessions go on whose cap was raised, or is gone.
    fn review_parking(&self) {
        let resumed = self.0.control().review_parking(self.0.time.now());
        self.resume(resumed);
    }

    /// Keeps and tells that sessions are parked no more.
    pub fn resume(&self, resumed: Vec<Resumed>) {
        self.0.resume(resumed);
    }

    /// How a session is parked; `None` when it is not.
    #[must_use]
    pub fn parking_of(&self, session: SessionId) -> Option<Parking> {
        self.0.control().parking.get(&session.to_string()).cloned()
    }

    /// All sessions that are parked.
    #[must_use]
    pub fn parkings(&self) -> Vec<(SessionId, Parking)> {
        let control = self.0.control();
        control.parking.iter().filter_map(|(session, parking)| Some((session.parse().ok()?, parking.clone()))).collect()
    }

    /// Hears whenever a session was parked, or goes on.
    #[must_use]
    pub fn parking_changes(&self) -> watch::Receiver<u64> {
        self.0.parked.subscribe()
    }

    /// Forgets that a session was parked, since it ended.
    pub fn forget_parking(&self, session: SessionId) {
        self.0.forget_parking(&session.to_string());
    }

    /// What all calls share.
    #[must_use]
    pub fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// The key of a session.
    #[must_use]
    pub fn key_of(&self, session: SessionId) -> String {
        self.0.keys.of_session(session)
    }

    /// The door that a request is for; `None` where it is for another part of the daemon.
    #[must_use]
    pub fn door<'r>(method: &str, path: &'r str, query: Option<&str>) -> Option<Door<'r>> {
        door::find(method, path, query)
    }

    /// Answers a request that came to a door.
    pub async fn serve(&self, request: Request<Incoming>) -> Option<Response<Answer>> {
        let uri = request.uri().clone();
        let method = request.method().clone();
        let door = door::find(method.as_str(), uri.path(), uri.query())?;
        Some(call::serve(Arc::clone(&self.0), door, request).await)
    }
}

fn cache_of(config: &Config, keys: &Keys) -> Result<Option<Arc<Cache>>, GatewayError> {
    let Some(settings) = config.cache.clone() else { return Ok(None) };
    let cache = Cache::new(settings, keys.seal_for(b"orx gateway cache 1")).map_err(GatewayError::Cache)?;
    Ok(Some(Arc::new(cache)))
}

const fn subject(of: Of) -> Subject {
    match of {
        Of::All => Subject::All,
        Of::Session => Subject::Session,
        Of::Run => Subject::Run,
        Of::Project => Subject::Project,
        Of::User => Subject::User,
        Of::Key => Subject::Key,
    }
}
