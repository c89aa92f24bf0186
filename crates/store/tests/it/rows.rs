//! Records, sessions and runs.

use crate::support::{Fixture, raw};
use orx_protocol::api::run::RunState;
use orx_protocol::api::session::{Session, SessionState};
use orx_protocol::hold::Holder;
use orx_protocol::process::{EndReason, Exit, ProcessIdentity};
use orx_protocol::{RunId, SessionId};
use orx_store::{RunRow, SessionRow, StoreError, events, records, runs, sessions};

#[tokio::test(flavor = "multi_thread")]
async fn each_write_of_a_record_counts_its_version_and_is_in_the_journal() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let put = |json: &str| {
        let (store, value) = (store.clone(), raw(json));
        async move { store.write(move |tx| records::put(tx, "c", "k", &value)).await.unwrap() }
    };
    assert_eq!(put("{\"a\":1}").await.version, 1);
    let second = put("  [1.50, 2]").await;
    assert_eq!((second.version, second.value.get(), second.created), (2, "[1.50, 2]", None));
    let kept = store.write(|tx| records::create(tx, "c", "k", &raw("null"))).await.unwrap();
    assert_eq!((kept.version, kept.value.get(), kept.created), (2, "[1.50, 2]", Some(false)));
    let made = store.write(|tx| records::create(tx, "c", "new", &raw("null"))).await.unwrap();
    assert_eq!((made.version, made.value.get(), made.created), (1, "null", Some(true)));
    assert!(store.write(|tx| records::delete(tx, "c", "k")).await.unwrap());
    assert!(!store.write(|tx| records::delete(tx, "c", "k")).await.unwrap());
    assert!(store.read(|reader| records::get(reader, "c", "k")).await.unwrap().is_none());
    let journal = store.read(|reader| events::after(reader, 0, &[], Some("c/k"), 100)).await.unwrap();
    let data: Vec<_> = journal.iter().map(|event| event.data.get()).collect();
    assert_eq!(
        data,
        [
            r#"{"collection":"c","key":"k","version":1}"#,
            r#"{"collection":"c","key":"k","version":2}"#,
            r#"{"collection":"c","key":"k","version":3,"deleted":true}"#
        ]
    );
    assert_eq!(store.statistics().unwrap().head, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_listed_in_key_order_by_page_and_prefix() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store
        .write(|tx| {
            for key in ["b/2", "a", "b/1", "b", "c%", "é"] {
                records::put(tx, "c", key, &raw("{}"))?;
            }
            records::put(tx, "other", "b/9", &raw("{}")).map(|_| ())
        })
        .await
        .unwrap();
    let list = |prefix: &'static str, after: Option<&'static str>, limit: u32| async move {
        let found = store.read(move |reader| records::list(reader, "c", prefix, after, limit)).await.unwrap();
        found.into_iter().map(|record| record.key).collect::<Vec<_>>()
    };
    assert_eq!(list("", None, 100).await, ["a", "b", "b/1", "b/2", "c%", "é"]);
    assert_eq!(list("b", None, 100).await, ["b", "b/1", "b/2"]);
    assert_eq!(list("b/", Some("b/1"), 100).await, ["b/2"]);
    assert_eq!(list("", Some("a"), 2).await, ["b", "b/1"]);
    assert_eq!(list("%", None, 100).await, [] as [&str; 0]);
    assert_eq!(list("é", None, 100).await, ["é"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_names_of_records_are_refused() {
    let fixture = Fixture::new();
    let long = "x".repeat(257);
    for (collection, key) in [("", "k"), ("c", ""), ("c\0", "k"), ("c", "a\u{1b}[0m"), ("c", long.as_str())] {
        let names = (collection.to_owned(), key.to_owned());
        let refused = fixture.store.write(move |tx| records::put(tx, &names.0, &names.1, &raw("{}"))).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{collection:?} {key:?}");
    }
    assert_eq!(fixture.store.statistics().unwrap().head, 0);
}

fn session(created_at_ms: u64, owner: Option<&str>) -> SessionRow {
    SessionRow {
        session: Session {
            cols: 80,
            rows: 24,
            title: Some("naïve \u{1f600}".to_owned()),
            argv: vec!["sh".to_owned(), "-c".to_owned(), "exit '3'".to_owned()],
            owner: owner.map(str::to_owned),
            directory: "/tmp/s".to_owned(),
            ..Session::starting(SessionId::generate(), "command", "/tmp", created_at_ms)
        },
        holder: None,
        socket: "/run/s".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_kept_whole_and_told_from_those_that_ended() {
    let fixture = Fixture::new();
    let (mut old, young, staged) = (session(1, None), session(2, None), session(3, Some("run_1/develop")));
    for row in [&young, &old, &staged] {
        let row = row.clone();
        fixture.store.write(move |tx| sessions::insert(tx, &row)).await.unwrap();
    }
    let twice = old.clone();
    let refused = fixture.store.write(move |tx| sessions::insert(tx, &twice)).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");

    let identity = ProcessIdentity { pid: 7, start_time: 11 };
    old.holder = Some(Holder { holder: identity, child: identity, started_at_ms: 5, keeper: None, boot: None });
    old.session.state = SessionState::Ended;
    old.session.exit = Some(Exit::Signal(9));
    old.session.reason = Some(EndReason::Stopped);
    let ended = old.clone();
    fixture.store.write(move |tx| sessions::update(tx, &ended)).await.unwrap();
    let unknown = session(9, None);
    let missing = fixture.store.write(move |tx| sessions::update(tx, &unknown)).await;
    assert!(matches!(missing, Err(StoreError::NotFound(_))), "{missing:?}");

    let fixture = fixture.reopen().await;
    let id = old.session.session;
    let (kept, all, newest, open, unfinished) = fixture
        .store
        .read(move |reader| {
            Ok((
                sessions::get(reader, id)?,
                sessions::list(reader, true, 100)?,
                sessions::list(reader, true, 2)?,
                sessions::list(reader, false, 100)?,
                sessions::unfinished(reader)?,
            ))
        })
        .await
        .unwrap();
    assert_eq!(kept, Some(old.clone()));
    assert_eq!(all, [old, young.clone(), staged.clone()]);
    assert_eq!(newest, [young.clone(), staged.clone()]);
    assert_eq!(open, std::slice::from_ref(&young));
    assert_eq!(unfinished, [young, staged]);
}

fn run(created_at_ms: u64, repository: &str) -> RunRow {
    RunRow {
        run: RunId::generate(),
        state: RunState::Running,
        repository: repository.to_owned(),
        body: "{}".to_owned(),
        created_at_ms,
        updated_at_ms: 0,
        version: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_saved_only_over_the_version_that_was_read() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let new = run(1, "/repo");
    let inserted = new.clone();
    let first = store.write(move |tx| runs::insert(tx, &inserted)).await.unwrap();
    assert_eq!(first.version, 1);
    let twice = new.clone();
    assert!(matches!(store.write(move |tx| runs::insert(tx, &twice)).await, Err(StoreError::Conflict(_))));

    let changed = RunRow { body: "{\"stage\":1}".to_owned(), state: RunState::Failed, ..first.clone() };
    let second = store.write(move |tx| runs::save(tx, &changed)).await.unwrap();
    assert_eq!((second.version, second.state), (2, RunState::Failed));
    assert!(second.updated_at_ms >= first.updated_at_ms);
    let stale = RunRow { body: "stale".to_owned(), ..first };
    let refused = store.write(move |tx| runs::save(tx, &stale)).await;
    assert!(matches!(&refused, Err(StoreError::Conflict(text)) if text.contains("version 2")), "{refused:?}");
    let nowhere = run(1, "/repo");
    assert!(matches!(store.write(move |tx| runs::save(tx, &nowhere)).await, Err(StoreError::NotFound(_))));
    assert_eq!(store.read(move |reader| runs::get(reader, new.run)).await.unwrap(), Some(second));
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_listed_newest_first_and_those_at_work_oldest_first() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let mut rows = Vec::new();
    for (created_at_ms, repository) in [(3, "/a"), (1, "/a"), (2, "/b")] {
        let row = run(created_at_ms, repository);
        rows.push(store.write(move |tx| runs::insert(tx, &row)).await.unwrap());
    }
    let done = RunRow { state: RunState::Done, ..rows[2].clone() };
    store.write(move |tx| runs::save(tx, &done)).await.unwrap();
    let (all, of_a, newest, unfinished) = store
        .read(|reader| {
            Ok((
                runs::list(reader, None, 100)?,
                runs::list(reader, Some("/a"), 100)?,
                runs::list(reader, None, 1)?,
                runs::unfinished(reader)?,
            ))
        })
        .await
        .unwrap();
    let created = |rows: &[RunRow]| rows.iter().map(|row| row.created_at_ms).collect::<Vec<_>>();
    assert_eq!(created(&all), [3, 2, 1]);
    assert_eq!(created(&of_a), [3, 1]);
    assert_eq!(created(&newest), [3]);
    assert_eq!(created(&unfinished), [1, 3]);
}
