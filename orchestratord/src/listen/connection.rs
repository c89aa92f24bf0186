//! What is the same on every lasting connection (Unix socket, WebSocket): bodies come in, are answered as they finish,
//! and what the connection stands for (a worker, subscriptions) ends with it.

use orx_protocol::api::worker::RegisterParams;
use orx_protocol::rpc::{self, Incoming};
use orx_protocol::{ErrorKind, RpcError, WorkerId};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::outbox::{Outbox, Touched};
use crate::access::Caller;
use crate::api::{self, Call};
use crate::daemon::Daemon;
use crate::reply::{ReplyTo, Shape};

/// One lasting connection.
pub struct Connection {
    /// The daemon.
    pub daemon: Arc<Daemon>,
    /// Who is at the other end.
    pub caller: Caller,
    /// What waits to be written.
    pub outbox: Outbox,
    worker: std::sync::Mutex<Option<WorkerId>>,
    subscriptions: AtomicU32,
}

/// What to do after a body.
#[derive(Debug)]
pub enum Next {
    /// Read on.
    Continue,
    /// The connection is handed to the session's holder; the request's identifier and parameters.
    Attach(Box<api::session::AttachRequest>),
}

/// Subscriptions that one connection may have.
const SUBSCRIPTIONS: u32 = 64;

impl Connection {
    /// A connection that has said nothing yet.
    #[must_use]
    pub fn new(daemon: Arc<Daemon>, caller: Caller, outbox: Outbox) -> Arc<Self> {
        Arc::new(Self { daemon, caller, outbox, worker: std::sync::Mutex::new(None), subscriptions: AtomicU32::new(0) })
    }

    /// Deals with one body; answers are queued and written when `touched` is flushed, or later.
    pub fn receive(self: &Arc<Self>, body: &[u8], touched: &mut Touched) -> Next {
        match Incoming::parse(body) {
            Ok(Incoming::Call { id, method, params }) => {
                if method == api::session::ATTACH {
                    return match api::session::AttachRequest::read(id.clone(), params) {
                        Ok(request) => Next::Attach(Box::new(request)),
                        Err(error) => {
                            ReplyTo::connection(self.outbox.clone(), id, Shape::Rpc).queue(Err(error), touched);
                            Next::Continue
                        }
                    };
                }
                let reply = ReplyTo::connection(self.outbox.clone(), id, Shape::Rpc);
                api::handle(self.call(&method, params), Some(self), reply, touched);
            }
            Ok(Incoming::Legacy(envelope)) => {
                let reply = ReplyTo::connection(self.outbox.clone(), envelope.id.clone(), Shape::Legacy);
                let method = envelope.method();
                api::handle(self.call(&method, envelope.params), Some(self), reply, touched);
            }
            Ok(Incoming::Answer { id, outcome }) => {
                let worker = *self.worker.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if let Some(worker) = worker {
                    self.daemon.dispatcher.answered(worker, &id, outcome, touched);
                }
            }
            Err(bad) => {
                self.outbox.push(&rpc::failure(bad.id.as_ref(), &bad.error));
                touched.add(&self.outbox);
            }
        }
        Next::Continue
    }

    fn call<'a>(&'a self, method: &'a str, params: Option<&'a serde_json::value::RawValue>) -> Call<'a> {
        Call { daemon: &self.daemon, caller: &self.caller, method, params }
    }

    /// Makes this connection a worker's.
    pub fn register(&self, params: &RegisterParams, reply: ReplyTo) {
        let mut worker = self.worker.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if worker.is_some() {
            return reply.send(Err(RpcError::new(
                ErrorKind::Conflict,
                "this connection is registered as a worker already",
            )
            .with_hint("one connection serves one role: open another")));
        }
        let pid = self.caller.pid.or(params.pid);
        let supervised =
            self.caller.pid.is_some_and(|pid| self.daemon.supervisor().is_some_and(|supervisor| supervisor.owns(pid)));
        *worker = self.daemon.dispatcher.register(params, &self.outbox, pid, supervised, reply);
        if let Some(worker) = *worker {
            self.daemon.worker_registered(worker, params, pid);
        }
    }

    /// Counts a further subscription.
    ///
    /// # Errors
    /// `Overloaded` at the limit.
    pub fn subscribe(&self) -> Result<(), RpcError> {
        if self.subscriptions.fetch_add(1, Ordering::Relaxed) >= SUBSCRIPTIONS {
            return Err(RpcError::new(
                ErrorKind::Overloaded,
                format!("a connection has at most {SUBSCRIPTIONS} subscriptions"),
            ));
        }
        Ok(())
    }

    /// The connection is over.
    pub fn close(&self) {
        self.outbox.ended().cancel();
        let worker = self.worker.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(worker) = worker
            && let Some(role) = self.daemon.dispatcher.remove(worker)
        {
            self.daemon.worker_lost(worker, role);
        }
    }
}
