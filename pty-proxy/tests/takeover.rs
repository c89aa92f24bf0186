//! Holders that are killed or become another version of themselves: the program, its terminal, its viewers and its exit
//! status outlive them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says by a panic that it failed.

mod support;

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orx_protocol::ErrorKind;
use orx_protocol::hold::{HAND_OVER_VERSION, HandOver, Holder, Started, Status, TerminalSize, Upgraded, file, method};
use orx_protocol::process::{EndReason, Exit, ProcessIdentity};
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_sandbox::{descriptors, identity, spawn};
use pty_proxy::terminal::emulator::Emulator;
use serde_json::json;
use support::{SIZE, Session, environment, eventually, gone, words, written_process};

/// Bytes of the stream in which holders are replaced: small enough for a debug build on a busy machine.
const STREAM: usize = 4 * 1024 * 1024;
/// Versions that follow each other in it.
const UPGRADES: usize = 20;

fn kill9(process: ProcessIdentity) {
    kill(Pid::from_raw(process.pid), Signal::SIGKILL).unwrap();
}

/// The holder that followed `before`.
fn next_holder(session: &Session, before: ProcessIdentity) -> Holder {
    eventually("another holder", || {
        let holder: Holder = serde_json::from_slice(&std::fs::read(session.file(file::HOLDER)).ok()?).ok()?;
        (holder.holder != before && identity::is_alive(holder.holder)).then_some(holder)
    })
}

/// Kills the holder and waits for the next one.
fn replace(session: &mut Session) -> Holder {
    let before = session.holder().clone();
    kill9(before.holder);
    let next = next_holder(session, before.holder);
    assert_eq!((next.child, next.keeper, next.started_at_ms), (before.child, before.keeper, before.started_at_ms));
    session.holder = Some(next.clone());
    next
}

fn status(session: &Session) -> Status {
    serde_json::from_value(session.call(method::STATUS, json!({}))).unwrap()
}

#[test]
fn a_killed_holder_is_replaced_and_nothing_of_the_session_is_lost() {
    let mut session = Session::shell(
        "printf '\\033[?1049h\\033[?2004h\\033]2;the title\\007one'; read a; echo got $a; read b; echo then $b; exit 7",
    );
    session.shows("one");
    for round in 0..3 {
        let before = session.screen();
        replace(&mut session);
        assert_eq!(session.screen(), before, "round {round}");
    }
    session.call(method::SEND, json!({"text": "first", "submit": true}));
    session.shows("got first");
    replace(&mut session);
    // The terminal asked for pastes before any of the holders: the model still knows.
    let mut viewer = session.connect().attach(SIZE, "control");
    let Some(ToViewer::Screen(screen)) = viewer.next() else { panic!("no screen first") };
    let screen = String::from_utf8_lossy(&screen).into_owned();
    assert!(screen.contains("\u{1b}[?2004h") && screen.contains("the title"), "{screen:?}");
    viewer.types("second\n");
    let end = viewer.until(|frame| match frame {
        ToViewer::Ended { code, signal } => Some((*code, *signal)),
        _ => None,
    });
    assert_eq!(end, (Some(7), None));
    let ended = session.ended();
    assert_eq!((ended.exit, ended.reason), (Some(Exit::Code(7)), EndReason::Exited));
    let output = String::from_utf8(session.output()).unwrap();
    assert!(output.contains("first") && output.contains("then second"), "{output}");
    gone(session.holder().keeper.unwrap());
}

#[test]
fn a_program_that_ends_while_nobody_holds_it_has_its_exit_status() {
    let session = Session::shell(&format!("while [ ! -e {} ]; do sleep 0.01; done; printf last; exit 3", "go"));
    let holder = session.holder().clone();
    kill(Pid::from_raw(holder.keeper.unwrap().pid), Signal::SIGSTOP).unwrap();
    kill9(holder.holder);
    gone(holder.holder);
    std::fs::write(session.file("go"), "").unwrap();
    gone(holder.child);
    kill(Pid::from_raw(holder.keeper.unwrap().pid), Signal::SIGCONT).unwrap();
    let ended = session.ended();
    assert_eq!((ended.exit, ended.reason), (Some(Exit::Code(3)), EndReason::Exited));
    assert_eq!(session.output(), b"last");
}

#[test]
fn a_session_on_pipes_goes_on_too() {
    let mut session = Session::describe(&[
        "/bin/sh",
        "-c",
        "echo begun; while [ ! -e go ]; do sleep 0.01; done; echo out; echo err >&2; exit 5",
    ])
    .on_pipes();
    session.start();
    eventually("the first output", || (session.output() == b"begun\n").then_some(()));
    replace(&mut session);
    std::fs::write(session.file("go"), "").unwrap();
    assert_eq!(session.wait().exit, Some(Exit::Code(5)));
    assert_eq!(session.output(), b"begun\nout\n");
    assert_eq!(std::fs::read(session.file(file::ERROR)).unwrap(), b"err\n");
}

#[test]
fn no_byte_is_lost_while_holders_are_killed_in_a_stream() {
    let count = STREAM / 17;
    let mut session = Session::shell(&format!("seq -f '%015.0f' 1 {count}; read end"));
    let path = session.file(file::OUTPUT);
    for number in 1..=8 {
        let wanted = (STREAM / 10 * number) as u64;
        eventually("some more output", || {
            std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= wanted).then_some(())
        });
        replace(&mut session);
    }
    session.shows(&format!("{count:015}"));
    let expected: String = (1..=count).map(|number| format!("{number:015}\r\n")).collect();
    let output = session.output();
    assert!(output == expected.as_bytes(), "{} bytes of {} are there", output.len(), expected.len());
    // And the recording tells the same story.
    let recording = std::fs::read_to_string(session.file(file::RECORDING)).unwrap();
    let events = recording.lines().skip(1).map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    assert_eq!(events.filter(|event| event[1] == "m").count(), 8);
}

#[test]
fn a_stop_of_a_session_that_was_taken_over_leaves_nothing_running() {
    // One that ignores every signal, one that left the session and the group, and one that also left its parent.
    let script = "trap '' TERM HUP INT; setsid sh -c 'echo $$ > left; trap \"\" TERM HUP; while :; do sleep 0.1; done' & \
                  (setsid setsid sh -c 'echo $$ > orphan; exec sleep 600' &) ; while :; do sleep 0.1; done";
    let mut session = Session::shell(script);
    let left = written_process(&session.file("left"));
    let orphan = written_process(&session.file("orphan"));
    replace(&mut session);
    let holder = session.holder().clone();
    let ended = session.stop(300);
    assert_eq!(ended.reason, EndReason::Stopped);
    assert_eq!(ended.exit, Some(Exit::Signal(9)));
    for process in [left, orphan, holder.child, holder.holder, holder.keeper.unwrap()] {
        gone(process);
    }
}

#[test]
fn what_left_every_parent_behind_is_found_by_its_mark() {
    let mut session = Session::describe(&["/bin/sh", "-c", "setsid sh -c 'echo $$ > left; exec sleep 600' & read end"]);
    let mut environment = environment();
    environment.insert("ORX_SESSION".to_owned(), session.spec.session.to_string());
    match session.try_start_in(&environment) {
        Started::Running(holder) => session.holder = Some(holder),
        Started::Failed(why) => panic!("{why}"),
    }
    let left = written_process(&session.file("left"));
    let holder = session.holder().clone();
    // Without a keeper, and then without the holder, nobody is its parent any more but the first process.
    kill9(holder.keeper.unwrap());
    let terminal = take_descriptors(&session);
    kill9(holder.holder);
    gone(holder.holder);
    let next = take_over(&session, &terminal);
    session.holder = Some(next.clone());
    assert_eq!(session.stop(200).reason, EndReason::Stopped);
    for process in [left, holder.child, next.holder] {
        gone(process);
    }
}

/// Duplicates of the program's terminal, as the daemon takes them.
fn take_descriptors(session: &Session) -> Vec<std::os::fd::OwnedFd> {
    let mut client = session.connect();
    client.request(method::DESCRIPTORS, json!({}));
    let mut buffer = [0; 4096];
    let (count, taken) = descriptors::receive(client.stream.as_fd(), &mut buffer).unwrap();
    assert!(String::from_utf8_lossy(&buffer[..count]).contains("\"count\":1"));
    taken
}

/// Starts a holder with what was taken, as the daemon does.
fn take_over(session: &Session, outputs: &[std::os::fd::OwnedFd]) -> Holder {
    let before = session.holder();
    let told = HandOver {
        version: HAND_OVER_VERSION,
        child: before.child,
        started_at_ms: before.started_at_ms,
        outputs: outputs.iter().map(AsRawFd::as_raw_fd).collect(),
        listener: None,
        lock: None,
        unsaved: None,
        link: None,
        keeper: None,
        exit: None,
        serving: None,
    };
    let file = descriptors::nameless(&serde_json::to_vec(&told).unwrap()).unwrap();
    for descriptor in outputs.iter().map(AsFd::as_fd).chain([file.as_fd()]) {
        descriptors::pass_on(descriptor, true).unwrap();
    }
    let directory = session.path().display().to_string();
    let number = file.as_raw_fd().to_string();
    let argv = words(&[env!("CARGO_BIN_EXE_pty-proxy"), "hold", "--directory", &directory, "--take-over", &number]);
    let streams = [Stdio::null(), Stdio::piped(), Stdio::inherit()];
    let child = spawn::on_streams(&argv, session.path(), &environment(), streams).unwrap();
    let output = child.wait_with_output().unwrap();
    match serde_json::from_slice(&output.stdout).unwrap() {
        Started::Running(holder) => holder,
        Started::Failed(why) => panic!("{why}"),
    }
}

#[test]
fn who_kept_the_terminal_can_replace_holder_and_keeper_together() {
    let mut session = Session::shell("printf ready; read a; echo got $a; exit 4");
    session.shows("ready");
    let terminal = take_descriptors(&session);
    let before = session.holder().clone();
    // The keeper first, else it would replace the holder.
    kill9(before.keeper.unwrap());
    kill9(before.holder);
    gone(before.holder);
    let next = take_over(&session, &terminal);
    drop(terminal);
    assert_eq!(next.child, before.child);
    assert!(next.keeper.is_some(), "the next holder has a keeper again");
    session.holder = Some(next);
    session.shows("ready");
    // And that keeper does its work too.
    replace(&mut session);
    session.call(method::SEND, json!({"text": "x", "submit": true}));
    let ended = session.ended();
    assert_eq!(ended.reason, EndReason::Exited);
    // Who the program's parent was decides whether the status is known; it is never guessed.
    match ended.exit {
        Some(exit) => assert_eq!(exit, Exit::Code(4)),
        None => assert!(ended.message.unwrap().contains("not known")),
    }
    assert!(String::from_utf8(session.output()).unwrap().contains("got x"));
}

/// A program of that version and form at a path of its own.
fn other_version(session: &Session, name: &str) -> String {
    let path = session.file(name);
    std::fs::copy(env!("CARGO_BIN_EXE_pty-proxy"), &path).unwrap();
    path.display().to_string()
}

#[test]
fn no_byte_is_lost_over_twenty_versions_and_the_viewer_stays() {
    let count = STREAM / 17;
    let session = Session::shell(&format!("read go; seq -f '%015.0f' 1 {count}; read end; exit 9"));
    let programs = [other_version(&session, "one"), other_version(&session, "two")];
    let mut viewer = session.connect().attach(SIZE, "control");
    assert!(viewer.told_control());
    viewer.types("\n");
    let mut client = session.connect();
    let waiting = {
        let mut waiting = session.connect();
        waiting.request(method::WAIT, json!({}));
        waiting
    };
    let reader = std::thread::spawn(move || {
        let mut model = Emulator::new(SIZE);
        let shown = format!("{count:015}");
        viewer.until(|frame| {
            if let ToViewer::Screen(bytes) | ToViewer::Output(bytes) = frame {
                model.accept(bytes, Instant::now());
            }
            model.text().lines.contains(&shown).then_some(())
        });
        viewer
    });
    let path = session.file(file::OUTPUT);
    for number in 0..UPGRADES {
        let wanted = (STREAM / (UPGRADES + 2) * number) as u64;
        eventually("some more output", || {
            (std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() >= wanted)).then_some(())
        });
        let upgraded =
            eventually("an upgrade", || match client.call(method::UPGRADE, json!({"program": programs[number % 2]})) {
                Ok(answer) => Some(answer),
                Err(error) if error.kind() == ErrorKind::Unavailable => None,
                Err(error) => panic!("{error}"),
            });
        let upgraded: Upgraded = serde_json::from_value(upgraded).unwrap();
        assert_eq!(upgraded.version, env!("CARGO_PKG_VERSION"));
    }
    let mut viewer = reader.join().unwrap();
    let expected: String = (1..=count).map(|number| format!("{number:015}\r\n")).collect();
    let output = session.output();
    let from = output.windows(17).position(|window| window == b"000000000000001\r\n").unwrap();
    assert!(output[from..] == *expected.as_bytes(), "the log differs from what was written");
    let now = status(&session);
    assert_eq!(now.holder, *session.holder(), "it is still the same process, and the same child");
    assert_eq!((now.viewers, now.output_bytes), (1, output.len() as u64));
    let exe = std::fs::read_link(format!("/proc/{}/exe", now.holder.holder.pid)).unwrap();
    assert_eq!(exe.display().to_string(), programs[1]);
    // The viewer still types, and those who waited for the end are told.
    viewer.types("\n");
    let code = viewer.until(|frame| if let ToViewer::Ended { code, .. } = frame { Some(*code) } else { None });
    assert_eq!(code, Some(9));
    let mut waiting = waiting;
    let (_, ended) = waiting.answer().unwrap();
    assert_eq!(ended.unwrap()["exit"], json!({"code": 9}));
}

#[test]
fn an_upgrade_that_is_not_possible_leaves_the_holder_as_it_was() {
    let session = Session::shell("printf ready; read a; echo got $a");
    session.shows("ready");
    let mut viewer = session.connect().attach(TerminalSize { cols: 60, rows: 20 }, "control");
    assert!(viewer.told_control());
    let plain = session.file("plain");
    std::fs::write(&plain, "no program").unwrap();
    let silent = session.file("silent");
    std::fs::write(&silent, "#!/bin/sh\nexit 0\n").unwrap();
    let foreign = session.file("foreign");
    std::fs::write(&foreign, "#!/bin/sh\necho '{\"version\":\"9.0.0\",\"hand_over\":99}'\n").unwrap();
    // It says that it can, and then cannot be started at all.
    let liar = session.file("liar");
    std::fs::write(&liar, "#!/bin/sh\nrm \"$0\"\necho '{\"version\":\"9.0.0\",\"hand_over\":1}'\n").unwrap();
    for path in [&silent, &foreign, &liar] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    let mut client = session.connect();
    for (program, said) in [
        (json!("relative"), "absolute path"),
        (json!("/nonexistent/pty-proxy"), "/nonexistent/pty-proxy"),
        (json!(plain), "plain"),
        (json!(silent), "does not say that it is a holder"),
        (json!(foreign), "in form 99"),
        (json!(liar), "liar"),
    ] {
        let error = client.call(method::UPGRADE, json!({ "program": program })).unwrap_err();
        assert!(error.to_string().contains(said), "{program}: {error}");
    }
    assert_eq!(status(&session).holder, *session.holder());
    assert_eq!(status(&session).viewers, 1);
    viewer.types("x\n");
    viewer.until_shown("got x", SIZE);
}

#[test]
fn a_version_that_dies_at_its_start_is_followed_by_one_that_does_not() {
    let mut session = Session::shell("printf ready; read a; echo got $a; exit 6");
    session.shows("ready");
    let before = session.holder().clone();
    // It answers as a holder would, and ends when it is to take over.
    let broken = session.file("broken");
    std::fs::write(
        &broken,
        "#!/bin/sh\n[ \"$1\" = about ] && echo '{\"version\":\"9.0.0\",\"hand_over\":1}' && exit 0\nexit 1\n",
    )
    .unwrap();
    std::fs::set_permissions(&broken, std::fs::Permissions::from_mode(0o700)).unwrap();
    let answer = session.connect().call(method::UPGRADE, json!({"program": broken}));
    assert!(answer.is_err(), "{answer:?}");
    let next = next_holder(&session, before.holder);
    assert_eq!(next.child, before.child);
    session.holder = Some(next);
    session.shows("ready");
    session.call(method::SEND, json!({"text": "x", "submit": true}));
    let ended = session.ended();
    assert_eq!((ended.exit, ended.reason), (Some(Exit::Code(6)), EndReason::Exited));
}

#[test]
fn a_keeper_that_is_killed_alone_costs_only_the_second_chance() {
    let session = Session::shell("printf ready; read a; exit 8");
    session.shows("ready");
    kill9(session.holder().keeper.unwrap());
    eventually("the record to say so", || status(&session).holder.keeper.is_none().then_some(()));
    let recorded: Holder = serde_json::from_slice(&std::fs::read(session.file(file::HOLDER)).unwrap()).unwrap();
    assert_eq!(recorded.keeper, None);
    let mut viewer = session.connect().attach(SIZE, "control");
    viewer.send(&FromViewer::Input(b"\n".to_vec()));
    assert_eq!(session.ended().exit, Some(Exit::Code(8)));
}

#[test]
fn a_deadline_holds_across_holders() {
    let mut session = Session::describe(&["/bin/sleep", "600"]);
    session.spec.deadline_ms = Some(1500);
    let begun = Instant::now();
    session.start();
    replace(&mut session);
    assert_eq!(session.ended().reason, EndReason::Deadline);
    assert!(begun.elapsed().as_millis() >= 1500);
}

#[test]
fn a_take_over_with_nonsense_is_refused_and_changes_nothing() {
    let session = Session::shell("printf ready; read a");
    session.shows("ready");
    let directory = session.path().display().to_string();
    for number in ["1", "77", "-3"] {
        let argv = words(&[
            env!("CARGO_BIN_EXE_pty-proxy"),
            "hold",
            "--directory",
            &directory,
            &format!("--take-over={number}"),
        ]);
        let streams = [Stdio::null(), Stdio::piped(), Stdio::null()];
        let child = spawn::on_streams(&argv, session.path(), &environment(), streams).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success());
        let Started::Failed(why) = serde_json::from_slice(&output.stdout).unwrap() else { panic!("it started") };
        assert!(why.contains("cannot be taken"), "{why}");
    }
    assert_eq!(status(&session).holder, *session.holder());
}
