//! The ledger: a row a call, on its way to the store while the call is, so that neither waits for the other. What is still to be
//! written when many calls come goes into one transaction; a call that began and ended in between is written once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use orx_protocol::KeyId;
use orx_protocol::event::kind;
use orx_store::{CallRow, Store, StoreError, calls, events, keys, parkings};
use tokio::sync::{Notify, mpsc};
use tokio_util::task::TaskTracker;

/// Rows that may wait; a call that finds no room waits before it is sent, so that none is forgotten.
const QUEUE: usize = 16_384;
/// Pause before a store that failed is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// Most rows of one transaction.
const BATCH: usize = 1_024;
/// How long rows wait for others to be written with: a transaction is a sync of the disk, and a call that is over within this time
/// is written once. What a kill may cost is the rows of this time.
const GATHERING: Duration = Duration::from_millis(2);

/// What is to be written.
#[derive(Debug)]
enum Entry {
    Row(Box<CallRow>),
    Alerted {
        cap: String,
        subject: String,
        start_ms: u64,
    },
    Breakers(Vec<(String, String, String)>),
    /// A key with a name was used.
    KeyUsed {
        key: KeyId,
        at_ms: u64,
    },
    /// A session is parked, with its event.
    Parked {
        session: String,
        body: String,
        data: serde_json::Value,
    },
    /// A session is parked no more, with its event unless it ended.
    Resumed {
        session: String,
        data: Option<serde_json::Value>,
    },
    /// Everything before this is on disk once it is answered.
    Flush(tokio::sync::oneshot::Sender<()>),
}

/// The way to the store.
#[derive(Debug, Clone)]
pub struct Ledger {
    queue: mpsc::Sender<Entry>,
    tasks: TaskTracker,
    /// Somebody waits for what is gathered.
    hurry: Arc<Notify>,
}

impl Ledger {
    /// A ledger and the task that writes it, which ends when the last handle is gone and everything is written.
    pub fn new(store: Store, tasks: TaskTracker) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, entries) = mpsc::channel(QUEUE);
        let hurry = Arc::new(Notify::new());
        (Self { queue, tasks, hurry: Arc::clone(&hurry) }, write(store, entries, hurry))
    }

    /// Notes that a call is sent. It waits for room.
    pub async fn open(&self, row: CallRow) {
        // It fails only when the daemon ends and nobody writes any more: the call is not sent then either.
        drop(self.queue.send(Entry::Row(Box::new(row))).await);
    }

    /// Notes how a call ended. It does not wait: where there is no room, a task does.
    pub fn close(&self, row: Box<CallRow>) {
        self.put(Entry::Row(row));
    }

    /// Notes that people were told of a cap.
    pub fn alerted(&self, cap: String, subject: String, start_ms: u64) {
        self.put(Entry::Alerted { cap, subject, start_ms });
    }

    /// Keeps the breakers.
    pub fn breakers(&self, breakers: Vec<(String, String, String)>) {
        self.put(Entry::Breakers(breakers));
    }

    /// Notes that a key with a name was used.
    pub fn key_used(&self, key: KeyId, at_ms: u64) {
        self.put(Entry::KeyUsed { key, at_ms });
    }

    /// Keeps that a session is parked.
    pub fn parked(&self, session: String, body: String, data: serde_json::Value) {
        self.put(Entry::Parked { session, body, data });
    }

    /// Keeps that a session is parked no more; `data` is of the event, which a session that ended has not.
    pub fn resumed(&self, session: String, data: Option<serde_json::Value>) {
        self.put(Entry::Resumed { session, data });
    }

    /// Waits until all that was noted is on disk.
    pub async fn flush(&self) {
        let (reply, answer) = tokio::sync::oneshot::channel();
        if self.queue.send(Entry::Flush(reply)).await.is_ok() {
            self.hurry.notify_one();
            drop(answer.await);
        }
    }

    fn put(&self, entry: Entry) {
        if let Err(mpsc::error::TrySendError::Full(entry)) = self.queue.try_send(entry) {
            let queue = self.queue.clone();
            self.tasks.spawn(async move { drop(queue.send(entry).await) });
        }
    }
}

async fn write(store: Store, mut entries: mpsc::Receiver<Entry>, hurry: Arc<Notify>) {
    let mut batch = Vec::with_capacity(BATCH);
    while entries.recv_many(&mut batch, BATCH).await > 0 {
        // A hurry of before is no harm: fewer rows go into this transaction.
        let _ = tokio::time::timeout(GATHERING, hurry.notified()).await;
        while batch.len() < BATCH
            && let Ok(entry) = entries.try_recv()
        {
            batch.push(entry);
        }
        let mut waiting = Vec::new();
        let rest = Arc::new(newest(std::mem::take(&mut batch), &mut waiting));
        loop {
            let entries = Arc::clone(&rest);
            match store.write(move |tx| entries.iter().try_for_each(|entry| put(tx, entry))).await {
                Ok(()) => break,
                Err(error @ StoreError::Closed) => {
                    tracing::error!(%error, "Rows of the ledger were not written.");
                    return;
                }
                // A disk that is full may have room again; until then calls wait once the queue is full, and none is forgotten.
                Err(error) => tracing::error!(%error, "The ledger cannot be written; it is tried again."),
            }
            tokio::time::sleep(AGAIN).await;
        }
        for reply in waiting {
            // Whoever asked may have gone.
            let _ = reply.send(());
        }
    }
}

/// The entries, of each call the last one alone.
fn newest(batch: Vec<Entry>, waiting: &mut Vec<tokio::sync::oneshot::Sender<()>>) -> Vec<Entry> {
    let mut rest: Vec<Entry> = Vec::with_capacity(batch.len());
    let mut places: HashMap<Arc<str>, usize> = HashMap::with_capacity(batch.len());
    for entry in batch {
        match entry {
            Entry::Flush(reply) => waiting.push(reply),
            Entry::Row(row) => match places.get(&row.call).and_then(|at| rest.get_mut(*at)) {
                Some(place) => *place = Entry::Row(row),
                None => {
                    places.insert(Arc::clone(&row.call), rest.len());
                    rest.push(Entry::Row(row));
                }
            },
            other => rest.push(other),
        }
    }
    rest
}

fn put(tx: &mut orx_store::Transaction<'_>, entry: &Entry) -> Result<(), StoreError> {
    match entry {
        Entry::Row(row) => calls::put(tx, row),
        Entry::Alerted { cap, subject, start_ms } => calls::alerted(tx, cap, subject, *start_ms),
        Entry::Breakers(breakers) => calls::put_breakers(tx, breakers),
        Entry::KeyUsed { key, at_ms } => keys::used(tx, *key, *at_ms),
        Entry::Parked { session, body, data } => {
            parkings::put(tx, session, body)?;
            events::append(tx, kind::SESSION_PARKED, session, data).map(drop)
        }
        Entry::Resumed { session, data } => {
            parkings::remove(tx, session)?;
            match data {
                Some(data) => events::append(tx, kind::SESSION_RESUMED, session, data).map(drop),
                None => Ok(()),
            }
        }
        Entry::Flush(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_began_and_ended_is_there_once_flushed() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("orx.db")).unwrap();
        let (ledger, writing) = Ledger::new(store.clone(), TaskTracker::new());
        let writer = TaskTracker::new().spawn(writing);
        let row =
            |outcome: &'static str| CallRow { call: "req_1".into(), outcome: outcome.into(), ..CallRow::default() };
        ledger.open(row("open")).await;
        ledger.close(Box::new(CallRow { ended_ms: Some(1), ..row("answered") }));
        ledger.flush().await;
        let kept = store.read(|reader| calls::get(reader, "req_1")).await.unwrap().unwrap();
        assert_eq!(kept.outcome, "answered");
        drop(ledger);
        writer.await.unwrap();
    }
}
