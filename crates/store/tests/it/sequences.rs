//! Numbers without gaps, for whatever order of calls, failures and restarts.

use std::collections::HashMap;

use crate::support::{Fixture, raw};
use orx_protocol::api::record::AllocateParams;
use orx_store::{StoreError, events, records, sequences};
use proptest::prelude::*;
use tokio::task::JoinSet;

fn allocation(key: Option<&str>, record_key: &str) -> AllocateParams {
    AllocateParams {
        name: "adr".to_owned(),
        key: key.map(str::to_owned),
        collection: "decisions".to_owned(),
        record_key: record_key.to_owned(),
        record: raw(r#"{"id":"ADR-{n}","number":"{n}","cost":12345678901234567890123}"#),
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// Ask for a number, perhaps with a key.
    Next(u8, Option<u8>),
    /// Ask for a number in an operation that fails afterwards.
    Fail(u8, Option<u8>),
    /// Many callers at once.
    Crowd(u8, u8),
    /// Close and open the store.
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let key = proptest::option::of(0..6_u8);
    prop_oneof![
        6 => (0..3_u8, key.clone()).prop_map(|(name, key)| Step::Next(name, key)),
        3 => (0..3_u8, key).prop_map(|(name, key)| Step::Fail(name, key)),
        2 => (0..3_u8, 1..12_u8).prop_map(|(name, callers)| Step::Crowd(name, callers)),
        1 => Just(Step::Reopen),
    ]
}

/// What the counters should have given.
#[derive(Default)]
struct Model {
    last: HashMap<String, u64>,
    keys: HashMap<(String, String), u64>,
    events: u64,
}

impl Model {
    fn next(&mut self, name: &str, key: Option<&str>) -> (u64, bool) {
        let granted = key.map(|key| (name.to_owned(), key.to_owned()));
        if let Some(value) = granted.as_ref().and_then(|granted| self.keys.get(granted)) {
            return (*value, true);
        }
        let last = self.last.entry(name.to_owned()).or_default();
        *last += 1;
        self.events += 1;
        if let Some(granted) = granted {
            self.keys.insert(granted, *last);
        }
        (*last, false)
    }
}

async fn run(steps: Vec<Step>) {
    let mut fixture = Fixture::new();
    let mut model = Model::default();
    for step in steps {
        match step {
            Step::Next(name, key) => {
                let (name, key) = (format!("s{name}"), key.map(|key| format!("k{key}")));
                let wanted = model.next(&name, key.as_deref());
                let given = fixture.store.write(move |tx| sequences::next(tx, &name, key.as_deref())).await.unwrap();
                assert_eq!((given.value, given.repeated), wanted);
            }
            Step::Fail(name, key) => {
                let (name, key) = (format!("s{name}"), key.map(|key| format!("k{key}")));
                let failed: Result<(), _> = fixture
                    .store
                    .write(move |tx| {
                        sequences::next(tx, &name, key.as_deref())?;
                        Err(StoreError::Conflict("asked to fail".to_owned()))
                    })
                    .await;
                assert!(failed.is_err());
            }
            Step::Crowd(name, callers) => {
                let name = format!("s{name}");
                let mut tasks = JoinSet::new();
                for _ in 0..callers {
                    let (store, name) = (fixture.store.clone(), name.clone());
                    tasks.spawn(async move { store.write(move |tx| sequences::next(tx, &name, None)).await });
                }
                let mut given: Vec<u64> =
                    tasks.join_all().await.into_iter().map(|outcome| outcome.unwrap().value).collect();
                given.sort_unstable();
                let wanted: Vec<u64> = (0..callers).map(|_| model.next(&name, None).0).collect();
                assert_eq!(given, wanted);
            }
            Step::Reopen => fixture = fixture.reopen().await,
        }
    }
    let journal = fixture.store.read(|reader| events::after(reader, 0, &[], None, 10_000)).await.unwrap();
    let numbers: Vec<u64> = journal.iter().map(|event| event.seq).collect();
    assert_eq!(numbers, (1..=model.events).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn numbers_have_no_gaps(steps in proptest::collection::vec(step(), 1..30)) {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap().block_on(run(steps));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_and_its_record_come_together_and_again_for_the_same_key() {
    let fixture = Fixture::new();
    let params = allocation(Some("request-1"), "ADR-{n}");
    let first = {
        let params = params.clone();
        fixture.store.write(move |tx| sequences::allocate(tx, &params)).await.unwrap()
    };
    assert_eq!((first.value, first.repeated), (1, false));
    assert_eq!(first.record.get(), r#"{"id":"ADR-1","number":1,"cost":12345678901234567890123}"#);
    let journal = fixture.store.read(|reader| events::after(reader, 0, &[], None, 10)).await.unwrap();
    let kinds: Vec<_> = journal.iter().map(|event| (event.kind.as_str(), event.subject.as_str())).collect();
    assert_eq!(kinds, [("sequence.advanced", "adr"), ("record.written", "decisions/ADR-1")]);

    let fixture = fixture.reopen().await;
    let again = fixture.store.write(move |tx| sequences::allocate(tx, &params)).await.unwrap();
    assert_eq!((again.value, again.repeated), (1, true));
    assert_eq!(again.record.get(), first.record.get());
    assert_eq!(fixture.store.statistics().unwrap().head, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_record_is_a_conflict_that_uses_no_number_up() {
    let fixture = Fixture::new();
    fixture.store.write(|tx| records::put(tx, "decisions", "ADR-1", &raw("{\"old\":1}"))).await.unwrap();
    let refused = fixture.store.write(|tx| sequences::allocate(tx, &allocation(Some("k"), "ADR-{n}"))).await;
    assert!(matches!(&refused, Err(StoreError::Conflict(text)) if text.contains("decisions/ADR-1")), "{refused:?}");
    let (last, kept) = fixture
        .store
        .read(|reader| Ok((sequences::last(reader, "adr")?, records::get(reader, "decisions", "ADR-1")?)))
        .await
        .unwrap();
    assert_eq!((last, kept.unwrap().value.get()), (0, "{\"old\":1}"));
    assert_eq!(fixture.store.statistics().unwrap().head, 1);
    let given = fixture.store.write(|tx| sequences::allocate(tx, &allocation(Some("k"), "ADR-000{n}"))).await.unwrap();
    assert_eq!((given.value, given.repeated), (1, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_request() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.write(|tx| sequences::next(tx, "adr", Some("bare"))).await.unwrap();
    store.write(|tx| sequences::allocate(tx, &allocation(Some("k"), "ADR-{n}"))).await.unwrap();
    for (key, record_key) in [("bare", "ADR-{n}"), ("k", "other-{n}")] {
        let refused = store.write(move |tx| sequences::allocate(tx, &allocation(Some(key), record_key))).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{key}: {refused:?}");
    }
    store.write(|tx| records::delete(tx, "decisions", "ADR-2")).await.unwrap();
    let gone = store.write(|tx| sequences::allocate(tx, &allocation(Some("k"), "ADR-{n}"))).await;
    assert!(matches!(&gone, Err(StoreError::NotFound(text)) if text.contains("ADR-2")), "{gone:?}");
    assert_eq!(store.read(|reader| sequences::last(reader, "adr")).await.unwrap(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruned_key_is_a_new_one_and_its_number_stays_taken() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for key in ["a", "b", "c"] {
        store.write(move |tx| sequences::next(tx, "n", Some(key))).await.unwrap();
    }
    assert_eq!(store.write(|tx| sequences::prune(tx, 1, 100)).await.unwrap(), 0);
    let later = orx_protocol::clock::now_ms() + 1000;
    assert_eq!(store.write(move |tx| sequences::prune(tx, later, 2)).await.unwrap(), 2);
    assert_eq!(store.write(move |tx| sequences::prune(tx, later, 100)).await.unwrap(), 1);
    let given = store.write(|tx| sequences::next(tx, "n", Some("a"))).await.unwrap();
    assert_eq!((given.value, given.repeated), (4, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn unusable_names_and_records_are_refused() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for (name, key) in [("", None), ("a\nb", None), ("n", Some("")), ("n", Some("\0"))] {
        let refused = store.write(move |tx| sequences::next(tx, name, key)).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{name:?} {key:?}: {refused:?}");
    }
    let array = AllocateParams { record: raw("[]"), ..allocation(None, "ADR-{n}") };
    let refused = store.write(move |tx| sequences::allocate(tx, &array)).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    assert_eq!(store.statistics().unwrap().head, 0);
}
