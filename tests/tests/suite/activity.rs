//! What agents do, as it is told: over recorded sessions of real coding CLIs against what was true of them, and in
//! sessions of a real daemon.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use orx_engines::EngineKind;
use orx_protocol::activity::{AgentState, Source};
use orx_protocol::watch::Changed;
use orx_session::screen::{Look, Rules};
use orx_tests::activity::{Figures, Hearing, LATEST_MS, Take, judge, played, told};
use orx_tests::harness::wire::Received;
use orx_tests::harness::{Daemon, eventually};
use pty_proxy::replay::cast::CastError;
use pty_proxy::replay::play;
use serde_json::{Value, json};

/// The harmonic mean of precision and recall over transitions must be at least this.
const F1: f64 = 0.98;
/// `idle` may be told wrongly for at most this part of the time that was not idle.
const FALSE_IDLE: f64 = 0.005;
/// Transitions that the corpus has at least, and CLIs.
const TRANSITIONS: usize = 200;
const CLIS: usize = 5;
/// What is heard beside the terminal.
const HEARINGS: [Hearing; 4] = [Hearing::Terminal, Hearing::Hooks, Hearing::Files, Hearing::All];
/// How long things may take in sessions on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn corpus() -> Vec<Take> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/activity");
    let takes = Take::all(&directory).unwrap();
    assert!(!takes.is_empty());
    takes
}

fn rules(engine: &str) -> Arc<Rules> {
    let kind: EngineKind = engine.parse().unwrap();
    let text = orx_engines::screen_rules(kind).unwrap_or_else(|| panic!("{engine} has recordings and no rules"));
    Arc::new(Rules::parse(engine, text).unwrap())
}

/// Figures by what they are of, in lines.
fn table(figures: &BTreeMap<String, Figures>) -> String {
    let mut out = format!(
        "{:<34} {:>5} {:>6} {:>7} {:>11} {:>9} {:>9} {:>9}\n",
        "", "takes", "states", "F1", "false idle", "p50 ms", "p99 ms", "max ms"
    );
    for (name, figures) in figures {
        let line = format!(
            "{name:<34} {:>5} {:>6} {:>7.4} {:>9.3} % {:>9} {:>9} {:>9}\n",
            figures.takes,
            figures.true_transitions,
            figures.f1(),
            100.0 * figures.false_idle(),
            figures.delay_ms(50),
            figures.delay_ms(99),
            figures.delay_ms(100),
        );
        out.push_str(&line);
    }
    out
}

#[test]
fn states_over_recorded_sessions_are_told_rightly_and_in_time() {
    let mut by: BTreeMap<String, Figures> = BTreeMap::new();
    let mut all = Figures::default();
    let mut held_out = Figures::default();
    let mut transitions = 0;
    for take in corpus() {
        let rules = rules(&take.labels.engine);
        // The terminal alone, as with any program, and with what else the CLI offers.
        let played = played(&take).unwrap();
        for hearing in HEARINGS.into_iter().filter(|hearing| hearing.is_of(&take)) {
            let figures = judge(&take.name, &take.labels.truth, &told(&take, &played, &rules, hearing));
            let part = if take.labels.held_out { ", held out" } else { "" };
            by.entry(format!("{}{}{part}", take.labels.engine, hearing.name())).or_default().add(&figures);
            all.add(&figures);
            if take.labels.held_out {
                held_out.add(&figures);
            }
            if hearing == Hearing::Terminal {
                transitions += figures.true_transitions;
            }
        }
    }
    let clis = by.keys().filter_map(|name| name.split([' ', ',']).next()).collect::<std::collections::BTreeSet<_>>();
    let clis = clis.len();
    by.insert("~ all, held out".to_owned(), held_out.clone());
    by.insert("~ all".to_owned(), all.clone());
    let table = table(&by);
    println!("{table}");
    let complaints = all.wrong.iter().chain(&all.missed).cloned().collect::<Vec<_>>().join("\n");
    println!("{complaints}");
    assert!(transitions >= TRANSITIONS && clis >= CLIS, "{transitions} transitions of {clis} CLIs\n{table}");
    for (name, figures) in &by {
        if name.starts_with('~') {
            assert!(figures.f1() >= F1, "{name}: F1 {:.4}\n{table}\n{complaints}", figures.f1());
            assert!(figures.false_idle() <= FALSE_IDLE, "{name}: false idle\n{table}\n{complaints}");
            let (told, wrong) = figures.idles;
            assert!(wrong as f64 <= FALSE_IDLE * told as f64, "{name}: {wrong} of {told} idles\n{table}\n{complaints}");
            assert!(figures.delay_ms(100) <= LATEST_MS, "{name}\n{table}");
        }
    }
}

#[test]
fn the_files_of_a_conversation_alone_never_tell_of_an_agent_that_works_that_it_is_idle() {
    let mut by: BTreeMap<String, Figures> = BTreeMap::new();
    for take in corpus().into_iter().filter(|take| Hearing::FilesAlone.is_of(take)) {
        let told = told(&take, &played(&take).unwrap(), &rules(&take.labels.engine), Hearing::FilesAlone);
        let figures = judge(&take.name, &take.labels.truth, &told);
        by.entry(take.labels.engine.clone()).or_default().add(&figures);
    }
    let table = table(&by);
    println!("{table}");
    assert!(by.len() >= 3, "engines with files\n{table}");
    for (engine, figures) in &by {
        let complaints = figures.wrong.join("\n");
        assert!(figures.false_idle() <= FALSE_IDLE, "{engine}\n{table}\n{complaints}");
        assert_eq!(figures.idles.1, 0, "{engine}\n{table}\n{complaints}");
    }
}

/// Every look that the corpus gives at an engine: which take, what was true then, and the look.
struct Seen {
    title: String,
    rows: Vec<String>,
    cursor: Option<usize>,
}

fn looks(takes: &[Take], engine: &str) -> Vec<Seen> {
    let mut seen = Vec::new();
    for take in takes.iter().filter(|take| take.labels.engine == engine) {
        let (mut title, mut rows, mut cursor) = (String::new(), Vec::new(), None);
        play(&take.cast, |news: Changed| {
            title = news.title.unwrap_or_else(|| title.clone());
            if let Some(screen) = news.screen {
                (rows, cursor) = (screen.lines, Some(usize::from(screen.cursor.row)));
            }
            seen.push(Seen { title: title.clone(), rows: rows.clone(), cursor });
            Ok::<_, CastError>(())
        })
        .unwrap();
    }
    seen
}

/// Rules for what the scripts do not play: dialogs of a first run, limits of an account, answers of older versions.
const NOT_PLAYED: &str = include_str!("../../data/activity/not-played.txt");

#[test]
fn every_rule_of_a_recorded_engine_matches_a_screen_of_it_and_none_of_another_engine() {
    let takes = corpus();
    let engines: std::collections::BTreeSet<&str> = takes.iter().map(|take| take.labels.engine.as_str()).collect();
    let seen: BTreeMap<&str, Vec<Seen>> = engines.iter().map(|engine| (*engine, looks(&takes, engine))).collect();
    let excused: Vec<&str> = NOT_PLAYED.lines().filter(|line| !line.starts_with('#')).collect();
    for engine in &engines {
        let rules = rules(engine);
        assert!(!rules.tested.is_empty(), "{engine} has recordings, and its rules say that they are untested");
        for rule in &rules.rules {
            let matches = |seen: &Seen| {
                rule.matches(&Look { title: &seen.title, notification: "", rows: &seen.rows, cursor: seen.cursor })
            };
            let name = format!("{engine} {}", rule.name);
            let matched = seen[engine].iter().filter(|seen| matches(seen)).count();
            assert_eq!(matched == 0, excused.contains(&name.as_str()), "{name} matches {matched} recorded screens");
            // A dialog of one CLI is never taken for another's: those are the states that somebody acts on.
            if matches!(rule.state.as_str(), "blocked" | "waiting_input") {
                for (other, seen) in seen.iter().filter(|(other, _)| *other != engine) {
                    let wrong = seen.iter().find(|seen| matches(seen));
                    assert!(wrong.is_none(), "{name} matches a screen of {other}:\n{}", wrong.unwrap().rows.join("\n"));
                }
            }
        }
    }
}

#[test]
fn a_rule_for_some_versions_matches_recordings_of_those_and_of_no_others() {
    let takes = corpus();
    let mut ranged = 0;
    for engine in takes.iter().map(|take| take.labels.engine.as_str()).collect::<std::collections::BTreeSet<_>>() {
        for rule in &rules(engine).rules {
            let Some(versions) = &rule.versions else { continue };
            let of = |is_for: bool| {
                let fits = |take: &&Take| versions.matches(&take.labels.version.parse().unwrap()) == is_for;
                let of: Vec<Take> = takes.iter().filter(fits).cloned().collect();
                let matches =
                    |seen: &Seen| rule.matches(&Look { title: &seen.title, rows: &seen.rows, ..Look::default() });
                looks(&of, engine).iter().filter(|seen| matches(seen)).count()
            };
            assert!(of(true) > 0, "{engine} {} matches no recording of {versions}", rule.name);
            assert_eq!(of(false), 0, "{engine} {} matches recordings of other versions than {versions}", rule.name);
            ranged += 1;
        }
    }
    assert!(ranged >= 2, "{ranged} rules have versions");
}

#[test]
fn what_an_engine_notifies_is_a_vote_of_its_own() {
    // As the CLIs sent it by OSC 777 and OSC 9.
    for (engine, notification) in
        [("claude", "Claude Code;Claude needs your permission"), ("codex", "Codex wants to edit draft.txt")]
    {
        let rules = rules(engine);
        let matched = rules.matched(None, &Look { notification, ..Look::default() });
        let votes: Vec<_> = matched.iter().map(|matched| (matched.source, matched.rule.state)).collect();
        assert_eq!(votes, [(Source::Notification, AgentState::Blocked)], "{engine}");
        assert!(rules.matched(None, &Look { notification: "The notes count to three.", ..Look::default() }).is_empty());
    }
}

/// A program that draws a bar of progress, and clears it at its first line.
const BAR: &str = "printf '\\033]9;4;3\\007'; read line; printf '\\033]9;4;0\\007'; read line";

#[test]
fn a_bar_of_progress_is_a_vote_until_it_is_cleared() {
    let daemon = daemon();
    let session = create(&daemon, BAR);
    assert_eq!(wait(&daemon, &session, "working")["activity"]["reason"], "OSC 9;4: it works");
    let explained = daemon.call("session.explain", &json!({ "session": session }));
    let vote = explained["votes"].as_array().unwrap().iter().find(|vote| vote["source"] == "progress").unwrap();
    assert_eq!((&vote["state"], &vote["decides"]), (&json!("working"), &json!(true)), "{explained}");
    daemon.call("session.keys", &json!({"session": session, "keys": ["enter"]}));
    assert_eq!(wait(&daemon, &session, "idle")["activity"]["state"], "idle");
    let explained = daemon.call("session.explain", &json!({ "session": session }));
    let votes = explained["votes"].as_array().unwrap();
    assert!(votes.iter().all(|vote| vote["source"] != "progress"), "{explained}");
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
}

#[test]
fn the_rules_of_every_engine_can_be_read() {
    for (engine, text) in orx_engines::screen::ALL {
        let rules = Rules::parse(engine, text).unwrap_or_else(|error| panic!("{error}"));
        assert!(!rules.rules.is_empty(), "{engine}");
        assert!(engine.parse::<EngineKind>().is_ok(), "{engine} is no engine");
    }
}

fn daemon() -> Daemon {
    Daemon::start(|settings| {
        settings.workers(0);
    })
}

fn create(daemon: &Daemon, script: &str) -> String {
    let params = json!({"engine": "command", "cwd": daemon.directory(), "argv": ["/bin/sh", "-c", script]});
    daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned()
}

fn wait(daemon: &Daemon, session: &str, until: &str) -> Value {
    let mut wire = daemon.wire();
    wire.request("session.wait", &json!({"session": session, "until": until, "timeout_ms": 20_000}));
    match wire.receive(PATIENCE) {
        Received::Body(mut answer) if answer.get("result").is_some() => answer["result"].take(),
        other => panic!("{other:?}"),
    }
}

/// A program that says by OSC 133 what it does: it works for a while after its first line, and ends after its second.
const MARKED: &str = "printf '\\033]133;A\\007prompt'; read line; printf '\\033]133;C\\007busy'; sleep 2; \
                      printf '\\033]133;A\\007prompt'; read line; exit 3";

#[test]
fn a_session_is_waited_for_explained_and_recorded_as_its_terminal_tells() {
    let daemon = daemon();
    let session = create(&daemon, MARKED);
    let idle = wait(&daemon, &session, "idle");
    assert_eq!(idle["activity"]["state"], "idle", "{idle}");
    let explained = daemon.call("session.explain", &json!({ "session": session }));
    assert_eq!(explained["watched"], true, "{explained}");
    let vote = &explained["votes"][0];
    assert_eq!((&vote["source"], &vote["decides"]), (&json!("process"), &json!(true)), "{explained}");
    assert!(vote["reason"].as_str().unwrap().contains("OSC 133"), "{explained}");
    daemon.call("session.keys", &json!({"session": session, "keys": ["enter"]}));
    assert_eq!(wait(&daemon, &session, "working")["activity"]["state"], "working");
    assert_eq!(wait(&daemon, &session, "rest")["activity"]["state"], "idle");
    daemon.call("session.keys", &json!({"session": session, "keys": ["enter"]}));
    let ended = wait(&daemon, &session, "ended");
    assert_eq!(ended["activity"]["state"], "failed", "{ended}");
    let listed = eventually("the events", PATIENCE, || {
        let events = daemon.call("event.list", &json!({"kinds": ["session.activity"], "limit": 100}));
        let states: Vec<String> = events["events"]
            .as_array()?
            .iter()
            .filter(|event| event["subject"] == session.as_str() && event["data"]["state"] != "waiting_input")
            .map(|event| event["data"]["state"].as_str().unwrap_or_default().to_owned())
            .collect();
        (states.len() >= 4).then_some(states)
    });
    assert_eq!(listed, ["idle", "working", "idle", "failed"]);
    assert_eq!(daemon.call("session.get", &json!({ "session": session }))["activity"]["state"], "failed");
    assert_eq!(wait(&daemon, &session, "idle")["activity"]["state"], "failed", "an ended session is not waited for");
}

#[test]
fn a_state_from_before_a_restart_is_seen_again_and_never_told_on_for_ever() {
    let mut daemon = daemon();
    let marked = create(&daemon, "printf '\\033]133;C\\007'; sleep 600");
    // It says nothing of its end, only that it takes a line; then not even that.
    let reading = create(&daemon, "read line; while :; do sleep 600; done");
    assert_eq!(wait(&daemon, &marked, "working")["activity"]["state"], "working");
    assert_eq!(wait(&daemon, &reading, "idle")["activity"]["state"], "idle");
    for (session, state) in [(&marked, "working"), (&reading, "idle")] {
        eventually("the record", PATIENCE, || {
            let row = daemon.call("session.get", &json!({ "session": session }));
            (row["activity"]["state"] == state).then_some(())
        });
    }
    daemon.kill9();
    daemon.restart();
    let explain = |session: &str| daemon.call("session.explain", &json!({ "session": session }));
    eventually("the session that is seen again", PATIENCE, || {
        let explained = explain(&marked);
        let reason = explained["activity"]["reason"].as_str()?.to_owned();
        assert_eq!(explained["activity"]["state"], "working", "{explained}");
        (!reason.starts_with("before the daemon's start")).then_some(())
    });
    daemon.call("session.keys", &json!({"session": reading, "keys": ["enter"]}));
    let told = eventually("another word than the old one", PATIENCE, || {
        let explained = explain(&reading);
        (explained["activity"]["state"] == "unknown").then_some(explained)
    });
    assert_eq!(told["activity"]["confidence"], 0);
    for session in [&marked, &reading] {
        daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
    }
}

/// A program in the place of Claude Code: its screen is known to no rule, and it keeps its conversation as Claude Code does.
const WRITER: &str = r#"#!/bin/sh
while [ "$1" != --session-id ]; do shift; done
file="$HOME/.claude/projects/-work/$2.jsonl"
mkdir -p "${file%/*}"
say() { printf '{"type":"%s","timestamp":"%s","message":%s}\n' "$1" "$(date -u +%Y-%m-%dT%H:%M:%S.%3NZ)" "$2" >> "$file"; }
while :; do
  printf 'a screen that nobody knows '
  read line
  say user '{"role":"user","content":"go on"}'
  read line
  say assistant '{"role":"assistant","stop_reason":"end_turn","content":[]}'
done
"#;

#[test]
fn what_an_engine_writes_down_is_told_where_its_screen_is_not_understood_and_after_a_restart_too() {
    let mut daemon = Daemon::start(|settings| {
        let program = settings.home.with_file_name("writer");
        std::fs::write(&program, WRITER).unwrap();
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        settings
            .workers(0)
            .set("sandbox.mode", "off")
            .set("engines.binaries.claude", program.to_string_lossy().into_owned());
    });
    let params = json!({"engine": "claude", "cwd": daemon.directory()});
    let session = daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned();
    let enter = |daemon: &Daemon| daemon.call("session.keys", &json!({"session": session, "keys": ["enter"]}));
    let decides = |daemon: &Daemon| {
        let explained = daemon.call("session.explain", &json!({ "session": session }));
        let vote = explained["votes"].as_array()?.iter().find(|vote| vote["decides"] == true)?.clone();
        Some((vote["source"].as_str()?.to_owned(), explained["activity"]["state"].as_str()?.to_owned()))
    };
    let by_transcript = |daemon: &Daemon, state: &str| {
        eventually(&format!("{state} by the transcript"), PATIENCE, || {
            let (source, told) = decides(daemon)?;
            (source == "transcript" && told == state).then_some(())
        });
    };
    eventually("its screen", PATIENCE, || {
        let screen = daemon.call("session.screen", &json!({ "session": session }));
        screen["lines"].to_string().contains("nobody knows").then_some(())
    });
    enter(&daemon);
    by_transcript(&daemon, "working");
    enter(&daemon);
    by_transcript(&daemon, "idle");
    daemon.kill9();
    daemon.restart();
    by_transcript(&daemon, "idle");
    enter(&daemon);
    by_transcript(&daemon, "working");
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
}

fn unpacked(daemon: &Daemon) -> (PathBuf, Take) {
    let take = corpus().into_iter().find(|take| take.labels.engine == "codex" && take.labels.script == "tour").unwrap();
    let path = daemon.path("codex.cast");
    std::fs::write(&path, &take.cast).unwrap();
    (path, take)
}

#[test]
fn a_recording_is_replayed_with_the_rules_of_its_engine() {
    let daemon = daemon();
    let (path, take) = unpacked(&daemon);
    let cast = path.to_string_lossy().into_owned();
    let params = json!({"cast": cast, "engine": "codex", "version": take.labels.version});
    let detection = daemon.call("session.detect", &params);
    let states: Vec<&str> = detection["states"]
        .as_array()
        .unwrap()
        .iter()
        .map(|state| state["activity"]["state"].as_str().unwrap())
        .collect();
    let expected = told(&take, &played(&take).unwrap(), &rules("codex"), Hearing::Terminal);
    let mut distinct = states.clone();
    distinct.dedup();
    assert_eq!(distinct, expected.iter().map(|told| told.state.as_str()).collect::<Vec<_>>());
    let ran = daemon.orxctl(daemon.directory(), &["detect", "replay", &cast, "--engine", "codex"]);
    assert!(ran.done().contains("blocked") && ran.done().contains("approval-dialog"), "{}", ran.done());
    let ran = daemon.orxctl(daemon.directory(), &["detect", "rules", "codex"]);
    assert!(ran.done().contains("approval-dialog") && !ran.done().contains("gemini"), "{}", ran.done());
}

#[test]
fn what_cannot_be_replayed_is_named_with_its_line() {
    let daemon = daemon();
    let bad = daemon.path("bad.cast");
    std::fs::write(&bad, "{\"version\": 3, \"term\": {\"cols\": 80, \"rows\": 24}}\n[0.1, \"o\"]\n").unwrap();
    let (good, _) = unpacked(&daemon);
    for (cast, engine, version, what) in [
        (bad.to_string_lossy().as_ref(), "codex", None, "line 2"),
        ("/nowhere.cast", "codex", None, "cannot be read"),
        ("relative.cast", "codex", None, "absolute"),
        (good.to_string_lossy().as_ref(), "nobody", None, "nobody"),
        (good.to_string_lossy().as_ref(), "codex", Some("new"), "`version` is `new`"),
        ("ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", "codex", None, "there is no session"),
    ] {
        let mut wire = daemon.wire();
        let params = json!({"cast": cast, "engine": engine, "version": version});
        let error = wire.call("session.detect", &params).unwrap_err();
        assert!(error.to_string().contains(what), "{cast}: {error}");
    }
    let error = daemon.wire().call("session.detect", &json!({"cast": good})).unwrap_err();
    assert!(error.to_string().contains("name the `engine`"), "{error}");
}
