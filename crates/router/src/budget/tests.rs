use std::sync::{Arc, Barrier, Mutex};

use super::*;
use orx_protocol::{ErrorKind, RpcError};
use proptest::prelude::*;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// Some midnight in UTC.
const MIDNIGHT: u64 = 20_700 * DAY;

const fn at(wall_ms: u64) -> Clocks {
    Clocks { monotonic_ms: 0, wall_ms }
}

fn cap(name: &str, of: Of, micro_dollars: u64) -> Cap {
    Cap {
        name: name.to_owned(),
        of,
        only: None,
        per: None,
        micro_dollars: Some(MicroDollars(micro_dollars)),
        tokens: None,
        alert_per_mille: 800,
        at_limit: AtLimit::Stop,
    }
}

fn budget(caps: Vec<Cap>) -> Budget {
    Budget::new(caps, TimeZone::UTC).unwrap()
}

fn of(session: &str) -> Payer {
    Payer { session: Some(session.into()), ..Payer::default() }
}

const fn money(cost: u64) -> Expected {
    Expected { cost: Some(MicroDollars(cost)), tokens: Tokens(cost) }
}

const fn spend(cost: u64) -> Spend {
    Spend { cost: MicroDollars(cost), tokens: Tokens(cost) }
}

#[test]
fn a_cap_stops_and_says_which_it_is() {
    let mut budget = budget(vec![cap("day", Of::All, 100_000_000), cap("session", Of::Session, 2_000_000)]);
    let now = at(MIDNIGHT + HOUR);
    let first = budget.reserve(&of("ses_1"), money(1_500_000), HOUR, now).unwrap();
    let error = budget.reserve(&of("ses_1"), money(600_000), HOUR, now).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the cap `session` of session ses_1 is $2.00: $0.00 spent, $1.50 reserved, and does not begin anew; this call may cost $0.60"
    );
    assert_eq!(RpcError::from(error).kind(), ErrorKind::FailedPrecondition);
    assert!(budget.reserve(&of("ses_2"), money(2_000_000), HOUR, now).is_ok(), "another session has its own");
    assert_eq!(budget.settle(first, spend(1_000_000), now), []);
    let second = budget.reserve(&of("ses_1"), money(1_000_000), HOUR, now).unwrap();
    budget.release(second);
    let third = budget.reserve(&of("ses_1"), money(1_000_000), HOUR, now).unwrap();
    let alerts = budget.settle(third, spend(1_000_000), now);
    assert_eq!(alerts.iter().map(|alert| alert.cap.as_str()).collect::<Vec<_>>(), ["session"]);
    assert!(budget.reserve(&of("ses_1"), money(1), HOUR, now).is_err());
    assert!(budget.reserve(&of("ses_1"), money(0), HOUR, now).is_ok(), "a local model costs nothing");
}

#[test]
fn the_day_of_the_zone_begins_anew() {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let mut budget = Budget::new(vec![cap("day", Of::All, 1_000)], zone).unwrap();
    // It is summer: 22:00 UTC is midnight there.
    let (before, after) = (MIDNIGHT + 22 * HOUR - 1, MIDNIGHT + 22 * HOUR);
    assert_eq!(budget.charge(&of("s"), spend(1_000), at(before)).len(), 1);
    let error = budget.reserve(&of("s"), money(1), HOUR, at(before)).unwrap_err();
    let BudgetError::Money { standing, .. } = &error else { panic!("{error}") };
    assert_eq!(standing.resets_at_ms, Some(after));
    assert!(error.to_string().contains("begins anew at 2026-09-04T22:00:00Z"), "{error}");
    let reservation = budget.reserve(&of("s"), money(1_000), HOUR, at(after)).unwrap();
    assert_eq!(budget.settle(reservation, spend(1_000), at(after)).len(), 1, "people are told once a day");
    assert_eq!(budget.charge(&of("s"), spend(1), at(after)), []);
}

#[test]
fn what_was_reserved_yesterday_is_settled_today() {
    let mut budget = budget(vec![cap("day", Of::All, 1_000)]);
    let reservation = budget.reserve(&of("s"), money(900), HOUR, at(MIDNIGHT - 1)).unwrap();
    assert!(budget.reserve(&of("s"), money(200), HOUR, at(MIDNIGHT)).is_err(), "it is still held back");
    let _ = budget.settle(reservation, spend(100), at(MIDNIGHT));
    let report = budget.report(at(MIDNIGHT));
    assert_eq!((report[0].spent, report[0].reserved), (spend(100), Spend::NOTHING));
}

#[test]
fn a_clock_that_jumps_forgets_nothing() {
    let spent = |budget: &mut Budget, wall: u64| budget.report(at(wall))[0].spent.cost.0;
    let day = |days: u64| MIDNIGHT + days * DAY + HOUR;
    let mut budget = budget(vec![cap("day", Of::All, 1_000)]);
    let _ = budget.charge(&of("s"), spend(700), at(day(10)));
    assert_eq!(spent(&mut budget, day(9)), 700, "the first day has none before it");
    assert_eq!(spent(&mut budget, day(10)), 700);
    // Ahead for a moment, and back on the same day.
    assert_eq!(spent(&mut budget, day(500)), 0);
    let _ = budget.charge(&of("s"), spend(50), at(day(500)));
    assert_eq!(spent(&mut budget, day(10)), 700);
    // Back to a day of which nothing is known: what is spent stays spent.
    assert_eq!(spent(&mut budget, day(3)), 700);
    assert_eq!(spent(&mut budget, 0), 700);
    assert_eq!(spent(&mut budget, day(10)), 700);
    // The next day begins anew, also when the clock had run ahead in between.
    assert_eq!(spent(&mut budget, day(500)), 50);
    assert_eq!(spent(&mut budget, day(11)), 0);
    let _ = budget.charge(&of("s"), spend(30), at(day(11)));
    assert_eq!(spent(&mut budget, day(11)), 30);
    assert_eq!(spent(&mut budget, day(12)), 0);
    assert_eq!(spent(&mut budget, day(11)), 30);
}

#[test]
fn reservations_of_which_nobody_heard_expire_and_are_still_counted_when_somebody_does() {
    let mut budget = budget(vec![cap("day", Of::All, 1_000)]);
    let later = |monotonic_ms| Clocks { monotonic_ms, wall_ms: MIDNIGHT };
    let lost = budget.reserve(&of("s"), money(1_000), 100, later(0)).unwrap();
    assert!(budget.reserve(&of("s"), money(1_000), 100, later(99)).is_err());
    let next = budget.reserve(&of("s"), money(900), 100, later(100)).unwrap();
    let _ = budget.settle(lost, spend(50), later(101));
    let report = budget.report(later(101));
    assert_eq!(
        (report[0].spent, report[0].reserved),
        (spend(50), spend(900)),
        "it gave back nothing that is another's"
    );
    budget.release(next);
    assert_eq!(budget.report(later(101))[0].reserved, Spend::NOTHING);
}

#[test]
fn a_restart_neither_forgets_nor_counts_twice() {
    let caps = || vec![cap("day", Of::All, 1_000), cap("each session", Of::Session, 500)];
    let mut before = budget(caps());
    let now = at(MIDNIGHT + HOUR);
    let alerts = before.charge(&of("ses_1"), spend(450), now);
    assert_eq!(alerts.len(), 1);
    let _ = before.charge(&of("ses_2"), spend(300), now);

    let mut after = budget(caps());
    let wants = after.wants(now);
    assert_eq!(
        wants,
        [
            Want { of: Of::All, per: Period::Day, since_ms: MIDNIGHT },
            Want { of: Of::Session, per: Period::Ever, since_ms: 0 }
        ]
    );
    for _ in 0..2 {
        after.restore(wants[0], "", spend(750));
        after.restore(wants[1], "ses_1", spend(450));
        after.restore(wants[1], "ses_2", spend(300));
        after.restore_alert(&alerts[0].cap, &alerts[0].subject, alerts[0].since_ms);
    }
    assert_eq!(after.report(now), before.report(now));
    assert_eq!(after.charge(&of("ses_1"), spend(10), now), [], "people know");
    assert_eq!(after.charge(&of("ses_2"), spend(40), now).len(), 1, "of the day they do not");
}

#[test]
fn caps_on_tokens_and_for_one_alone_hold_too() {
    let tokens = Cap { micro_dollars: None, tokens: Some(Tokens(10)), ..cap("tokens", Of::User, 0) };
    let one = Cap { only: Some("ann".to_owned()), at_limit: AtLimit::Park, ..cap("ann", Of::User, 5) };
    let mut budget = budget(vec![tokens, one]);
    let user = |name: &str| Payer { user: Some(name.into()), ..Payer::default() };
    let now = at(MIDNIGHT);
    let unpriced = Expected { cost: None, tokens: Tokens(11) };
    let error = budget.reserve(&user("bob"), unpriced, HOUR, now).unwrap_err();
    assert!(error.to_string().starts_with("the cap `tokens` of user bob is 10 tokens: 0 tokens used"), "{error}");
    assert!(error.to_string().ends_with("this call may use 11 tokens"), "{error}");
    assert!(budget.reserve(&user("bob"), money(9), HOUR, now).is_ok());
    let error = budget.reserve(&user("ann"), money(6), HOUR, now).unwrap_err();
    assert!(matches!(&error, BudgetError::Money { standing, .. } if standing.at_limit == AtLimit::Park), "{error}");
    let error = budget.reserve(&user("ann"), Expected { cost: None, tokens: Tokens(1) }, HOUR, now).unwrap_err();
    assert_eq!(error.to_string(), "the price of this call is not known, and the cap `ann` bounds what it may cost");
    assert!(budget.reserve(&of("s"), unpriced, HOUR, now).is_ok(), "who is no user falls under no cap of users");
    assert_eq!(budget.left(&user("ann"), now), Some(MicroDollars(5)));
    assert_eq!(budget.left(&user("bob"), now), None);
}

#[test]
fn caps_are_changed_while_calls_are_at_work() {
    let mut budget = budget(vec![cap("day", Of::All, 1_000)]);
    let now = at(MIDNIGHT);
    let reservation = budget.reserve(&of("s"), money(600), HOUR, now).unwrap();
    let new = budget.configure(vec![cap("day", Of::All, 700), cap("session", Of::Session, 800)]).unwrap();
    assert_eq!(new, [(Of::Session, Period::Ever)]);
    let report = budget.report(now);
    assert_eq!(report.iter().map(|one| one.reserved).collect::<Vec<_>>(), [spend(600), spend(600)]);
    assert!(budget.reserve(&of("s"), money(101), HOUR, now).is_err());
    let _ = budget.settle(reservation, spend(500), now);
    assert!(budget.report(now).iter().all(|one| (one.spent, one.reserved) == (spend(500), Spend::NOTHING)));
    budget.forget(Of::Session, "s");
    assert_eq!(budget.report(now).len(), 1);
}

#[test]
fn caps_that_make_no_sense_are_refused() {
    let nothing = Cap { micro_dollars: None, ..cap("a", Of::All, 1) };
    let one = Cap { only: Some("x".to_owned()), ..cap("b", Of::All, 1) };
    let alert = Cap { alert_per_mille: 1_001, ..cap("c", Of::All, 1) };
    for (caps, expected) in [
        (vec![nothing], "the cap `a` bounds nothing: give it `micro_dollars` or `tokens`"),
        (vec![one], "the cap `b` is of all, and cannot be for one only"),
        (vec![alert], "`alert_per_mille` of the cap `c` is 1001 and must be 0 to 1000"),
        (vec![cap("d", Of::All, 1), cap("d", Of::Run, 1)], "two caps are called `d`"),
    ] {
        assert_eq!(Budget::new(caps, TimeZone::UTC).unwrap_err().to_string(), expected);
    }
    assert!(serde_saphyr::from_str::<Cap>("{name: a, of: day}").is_err());
    let read: Cap = serde_saphyr::from_str("{name: a, of: run, micro_dollars: 5}").unwrap();
    assert_eq!((read.period(), read.alert_per_mille), (Period::Ever, 800));
}

#[test]
fn a_hundred_calls_at_once_overshoot_by_no_more_than_what_was_in_flight() {
    let now = at(MIDNIGHT);
    for (estimate, actual) in [(50_000, 50_000), (50_000, 10_000), (50_000, 200_000), (1, 1_000_000)] {
        let limit = 100_000_000;
        let budget = Mutex::new(budget(vec![cap("day", Of::All, limit)]));
        let _ = budget.lock().unwrap().charge(&of("s"), spend(99_000_000), now);
        let (barrier, let_in) = (Barrier::new(100), Mutex::new(0_u64));
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    barrier.wait();
                    let reservation = budget.lock().unwrap().reserve(&of("s"), money(estimate), HOUR, now);
                    if let Ok(reservation) = reservation {
                        *let_in.lock().unwrap() += 1;
                        let _ = budget.lock().unwrap().settle(reservation, spend(actual), now);
                    }
                });
            }
        });
        let let_in = let_in.into_inner().unwrap();
        let report = budget.into_inner().unwrap().report(now);
        let spent = report[0].spent.cost.0;
        assert_eq!(report[0].reserved, Spend::NOTHING);
        assert_eq!(spent, 99_000_000 + let_in * actual, "the sums are equal");
        assert!(spent <= limit + let_in * actual.saturating_sub(estimate), "{estimate} {actual}: {spent}");
        if actual <= estimate {
            assert!(spent <= limit);
        }
    }
}

proptest! {
    #[test]
    fn sums_are_always_what_was_settled_and_what_is_held(
        steps in prop::collection::vec((0_u8..5, 0_usize..3, 0_u64..400, 0_u64..800, 0_u64..40), 1..200)
    ) {
        let mut budget = budget(vec![cap("ever", Of::Run, 5_000), cap("each", Of::Session, 2_000)]);
        let payers: Vec<Payer> = (0..3)
            .map(|at| Payer { session: Some(format!("s{at}").into()), run: Some(Arc::from("r")), ..Payer::default() })
            .collect();
        let mut held: Vec<(Reservation, usize, u64, u64)> = Vec::new();
        let (mut spent, mut monotonic_ms, mut refused) = ([0_u64; 3], 0, 0);
        for (action, who, estimate, actual, pause) in steps {
            monotonic_ms += pause;
            let now = Clocks { monotonic_ms, wall_ms: MIDNIGHT };
            match action {
                0..=2 => match budget.reserve(&payers[who], money(estimate), 200, now) {
                    Ok(reservation) => held.push((reservation, who, estimate, monotonic_ms + 200)),
                    Err(_) => refused += 1,
                },
                3 if !held.is_empty() => {
                    let (reservation, who, ..) = held.swap_remove(actual as usize % held.len());
                    spent[who] += actual;
                    let _ = budget.settle(reservation, spend(actual), now);
                }
                4 if !held.is_empty() => {
                    let (reservation, ..) = held.swap_remove(actual as usize % held.len());
                    budget.release(reservation);
                }
                _ => {}
            }
            let report = budget.report(now);
            let alive = |who: Option<usize>| -> u64 {
                held.iter().filter(|(_, one, _, until)| who.is_none_or(|who| who == *one) && *until > monotonic_ms).map(|(_, _, estimate, _)| estimate).sum()
            };
            for standing in &report {
                let who = payers.iter().position(|payer| payer.session.as_deref() == Some(&standing.subject));
                let expected: u64 = who.map_or_else(|| spent.iter().sum(), |who| spent[who]);
                prop_assert_eq!(standing.spent.cost.0, expected);
                prop_assert_eq!(standing.reserved.cost.0, alive(who));
            }
        }
        prop_assert!(refused < 200);
    }
}
