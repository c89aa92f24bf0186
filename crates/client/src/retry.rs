//! Calls that survive a restart of the daemon: the same request is repeated, on new connections where needed, until it
//! is answered or its time is over.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backoff::Backoff;
use crate::client::Client;
use crate::error::ClientError;

impl Client {
    /// Calls a method until it is answered, for at most `deadline`: after a lost connection, a missed answer, a worker
    /// that died or an error that the daemon marks as retryable, the same request is sent again. Only for requests that
    /// may be carried out twice, or whose `params` hold an idempotency key of the caller.
    ///
    /// # Errors
    /// The first error that does not pass by waiting, or the last one when the deadline is over.
    pub async fn call_idempotent<P, R>(&self, method: &str, params: &P, deadline: Duration) -> Result<R, ClientError>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let started = Instant::now();
        let mut backoff = Backoff::reconnect();
        let mut client = Some(self.clone());
        loop {
            let left = deadline.saturating_sub(started.elapsed());
            let outcome = match client.take().filter(|client| !client.is_closed()) {
                Some(open) => Ok(open),
                None => Self::connect_with(self.path(), self.options().clone()).await,
            };
            let error = match outcome {
                Ok(open) => {
                    let attempt = left.min(self.options().deadline);
                    match open.call_with_deadline(method, params, attempt).await {
                        Ok(result) => return Ok(result),
                        Err(error) => {
                            client = Some(open);
                            error
                        }
                    }
                }
                Err(error) => error,
            };
            let pause = backoff.next_pause();
            if !error.is_repeatable() || started.elapsed().saturating_add(pause) >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, method, "the request is repeated");
            tokio::time::sleep(pause).await;
        }
    }
}
