//! The handle that the rest of the daemon holds.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use crate::lock::DatabaseLock;
use crate::readers::Readers;
use crate::sql::{Reader, Transaction};
use crate::writer::{Message, Pending, QUEUE, Work, Writer};
use crate::{StoreError, connection, wal};

/// One database, open. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: Arc<Path>,
    wal: PathBuf,
    queue: mpsc::Sender<Message>,
    readers: Readers,
    head: watch::Receiver<u64>,
    work: Arc<Work>,
    lock: Mutex<Option<Arc<DatabaseLock>>>,
}

/// Figures about a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    /// Size of the database's file, in bytes.
    pub database_bytes: u64,
    /// Size of its write-ahead log, in bytes; the store cuts it when it passes 64 MiB.
    pub wal_bytes: u64,
    /// Number of the last event; 0 before the first.
    pub head: u64,
    /// Transactions that became durable since the store was opened.
    pub commits: u64,
    /// Operations in those transactions.
    pub operations: u64,
    /// Operations that wait for the writer.
    pub queued: usize,
}

impl Store {
    /// Opens the database at `path`, or creates it (readable by its owner alone) and brings its schema up to date. Reads
    /// and writes files: call it before the daemon serves, or on a thread that may block.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without the directory, [`StoreError::Locked`] when another daemon has the database,
    /// [`StoreError::NewerSchema`], [`StoreError::Corrupt`] when the file is no database of orx, [`StoreError::Io`],
    /// [`StoreError::Full`]. What is at `path` is unchanged then.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        connection::check_directory(path)?;
        let lock = Arc::new(DatabaseLock::acquire(path)?);
        connection::prepare_file(path)?;
        let connection = connection::open_writer(path)?;
        let path: Arc<Path> = Arc::from(path);
        let work = Arc::new(Work::default());
        let (sender, receiver) = mpsc::channel(QUEUE);
        let (writer, head) =
            Writer::new(connection, Arc::clone(&path), receiver, Arc::clone(&work), Arc::clone(&lock))?;
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::from_io(&error, &path))?;
        let inner = Inner {
            wal: wal::path_of(&path),
            readers: Readers::new(Arc::clone(&path)),
            path,
            queue: sender,
            head,
            work,
            lock: Mutex::new(Some(lock)),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Path of the database.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `operation` and returns once what it did is on disk. A failing or panicking operation is taken back alone.
    /// It runs on the writer's thread together with others: it should be short, and do nothing but use its transaction.
    /// Once it is queued it is run, also when the caller stops waiting.
    ///
    /// # Errors
    /// What the operation returned; or [`StoreError::Full`], [`StoreError::Io`] or [`StoreError::Busy`] when the database
    /// did not take it, [`StoreError::Panicked`], [`StoreError::Closed`]. Nothing is kept then.
    pub async fn write<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let message = Message::Run(Box::new(Pending::new(operation, reply)));
        self.inner.queue.send(message).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// [`Self::write`] for threads outside the asynchronous runtime.
    ///
    /// # Panics
    /// On a thread that runs asynchronous tasks, which must not block.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn write_blocking<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        F: FnOnce(&mut Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let message = Message::Run(Box::new(Pending::new(operation, reply)));
        self.inner.queue.blocking_send(message).map_err(|_| StoreError::Closed)?;
        answer.blocking_recv().map_err(|_| StoreError::Closed)?
    }

    /// Runs `operation` on one consistent state of the database, which holds every write that was answered before.
    ///
    /// # Errors
    /// What the operation returned, or as the database cannot be read; [`StoreError::Panicked`], [`StoreError::Closed`].
    pub async fn read<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        F: FnOnce(&Reader<'_>) -> Result<T, StoreError> + Send + 'static,
        T: Send + 'static,
    {
        self.inner.readers.read(operation).await
    }

    /// The number of the last event on disk, to wait on for its growth.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<u64> {
        self.inner.head.clone()
    }

    /// Whether the last write was taken: `false` from a refusal (a full disk, an I/O error) until one succeeds again.
    #[must_use]
    pub fn takes_writes(&self) -> bool {
        !self.inner.work.failing.load(Ordering::Relaxed)
    }

    /// Figures of this moment.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the files cannot be looked at.
    pub fn statistics(&self) -> Result<Statistics, StoreError> {
        let inner = &self.inner;
        Ok(Statistics {
            database_bytes: wal::size_of(&inner.path)?,
            wal_bytes: wal::size_of(&inner.wal)?,
            head: *inner.head.borrow(),
            commits: inner.work.commits.load(Ordering::Relaxed),
            operations: inner.work.operations.load(Ordering::Relaxed),
            queued: inner.queue.max_capacity().saturating_sub(inner.queue.capacity()),
        })
    }

    /// Waits for the reads that run and the writes that are queued, copies the log into the database and gives the
    /// database free for another process. Every handle answers [`StoreError::Closed`] from then on.
    ///
    /// # Errors
    /// As the log could not be copied (the next start does it); [`StoreError::Closed`] when it was closed before.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.readers.close().await;
        let (reply, answer) = oneshot::channel();
        self.inner.queue.send(Message::Close(reply)).await.map_err(|_| StoreError::Closed)?;
        let outcome = answer.await.map_err(|_| StoreError::Closed)?;
        self.inner.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome
    }
}
