//! What the store's tests share.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use orx_store::{Store, StoreError};
use serde_json::value::RawValue;
use tempfile::TempDir;
use tokio::task::JoinSet;

/// Time after which a test that waits has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A store in a directory of its own.
pub(crate) struct Fixture {
    pub(crate) directory: TempDir,
    pub(crate) path: PathBuf,
    pub(crate) store: Store,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orx.db");
        let store = Store::open(&path).unwrap();
        Self { directory, path, store }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopen(self) -> Self {
        self.store.close().await.unwrap();
        let store = Store::open(&self.path).unwrap();
        Self { store, ..self }
    }
}

/// Keeps the writer busy, so that what is written meanwhile ends up in one batch.
pub(crate) struct Held {
    release: SyncSender<()>,
    tasks: JoinSet<Result<(), StoreError>>,
}

impl Held {
    pub(crate) async fn hold(store: &Store) -> Self {
        let (release, released): (_, Receiver<()>) = sync_channel(1);
        let (began, beginning) = tokio::sync::oneshot::channel();
        let mut tasks = JoinSet::new();
        let store = store.clone();
        tasks.spawn(async move {
            store
                .write(move |_| {
                    began.send(()).unwrap();
                    released.recv_timeout(DEADLINE).unwrap();
                    Ok(())
                })
                .await
        });
        beginning.await.unwrap();
        Self { release, tasks }
    }

    /// Lets the writer go on once `queued` operations wait behind it.
    pub(crate) async fn release_when_queued(mut self, store: &Store, queued: usize) {
        let wait = async {
            while store.statistics().unwrap().queued < queued {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap();
        self.release.send(()).unwrap();
        // The outcome of the holding operation is that of its batch; the tests look at the other ones.
        let _ = self.tasks.join_next().await;
    }
}

pub(crate) fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}
