//! The one thread that writes. It runs every operation that is queued in one transaction, each within a savepoint,
//! commits once, and only then answers them all: one disk sync serves many callers.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use crate::lock::DatabaseLock;
use crate::sql::Transaction;
use crate::wal::{self, Checkpointer};
use crate::{StoreError, events};

/// Operations that may wait; further callers wait for a place.
pub(crate) const QUEUE: usize = 4096;
/// Most operations in one commit.
const BATCH: usize = 1024;
/// How long a batch takes in further operations, so that the first in it is not kept waiting by a crowd.
const GATHER: Duration = Duration::from_millis(4);

/// Where the end of the writer is reported.
pub(crate) type CloseReply = oneshot::Sender<Result<(), StoreError>>;

/// What the writer is asked for.
pub(crate) enum Message {
    /// Run this and answer it once it is durable.
    Run(Box<dyn Operation>),
    /// Do what is queued, empty the log and end.
    Close(CloseReply),
}

/// A queued write whose result type is hidden.
pub(crate) trait Operation: Send {
    /// Runs it and keeps its result; tells whether its changes are to be kept.
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), StoreError>;
    /// Hands the result over once it is known what became of the `batch`.
    fn answer(self: Box<Self>, batch: Result<(), StoreError>);
}

/// A write of one caller.
pub(crate) struct Pending<F, T> {
    operation: Option<F>,
    /// What the operation returned; `None` until it ran.
    outcome: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<F, T> Pending<F, T> {
    pub(crate) fn new(operation: F, reply: oneshot::Sender<Result<T, StoreError>>) -> Self {
        Self { operation: Some(operation), outcome: None, reply }
    }
}

impl<F, T> Operation for Pending<F, T>
where
    F: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send,
    T: Send,
{
    fn run(&mut self, tx: &mut Transaction<'_>) -> Result<(), StoreError> {
        let Some(operation) = self.operation.take() else { return Ok(()) };
        let outcome = catch_unwind(AssertUnwindSafe(|| operation(tx)))
            .unwrap_or_else(|panic| Err(StoreError::Panicked(message_of(&*panic))));
        let kept = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        self.outcome = Some(outcome);
        kept
    }

    fn answer(self: Box<Self>, batch: Result<(), StoreError>) {
        let answer = match (self.outcome, batch) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(of_batch)) => Err(of_batch),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Internal("an operation was passed over".to_owned())),
        };
        // A caller that went away has no use for the answer; what it asked for is done.
        drop(self.reply.send(answer));
    }
}

/// The text of a panic.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// What the writer has done since it began.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Transactions that became durable.
    pub(crate) commits: AtomicU64,
    /// Operations in them.
    pub(crate) operations: AtomicU64,
    /// Whether the last transaction was refused.
    pub(crate) failing: AtomicBool,
}

/// The writer's side of the store.
pub(crate) struct Writer {
    connection: Connection,
    path: Arc<Path>,
    queue: mpsc::Receiver<Message>,
    head: watch::Sender<u64>,
    work: Arc<Work>,
    checkpointer: Checkpointer,
    /// Held until the last write is done, even when the store's handles are gone before.
    _lock: Arc<DatabaseLock>,
}

/// Operations of one transaction, run but not yet answered.
struct Batch {
    operations: Vec<Box<dyn Operation>>,
    /// The last event that they appended.
    appended: Option<u64>,
    /// Whether any of them changed a row: one that changes none succeeds on a full disk too.
    changed: bool,
    begun: Instant,
}

impl Writer {
    /// A writer over `connection`.
    ///
    /// # Errors
    /// As the database cannot be read.
    pub(crate) fn new(
        mut connection: Connection,
        path: Arc<Path>,
        queue: mpsc::Receiver<Message>,
        work: Arc<Work>,
        lock: Arc<DatabaseLock>,
    ) -> Result<(Self, watch::Receiver<u64>), StoreError> {
        let checkpointer = Checkpointer::watch(&mut connection, &path)?;
        let last = events::head(&Transaction::new(&connection, &path))?;
        let (head, heard) = watch::channel(last);
        Ok((Self { connection, path, queue, head, work, checkpointer, _lock: lock }, heard))
    }

    /// Works until the store is closed or its last handle is gone, and then through what is still queued.
    pub(crate) fn run(mut self) {
        let mut closing = Vec::new();
        while let Some(message) = self.queue.blocking_recv() {
            let close = match message {
                Message::Run(operation) => self.batch(operation),
                Message::Close(reply) => Some(reply),
            };
            if let Some(reply) = close {
                self.queue.close();
                closing.push(reply);
            }
            self.checkpointer.tend(&self.connection);
        }
        let outcome = self.empty_log();
        drop(self);
        for reply in closing {
            drop(reply.send(outcome.clone()));
        }
    }

    /// Runs `first` and what is queued behind it in one transaction and answers it; returns a request to close that came
    /// in between.
    fn batch(&mut self, first: Box<dyn Operation>) -> Option<CloseReply> {
        if let Err(error) = self.statement("BEGIN IMMEDIATE") {
            return self.refuse(first, &error);
        }
        let mut batch = Batch { operations: Vec::new(), appended: None, changed: false, begun: Instant::now() };
        let mut close = None;
        let mut next = Some(first);
        let mut outcome = Ok(());
        while let Some(operation) = next.take() {
            outcome = self.take_in(operation, &mut batch);
            if outcome.is_err() || batch.operations.len() >= BATCH || batch.begun.elapsed() >= GATHER {
                break;
            }
            match self.queue.try_recv() {
                Ok(Message::Run(operation)) => next = Some(operation),
                Ok(Message::Close(reply)) => close = Some(reply),
                Err(_) => {}
            }
        }
        let outcome = outcome.and_then(|()| self.commit(&batch));
        if outcome.is_err() || batch.changed {
            self.report(outcome.as_ref().err());
        }
        for operation in batch.operations {
            operation.answer(outcome.clone());
        }
        close
    }

    /// Runs one operation within a savepoint, which alone is taken back when the operation fails.
    ///
    /// # Errors
    /// As the whole transaction is lost with it.
    fn take_in(&self, mut operation: Box<dyn Operation>, batch: &mut Batch) -> Result<(), StoreError> {
        let mut tx = Transaction::new(&self.connection, &self.path);
        let changes = self.connection.total_changes();
        let ran = self.statement("SAVEPOINT operation").and_then(|()| operation.run(&mut tx));
        let appended = tx.appended();
        batch.operations.push(operation);
        if self.connection.is_autocommit() {
            // SQLite ends the whole transaction by itself after some errors, a full disk among them.
            let cause =
                ran.err().unwrap_or_else(|| StoreError::Internal("an operation ended the transaction".to_owned()));
            return Err(cause);
        }
        match ran {
            Ok(()) => {
                batch.appended = appended.or(batch.appended);
                batch.changed |= self.connection.total_changes() > changes;
                self.statement("RELEASE operation")
            }
            Err(_) => self.statement("ROLLBACK TO operation").and_then(|()| self.statement("RELEASE operation")),
        }
    }

    /// Makes the batch durable and wakes those who wait for the journal.
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.statement("COMMIT")?;
        self.work.commits.fetch_add(1, Ordering::Relaxed);
        self.work.operations.fetch_add(batch.operations.len() as u64, Ordering::Relaxed);
        if let Some(seq) = batch.appended {
            self.head.send_replace(seq);
        }
        Ok(())
    }

    /// Answers everything that is queued now with `error`: each would only wait for the same failure again.
    fn refuse(&mut self, first: Box<dyn Operation>, error: &StoreError) -> Option<CloseReply> {
        self.report(Some(error));
        first.answer(Err(error.clone()));
        for _ in 0..QUEUE {
            match self.queue.try_recv() {
                Ok(Message::Run(operation)) => operation.answer(Err(error.clone())),
                Ok(Message::Close(reply)) => return Some(reply),
                Err(_) => break,
            }
        }
        None
    }

    /// Logs when the database stops taking writes and when it takes them again, not each refusal in between.
    fn report(&self, error: Option<&StoreError>) {
        match (error, self.work.failing.swap(error.is_some(), Ordering::Relaxed)) {
            (Some(error), false) => tracing::error!(%error, path = %self.path.display(), "writes are refused"),
            (None, true) => tracing::info!(path = %self.path.display(), "writes are taken again"),
            _ => {}
        }
    }

    /// Runs a statement about the transaction itself; a failure takes the whole transaction back.
    fn statement(&self, sql: &str) -> Result<(), StoreError> {
        let ran = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([]));
        let Err(error) = ran else { return Ok(()) };
        let error = StoreError::from_sqlite(&error, &self.path);
        if !self.connection.is_autocommit()
            && let Err(rollback) = self.connection.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, %rollback, "a failed transaction could not be taken back");
        }
        Err(error)
    }

    /// Copies the log into the database, so that the file alone holds everything.
    fn empty_log(&self) -> Result<(), StoreError> {
        match wal::truncate(&self.connection) {
            Ok(true) => Ok(()),
            Ok(false) => Err(StoreError::Busy { path: self.path.to_path_buf() }),
            Err(error) => Err(StoreError::from_sqlite(&error, &self.path)),
        }
    }
}
