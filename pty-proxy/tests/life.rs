//! The life of a session: start, exit, stop, deadline, and what becomes of its processes and records.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says by a panic that it failed.

mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use orx_protocol::hold::{Holder, ScreenText, Started, Status, file, method};
use orx_protocol::process::{EndReason, Exit};
use orx_sandbox::{identity, spawn, tree};
use serde_json::json;
use support::{Session, environment, eventually, gone, words, written_process};

#[test]
fn a_program_runs_and_its_end_is_recorded() {
    let session = Session::shell("echo hello; read line; echo got $line; exit 3");
    session.shows("hello");
    let written: Holder = serde_json::from_slice(&std::fs::read(session.file(file::HOLDER)).unwrap()).unwrap();
    assert_eq!(&written, session.holder());
    session.call(method::SEND, json!({"text": "wörld", "submit": true}));
    let ended = session.wait();
    assert_eq!((ended.exit, ended.reason, ended.message.clone()), (Some(Exit::Code(3)), EndReason::Exited, None));
    assert_eq!(session.ended(), ended);
    assert_eq!(String::from_utf8(session.output()).unwrap(), "hello\r\nwörld\r\ngot wörld\r\n");
    let screen: ScreenText = serde_json::from_slice(&std::fs::read(session.file(file::SCREEN)).unwrap()).unwrap();
    assert_eq!(screen.lines[..3], ["hello", "wörld", "got wörld"]);
    gone(session.holder().holder);
    assert!(!std::path::Path::new(&session.spec.socket).exists());
}

#[test]
fn a_signal_that_ends_the_program_is_told() {
    let session = Session::shell("kill -9 $$");
    assert_eq!(session.wait().exit, Some(Exit::Signal(9)));
}

#[test]
fn the_files_are_private_and_the_program_has_the_usual_mask_and_terminal() {
    use std::os::unix::fs::PermissionsExt;
    let session = Session::shell(
        "umask; tty; echo term $TERM $COLORTERM; stty size; touch made; ps -o tpgid= -p $$ >/dev/null; sleep 600",
    );
    let screen = session.shows("24 80");
    assert_eq!(screen.lines[0], "0022");
    assert!(screen.lines[1].starts_with("/dev/"), "{:?}", screen.lines);
    assert_eq!(screen.lines[2], "term xterm-256color truecolor");
    for name in [file::HOLDER, file::OUTPUT, file::RECORDING, file::HOLDER_LOG, "socket"] {
        let mode = std::fs::metadata(session.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
}

#[test]
fn the_program_has_exactly_the_environment_of_its_holder_and_no_descriptor_of_it() {
    let mut session = Session::describe(&["/bin/sh", "-c", "env; ls /proc/self/fd"]).on_pipes();
    let given = [("PATH", "/usr/bin:/bin"), ("ONE", "a b"), ("HOME", "/")];
    let given = given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let Started::Running(holder) = session.try_start_in(&given) else { panic!("not started") };
    session.holder = Some(holder);
    session.wait();
    let output = String::from_utf8(session.output()).unwrap();
    let mut lines: Vec<&str> = output
        .lines()
        .filter(|line| {
            !line.starts_with("PWD=")
                && !line.starts_with("_=")
                && !line.starts_with("OLDPWD=")
                && !line.starts_with("SHLVL=")
        })
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["0", "1", "2", "3", "HOME=/", "ONE=a b", "PATH=/usr/bin:/bin"]);
}

#[test]
fn the_holder_outlives_the_process_group_of_its_starter() {
    let mut session = Session::describe(&["/bin/sh", "-c", "echo alive; read line; echo $line"]);
    std::fs::write(session.file(file::SPEC), serde_json::to_vec(&session.spec).unwrap()).unwrap();
    let line = session.file("line");
    let script = format!(
        "{} hold --directory {} > {}; sleep 600",
        env!("CARGO_BIN_EXE_pty-proxy"),
        session.path().display(),
        line.display()
    );
    let streams = [Stdio::null(), Stdio::null(), Stdio::null()];
    let mut starter =
        spawn::on_streams(&words(&["/bin/sh", "-c", &script]), session.path(), &environment(), streams).unwrap();
    let started: Started =
        eventually("the line of the start", || serde_json::from_slice(&std::fs::read(&line).ok()?).ok());
    let Started::Running(holder) = started else { panic!("{started:?}") };
    killpg(Pid::from_raw(i32::try_from(starter.id()).unwrap()), Signal::SIGKILL).unwrap();
    starter.wait().unwrap();
    session.holder = Some(holder.clone());
    session.shows("alive");
    assert!(identity::is_alive(holder.holder) && identity::is_alive(holder.child));
    let group = nix::unistd::getpgid(Some(Pid::from_raw(holder.holder.pid))).unwrap();
    assert_ne!(group.as_raw(), i32::try_from(starter.id()).unwrap());
}

#[test]
fn stop_ends_a_tree_that_ignores_all_requests_also_what_escaped_its_session() {
    let session = Session::shell(
        "trap '' HUP TERM INT; (trap '' HUP TERM; setsid sh -c 'trap \"\" HUP TERM; echo $$ > escaped; sleep 600; sleep 600' &) ; sleep 600 & echo ready; wait; sleep 600",
    );
    session.shows("ready");
    let escaped = written_process(&session.file("escaped"));
    let begun = Instant::now();
    let ended = session.stop(300);
    assert_eq!((ended.exit, ended.reason), (Some(Exit::Signal(9)), EndReason::Stopped));
    assert!(begun.elapsed() >= Duration::from_millis(300) && begun.elapsed() < Duration::from_secs(10));
    gone(escaped);
    assert_eq!(tree::descendants(session.holder().holder.pid), []);
}

#[test]
fn a_polite_program_ends_at_once_when_stopped() {
    let session = Session::shell("trap 'exit 7' TERM; echo ready; while :; do sleep 600 & wait; done");
    session.shows("ready");
    let begun = Instant::now();
    let ended = session.stop(15_000);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(ended.reason, EndReason::Stopped);
}

#[test]
fn the_deadline_ends_the_whole_tree() {
    let mut session =
        Session::describe(&["/bin/sh", "-c", "setsid sh -c 'echo $$ > escaped; sleep 600; exit' & sleep 600"]);
    session.spec.deadline_ms = Some(700);
    session.start();
    let escaped = written_process(&session.file("escaped"));
    let ended = session.wait();
    assert_eq!(ended.reason, EndReason::Deadline);
    assert!(ended.message.unwrap().contains("deadline"));
    gone(escaped);
}

#[test]
fn what_a_program_leaves_behind_is_ended_with_it() {
    let session = Session::shell(
        "setsid sh -c 'echo $$ > left; sleep 600; exit' & while [ ! -s left ]; do sleep 0.01; done; echo bye; exit 5",
    );
    let ended = session.wait();
    assert_eq!((ended.exit, ended.reason), (Some(Exit::Code(5)), EndReason::Exited));
    assert!(ended.message.unwrap().contains("left behind"));
    let left: i32 = std::fs::read_to_string(session.file("left")).unwrap().trim().parse().unwrap();
    assert_eq!(identity::of(left), None);
}

#[test]
fn sigterm_to_the_holder_is_a_stop() {
    let session = Session::shell("echo ready; sleep 600");
    session.shows("ready");
    tree::signal(session.holder().holder, Signal::SIGTERM);
    assert_eq!(session.ended().reason, EndReason::Stopped);
    gone(session.holder().child);
}

#[test]
fn on_pipes_input_is_fed_and_outputs_are_kept_apart() {
    let mut session = Session::describe(&["/bin/sh", "-c", "cat; echo problem >&2; exit 4"]).on_pipes();
    session.spec.feed_input = true;
    std::fs::write(session.file(file::INPUT), "line one\nline two\n").unwrap();
    session.start();
    assert_eq!(session.wait().exit, Some(Exit::Code(4)));
    assert_eq!(session.output(), b"line one\nline two\n");
    assert_eq!(std::fs::read(session.file(file::ERROR)).unwrap(), b"problem\n");
    assert!(!session.file(file::RECORDING).exists() && !session.file(file::SCREEN).exists());
}

#[test]
fn on_pipes_there_is_no_terminal_to_ask_for() {
    let mut session = Session::describe(&["sleep", "600"]).on_pipes();
    session.start();
    let mut client = session.connect();
    for (name, params) in [
        (method::SCREEN, json!({})),
        (method::SEND, json!({"text": "x", "submit": true})),
        (method::KEYS, json!({"keys": ["enter"]})),
        (method::RESIZE, json!({"cols": 10, "rows": 10})),
        (method::ATTACH, json!({"size": {"cols": 10, "rows": 10}, "mode": "view"})),
    ] {
        let error = client.call(name, params).unwrap_err();
        assert_eq!(error.kind(), orx_protocol::ErrorKind::FailedPrecondition, "{name}");
    }
    let status: Status = serde_json::from_value(client.call(method::STATUS, json!({})).unwrap()).unwrap();
    assert_eq!((status.terminal, status.viewers, status.holder), (None, 0, session.holder().clone()));
}

#[test]
fn a_large_output_on_pipes_is_kept_whole() {
    let mut session =
        Session::describe(&["/bin/sh", "-c", "head -c 3000000 /dev/zero; head -c 1000000 /dev/zero >&2"]).on_pipes();
    session.start();
    session.wait();
    assert_eq!(session.output().len(), 3_000_000);
    assert_eq!(std::fs::metadata(session.file(file::ERROR)).unwrap().len(), 1_000_000);
}

#[test]
fn what_cannot_be_started_says_why_and_is_recorded() {
    for (argv, cwd, expected) in [
        (&["/nonexistent/tool"][..], None, "/nonexistent/tool"),
        (&["no-such-tool-anywhere"], None, "no-such-tool-anywhere"),
        (&["/bin/sh"], Some("/nonexistent/place"), "/nonexistent/place"),
    ] {
        for pipes in [false, true] {
            let mut session = Session::describe(argv);
            if pipes {
                session.spec.terminal = None;
            }
            if let Some(cwd) = cwd {
                session.spec.cwd = cwd.to_owned();
            }
            let Started::Failed(why) = session.try_start() else { panic!("{argv:?} was started") };
            assert!(why.contains(expected), "{why}");
            let ended = session.ended();
            assert_eq!((ended.reason, ended.message), (EndReason::SpawnFailed, Some(why)));
            assert!(!std::path::Path::new(&session.spec.socket).exists());
        }
    }
}

#[test]
fn a_bad_description_changes_nothing_and_is_named() {
    let mut session = Session::describe(&["/bin/true"]);
    session.spec.cwd = "relative".to_owned();
    let Started::Failed(why) = session.try_start() else { panic!("was started") };
    assert!(why.contains("hold.json") && why.contains("cwd"), "{why}");
    session.spec.argv.clear();
    let Started::Failed(why) = session.try_start() else { panic!("was started") };
    assert!(why.contains("argv"), "{why}");
    assert_eq!(std::fs::read_dir(session.path()).unwrap().count(), 1);
}

#[test]
fn a_second_holder_is_refused_while_the_first_lives_and_after_its_end() {
    let session = Session::shell("echo ready; sleep 600");
    session.shows("ready");
    let Started::Failed(why) = session.try_start() else { panic!("was started twice") };
    assert!(why.contains("held already") && why.contains(&session.holder().holder.pid.to_string()), "{why}");
    session.shows("ready");
    session.stop(0);
    gone(session.holder().holder);
    let Started::Failed(why) = session.try_start() else { panic!("was started again") };
    assert!(why.contains("ended already"), "{why}");
}
