//! Answers in a Redis, for daemons that share one or begin anew. It is never waited for long, what fails is a miss, and what was not
//! sealed by this user's daemon is not given to anybody.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError};
use ring::hmac;

use super::entry::Entry;
use super::key::Key;

/// How long Redis is waited for.
const WAIT: Duration = Duration::from_millis(100);
/// How long it is left alone after it failed.
const PAUSE: Duration = Duration::from_secs(5);
/// What its names begin with.
const PREFIX: &str = "orx:cache:";
/// Bytes of a seal.
const SEAL: usize = 32;

/// A Redis.
pub struct Remote {
    client: Client,
    seal: hmac::Key,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    connection: Option<ConnectionManager>,
    failed: Option<Instant>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The address may hold a password.
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

impl Remote {
    /// The Redis at an address; what is kept there is sealed with `seal`.
    ///
    /// # Errors
    /// As [`check`].
    pub fn new(address: &str, seal: hmac::Key) -> Result<Self, String> {
        Ok(Self { client: check(address)?, seal, state: Mutex::default() })
    }

    /// An answer.
    pub async fn get(&self, key: Key) -> Option<Entry> {
        let name = format!("{PREFIX}{}", key.to_hex());
        let value: Option<Vec<u8>> = self.ask(redis::cmd("GET").arg(name)).await?;
        let value = value?;
        let (seal, bytes) = value.split_at_checked(SEAL)?;
        if hmac::verify(&self.seal, &sealed(key, bytes), seal).is_err() {
            tracing::warn!(key = key.to_hex(), "An answer in Redis is not of this user's daemon and is not used.");
            return None;
        }
        Entry::from_bytes(bytes)
    }

    /// Keeps an answer for that long.
    pub async fn put(&self, key: Key, entry: &Entry, ttl: Duration) {
        let bytes = entry.to_bytes();
        let mut value = hmac::sign(&self.seal, &sealed(key, &bytes)).as_ref().to_vec();
        value.extend_from_slice(&bytes);
        let name = format!("{PREFIX}{}", key.to_hex());
        let command = redis::cmd("SET").arg(name).arg(value).arg("EX").arg(ttl.as_secs().max(1)).to_owned();
        let _: Option<()> = self.ask(&command).await;
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        let connection = {
            let state = self.state();
            if state.failed.is_some_and(|failed| failed.elapsed() < PAUSE) {
                return None;
            }
            state.connection.clone()
        };
        let answered = tokio::time::timeout(WAIT, async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            command.query_async(&mut connection).await
        });
        let why = match answered.await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.category().to_owned(),
            Err(_) => format!("it did not answer within {} ms", WAIT.as_millis()),
        };
        tracing::warn!(why, "The cache's Redis does not serve: answers are kept in memory alone for now.");
        let mut state = self.state();
        state.failed = Some(Instant::now());
        state.connection = None;
        None
    }

    async fn connect(&self) -> Result<ConnectionManager, RedisError> {
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(Some(WAIT))
            .set_response_timeout(Some(WAIT));
        let connection = ConnectionManager::new_with_config(self.client.clone(), config).await?;
        self.state().connection = Some(connection.clone());
        Ok(connection)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an address is one of a Redis. Nothing is asked there.
///
/// # Errors
/// What is wrong with it; never the address itself, which may hold a password.
pub fn check(address: &str) -> Result<Client, String> {
    Client::open(address)
        .map_err(|error| format!("`redis`: {}: write it as redis://127.0.0.1:6379/0", error.category()))
}

/// What a seal is over: an answer under another call's name is none.
fn sealed(key: Key, bytes: &[u8]) -> Vec<u8> {
    [&key.0, bytes].concat()
}
