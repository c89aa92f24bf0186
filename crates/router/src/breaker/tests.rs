use super::board::{Breakers, Concerns};
use super::saved::{Saved, SavedState};
use super::*;
use crate::catalogue::Catalogue;
use crate::clocks::Clocks;
use crate::name::Route;
use proptest::prelude::*;

const SETTINGS: Settings = Settings {
    in_a_row: 3,
    failures: 5,
    failure_per_mille: 500,
    window_ms: 60_000,
    cooldown_ms: 60_000,
    probes: 1,
    successes: 2,
    probe_lease_ms: 120_000,
    longest_ms: 3_600_000,
};

fn call(breaker: &mut Breaker, outcome: Outcome, now: u64) -> Result<Option<Change>, Refused> {
    let permit = breaker.acquire(&SETTINGS, now)?;
    Ok(breaker.finish(&SETTINGS, permit, outcome, now))
}

fn opened(now: u64) -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..3 {
        call(&mut breaker, Outcome::Failure, now).unwrap();
    }
    assert!(matches!(breaker.standing(&SETTINGS, now), Standing::Open { for_ms: 60_000, why: Why::Failures }));
    breaker
}

#[test]
fn a_dead_one_is_tried_three_times_a_cooldown() {
    let mut breaker = Breaker::default();
    let mut tried = Vec::new();
    for now in (0..600_000).step_by(100) {
        if let Ok(permit) = breaker.acquire(&SETTINGS, now) {
            tried.push(now);
            breaker.finish(&SETTINGS, permit, Outcome::Failure, now);
        }
    }
    for start in &tried {
        let within = tried.iter().filter(|at| (*start..start + 60_000).contains(*at)).count();
        assert!(within <= 3, "{within} tries in the cooldown from {start}: {tried:?}");
    }
    assert!(tried.len() >= 10, "it is looked after again and again: {tried:?}");
}

#[test]
fn it_closes_after_enough_probes_with_one_slot() {
    let mut breaker = opened(0);
    let refused = call(&mut breaker, Outcome::Success, 59_999).unwrap_err();
    assert_eq!(refused.retry_after_ms, Some(1));
    let first = breaker.acquire(&SETTINGS, 60_000).unwrap();
    assert!(first.is_probe());
    assert_eq!(breaker.acquire(&SETTINGS, 60_000).unwrap_err().standing, Standing::HalfOpen { free: 0 });
    assert_eq!(breaker.finish(&SETTINGS, first, Outcome::Success, 60_001), None);
    assert_eq!(call(&mut breaker, Outcome::Success, 60_002), Ok(Some(Change::Closed)));
    assert_eq!(breaker.standing(&SETTINGS, 60_002), Standing::Closed);
}

#[test]
fn a_failed_probe_opens_it_anew_for_a_whole_cooldown() {
    let mut breaker = opened(0);
    assert_eq!(call(&mut breaker, Outcome::Success, 60_000), Ok(None));
    let change = call(&mut breaker, Outcome::Failure, 61_000);
    assert_eq!(change, Ok(Some(Change::Opened { until: 121_000, why: Why::Failures })));
}

#[test]
fn a_probe_that_was_dropped_or_lost_gives_its_place_back() {
    let mut breaker = opened(0);
    let dropped = breaker.acquire(&SETTINGS, 60_000).unwrap();
    breaker.finish(&SETTINGS, dropped, Outcome::Neutral, 60_000);
    let lost = breaker.acquire(&SETTINGS, 60_000).unwrap();
    assert!(breaker.acquire(&SETTINGS, 179_999).is_err());
    let next = breaker.acquire(&SETTINGS, 180_000).unwrap();
    // The lost one comes back late: it frees no place that is not its own.
    breaker.finish(&SETTINGS, lost, Outcome::Neutral, 180_001);
    assert!(breaker.acquire(&SETTINGS, 180_001).is_err());
    breaker.finish(&SETTINGS, next, Outcome::Success, 180_002);
    assert!(breaker.acquire(&SETTINGS, 180_003).is_ok());
}

#[test]
fn callers_that_go_away_do_not_try_a_dead_one_without_end() {
    let mut breaker = opened(0);
    let tries = (60_000..119_999).filter(|now| call(&mut breaker, Outcome::Neutral, *now).is_ok()).count();
    assert_eq!(tries, 3);
    assert!(call(&mut breaker, Outcome::Neutral, 120_000).is_ok(), "the next cooldown has its own tries");
}

#[test]
fn failures_among_successes_open_it_by_their_share() {
    let mut breaker = Breaker::default();
    let pattern = [Outcome::Failure, Outcome::Success];
    for at in 0..8 {
        assert_eq!(call(&mut breaker, pattern[at % 2], 0), Ok(None), "{at}");
    }
    assert!(matches!(call(&mut breaker, Outcome::Failure, 0), Ok(Some(Change::Opened { .. }))));
    // One failure in three is no reason.
    let mut breaker = Breaker::default();
    for _ in 0..100 {
        for outcome in [Outcome::Success, Outcome::Success, Outcome::Failure] {
            assert_eq!(call(&mut breaker, outcome, 0), Ok(None));
        }
    }
    // What is older than the window counts no more.
    let mut breaker = Breaker::default();
    for at in 0..100 {
        call(&mut breaker, Outcome::Failure, at * 16_000).unwrap();
        assert_eq!(call(&mut breaker, Outcome::Success, at * 16_000 + 1), Ok(None), "{at}");
    }
}

#[test]
fn who_asks_to_be_left_alone_is_left_alone_until_then() {
    let mut breaker = Breaker::default();
    let wait = |ms| Outcome::Throttled { retry_after_ms: Some(ms) };
    assert_eq!(call(&mut breaker, wait(5_000), 0), Ok(Some(Change::Opened { until: 5_000, why: Why::Throttled })));
    assert_eq!(call(&mut breaker, wait(1), 4_999).unwrap_err().retry_after_ms, Some(1));
    let (one, two) = (breaker.acquire(&SETTINGS, 5_000).unwrap(), breaker.acquire(&SETTINGS, 5_000).unwrap());
    assert!(!one.is_probe() && !two.is_probe(), "it was never dead");
    breaker.finish(&SETTINGS, one, wait(u64::MAX), 5_000);
    assert_eq!(breaker.standing(&SETTINGS, 5_000), Standing::Open { for_ms: 3_600_000, why: Why::Throttled });
    assert_eq!(breaker.finish(&SETTINGS, two, Outcome::Success, 5_000), None, "a late success does not close it");
    // Without a time it is a failure as any other.
    let mut breaker = Breaker::default();
    for _ in 0..2 {
        assert_eq!(call(&mut breaker, Outcome::Throttled { retry_after_ms: None }, 0), Ok(None));
    }
    assert!(matches!(
        call(&mut breaker, Outcome::Throttled { retry_after_ms: None }, 0),
        Ok(Some(Change::Opened { why: Why::Failures, .. }))
    ));
}

#[test]
fn a_call_from_before_says_nothing_of_now() {
    let mut breaker = Breaker::default();
    let old: Vec<Permit> = (0..10).map(|_| breaker.acquire(&SETTINGS, 0).unwrap()).collect();
    for _ in 0..3 {
        call(&mut breaker, Outcome::Failure, 0).unwrap();
    }
    breaker.reset();
    for permit in old {
        assert_eq!(breaker.finish(&SETTINGS, permit, Outcome::Failure, 1), None);
    }
    assert_eq!(breaker.standing(&SETTINGS, 1), Standing::Closed);
}

#[test]
fn a_person_marks_it_down_and_up() {
    let mut breaker = Breaker::default();
    breaker.mark_down("maintenance", None, 0);
    assert_eq!(breaker.acquire(&SETTINGS, u64::MAX).unwrap_err().retry_after_ms, None);
    assert_eq!(breaker.down_reason(5), Some("maintenance"));
    breaker.mark_up();
    assert!(breaker.acquire(&SETTINGS, 0).is_ok());
    breaker.mark_down("health", Some(10), 0);
    assert_eq!(breaker.standing(&SETTINGS, 4), Standing::Down { for_ms: Some(6) });
    assert_eq!(breaker.standing(&SETTINGS, 10), Standing::Closed);
    breaker.mark_down("again", None, 0);
    breaker.reset();
    assert_eq!(breaker.standing(&SETTINGS, 0), Standing::Closed);
}

const fn clocks(monotonic_ms: u64, wall_ms: u64) -> Clocks {
    Clocks { monotonic_ms, wall_ms }
}

#[test]
fn it_comes_back_as_it_was_whatever_the_clock_says() {
    let saved = opened(1_000).save(clocks(11_000, 900_000));
    assert_eq!(saved.state, SavedState::Open { until_ms: 950_000, why: Why::Failures });
    for (name, wall, left) in [
        ("ten seconds later", 910_000, Some(40_000)),
        ("a clock that was set back", 5, Some(50_000)),
        ("a clock that was set forward", u64::MAX, None),
    ] {
        let breaker = Breaker::restore(&saved, &SETTINGS, clocks(7, wall));
        let expected =
            left.map_or(Standing::HalfOpen { free: 1 }, |for_ms| Standing::Open { for_ms, why: Why::Failures });
        assert_eq!(breaker.standing(&SETTINGS, 7), expected, "{name}");
    }
    // A time that cannot be: it opens for a cooldown and no longer.
    let impossible = Saved { state: SavedState::Open { until_ms: u64::MAX, why: Why::Failures }, ..saved };
    let breaker = Breaker::restore(&impossible, &SETTINGS, clocks(0, 900_000));
    assert_eq!(breaker.standing(&SETTINGS, 0), Standing::Open { for_ms: 60_000, why: Why::Failures });
}

#[test]
fn what_was_counted_survives_a_restart() {
    let mut breaker = Breaker::default();
    call(&mut breaker, Outcome::Failure, 0).unwrap();
    call(&mut breaker, Outcome::Failure, 0).unwrap();
    let text = serde_json::to_string(&breaker.save(clocks(0, 0))).unwrap();
    let mut breaker = Breaker::restore(&serde_json::from_str(&text).unwrap(), &SETTINGS, clocks(0, 0));
    assert!(matches!(call(&mut breaker, Outcome::Failure, 0), Ok(Some(Change::Opened { .. }))));

    let mut breaker = opened(0);
    call(&mut breaker, Outcome::Success, 60_000).unwrap();
    let held = breaker.acquire(&SETTINGS, 60_000).unwrap();
    let mut breaker = Breaker::restore(&breaker.save(clocks(60_000, 0)), &SETTINGS, clocks(0, 0));
    assert_eq!(call(&mut breaker, Outcome::Success, 0), Ok(Some(Change::Closed)), "its probe's place is free");
    drop(held);
}

#[test]
fn a_provider_without_connection_is_closed_for_all_its_models() {
    let catalogue = Catalogue::built_in().unwrap();
    let mut board = Breakers::new(catalogue.providers(), &[], clocks(0, 0));
    let (opus, haiku) = (Route::new("anthropic", "claude-opus-5-5"), Route::new("anthropic", "claude-haiku-5-5"));
    for _ in 0..3 {
        let permit = board.acquire(&opus, 0).unwrap();
        board.finish(&opus, permit, Outcome::Failure, Concerns::Provider, 0);
    }
    assert!(board.acquire(&haiku, 1).is_err());
    let saved = board.save(clocks(1, 1));
    let again = Breakers::new(catalogue.providers(), &saved, clocks(1, 1));
    assert!(!again.standing(&haiku, 1).admits());
    board.reset(&opus.provider, None);
    // A model that fails takes none of the others with it.
    for _ in 0..3 {
        let permit = board.acquire(&opus, 2).unwrap();
        board.finish(&opus, permit, Outcome::Failure, Concerns::Model, 2);
    }
    assert!(board.acquire(&opus, 3).is_err());
    assert!(board.standing(&haiku, 3).admits());
    for at in 0..10 {
        assert!(board.acquire(&haiku, 3 + at).is_ok());
    }
}

#[test]
fn a_model_that_refuses_uses_up_no_probe_of_its_provider() {
    let catalogue = Catalogue::built_in().unwrap();
    let mut board = Breakers::new(catalogue.providers(), &[], clocks(0, 0));
    let (opus, haiku) = (Route::new("anthropic", "claude-opus-5-5"), Route::new("anthropic", "claude-haiku-5-5"));
    for _ in 0..3 {
        let permit = board.acquire(&opus, 0).unwrap();
        board.finish(&opus, permit, Outcome::Failure, Concerns::Provider, 0);
    }
    board.breaker(&opus.provider, Some(&opus.model)).mark_down("maintenance", None, 0);
    for at in 0..10 {
        assert!(board.acquire(&opus, 60_000 + at).is_err());
    }
    assert!(board.acquire(&haiku, 60_010).unwrap().is_probe());
}

proptest! {
    #[test]
    fn whatever_happens_probes_are_bounded_and_it_opens_no_longer_than_it_may(
        steps in prop::collection::vec((0_u64..30_000, 0_u8..6, any::<u64>()), 1..200)
    ) {
        let mut breaker = Breaker::default();
        let mut held: Vec<Permit> = Vec::new();
        let mut now = 0;
        for (pause, action, number) in steps {
            now += pause;
            match action {
                0 | 1 => {
                    if let Ok(permit) = breaker.acquire(&SETTINGS, now) {
                        held.push(permit);
                    }
                }
                5 => breaker = Breaker::restore(&breaker.save(clocks(now, number)), &SETTINGS, clocks(now, number / 2)),
                _ => if !held.is_empty() {
                    let permit = held.swap_remove(usize::try_from(number).unwrap_or(0) % held.len());
                    let outcome = match number % 4 {
                        0 => Outcome::Success,
                        1 => Outcome::Failure,
                        2 => Outcome::Neutral,
                        _ => Outcome::Throttled { retry_after_ms: Some(number) },
                    };
                    breaker.finish(&SETTINGS, permit, outcome, now);
                },
            }
            match breaker.standing(&SETTINGS, now) {
                Standing::HalfOpen { free } => prop_assert!(free <= SETTINGS.probes),
                Standing::Open { for_ms, .. } => prop_assert!(for_ms <= SETTINGS.longest_ms),
                Standing::Closed | Standing::Down { .. } => {}
            }
            if let State::HalfOpen { probes, .. } = &breaker.state {
                prop_assert!(probes.len() <= SETTINGS.probes as usize);
            }
        }
        // Nobody holds it forever: when all is quiet it lets a call through.
        let later = now + SETTINGS.longest_ms + SETTINGS.probe_lease_ms;
        prop_assert!(breaker.acquire(&SETTINGS, later).is_ok());
    }
}
