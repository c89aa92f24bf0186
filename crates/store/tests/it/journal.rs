//! Events, their filters, and cursors.

use crate::support::Fixture;
use orx_protocol::api::event::wants;
use orx_store::{StoreError, cursors, events};
use proptest::prelude::*;
use serde_json::json;

async fn filled() -> Fixture {
    let fixture = Fixture::new();
    fixture
        .store
        .write(|tx| {
            for (kind, subject) in [
                ("run.started", "run_1"),
                ("run.stage_started", "run_1"),
                ("session.created", "ses_1"),
                ("run.started", "run_2"),
                ("runner", "run_1"),
            ] {
                events::append(tx, kind, subject, &json!({"of": subject}))?;
            }
            Ok(())
        })
        .await
        .unwrap();
    fixture
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_filtered_by_number_kind_and_subject() {
    let fixture = filled().await;
    let find = |since: u64, kinds: &[&str], subject: Option<&'static str>, limit: u32| {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let store = fixture.store.clone();
        async move {
            let found = store.read(move |reader| events::after(reader, since, &kinds, subject, limit)).await.unwrap();
            found.iter().map(|event| event.seq).collect::<Vec<_>>()
        }
    };
    assert_eq!(find(0, &[], None, 100).await, [1, 2, 3, 4, 5]);
    assert_eq!(find(2, &[], None, 2).await, [3, 4]);
    assert_eq!(find(0, &["run.*"], None, 100).await, [1, 2, 4]);
    assert_eq!(find(0, &["run.started", "session.*"], None, 100).await, [1, 3, 4]);
    assert_eq!(find(0, &["*"], Some("run_1"), 100).await, [1, 2, 5]);
    assert_eq!(find(1, &["run.started"], Some("run_1"), 100).await, [] as [u64; 0]);
    assert_eq!(find(99, &[], None, 100).await, [] as [u64; 0]);
    let all = fixture.store.read(|reader| events::after(reader, 2, &[], None, 1)).await.unwrap();
    assert_eq!(
        (all[0].kind.as_str(), all[0].subject.as_str(), all[0].data.get()),
        ("session.created", "ses_1", r#"{"of":"ses_1"}"#)
    );
    assert!(all[0].at_ms > 0);
    let many = vec!["x".to_owned(); 65];
    let refused = fixture.store.read(move |reader| events::after(reader, 0, &many, None, 1)).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]
    #[test]
    fn the_filter_means_what_the_contract_says(
        kinds in proptest::collection::vec("[aé.%_]{1,4}", 1..12),
        wanted in proptest::collection::vec("[aé.%_]{0,3}\\*?", 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let fixture = Fixture::new();
            let written = kinds.clone();
            fixture.store.write(move |tx| {
                written.iter().try_for_each(|kind| events::append(tx, kind, "s", &json!({})).map(|_| ()))
            }).await.unwrap();
            let filter = wanted.clone();
            let found = fixture.store.read(move |reader| events::after(reader, 0, &filter, None, 100)).await.unwrap();
            let found: Vec<String> = found.into_iter().map(|event| event.kind).collect();
            let expected: Vec<String> = kinds.iter().filter(|kind| wants(&wanted, kind)).cloned().collect();
            assert_eq!(found, expected);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_events_are_refused_and_leave_no_gap() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for (kind, subject, data) in [
        ("", "s", json!({})),
        ("a\nb", "s", json!({})),
        ("k", "s\n", json!({})),
        ("k", "s", json!([])),
        ("k", "s", json!(null)),
    ] {
        let refused = store.write(move |tx| events::append(tx, kind, subject, &data)).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{kind:?} {subject:?}: {refused:?}");
    }
    assert_eq!(store.write(|tx| events::append(tx, "k", "", &json!({}))).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_not_given_again_after_its_event_was_deleted() {
    let fixture = filled().await;
    fixture.store.write(|tx| tx.execute("DELETE FROM events", &[])).await.unwrap();
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.store.read(events::head).await.unwrap(), 5);
    assert_eq!(fixture.store.write(|tx| events::append(tx, "k", "s", &json!({}))).await.unwrap(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_lasts_and_only_goes_back_when_told() {
    let fixture = filled().await;
    let store = &fixture.store;
    assert_eq!(store.read(|reader| cursors::get(reader, "dashboard")).await.unwrap(), None);
    assert_eq!(store.write(|tx| cursors::set(tx, "dashboard", 3)).await.unwrap(), 3);
    assert_eq!(store.write(|tx| cursors::set(tx, "dashboard", 2)).await.unwrap(), 3);
    assert_eq!(store.write(|tx| cursors::set(tx, "other", 1)).await.unwrap(), 1);
    let refused = store.write(|tx| cursors::set(tx, "dashboard", 6)).await;
    assert!(matches!(&refused, Err(StoreError::Invalid(text)) if text.contains("ends at 5")), "{refused:?}");
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.store.read(|reader| cursors::get(reader, "dashboard")).await.unwrap(), Some(3));
    fixture.store.write(|tx| cursors::reset(tx, "dashboard", 0)).await.unwrap();
    assert_eq!(fixture.store.read(|reader| cursors::get(reader, "dashboard")).await.unwrap(), Some(0));
    assert!(fixture.store.write(|tx| cursors::set(tx, "", 1)).await.is_err());
}
