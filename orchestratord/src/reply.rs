//! Where an answer goes: to a connection in the shape in which it asked, or to one waiting HTTP request.

use orx_protocol::rpc::{self, CallId};
use orx_protocol::{ErrorKind, RpcError, clock, legacy};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::listen::outbox::{Outbox, Touched};

/// A result as text, or an error.
pub type Outcome = Result<Box<RawValue>, RpcError>;

/// The shape of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// JSON-RPC 2.0.
    Rpc,
    /// S1's envelope.
    Legacy,
}

/// Where one answer goes; it is used up by answering. One that is dropped unanswered answers that, so that no caller waits
/// for what will not come.
pub struct ReplyTo(Option<Target>);

impl Drop for ReplyTo {
    fn drop(&mut self) {
        if let Some(target) = self.0.take() {
            let error = RpcError::new(ErrorKind::Internal, "the request was dropped without an answer");
            let mut touched = Touched::default();
            target.queue(Err(error), &mut touched);
            touched.flush();
        }
    }
}

enum Target {
    Connection {
        outbox: Outbox,
        id: Option<CallId>,
        shape: Shape,
    },
    Once(oneshot::Sender<Outcome>),
    /// A notification is not answered.
    Nobody,
}

impl ReplyTo {
    /// To a connection.
    #[must_use]
    pub fn connection(outbox: Outbox, id: Option<CallId>, shape: Shape) -> Self {
        match (&id, shape) {
            (None, Shape::Rpc) => Self(Some(Target::Nobody)),
            _ => {
                outbox.owe();
                Self(Some(Target::Connection { outbox, id, shape }))
            }
        }
    }

    /// To one waiting task.
    #[must_use]
    pub fn once() -> (Self, oneshot::Receiver<Outcome>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Some(Target::Once(sender))), receiver)
    }

    /// Answers and writes.
    pub fn send(self, outcome: Outcome) {
        let mut touched = Touched::default();
        self.queue(outcome.as_deref().map_err(Clone::clone), &mut touched);
        touched.flush();
    }

    /// Answers; the write follows when `touched` is flushed.
    pub fn queue(mut self, outcome: Result<&RawValue, RpcError>, touched: &mut Touched) {
        if let Some(target) = self.0.take() {
            target.queue(outcome, touched);
        }
    }
}

impl Target {
    fn queue(self, outcome: Result<&RawValue, RpcError>, touched: &mut Touched) {
        match self {
            Self::Nobody => {}
            Self::Once(sender) => {
                // A caller that is gone needs no answer.
                let _ = sender.send(outcome.map(ToOwned::to_owned));
            }
            Self::Connection { outbox, id, shape: Shape::Rpc } => {
                match (&outcome, &id) {
                    (Ok(result), Some(id)) => {
                        let id = serde_json::to_string(id).unwrap_or_default();
                        outbox.push_parts(&[
                            b"{\"jsonrpc\":\"2.0\",\"id\":",
                            id.as_bytes(),
                            b",\"result\":",
                            result.get().as_bytes(),
                            b"}",
                        ]);
                    }
                    (Ok(_), None) => {}
                    (Err(error), id) => outbox.push(&rpc::failure(id.as_ref(), error)),
                }
                outbox.settle();
                touched.add(&outbox);
            }
            Self::Connection { outbox, id, shape: Shape::Legacy } => {
                outbox.push(&legacy::answer(id.as_ref(), outcome.as_ref().map(|raw| *raw), clock::now_ms()));
                outbox.settle();
                touched.add(&outbox);
            }
        }
    }
}

/// A value as JSON text.
///
/// # Errors
/// `Internal` when the type cannot be written as JSON.
pub fn raw<T: Serialize + ?Sized>(value: &T) -> Outcome {
    serde_json::value::to_raw_value(value)
        .map_err(|error| RpcError::new(ErrorKind::Internal, format!("a result could not be written as JSON: {error}")))
}
