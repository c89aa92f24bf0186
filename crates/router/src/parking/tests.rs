//! What must hold of parked sessions, as tables and as properties.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::budget::{Budget, Cap, Payer, Period};
use crate::clocks::Clocks;
use crate::quota::{SHORT_MS, Window};

const NOW: u64 = 1_779_440_000_000;

fn vendor(until_ms: u64) -> Parking {
    let why = Why::Vendor { provider: "anthropic".to_owned(), window: Some("5h".to_owned()) };
    Parking { since_ms: NOW, until_ms: Some(until_ms), why }
}

fn by_cap(until_ms: Option<u64>) -> Parking {
    let why = Why::Cap {
        cap: "day".to_owned(),
        of: Of::All,
        subject: String::new(),
        cost: Some(MicroDollars(5)),
        tokens: Tokens(1),
    };
    Parking { since_ms: NOW, until_ms, why }
}

fn clocks(wall_ms: u64) -> Clocks {
    Clocks { monotonic_ms: wall_ms - NOW, wall_ms }
}

fn cap(at_limit: AtLimit, per: Period, micro_dollars: u64) -> Cap {
    Cap {
        name: "work".to_owned(),
        of: Of::Session,
        only: None,
        per: Some(per),
        micro_dollars: Some(MicroDollars(micro_dollars)),
        tokens: None,
        alert_per_mille: 800,
        at_limit,
    }
}

fn payer() -> Payer {
    Payer { session: Some("ses_1".into()), ..Payer::default() }
}

fn asks(cost: u64) -> Expected {
    Expected { cost: Some(MicroDollars(cost)), tokens: Tokens(1) }
}

#[test]
fn a_cap_parks_when_it_is_to_and_is_spent() {
    let day = NOW.next_multiple_of(86_400_000);
    // What happens at the limit, the period, what is spent, what is held back; until when it parks, and how long a caller waits.
    for (at_limit, per, spent, held, parks, wait) in [
        (AtLimit::Park, Period::Day, 95, 0, Some(Some(day)), Some(day - NOW)),
        (AtLimit::Park, Period::Ever, 95, 0, Some(None), None),
        (AtLimit::Stop, Period::Day, 95, 0, None, None),
        (AtLimit::Park, Period::Day, 10, 85, None, Some(HELD_MS)),
        (AtLimit::Park, Period::Day, 95, 5, Some(Some(day)), Some(day - NOW)),
    ] {
        let mut budget = Budget::new(vec![cap(at_limit, per, 100)], TimeZone::UTC).unwrap();
        let used = Spend { cost: MicroDollars(spent), tokens: Tokens(1) };
        let _alerts = budget.charge(&payer(), used, clocks(NOW));
        let _held = budget.reserve(&payer(), asks(held), 1_000_000, clocks(NOW)).unwrap();
        let error = budget.reserve(&payer(), asks(10), 1_000_000, clocks(NOW)).unwrap_err();
        let name = format!("{at_limit:?} {per:?} {spent} {held}");
        assert_eq!(of_cap(&error, NOW).map(|parking| parking.until_ms), parks, "{name}");
        assert_eq!(wait_for_cap(&error, NOW), wait, "{name}");
    }
    let unknown = BudgetError::PriceUnknown { cap: "day".to_owned() };
    assert_eq!((of_cap(&unknown, NOW), wait_for_cap(&unknown, NOW)), (None, None));
}

#[test]
fn a_cap_that_is_raised_taken_away_or_begun_anew_parks_nobody() {
    let later = NOW + 86_400_000;
    for (caps, at_ms, parks) in [
        (vec![cap(AtLimit::Park, Period::Day, 100)], NOW, true),
        (vec![cap(AtLimit::Park, Period::Day, 104)], NOW, true),
        (vec![cap(AtLimit::Park, Period::Day, 105)], NOW, false),
        (vec![cap(AtLimit::Park, Period::Day, 100)], later, false),
        (vec![cap(AtLimit::Stop, Period::Day, 100)], NOW, false),
        (vec![Cap { only: Some("ses_2".to_owned()), ..cap(AtLimit::Park, Period::Day, 100) }], NOW, false),
        (vec![Cap { name: "other".to_owned(), ..cap(AtLimit::Park, Period::Day, 100) }], NOW, false),
        (vec![], NOW, false),
    ] {
        let mut budget = Budget::new(vec![cap(AtLimit::Park, Period::Day, 100)], TimeZone::UTC).unwrap();
        let _alerts = budget.charge(&payer(), Spend { cost: MicroDollars(95), tokens: Tokens(1) }, clocks(NOW));
        let name = format!("{caps:?} at {at_ms}");
        budget.configure(caps).unwrap();
        assert_eq!(budget.parks("work", (Of::Session, "ses_1"), asks(10), clocks(at_ms)), parks, "{name}");
    }
}

#[test]
fn a_vendor_parks_for_a_long_wait_and_the_first_that_is_over_counts() {
    let quota = Quota { retry_at_ms: Some(NOW + 61_000), windows: Vec::new() };
    let window =
        Window { name: "5h".to_owned(), refused: true, resets_at_ms: Some(NOW + 9_000_000), ..Window::default() };
    let with_window = Quota { windows: vec![window], retry_at_ms: None };
    let short = Quota { retry_at_ms: Some(NOW + 2_000), windows: Vec::new() };
    let past = Quota { retry_at_ms: Some(NOW), windows: Vec::new() };
    for (quota, shortest, until) in [
        (&quota, SHORT_MS, Some(NOW + 61_000)),
        (&with_window, SHORT_MS, Some(NOW + 9_000_000)),
        (&short, SHORT_MS, None),
        (&short, 1_000, Some(NOW + 2_000)),
        (&past, 0, None),
    ] {
        let parking = of_vendor("anthropic", quota, NOW, shortest);
        assert_eq!(parking.and_then(|parking| parking.until_ms), until, "{quota:?}");
    }
    let both = soonest([by_cap(None), vendor(NOW + 9), vendor(NOW + 5)]);
    assert_eq!(both, Some(vendor(NOW + 5)));
    assert_eq!(soonest([by_cap(None)]), Some(by_cap(None)));
    assert_eq!(soonest([]), None);
}

#[test]
fn a_session_is_news_once_and_goes_on_at_its_time_by_its_cap_or_by_an_answer() {
    let mut lot = Lot::default();
    assert_eq!(lot.park("a", vendor(NOW + 60_000)), News::Parked);
    assert_eq!(lot.park("a", vendor(NOW + 61_000)), News::Known, "a countdown that is rounded");
    let later = Parking { since_ms: NOW + 7, ..vendor(NOW + 90_000) };
    assert_eq!(lot.park("a", later), News::Changed);
    assert_eq!(lot.get("a").map(|parking| parking.since_ms), Some(NOW), "it is parked since when it was first");
    assert_eq!(lot.park("b", by_cap(None)), News::Parked);
    assert_eq!(lot.park("c", by_cap(Some(NOW + 5))), News::Parked);
    assert_eq!(lot.next_due(), Some(NOW + 5));
    let ended = |resumed: Vec<Resumed>| -> Vec<(String, End)> {
        resumed.into_iter().map(|resumed| (resumed.session.to_string(), resumed.by)).collect()
    };
    assert_eq!(ended(lot.due(NOW + 4)), []);
    assert_eq!(ended(lot.due(NOW + 5)), [("c".to_owned(), End::Time)]);
    assert_eq!(lot.answered("a", NOW - 1), None, "it was asked before the session was parked");
    assert_eq!(lot.answered("a", NOW).map(|resumed| resumed.by), Some(End::Answered));
    assert_eq!(ended(lot.review(|_| true)), []);
    assert_eq!(ended(lot.review(|why| matches!(why, Why::Vendor { .. }))), [("b".to_owned(), End::Cap)]);
    assert!(lot.is_empty() && !lot.forget("b"));
    assert_eq!((lot.park("d", vendor(NOW + 60_000)), lot.park("e", by_cap(None))), (News::Parked, News::Parked));
    assert_eq!(ended(lot.reset("another")), []);
    assert_eq!(ended(lot.reset("anthropic")), [("d".to_owned(), End::Reset)]);
    assert!(lot.forget("e"));
}

#[test]
fn what_is_told_names_the_cap_or_the_vendor_and_the_time() {
    for (parking, told) in [
        (vendor(NOW), "the quota `5h` of anthropic is used up, until 2026-05-22T08:53:20Z"),
        (by_cap(None), "the cap `day` has no room for its calls, until that cap is raised"),
        (by_cap(Some(NOW)), "the cap `day` has no room for its calls, until 2026-05-22T08:53:20Z"),
    ] {
        assert_eq!(parking.to_string(), told);
        let kept = serde_json::to_string(&parking).unwrap();
        assert_eq!(serde_json::from_str::<Parking>(&kept).unwrap(), parking, "it is kept as it is");
    }
    assert_eq!(vendor(NOW + 1_001).retry_after(NOW), Some(2));
    assert_eq!((vendor(NOW).retry_after(NOW + 9), by_cap(None).retry_after(NOW)), (Some(1), None));
}

/// What may happen to a session.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Refused(Option<u64>),
    Answered(u64),
    Passes(u64),
    Raised,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        prop::option::of(0_u64..100_000).prop_map(Happens::Refused),
        (0_u64..20_000).prop_map(Happens::Answered),
        (0_u64..50_000).prop_map(Happens::Passes),
        Just(Happens::Raised),
    ]
}

proptest! {
    #[test]
    fn each_parking_is_told_once_and_ended_once_and_nobody_stays_beyond_its_time(
        all in prop::collection::vec(happens(), 0..60)
    ) {
        let (mut lot, mut now, mut is_parked) = (Lot::default(), NOW, false);
        for what in all {
            let ended = match what {
                Happens::Refused(wait) => {
                    let until_ms = wait.map(|wait| now + wait);
                    let news = lot.park("a", Parking { since_ms: now, until_ms, ..by_cap(None) });
                    prop_assert_eq!(news == News::Parked, !is_parked);
                    is_parked = true;
                    Vec::new()
                }
                Happens::Answered(ago) => lot.answered("a", now - ago).into_iter().collect(),
                Happens::Passes(time) => {
                    now += time;
                    lot.due(now)
                }
                Happens::Raised => lot.review(|_| false),
            };
            prop_assert!(ended.len() <= usize::from(is_parked), "who is not parked does not go on");
            is_parked &= ended.is_empty();
            prop_assert_eq!(lot.get("a").is_some(), is_parked);
            // What is kept and read again is the same.
            let kept: Vec<(String, Parking)> =
                lot.iter().map(|(session, parking)| (session.to_owned(), parking.clone())).collect();
            lot = Lot::restore(kept);
            if matches!(what, Happens::Passes(_)) {
                prop_assert!(lot.next_due().is_none_or(|due| due > now));
            }
        }
    }
}
