//! The store as a whole: batches, failures, opening and closing.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{DEADLINE, Fixture, Held, raw};
use orx_store::{Store, StoreError, events, records, sequences};
use serde_json::json;
use tokio::task::JoinSet;

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_operation_takes_back_only_itself() {
    let fixture = Fixture::new();
    let held = Held::hold(&fixture.store).await;
    let mut tasks = JoinSet::new();
    for number in 0..20_u64 {
        let store = fixture.store.clone();
        tasks.spawn(async move {
            let outcome = store
                .write(move |tx| {
                    let given = sequences::next(tx, "numbers", None)?.value;
                    records::put(tx, "items", &format!("item-{number}"), &raw("{}"))?;
                    match number % 4 {
                        0 => Err(StoreError::Invalid("asked to fail".to_owned())),
                        // A panic without its report: printing it takes longer than a batch may gather.
                        1 => std::panic::resume_unwind(Box::new("asked to panic")),
                        _ => Ok(given),
                    }
                })
                .await;
            (number, outcome)
        });
    }
    held.release_when_queued(&fixture.store, 20).await;
    let mut given = Vec::new();
    for (number, outcome) in tasks.join_all().await {
        match (number % 4, outcome) {
            (0, Err(StoreError::Invalid(_))) => {}
            (1, Err(StoreError::Panicked(message))) => assert_eq!(message, "asked to panic"),
            (2 | 3, Ok(value)) => given.push(value),
            (_, outcome) => panic!("operation {number}: {outcome:?}"),
        }
    }
    given.sort_unstable();
    assert_eq!(given, (1..=10).collect::<Vec<_>>());
    let statistics = fixture.store.statistics().unwrap();
    assert!(statistics.commits <= 2, "operations that failed did not share a commit with others: {statistics:?}");
    let (records, journal) = fixture
        .store
        .read(|reader| Ok((records::list(reader, "items", "", None, 100)?, events::after(reader, 0, &[], None, 1000)?)))
        .await
        .unwrap();
    assert_eq!(records.len(), 10);
    assert_eq!(journal.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_refuses_the_whole_batch_and_works_again_with_room() {
    let fixture = Fixture::new();
    let limit = |pages: u32| {
        let store = fixture.store.clone();
        async move {
            let sql = format!("PRAGMA max_page_count = {pages}");
            store.write(move |tx| tx.query(&sql, &[], |_| Ok(()))).await.unwrap();
        }
    };
    limit(1).await; // As many pages as there are already.
    let held = Held::hold(&fixture.store).await;
    let mut tasks = JoinSet::new();
    for number in 0..8_u64 {
        let store = fixture.store.clone();
        tasks.spawn(async move {
            let value = raw(&format!("\"{}\"", "x".repeat(if number == 7 { 200_000 } else { 1 })));
            store.write(move |tx| records::put(tx, "items", &number.to_string(), &value).map(|_| ())).await
        });
    }
    held.release_when_queued(&fixture.store, 8).await;
    let outcomes = tasks.join_all().await;
    assert!(outcomes.iter().any(|outcome| matches!(outcome, Err(StoreError::Full { path }) if *path == fixture.path)));
    let acknowledged = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    limit(1_000_000).await;
    let kept = fixture.store.read(|reader| records::list(reader, "items", "", None, 100)).await.unwrap();
    assert_eq!(kept.len(), acknowledged);
    fixture.store.write(|tx| records::put(tx, "items", "after", &raw("{}"))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_that_ends_the_transaction_is_found_out() {
    let fixture = Fixture::new();
    let outcome = fixture.store.write(|tx| tx.execute("ROLLBACK", &[])).await;
    assert!(matches!(outcome, Err(StoreError::Internal(_))), "{outcome:?}");
    assert_eq!(fixture.store.write(|tx| sequences::next(tx, "n", None)).await.unwrap().value, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_moves_after_the_commit_and_only_for_events() {
    let fixture = Fixture::new();
    let mut head = fixture.store.head();
    assert_eq!(*head.borrow_and_update(), 0);
    let seq = fixture.store.write(|tx| events::append(tx, "run.warning", "run", &json!({}))).await.unwrap();
    tokio::time::timeout(DEADLINE, head.changed()).await.unwrap().unwrap();
    assert_eq!((*head.borrow_and_update(), seq), (1, 1));
    let failed: Result<(), _> = fixture
        .store
        .write(|tx| {
            events::append(tx, "run.warning", "run", &json!({}))?;
            Err(StoreError::Conflict("no".to_owned()))
        })
        .await;
    assert!(failed.is_err());
    assert!(!head.has_changed().unwrap());
    assert_eq!(fixture.store.statistics().unwrap().head, 1);
    let fixture = fixture.reopen().await;
    assert_eq!(*fixture.store.head().borrow(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_sees_one_state_and_cannot_write() {
    let fixture = Fixture::new();
    fixture.store.write(|tx| sequences::next(tx, "n", None)).await.unwrap();
    let store = fixture.store.clone();
    let (before, after) = fixture
        .store
        .read(move |reader| {
            let before = sequences::last(reader, "n")?;
            store.write_blocking(|tx| sequences::next(tx, "n", None))?;
            Ok((before, sequences::last(reader, "n")?))
        })
        .await
        .unwrap();
    assert_eq!((before, after), (1, 1));
    assert_eq!(fixture.store.read(|reader| sequences::last(reader, "n")).await.unwrap(), 2);
    let written = fixture.store.read(|reader| reader.query("DELETE FROM sequences", &[], |_| Ok(()))).await;
    assert!(written.is_err());
    let panicked: Result<(), _> = fixture.store.read(|_| panic!("asked to")).await;
    assert_eq!(panicked, Err(StoreError::Panicked("asked to".to_owned())));
    assert_eq!(fixture.store.read(|reader| sequences::last(reader, "n")).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_refused_until_the_first_has_closed() {
    let fixture = Fixture::new();
    let refused = Store::open(&fixture.path).unwrap_err();
    assert!(matches!(&refused, StoreError::Locked { path, .. } if *path == fixture.path), "{refused:?}");
    assert!(refused.to_string().contains(&std::process::id().to_string()), "{refused}");
    fixture.store.write(|tx| sequences::next(tx, "n", None)).await.unwrap();
    fixture.store.close().await.unwrap();
    assert_eq!(fixture.store.close().await, Err(StoreError::Closed));
    assert_eq!(fixture.store.write(|tx| sequences::next(tx, "n", None)).await, Err(StoreError::Closed));
    assert_eq!(fixture.store.read(|reader| sequences::last(reader, "n")).await, Err(StoreError::Closed));
    let again = Store::open(&fixture.path).unwrap();
    assert_eq!(again.write(|tx| sequences::next(tx, "n", None)).await.unwrap().value, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_does_what_is_queued_first() {
    let fixture = Fixture::new();
    let held = Held::hold(&fixture.store).await;
    let mut writes = JoinSet::new();
    for _ in 0..10 {
        let store = fixture.store.clone();
        writes.spawn(async move { store.write(|tx| sequences::next(tx, "n", None)).await });
    }
    held.release_when_queued(&fixture.store, 10).await;
    fixture.store.close().await.unwrap();
    for outcome in writes.join_all().await {
        outcome.unwrap();
    }
    let wal = fixture.directory.path().join("orx.db-wal");
    assert_eq!(std::fs::metadata(wal).map_or(0, |metadata| metadata.len()), 0);
    let fixture = Fixture { store: Store::open(&fixture.path).unwrap(), ..fixture };
    assert_eq!(fixture.store.read(|reader| sequences::last(reader, "n")).await.unwrap(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_writer_is_waited_for_once_and_not_by_each_caller() {
    let fixture = Fixture::new();
    let foreign = rusqlite::Connection::open(&fixture.path).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = std::time::Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let store = fixture.store.clone();
        tasks.spawn(async move { store.write(|tx| sequences::next(tx, "n", None)).await });
    }
    for outcome in tasks.join_all().await {
        assert_eq!(outcome, Err(StoreError::Busy { path: fixture.path.clone() }));
    }
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
    foreign.execute_batch("ROLLBACK").unwrap();
    assert_eq!(fixture.store.write(|tx| sequences::next(tx, "n", None)).await.unwrap().value, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_reads_the_files() {
    let fixture = Fixture::new();
    fixture.store.write(|tx| sequences::next(tx, "n", None)).await.unwrap();
    for name in ["orx.db", "orx.db-wal", "orx.db-shm", "orx.db.lock"] {
        assert_eq!(mode(&fixture.directory.path().join(name)), 0o600, "{name}");
    }
    fixture.store.close().await.unwrap();
    std::fs::set_permissions(&fixture.path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _store = Store::open(&fixture.path).unwrap();
    assert_eq!(mode(&fixture.path), 0o600);
}

#[test]
fn a_file_that_is_no_database_of_orx_is_refused_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("orx.db");
    for text in ["notes of a person, and not a database at all", "short"] {
        std::fs::write(&path, text).unwrap();
        let refused = Store::open(&path).unwrap_err();
        assert!(matches!(&refused, StoreError::Corrupt { path: named, .. } if *named == path), "{refused:?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
    std::fs::remove_file(&path).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE photos (name TEXT)").unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let refused = Store::open(&path).unwrap_err();
    assert!(refused.to_string().contains("another program"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    let missing = Store::open(&directory.path().join("none/orx.db")).unwrap_err();
    assert!(matches!(&missing, StoreError::NotFound(text) if text.contains("none")), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_with_both_versions_and_stays() {
    let fixture = Fixture::new();
    fixture.store.close().await.unwrap();
    let connection = rusqlite::Connection::open(&fixture.path).unwrap();
    let known: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    connection.pragma_update(None, "user_version", 4711).unwrap();
    connection.close().unwrap();
    let bytes = std::fs::read(&fixture.path).unwrap();
    let refused = Store::open(&fixture.path).unwrap_err();
    assert_eq!(refused, StoreError::NewerSchema { path: fixture.path.clone(), found: 4711, known });
    assert_eq!(std::fs::read(&fixture.path).unwrap(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_stays_short_and_is_cut_after_a_long_read() {
    const MIB: u64 = 1024 * 1024;
    let fixture = Fixture::new();
    let write = |count: usize| {
        let store = fixture.store.clone();
        async move {
            for number in 0..count {
                // SQLite does not write pages whose content stays, so each text is another.
                let big = raw(&format!("\"{}\"", ["a", "b"][number % 2].repeat(MIB as usize)));
                store.write(move |tx| records::put(tx, "items", "big", &big).map(|_| ())).await.unwrap();
            }
            store.statistics().unwrap().wal_bytes
        }
    };
    assert!(write(40).await < 16 * MIB);
    let (release, released) = std::sync::mpsc::sync_channel::<()>(1);
    let (began, beginning) = tokio::sync::oneshot::channel();
    let store = fixture.store.clone();
    let mut reads = JoinSet::new();
    reads.spawn(async move {
        store
            .read(move |reader| {
                let head = events::head(reader)?;
                began.send(()).unwrap();
                released.recv_timeout(DEADLINE).unwrap();
                Ok((head, events::head(reader)?))
            })
            .await
    });
    beginning.await.unwrap();
    assert!(write(72).await > 64 * MIB, "the read did not hold the log back, so this test shows nothing");
    release.send(()).unwrap();
    let (before, after) = reads.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(before, after);
    assert!(write(6).await < 64 * MIB);
}
