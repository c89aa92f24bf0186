//! What must hold of the fusion, as a table of scenes and as properties.

use orx_protocol::activity::{Activity, AgentState, Observation, Source};
use proptest::prelude::*;

use super::Fusion;
use AgentState::{
    Blocked, Done, Failed, Idle, RateLimited, Starting, SubagentsRunning, Unknown, WaitingInput, Working,
};
use Source::{Gateway, Hook, Notification, Process, Progress, Protocol, Screen, Title, Transcript};

fn said(source: Source, state: AgentState, confidence: u8, at_ms: u64) -> Observation {
    Observation { source, state, reason: format!("{source:?}"), confidence, at_ms, until_ms: None }
}

/// Something that happens in a scene.
#[derive(Clone, Copy)]
enum Happens {
    Says(Source, AgentState, u8),
    Until(Source, AgentState, u64),
    Silent(Source),
    LostSight,
}

/// Plays a scene of (time, what happens) and gives the states that are told, with their times, up to `end`.
fn play(mut fusion: Fusion, scene: &[(u64, Happens)], end: u64) -> Vec<(u64, AgentState)> {
    let mut told = vec![(0, fusion.activity().state)];
    let tell = |fusion: &mut Fusion, at: u64, told: &mut Vec<(u64, AgentState)>| {
        fusion.conclude(at);
        let state = fusion.activity().state;
        if told.last().is_none_or(|last| last.1 != state) {
            told.push((at, state));
        }
    };
    let pass = |fusion: &mut Fusion, until: u64, told: &mut Vec<(u64, AgentState)>| {
        while let Some(at) = fusion.wakes_at().filter(|at| *at <= until) {
            tell(fusion, at, told);
        }
    };
    for (at, what) in scene {
        pass(&mut fusion, at.saturating_sub(1), &mut told);
        match *what {
            Happens::Says(source, state, confidence) => fusion.observe(said(source, state, confidence, *at)),
            Happens::Until(source, state, until) => {
                fusion.observe(Observation { until_ms: Some(until), ..said(source, state, 90, *at) });
            }
            Happens::Silent(source) => fusion.silence(source, *at),
            Happens::LostSight => fusion.lost_sight(*at),
        }
        tell(&mut fusion, *at, &mut told);
    }
    pass(&mut fusion, end, &mut told);
    told
}

#[test]
fn scenes_are_told_as_they_are() {
    use Happens::{LostSight, Says, Silent, Until};
    type Scene = (&'static str, Vec<(u64, Happens)>, u64, Vec<AgentState>);
    let scenes: Vec<Scene> = vec![
        ("a start, until the composer shows", vec![(500, Says(Screen, Idle, 85))], 5000, vec![Starting, Idle]),
        ("a start that shows nothing known", vec![], 200_000, vec![Starting, Unknown]),
        (
            "a flicker of the composer between two steps",
            vec![(0, Says(Screen, Working, 93)), (900, Says(Screen, Idle, 85)), (1100, Says(Screen, Working, 93))],
            9000,
            vec![Starting, Working],
        ),
        (
            "a dialog that a rule answers at once",
            vec![(0, Says(Screen, Working, 93)), (900, Says(Screen, Blocked, 96)), (950, Says(Screen, Working, 93))],
            9000,
            vec![Starting, Working],
        ),
        (
            "a turning title over a quiet screen",
            vec![(0, Says(Title, Working, 90)), (10, Says(Screen, Idle, 85))],
            99_000,
            vec![Starting, Working],
        ),
        (
            "a question under a title that says only that something is required",
            vec![(0, Says(Title, Blocked, 90)), (10, Says(Screen, WaitingInput, 95))],
            9000,
            vec![Starting, WaitingInput],
        ),
        (
            "an interrupt: no hook comes, the screen is believed",
            vec![(0, Says(Screen, Working, 93)), (10, Says(Hook, Working, 95)), (5000, Says(Screen, Idle, 85))],
            9000,
            vec![Starting, Working, Idle],
        ),
        (
            "and the hook's word does not come back when the screen shows nothing",
            vec![(0, Says(Hook, Working, 95)), (5000, Says(Screen, Idle, 85)), (8000, Silent(Screen))],
            20_000,
            vec![Starting, Working, Idle, Unknown],
        ),
        (
            "a screen that is unsure takes no hook's word away",
            vec![(0, Says(Hook, Blocked, 95)), (1000, Says(Screen, Idle, 70))],
            60_000,
            vec![Starting, Blocked],
        ),
        (
            "a hook without a screen that is known sticks",
            vec![(0, Says(Hook, Working, 95))],
            3_600_000,
            vec![Starting, Working],
        ),
        (
            "a hook that is newer than what the screen still shows",
            vec![(0, Says(Screen, Working, 93)), (3000, Says(Hook, Idle, 95)), (3200, Says(Screen, Idle, 85))],
            9000,
            vec![Starting, Working, Idle],
        ),
        (
            "helpers work while the composer shows",
            vec![(0, Says(Hook, SubagentsRunning, 95)), (10, Says(Screen, Idle, 85))],
            600_000,
            vec![Starting, SubagentsRunning],
        ),
        (
            "a dialog of a helper is seen all the same",
            vec![(0, Says(Hook, SubagentsRunning, 95)), (2000, Says(Screen, Blocked, 96))],
            9000,
            vec![Starting, SubagentsRunning, Blocked],
        ),
        (
            "blocked by the protocol never loses against a weaker idle",
            vec![(0, Says(Protocol, Blocked, 99)), (10, Says(Screen, Idle, 99)), (20, Says(Hook, Idle, 99))],
            600_000,
            vec![Starting, Blocked],
        ),
        (
            "a dialog that a protocol does not know of is believed once it stands",
            vec![(0, Says(Protocol, Idle, 99)), (1000, Says(Screen, WaitingInput, 95))],
            9000,
            vec![Starting, Idle, WaitingInput],
        ),
        (
            "a closed protocol loses its vote",
            vec![(0, Says(Protocol, Working, 99)), (1000, Says(Screen, Idle, 85)), (2000, Silent(Protocol))],
            9000,
            vec![Starting, Working, Idle],
        ),
        (
            "a limit is over when its time is",
            vec![(0, Says(Screen, Idle, 85)), (2000, Until(Protocol, RateLimited, 10_000))],
            60_000,
            vec![Starting, Idle, RateLimited, Idle],
        ),
        (
            "a parked session whose CLI shows its prompt, or tries again, is not idle and not at work",
            vec![
                (0, Says(Screen, Working, 93)),
                (1000, Until(Gateway, RateLimited, 30_000)),
                (2000, Says(Screen, Idle, 85)),
                (9000, Says(Screen, Working, 93)),
                (12_000, Says(Hook, Idle, 95)),
                (15_000, Says(Screen, Idle, 85)),
                (20_000, Silent(Gateway)),
            ],
            60_000,
            vec![Starting, Working, RateLimited, Idle],
        ),
        (
            "a parked session that asks something is to be answered",
            vec![
                (0, Says(Screen, Working, 93)),
                (1000, Says(Gateway, RateLimited, 99)),
                (2000, Says(Screen, WaitingInput, 95)),
                (5000, Says(Screen, Idle, 85)),
            ],
            60_000,
            vec![Starting, Working, RateLimited, WaitingInput, RateLimited],
        ),
        (
            "a parked session ends like any other",
            vec![(0, Says(Gateway, RateLimited, 99)), (5000, Says(Process, Done, 100))],
            60_000,
            vec![Starting, RateLimited, Done],
        ),
        (
            "a notification alone is old news soon",
            vec![(0, Says(Notification, Blocked, 85))],
            60_000,
            vec![Starting, Blocked, Unknown],
        ),
        (
            "a transcript alone is old news too",
            vec![(0, Says(Transcript, Working, 80))],
            600_000,
            vec![Starting, Working, Unknown],
        ),
        (
            "a transcript that is read again and again counts as long as it stands",
            vec![
                (0, Says(Transcript, Idle, 90)),
                (25_000, Says(Transcript, Idle, 90)),
                (50_000, Says(Transcript, Idle, 90)),
            ],
            70_000,
            vec![Starting, Idle],
        ),
        (
            "what the terminal shows comes before a transcript",
            vec![(0, Says(Transcript, Idle, 90)), (10, Says(Screen, Blocked, 96))],
            9000,
            vec![Starting, Blocked],
        ),
        (
            "an interrupt on a screen of which nothing is known: the engine wrote it down",
            vec![
                (0, Says(Hook, Working, 95)),
                (1000, Says(Transcript, Working, 90)),
                (5000, Says(Transcript, Idle, 90)),
            ],
            20_000,
            vec![Starting, Working, Idle],
        ),
        (
            "what a transcript said before the hook takes nothing away, however often it is read again",
            vec![(0, Says(Transcript, Idle, 90)), (1000, Says(Hook, Working, 95)), (9000, Says(Transcript, Idle, 90))],
            20_000,
            vec![Starting, Idle, Working],
        ),
        (
            "what a last line lets expect takes no hook's word away",
            vec![(0, Says(Hook, Blocked, 95)), (1000, Says(Transcript, Working, 65))],
            20_000,
            vec![Starting, Blocked],
        ),
        (
            "a bar that moves over a place for a prompt, and is cleared",
            vec![(0, Says(Progress, Working, 82)), (10, Says(Screen, Idle, 85)), (9000, Silent(Progress))],
            20_000,
            vec![Starting, Working, Idle],
        ),
        (
            "a bar that shows a failure is believed of a program that shows nothing else",
            vec![(0, Says(Progress, Failed, 55)), (5000, Says(Screen, Idle, 85))],
            9000,
            vec![Starting, Failed, Idle],
        ),
        (
            "a terminal that is out of sight says nothing",
            vec![(0, Says(Screen, Working, 93)), (2000, LostSight)],
            9000,
            vec![Starting, Working, Unknown],
        ),
        (
            "the end of the process is the last word",
            vec![(0, Says(Protocol, Working, 99)), (50, Says(Process, Done, 100)), (60, Says(Process, Idle, 100))],
            9000,
            vec![Starting, Working, Done],
        ),
        (
            "what a process hints at gives way to what is shown",
            vec![(0, Says(Process, Idle, 60)), (1000, Says(Screen, Working, 90))],
            9000,
            vec![Starting, Idle, Working],
        ),
    ];
    for (name, scene, end, states) in scenes {
        let told = play(Fusion::starting(0), &scene, end);
        let without_times: Vec<AgentState> = told.iter().map(|(_, state)| *state).collect();
        assert_eq!(without_times, states, "{name}: {told:?}");
    }
}

#[test]
fn states_are_told_within_a_second_also_against_a_hook() {
    for state in [Working, Idle, Blocked, WaitingInput] {
        for before in [Working, Idle, Blocked] {
            if state == before {
                continue;
            }
            let scene = [
                (0, Happens::Says(Hook, before, 95)),
                (1, Happens::Says(Screen, before, 90)),
                (9000, Happens::Says(Screen, state, 90)),
            ];
            let told = play(Fusion::starting(0), &scene, 20_000);
            let (at, last) = *told.last().unwrap();
            assert_eq!(last, state, "{before:?} to {state:?}: {told:?}");
            assert!(at - 9000 <= 750, "{before:?} to {state:?} was told after {} ms", at - 9000);
        }
    }
}

#[test]
fn a_state_from_before_a_restart_is_marked_and_given_up_when_nobody_confirms_it() {
    let recorded = Activity { state: Working, reason: "hook".to_owned(), confidence: 95, since_ms: 5, until_ms: None };
    let mut fusion = Fusion::restored(recorded.clone(), 1000);
    assert_eq!(fusion.activity().reason, "before the daemon's start: hook");
    assert!(fusion.activity().confidence < 50);
    assert_eq!(fusion.conclude(9000), None);
    let wakes = fusion.wakes_at().unwrap();
    assert_eq!(fusion.conclude(wakes).map(|told| told.state), Some(Unknown));
    let mut seen = Fusion::restored(recorded.clone(), 1000);
    seen.observe(said(Screen, Working, 90, 1500));
    seen.conclude(1500);
    assert_eq!((seen.activity().state, seen.activity().reason.as_str()), (Working, "Screen"));
    assert_eq!(seen.activity().since_ms, 5, "it worked all the while");
    let twice = Fusion::restored(Fusion::restored(recorded, 1).activity().clone(), 2);
    assert_eq!(twice.activity().reason, "before the daemon's start: hook");
    let over = Activity { state: Done, ..Activity::default() };
    assert_eq!(Fusion::restored(over.clone(), 1).activity(), &over);
}

#[test]
fn every_vote_is_told_with_its_age_and_who_decides() {
    let mut fusion = Fusion::starting(0);
    fusion.observe(said(Hook, Working, 95, 100));
    fusion.observe(said(Notification, Blocked, 80, 200));
    fusion.conclude(20_000);
    let votes = fusion.votes(20_000);
    let of = |source| votes.iter().find(|vote| vote.source == source).unwrap();
    assert_eq!((of(Hook).decides, of(Hook).counts, of(Hook).age_ms), (true, true, 19_900));
    assert_eq!((of(Notification).decides, of(Notification).counts), (false, false));
}

const STATES: [AgentState; 6] = [Working, Idle, Blocked, WaitingInput, RateLimited, SubagentsRunning];
const SOURCES: [Source; 8] = [Protocol, Hook, Title, Screen, Progress, Transcript, Process, Gateway];

fn observations() -> impl Strategy<Value = Vec<Observation>> {
    let one = (0..SOURCES.len(), 0..STATES.len(), 1_u8..=100, 0_u64..20_000);
    proptest::collection::vec(one, 0..24).prop_map(|all| {
        all.into_iter()
            .map(|(source, state, confidence, at)| said(SOURCES[source], STATES[state], confidence, at))
            .collect()
    })
}

proptest! {
    #[test]
    fn what_different_sources_say_may_come_in_any_order(all in observations(), seed in any::<u64>()) {
        let mut newest: Vec<Observation> = Vec::new();
        for said in all {
            if newest.iter().all(|other| other.source != said.source) {
                newest.push(said);
            }
        }
        let mut shuffled = newest.clone();
        let turn = usize::try_from(seed).unwrap_or(0) % shuffled.len().max(1);
        shuffled.rotate_left(turn);
        let conclude = |all: &[Observation]| {
            let mut fusion = Fusion::starting(0);
            all.iter().for_each(|said| fusion.observe(said.clone()));
            fusion.conclude(20_000);
            fusion.conclude(25_000);
            fusion.activity().state
        };
        prop_assert_eq!(conclude(&newest), conclude(&shuffled));
    }

    #[test]
    fn idle_is_never_concluded_from_silence(all in observations(), times in proptest::collection::vec(0_u64..200_000, 1..40)) {
        let mut fusion = Fusion::starting(0);
        for said in all.into_iter().filter(|said| said.state != Idle) {
            fusion.observe(said);
        }
        for at in times {
            fusion.conclude(at);
            prop_assert_ne!(fusion.activity().state, Idle);
        }
    }

    #[test]
    fn a_parked_session_is_never_told_to_be_idle(
        all in observations(), later in observations(), times in proptest::collection::vec(0_u64..60_000, 1..40)
    ) {
        let mut fusion = Fusion::starting(0);
        all.into_iter().filter(|said| said.source != Gateway).for_each(|said| fusion.observe(said));
        fusion.observe(said(Gateway, RateLimited, 99, 20_001));
        fusion.conclude(20_001);
        for (said, at) in later.into_iter().filter(|said| said.source != Gateway).zip(times) {
            fusion.observe(Observation { at_ms: 20_001 + said.at_ms, ..said });
            fusion.conclude(20_001 + at);
            // What asked just when it was parked is told once it has stood for a moment.
            prop_assert!(matches!(fusion.activity().state, Starting | RateLimited | Blocked | WaitingInput));
        }
    }

    #[test]
    fn time_and_states_never_go_backwards(all in observations(), times in proptest::collection::vec(0_u64..60_000, 1..40)) {
        let mut fusion = Fusion::starting(0);
        let mut latest = 0;
        let mut since = 0;
        for (said, at) in all.into_iter().zip(times) {
            fusion.observe(said);
            fusion.conclude(at);
            latest = latest.max(at).max(20_000);
            let told = fusion.activity();
            prop_assert!(told.since_ms >= since && told.since_ms <= latest);
            prop_assert!(told.confidence <= 100 && (told.state == Unknown) == (told.confidence == 0));
            since = told.since_ms;
        }
    }

    #[test]
    fn the_end_is_never_taken_back(all in observations(), more in observations()) {
        let mut fusion = Fusion::starting(0);
        all.into_iter().for_each(|said| fusion.observe(said));
        fusion.observe(said(Process, Done, 100, 20_001));
        fusion.conclude(20_001);
        more.into_iter().for_each(|said| fusion.observe(said));
        fusion.lost_sight(30_000);
        for source in SOURCES {
            fusion.silence(source, 30_000);
        }
        fusion.conclude(90_000);
        prop_assert_eq!(fusion.activity().state, Done);
    }
}
