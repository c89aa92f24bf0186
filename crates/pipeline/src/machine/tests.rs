//! Tables of single flows, and a simulated world that answers, fails, crashes, cancels and resumes at random.

use orx_engines::EngineKind;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::settings::EngineName;
use crate::settings::choose::Fallen;

fn rules() -> Rules {
    let gate = |name: &str, required, repairs| GateRule { name: name.to_owned(), required, repairs };
    Rules {
        pipeline: Pipeline::Standard,
        attempts: 3,
        review_rounds: 3,
        stop_on_first_failure: false,
        fast_items: true,
        max_items: 4,
        coalesce: true,
        knowledge: true,
        gates: vec![gate("ruff", true, true), gate("tests", true, false), gate("advice", false, false)],
    }
}

fn moment(now_ms: u64) -> Moment {
    Moment { now_ms, fresh: SessionId::generate() }
}

/// A machine with its outstanding effect, stepped by hand.
struct Bench {
    machine: Machine,
    effect: Option<Effect>,
    events: Vec<Happening>,
    commits: u32,
}

impl Bench {
    fn new(rules: Rules) -> Self {
        let machine = Machine::new(rules, "Do it".to_owned(), "base".to_owned());
        let effect = recover(&machine);
        Self { machine, effect, events: Vec::new(), commits: 0 }
    }

    fn give(&mut self, input: Input) -> &mut Self {
        let name = input.name();
        let done = step(&self.machine, input, moment(1000)).unwrap_or_else(|error| panic!("{error} ({name})"));
        assert_eq!(recover(&done.machine), done.effect, "a crash would ask for something else");
        (self.machine, self.effect) = (done.machine, done.effect);
        self.events.extend(done.events);
        self
    }

    fn answer(&mut self, outcome: AnswerOutcome) -> &mut Self {
        let Some(Effect::Engine { session, .. }) = self.effect else { panic!("no engine: {:?}", self.effect) };
        self.give(Input::Answered(Answer {
            session,
            outcome,
            engine: "codex".to_owned(),
            model: None,
            tokens: Tokens { input: Some(10), output: Some(2), cached: None },
            cost_microusd: Some(5),
            tool_calls: 1,
            duration_ms: 3,
        }))
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.answer(AnswerOutcome::Text(text.to_owned()))
    }

    fn trouble(&mut self, trouble: Trouble) -> &mut Self {
        self.answer(AnswerOutcome::Failed { trouble, message: "it broke".to_owned(), offer: None })
    }

    fn gate(&mut self, verdict: Verdict) -> &mut Self {
        let Some(Effect::Gate { gate, .. }) = self.effect else { panic!("no gate: {:?}", self.effect) };
        let report = report(&self.machine, gate, verdict);
        self.give(Input::GateEnded(report))
    }

    fn gates(&mut self, verdicts: &[Verdict]) -> &mut Self {
        for verdict in verdicts {
            self.gate(*verdict);
        }
        self
    }

    fn captured(&mut self) -> &mut Self {
        self.give(Input::Captured(change()))
    }

    fn committed(&mut self) -> &mut Self {
        self.commits += 1;
        let commit = commit(&self.machine, self.commits);
        self.give(Input::Committed(commit))
    }

    /// From the start to the first attempt at the first of `items` items.
    fn planned(mut self, items: u32) -> Self {
        self.give(Input::Prepared).text("plan").text("spec").text(&backlog(items));
        self
    }

    /// One item, with every gate passing.
    fn pass_item(&mut self) -> &mut Self {
        self.give(Input::WasReset).text("done").captured().gates(&[Verdict::Passed; 3]).committed()
    }
}

fn backlog(items: u32) -> String {
    let lines: String = (1..=items).map(|n| format!("- {{id: W{n:03}, title: t{n}, acceptance: [a]}}\n")).collect();
    format!("items:\n{lines}")
}

fn change() -> Change {
    Change { paths: vec!["a.py".to_owned()], diff: "+a".to_owned(), ..Change::default() }
}

fn commit(machine: &Machine, number: u32) -> CommitRecord {
    CommitRecord {
        commit: format!("c{number}"),
        subject: "feat: x".to_owned(),
        item: machine.current.clone(),
        files: 1,
        added: 1,
        removed: 0,
    }
}

fn report(machine: &Machine, gate: usize, verdict: Verdict) -> GateReport {
    let rule = &machine.rules.gates[gate];
    GateReport {
        gate: rule.name.clone(),
        verdict,
        required: rule.required,
        item: machine.current.clone(),
        attempt: 1,
        duration_ms: 1,
        log: None,
        message: None,
        tail: "the end of its log".to_owned(),
    }
}

const APPROVED: &str = "VERDICT: APPROVED";
const REJECTED: &str = "VERDICT: CHANGES_REQUESTED";

#[test]
fn a_run_goes_through_every_stage_to_its_end() {
    let mut bench = Bench::new(rules()).planned(2);
    bench.pass_item().pass_item().text(APPROVED).give(Input::WasReset).gates(&[Verdict::Passed; 3]);
    assert_eq!(bench.effect, Some(Effect::Ship));
    bench.give(Input::Shipped).text("notes").give(Input::Noted { commit: None, warning: None });
    assert_eq!((bench.machine.stage, &bench.machine.error), (Stage::Done, &None));
    let stages: Vec<&str> = bench.machine.stages.iter().map(|record| record.stage.as_str()).collect();
    assert_eq!(
        stages,
        [
            "plan",
            "spec",
            "decompose",
            "implement_item",
            "capture_diff",
            "verify",
            "commit",
            "implement_item",
            "capture_diff",
            "verify",
            "commit",
            "review",
            "verify",
            "ship",
            "knowledge_update"
        ]
    );
    assert!(bench.machine.stages.iter().all(|record| record.status == StageStatus::Completed));
    assert_eq!(bench.machine.verified.as_ref().map(|verified| verified.commit.as_str()), Some("c2"));
    assert_eq!(bench.machine.tokens().input, Some(70));
    assert_eq!(bench.machine.cost(), Some(35));
    assert_eq!(bench.events.last().map(|event| event.kind), Some("run.ended"));
}

#[test]
fn the_last_item_is_verified_in_full_and_those_before_it_fast() {
    let full = |bench: &Bench| matches!(bench.effect, Some(Effect::Gate { full: true, .. }));
    let mut bench = Bench::new(rules()).planned(2);
    bench.give(Input::WasReset).text("done").captured();
    assert!(!full(&bench));
    bench.gates(&[Verdict::Passed; 3]).committed().give(Input::WasReset).text("done").captured();
    assert!(full(&bench));
}

#[test]
fn every_gate_runs_and_an_advisory_one_fails_nothing() {
    let mut bench = Bench::new(rules()).planned(1);
    bench.give(Input::WasReset).text("done").captured();
    bench.gate(Verdict::Passed).gate(Verdict::Error).gate(Verdict::Failed);
    assert_eq!(bench.machine.stage, Stage::FixLoop);
    let evidence = bench.machine.evidence.clone().unwrap();
    assert_eq!(evidence.gates.iter().map(|gate| gate.gate.as_str()).collect::<Vec<_>>(), ["tests"]);
    assert_eq!(evidence.gates[0].tail, "the end of its log");
    bench.text("fixed").captured().gates(&[Verdict::Passed, Verdict::Skipped, Verdict::Failed]);
    assert_eq!(bench.effect, Some(Effect::Commit));
}

#[test]
fn a_repair_is_followed_by_another_look_of_every_gate() {
    let mut bench = Bench::new(rules()).planned(1);
    bench.give(Input::WasReset).text("done").captured();
    let step = |bench: &Bench| match bench.effect {
        Some(Effect::Gate { gate, step, .. }) => (gate, step),
        ref other => panic!("{other:?}"),
    };
    bench.gate(Verdict::Failed);
    assert_eq!(step(&bench), (0, GateStep::Repair));
    bench.gate(Verdict::Passed);
    assert_eq!(step(&bench), (0, GateStep::Recheck));
    bench.gate(Verdict::Passed);
    assert_eq!(step(&bench), (1, GateStep::Check));
    bench.gates(&[Verdict::Passed; 2]);
    assert_eq!(step(&bench), (0, GateStep::Recheck));
    bench.gate(Verdict::Failed);
    assert_eq!(step(&bench), (1, GateStep::Recheck));
    bench.gates(&[Verdict::Passed; 2]);
    assert_eq!(bench.machine.stage, Stage::FixLoop);
}

#[test]
fn attempts_are_bounded_and_what_depends_on_a_failure_is_skipped() {
    let text = "items:\n- {id: W001, title: t, acceptance: [a]}\n- {id: W002, title: t, acceptance: [a], depends_on: [W001]}\n- {id: W003, title: t, acceptance: [a]}\n";
    let mut bench = Bench::new(rules());
    bench.give(Input::Prepared).text("plan").text("spec").text(text).give(Input::WasReset);
    bench.text("nothing").give(Input::Captured(Change::default()));
    assert!(bench.machine.evidence.as_ref().is_some_and(|evidence| evidence.empty));
    let violated = Change { violations: vec!["a.env may not change".to_owned()], ..change() };
    bench.text("fix").give(Input::Captured(violated)).trouble(Trouble::Other);
    assert!(matches!(bench.effect, Some(Effect::Reset { .. })), "{:?}", bench.effect);
    bench.give(Input::WasReset).pass_item();
    assert_eq!(bench.machine.stage, Stage::Failed);
    let statuses: Vec<_> = bench.machine.items.iter().map(|item| (item.status.as_str(), item.attempts)).collect();
    assert_eq!(statuses, [("failed", 3), ("skipped", 0), ("done", 1)]);
    let error = bench.machine.error.clone().unwrap();
    assert!(error.contains("W002 was skipped (it depends on W001, which was failed)"), "{error}");
    assert!(error.contains("1 of 3 items are committed"), "{error}");
    bench.give(Input::Resume);
    let statuses: Vec<_> = bench.machine.items.iter().map(|item| (item.status.as_str(), item.attempts)).collect();
    assert_eq!(statuses, [("in_progress", 1), ("todo", 0), ("done", 1)]);
    bench
        .pass_item()
        .pass_item()
        .text(APPROVED)
        .give(Input::WasReset)
        .gates(&[Verdict::Passed; 3])
        .give(Input::Shipped);
    bench.text("notes").give(Input::Noted { commit: None, warning: None });
    assert_eq!((bench.machine.stage, bench.machine.commits.len()), (Stage::Done, 3));
}

#[test]
fn the_first_failure_ends_the_run_where_that_is_wanted() {
    let mut bench = Bench::new(Rules { stop_on_first_failure: true, attempts: 1, ..rules() }).planned(2);
    bench.give(Input::WasReset).text("x").give(Input::Captured(Change::default())).give(Input::WasReset);
    assert_eq!(bench.machine.stage, Stage::Failed);
    assert_eq!(bench.machine.items[1].status, ItemStatus::Skipped);
}

#[test]
fn a_review_that_is_never_satisfied_fails_the_run() {
    let mut bench = Bench::new(rules()).planned(1);
    bench.pass_item();
    for round in 1..=3 {
        bench.text(REJECTED);
        assert_eq!(bench.machine.items.last().unwrap().work.id, format!("W{:03}", round + 1));
        bench.pass_item();
    }
    bench.text(REJECTED);
    assert_eq!(bench.machine.stage, Stage::Failed);
    assert!(bench.machine.error.as_ref().unwrap().starts_with("review not satisfied"));
    bench.give(Input::Resume);
    assert_eq!(bench.machine.stage, Stage::Review);
}

#[test]
fn an_answer_without_form_is_asked_for_once_again() {
    let mut bench = Bench::new(rules()).planned(1);
    bench.pass_item().text("looks good to me");
    assert!(matches!(&bench.effect, Some(Effect::Engine { form: Some(form), .. }) if form.contains("VERDICT")));
    bench.text("I said it looks good");
    assert_eq!(bench.machine.stage, Stage::Failed);
    assert_eq!(bench.machine.stages.last().unwrap().category, Some(FailureCategory::ParseError));
    let mut bench = Bench::new(rules());
    bench.give(Input::Prepared).text("plan").text("spec").text("no backlog").text(&backlog(1));
    assert_eq!(bench.machine.stage, Stage::ImplementItem);
}

#[test]
fn passing_trouble_is_waited_for_once_then_something_takes_over_then_it_fails() {
    let offer = || {
        let mut selection = crate::settings::load::parse("engine: {type: gemini}", "x")
            .unwrap()
            .choose(crate::settings::StageKey::Plan)
            .unwrap();
        selection.engine = EngineName::Engine(EngineKind::Gemini);
        Some(Fallen { selection, tries: 1 })
    };
    let limited = |retry_after_ms| AnswerOutcome::Failed {
        trouble: Trouble::RateLimited { retry_after_ms },
        message: "429".to_owned(),
        offer: offer(),
    };
    let mut bench = Bench::new(rules());
    bench.give(Input::Prepared).answer(limited(Some(5_000)));
    assert_eq!(bench.effect, Some(Effect::Wait { until_ms: 6_000 }));
    bench.give(Input::WaitOver).answer(limited(None));
    assert!(
        matches!(&bench.effect, Some(Effect::Engine { fallback: Some(fallback), .. }) if fallback.engine == EngineName::Engine(EngineKind::Gemini))
    );
    bench.answer(limited(None));
    assert_eq!(bench.machine.stage, Stage::Failed);
    assert_eq!(bench.machine.stages.last().unwrap().tokens.input, Some(30), "tokens of every try count");
    assert!(bench.machine.stages.last().unwrap().fallback);
    let mut bench = Bench::new(rules());
    bench.give(Input::Prepared).answer(limited(Some(900_000)));
    assert_eq!(bench.effect, Some(Effect::Wait { until_ms: 121_000 }));
    let mut bench = Bench::new(rules()).planned(1);
    bench.give(Input::WasReset).trouble(Trouble::Overloaded).give(Input::WaitOver).trouble(Trouble::Overloaded);
    assert_eq!(bench.machine.stage, Stage::Failed, "an overloaded provider does not burn the item's attempts");
}

#[test]
fn a_lost_session_is_attempted_again_on_a_clean_tree_a_bounded_number_of_times() {
    let mut bench = Bench::new(rules()).planned(1);
    bench.give(Input::WasReset).answer(AnswerOutcome::Lost);
    assert!(matches!(&bench.effect, Some(Effect::Reset { keep }) if keep.contains("W001-attempt-1-lost")));
    bench.give(Input::WasReset).answer(AnswerOutcome::Lost).give(Input::WasReset).answer(AnswerOutcome::Lost);
    assert_eq!((bench.machine.stage, bench.machine.item().unwrap().attempts), (Stage::FixLoop, 2));
}

#[test]
fn a_gate_whose_session_disappears_runs_again_and_is_no_pass_in_the_end() {
    let mut bench = Bench::new(rules()).planned(1);
    bench.give(Input::WasReset).text("done").captured();
    for _ in 0..2 {
        let before = bench.machine.session();
        let lost = report(&bench.machine, 0, Verdict::Error);
        bench.give(Input::GateLost(lost));
        assert!(
            matches!(bench.effect, Some(Effect::Gate { gate: 0, step: GateStep::Check, .. })),
            "{:?}",
            bench.effect
        );
        assert_ne!(bench.machine.session(), before);
    }
    let lost = report(&bench.machine, 0, Verdict::Error);
    bench.give(Input::GateLost(lost)).gates(&[Verdict::Passed; 2]);
    assert_eq!(bench.machine.stage, Stage::FixLoop);
}

#[test]
fn the_last_verification_decides_and_notes_that_break_it_are_taken_back() {
    let mut bench = Bench::new(rules()).planned(1);
    bench.pass_item().text(APPROVED).give(Input::WasReset).gates(&[Verdict::Passed, Verdict::Failed, Verdict::Passed]);
    assert_eq!(bench.machine.stage, Stage::Failed);
    bench.give(Input::Resume).give(Input::WasReset).gates(&[Verdict::Passed; 3]).give(Input::Shipped).text("notes");
    let notes = CommitRecord { commit: "notes".to_owned(), item: None, ..commit(&bench.machine, 9) };
    bench.give(Input::Noted { commit: Some(notes), warning: None });
    assert_eq!(bench.machine.head, "notes");
    bench.give(Input::WasReset).gates(&[Verdict::Failed, Verdict::Passed, Verdict::Passed]);
    assert!(matches!(bench.effect, Some(Effect::Reset { .. })));
    bench.give(Input::WasReset);
    assert_eq!((bench.machine.stage, bench.machine.head.as_str()), (Stage::Done, "c1"));
    assert!(bench.machine.warnings[0].contains("taken back"));
}

#[test]
fn the_shorter_pipelines_are_parts_of_the_whole() {
    let mut bench = Bench::new(Rules { pipeline: Pipeline::PlanOnly, ..rules() });
    bench.give(Input::Prepared).text("plan");
    assert_eq!(bench.machine.stage, Stage::Done);
    let mut bench = Bench::new(Rules { pipeline: Pipeline::FastFix, ..rules() });
    bench.give(Input::Prepared).pass_item().give(Input::WasReset).gates(&[Verdict::Passed; 3]).give(Input::Shipped);
    assert_eq!(bench.machine.stage, Stage::Done);
}

#[test]
fn what_does_not_belong_to_the_state_is_refused_and_changes_nothing() {
    let bench = Bench::new(rules());
    for input in [Input::WasReset, Input::Shipped, Input::WaitOver, Input::Resume, Input::Captured(change())] {
        assert!(step(&bench.machine, input, moment(1)).is_err());
    }
    let mut bench = Bench::new(rules());
    bench.give(Input::Prepared);
    let stale = Answer {
        session: SessionId::generate(),
        outcome: AnswerOutcome::Text("x".to_owned()),
        engine: String::new(),
        model: None,
        tokens: Tokens::default(),
        cost_microusd: None,
        tool_calls: 0,
        duration_ms: 0,
    };
    assert!(step(&bench.machine, Input::Answered(stale), moment(1)).is_err(), "an answer of another session");
    bench.give(Input::Cancel);
    assert!(step(&bench.machine, Input::Cancel, moment(1)).is_err());
    assert!(step(&bench.machine, Input::Prepared, moment(1)).is_err());
}

/// What the world does at one step, drawn at random.
#[derive(Debug, Clone, Copy)]
enum Chance {
    Good,
    Bad,
    Worse,
    Crash,
    Cancel,
    Break,
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        12 => Just(Chance::Good),
        4 => Just(Chance::Bad),
        2 => Just(Chance::Worse),
        3 => Just(Chance::Crash),
        1 => Just(Chance::Cancel),
        1 => Just(Chance::Break),
    ]
}

fn reply(machine: &Machine, effect: &Effect, chance: Chance, count: &mut u32) -> Input {
    let good = matches!(chance, Chance::Good | Chance::Crash);
    match (effect, chance) {
        (_, Chance::Cancel) => Input::Cancel,
        (_, Chance::Break) => Input::Broke { message: "the disk".to_owned() },
        (Effect::Prepare, _) => Input::Prepared,
        (Effect::Reset { .. }, _) => Input::WasReset,
        (Effect::Wait { .. }, _) => Input::WaitOver,
        (Effect::Engine { stage, session, .. }, _) => Input::Answered(Answer {
            session: *session,
            outcome: match chance {
                Chance::Bad => {
                    AnswerOutcome::Failed { trouble: Trouble::TimedOut, message: "late".to_owned(), offer: None }
                }
                Chance::Worse => AnswerOutcome::Lost,
                _ if *stage == StageKey::Decompose => AnswerOutcome::Text(backlog(3)),
                _ => AnswerOutcome::Text(APPROVED.to_owned()),
            },
            engine: "e".to_owned(),
            model: None,
            tokens: Tokens::default(),
            cost_microusd: None,
            tool_calls: 0,
            duration_ms: 1,
        }),
        (Effect::Capture, Chance::Bad) => Input::Captured(Change::default()),
        (Effect::Capture, Chance::Worse) => Input::Captured(Change { violations: vec!["no".to_owned()], ..change() }),
        (Effect::Capture, _) => Input::Captured(change()),
        (Effect::Gate { gate, .. }, _) => Input::GateEnded(report(
            machine,
            *gate,
            if good {
                Verdict::Passed
            } else if matches!(chance, Chance::Bad) {
                Verdict::Failed
            } else {
                Verdict::Error
            },
        )),
        (Effect::Commit, Chance::Worse) => Input::CommitRefused(Change::default()),
        (Effect::Commit, _) => {
            *count += 1;
            Input::Committed(commit(machine, *count))
        }
        (Effect::Ship, _) => Input::Shipped,
        (Effect::Notes, _) => {
            *count += 1;
            let notes = CommitRecord { item: None, ..commit(machine, *count) };
            Input::Noted { commit: good.then_some(notes), warning: None }
        }
    }
}

fn invariants(machine: &Machine) {
    let mut held = BTreeSet::new();
    for item in &machine.items {
        assert!(item.attempts <= machine.rules.attempts, "{} has {} attempts", item.work.id, item.attempts);
        assert_eq!(item.status == ItemStatus::Done, item.commit.is_some());
        assert!(!matches!(item.status, ItemStatus::Failed | ItemStatus::Skipped) || item.note.is_some());
    }
    for commit in &machine.commits {
        assert!(commit.item.is_none() || held.insert(commit.item.clone()), "{:?} was committed twice", commit.item);
    }
    assert!(machine.reviews <= machine.rules.review_rounds);
    if machine.stage == Stage::Done {
        assert!(machine.items.iter().all(|item| item.status == ItemStatus::Done), "done with items undone");
        let shipped = machine.shipped.as_ref().unwrap();
        assert_eq!(shipped.commit, machine.head, "done with an unverified commit");
        assert!(shipped.is_clear(), "done with a required gate that did not pass");
        assert_eq!(shipped.reports.len(), machine.rules.gates.len());
        assert_eq!(machine.commits.last().map(|commit| commit.commit.as_str()), Some(machine.head.as_str()));
    }
    if machine.stage == Stage::Failed {
        assert!(machine.error.is_some());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn whatever_happens_the_run_tells_the_truth(chances in proptest::collection::vec(chance(), 1..160), fast in any::<bool>()) {
        let pipeline = if fast { Pipeline::FastFix } else { Pipeline::Standard };
        let mut machine = Machine::new(Rules { pipeline, ..rules() }, "Do it".to_owned(), "base".to_owned());
        let mut chances = chances.into_iter();
        let mut commits = 0;
        let mut resumes = 0;
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 2000, "it does not end");
            let Some(effect) = recover(&machine) else {
                if machine.stage == Stage::Done || resumes > 3 { break }
                resumes += 1;
                machine = step(&machine, Input::Resume, moment(1)).unwrap().machine;
                continue;
            };
            let chance = chances.next().unwrap_or(Chance::Good);
            if matches!(chance, Chance::Crash) {
                let text = serde_json::to_string(&machine).unwrap();
                let again: Machine = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(&again, &machine);
                prop_assert_eq!(recover(&again), Some(effect.clone()));
                machine = again;
            }
            let input = reply(&machine, &effect, chance, &mut commits);
            let next = step(&machine, input, moment(1)).unwrap();
            prop_assert_eq!(recover(&next.machine), next.effect);
            machine = next.machine;
            invariants(&machine);
        }
        if machine.stage != Stage::Done {
            prop_assert!(machine.stage.is_final());
        }
    }

    #[test]
    fn attempts_survive_a_crash(at in 0usize..12) {
        let mut bench = Bench::new(rules()).planned(1);
        bench.give(Input::WasReset);
        for round in 0..at {
            let before = bench.machine.item().map(|item| item.attempts);
            bench.machine = serde_json::from_str(&serde_json::to_string(&bench.machine).unwrap()).unwrap();
            bench.effect = recover(&bench.machine);
            prop_assert_eq!(bench.machine.item().map(|item| item.attempts), before);
            match bench.effect.clone() {
                Some(Effect::Engine { .. }) => { bench.text("x"); }
                Some(Effect::Capture) => { bench.give(Input::Captured(Change::default())); }
                _ => break,
            }
            prop_assert!(round < 7, "attempts are not bounded");
        }
    }
}
