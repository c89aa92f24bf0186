//! Serving as a worker: register a role on a connection of its own, work on what the daemon sends, and leave in order.
//! The handler may call the daemon over the same connection.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use orx_protocol::api::Empty;
use orx_protocol::api::worker::{DRAIN, DrainParams, PING, RegisterParams, Registered};
use orx_protocol::error::{ErrorKind, RpcError};
use orx_protocol::id::WorkerId;
use orx_protocol::rpc::{self, CallId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{Client, ConnectOptions, Context};
use crate::connection::{Connection, Delivery, Shared, open};
use crate::error::ClientError;

/// Requests beyond its capacity that a worker lets wait; the daemon respects the capacity, so this is a margin only.
const WAITING: usize = 64;

/// How long the daemon may take to learn that a worker leaves.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a handler gives: the result's JSON, or the error to answer with.
pub type Answer = Result<Box<RawValue>, RpcError>;

/// A request that the daemon dispatched to this worker.
#[derive(Debug)]
pub struct Request {
    /// Names the dispatch; the same when the request is dispatched again, so it serves as an idempotency key.
    pub dispatch_id: String,
    /// The whole method, `<role>.<action>`.
    pub method: String,
    /// The method without the role.
    pub action: String,
    /// The caller's parameters, untouched; `None` when there are none.
    pub params: Option<Box<RawValue>>,
    /// Calls to the daemon over this worker's own connection.
    pub client: Client,
}

impl Request {
    /// Reads the parameters into their type; absent ones are an empty object.
    ///
    /// # Errors
    /// `InvalidParams`, naming the method and the member that does not fit.
    pub fn params<P: DeserializeOwned>(&self) -> Result<P, RpcError> {
        rpc::params(&self.method, self.params.as_deref())
    }

    /// The answer that carries `result`.
    ///
    /// # Errors
    /// `Internal` when the value cannot be written as JSON.
    pub fn answer<T: Serialize + ?Sized>(result: &T) -> Answer {
        serde_json::value::to_raw_value(result)
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the result could not be written: {error}")))
    }
}

type Handler = dyn Fn(Request) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync;

/// Where a worker's requests arrive; owned by the reader of its connection.
pub(crate) struct Desk {
    connection: Weak<Connection>,
    context: Arc<DeskContext>,
}

struct DeskContext {
    role_prefix: String,
    handler: Box<Handler>,
    capacity: usize,
    at_work: Semaphore,
    tasks: TaskTracker,
    draining: CancellationToken,
    client: Arc<Context>,
}

impl Desk {
    /// Takes one call of the daemon. Requests are worked on in tasks of their own, so that reading goes on.
    pub(crate) async fn accept(&self, shared: &Shared, id: Option<CallId>, method: &str, params: Option<&RawValue>) {
        let context = &self.context;
        let Some(id) = id else {
            if method == DRAIN {
                context.draining.cancel();
            }
            return;
        };
        if method == PING {
            reply(shared, &id, Request::answer(&Empty {}), context.client.options.send_limit).await;
            return;
        }
        let refusal = if context.draining.is_cancelled() {
            Some(RpcError::new(ErrorKind::Draining, "the worker takes no new requests: it is leaving"))
        } else if context.tasks.len() >= context.capacity + WAITING {
            Some(RpcError::new(
                ErrorKind::Overloaded,
                format!("the worker has {} requests already", context.tasks.len()),
            ))
        } else {
            None
        };
        if let Some(error) = refusal {
            reply(shared, &id, Err(error), context.client.options.send_limit).await;
            return;
        }
        let Some(connection) = self.connection.upgrade() else { return };
        let client = Client::assemble(Arc::clone(&connection), Arc::clone(&context.client));
        let request = Request {
            dispatch_id: match &id {
                CallId::Number(number) => number.to_string(),
                CallId::Text(text) => text.clone(),
            },
            method: method.to_owned(),
            action: method.strip_prefix(&context.role_prefix).unwrap_or(method).to_owned(),
            params: params.map(ToOwned::to_owned),
            client,
        };
        let context = Arc::clone(context);
        self.context.tasks.spawn(async move {
            let ended = connection.shared.ended.clone();
            // Whoever asked is told by the daemon; work for a connection that is gone has no reader.
            let _ = ended.run_until_cancelled(work(&context, &connection.shared, &id, request)).await;
        });
    }
}

async fn work(context: &DeskContext, shared: &Shared, id: &CallId, request: Request) {
    let method = request.method.clone();
    let answer = {
        let Ok(_place) = context.at_work.acquire().await else { return };
        match AssertUnwindSafe(async { (context.handler)(request).await }).catch_unwind().await {
            Ok(answer) => answer,
            Err(panic) => {
                let what = panic_text(panic.as_ref());
                tracing::error!(method, what, "a request made the worker panic");
                Err(RpcError::new(ErrorKind::Internal, format!("`{method}` failed inside the worker: {what}")))
            }
        }
        // The place is free before the answer is sent: the next request may follow it at once.
    };
    reply(shared, id, answer, context.client.options.send_limit).await;
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

async fn reply(shared: &Shared, id: &CallId, answer: Answer, limit: usize) {
    let body = match answer.and_then(|result| rpc::success(id, &result)) {
        Ok(body) if body.len() <= limit => body,
        Ok(body) => {
            let message = format!("the result has {} bytes, a frame carries at most {limit}", body.len());
            rpc::failure(Some(id), &RpcError::new(ErrorKind::TooLarge, message).with_hint("ask for less, with a limit"))
        }
        Err(error) => rpc::failure(Some(id), &error),
    };
    // Fails only when the connection is gone; the daemon then dispatches again or answers `WorkerLost`.
    let _ = shared.outbox.push(&body).await;
}

/// How a worker's connection came to its end.
#[derive(Debug)]
pub enum WorkerEnd {
    /// It was drained: all that it had was answered.
    Drained,
    /// The connection ended.
    Lost(ClientError),
}

/// A registered worker.
pub struct WorkerLink {
    client: Client,
    worker: WorkerId,
    context: Arc<DeskContext>,
}

impl std::fmt::Debug for WorkerLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerLink").field("worker", &self.worker).finish_non_exhaustive()
    }
}

impl WorkerLink {
    /// Connects, registers, and serves requests with `handler` from then on, at most `params.capacity` at once. A panic
    /// of the handler answers that request with an `Internal` error and touches no other.
    ///
    /// # Errors
    /// `NotReachable`, and what `worker.register` answers.
    pub async fn register<F, W>(
        path: &Path,
        params: &RegisterParams,
        options: ConnectOptions,
        handler: F,
    ) -> Result<Self, ClientError>
    where
        F: Fn(Request) -> W + Send + Sync + 'static,
        W: Future<Output = Answer> + Send + 'static,
    {
        let stream = open(path, options.connect_patience).await?;
        let capacity = usize::try_from(params.capacity.max(1)).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let context = Arc::new(DeskContext {
            role_prefix: format!("{}.", params.role),
            handler: Box::new(move |request| Box::pin(handler(request))),
            capacity,
            at_work: Semaphore::new(capacity),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            client: Arc::new(Context::new(path, options)),
        });
        let at_desk = Arc::clone(&context);
        let connection = Connection::start(stream, context.client.options.receive_limit, |connection| {
            Delivery::Worker(Desk { connection, context: at_desk })
        });
        let client = Client::assemble(connection, Arc::clone(&context.client));
        let registered: Registered = client.call("worker.register", params).await?;
        Ok(Self { client, worker: registered.worker, context })
    }

    /// The name under which the daemon knows this worker.
    #[must_use]
    pub const fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Calls to the daemon over the worker's own connection.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Requests that are worked on or wait for a place now.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.context.tasks.len()
    }

    /// Serves until the connection ends or the daemon drains this worker. May be dropped and called again.
    pub async fn finished(&self) -> WorkerEnd {
        tokio::select! {
            reason = self.client.closed() => WorkerEnd::Lost(reason),
            () = self.context.draining.cancelled() => self.finish().await,
        }
    }

    /// Leaves: tells the daemon to send no more, finishes what is in hand, sends the answers and closes.
    pub async fn drain(&self) -> WorkerEnd {
        let farewell = DrainParams { worker: self.worker };
        if let Err(error) = self.client.call_raw_with_deadline(DRAIN, &farewell, FAREWELL).await {
            tracing::debug!(%error, "the daemon did not take notice of the drain");
        }
        self.context.draining.cancel();
        self.finish().await
    }

    async fn finish(&self) -> WorkerEnd {
        self.context.tasks.close();
        tokio::select! {
            biased;
            () = self.context.tasks.wait() => {
                self.client.close().await;
                WorkerEnd::Drained
            }
            reason = self.client.closed() => WorkerEnd::Lost(reason),
        }
    }
}
