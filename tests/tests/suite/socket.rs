//! The Unix socket under attack and fault: who may speak, where it may lie, and that no client harms another.

use std::fs::Permissions;
use std::io::{IoSlice, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use orx_tests::harness::wire::{Received, framed};
use orx_tests::harness::{Daemon, Wire, binary, eventually, process};
use serde_json::json;

const NOBODY: u32 = 65534;
const SOON: Duration = Duration::from_secs(5);
/// For what a busy machine may put off, and what the runtime keeps for a while: idle threads live 10 s.
const PATIENCE: Duration = Duration::from_secs(30);

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Another user is needed for these; only root can become one.
fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: {test} needs root to become another user");
    }
    root
}

fn refuses(adjust: impl FnOnce(&mut orx_tests::harness::Settings), words: &[&str]) {
    let refused = match Daemon::try_start(adjust) {
        Ok(_) => panic!("the daemon started, it should have refused: {words:?}"),
        Err(refused) => refused,
    };
    assert!(!refused.status.success() && refused.status.code().is_some(), "{}", refused.status);
    for word in words {
        assert!(refused.log.contains(word), "{word:?} is not in the log:\n{}", refused.log);
    }
}

#[test]
fn a_socket_and_its_directory_are_private_whatever_the_umask() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0).file_text = None;
        settings.before = Some("umask 0".to_owned());
    });
    assert!(std::fs::metadata(daemon.socket()).unwrap().file_type().is_socket());
    assert_eq!(mode(daemon.socket()), 0o600);
    assert_eq!(mode(daemon.socket().parent().unwrap()), 0o700);
    assert_eq!(mode(&daemon.places().home), 0o700);
    assert_eq!(mode(&daemon.places().token()), 0o600);
    assert_eq!(mode(&daemon.places().database()), 0o600);
}

#[test]
fn a_other_user_is_refused_by_the_directory_and_by_the_daemon_itself() {
    if !is_root("a_other_user_is_refused_by_the_directory_and_by_the_daemon_itself") {
        return;
    }
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let peer = daemon.path("peer");
    std::fs::copy(binary("peer"), &peer).unwrap();
    std::fs::set_permissions(daemon.directory(), Permissions::from_mode(0o755)).unwrap();
    let speak = || {
        let output =
            Command::new(&peer).arg(daemon.socket()).uid(NOBODY).gid(NOBODY).current_dir("/").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(speak().starts_with("refused: Permission denied"), "{}", speak());
    // The daemon does not rely on modes that somebody may change.
    std::fs::set_permissions(daemon.socket().parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(daemon.socket(), Permissions::from_mode(0o666)).unwrap();
    assert_eq!(speak(), "answered: 0 bytes\n");
    let event = eventually("the refusal in the journal", SOON, || {
        let list = daemon.call("event.list", &json!({"kinds": ["access.refused"]}));
        list["events"].get(0).cloned()
    });
    assert_eq!(event["data"]["uid"], json!(NOBODY), "{event}");
    assert!(event["data"]["pid"].as_u64().is_some(), "{event}");
}

#[test]
fn a_path_that_is_something_else_is_refused_and_named() {
    let at = |prepare: fn(&Path), words: &[&str]| {
        let mut name = String::new();
        let mut all = words.to_vec();
        let path = "o.sock";
        all.push(path);
        refuses(
            |settings| {
                settings.workers(0);
                std::fs::create_dir(settings.socket.parent().unwrap()).unwrap();
                std::fs::set_permissions(settings.socket.parent().unwrap(), Permissions::from_mode(0o700)).unwrap();
                prepare(&settings.socket);
                name = settings.socket.display().to_string();
            },
            &all,
        );
    };
    at(|path| std::os::unix::fs::symlink("/tmp/elsewhere", path).unwrap(), &["symbolic link"]);
    at(|path| std::fs::write(path, "precious").unwrap(), &["no socket"]);
    at(|path| std::fs::create_dir(path).unwrap(), &["no socket"]);
    at(
        |path| std::fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o777)).unwrap(),
        &["written by other users"],
    );
    if is_root("a_path_that_is_something_else_is_refused_and_named") {
        at(|path| std::os::unix::fs::chown(path.parent().unwrap(), Some(NOBODY), None).unwrap(), &["another user"]);
        at(
            |path| {
                drop(UnixListener::bind(path).unwrap());
                std::os::unix::fs::chown(path, Some(NOBODY), None).unwrap();
            },
            &["another user"],
        );
    }
}

#[test]
fn a_path_that_is_too_long_is_an_error_and_never_a_shorter_socket() {
    let long = "x".repeat(200);
    refuses(
        |settings| {
            settings.workers(0);
            settings.socket = settings.socket.with_file_name(&long);
        },
        &["107", &long],
    );
}

#[test]
fn a_stale_socket_is_replaced_and_a_second_daemon_is_refused() {
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let second = daemon.command().status().unwrap();
    assert_eq!(second.code(), Some(75), "a second daemon must be refused: {second}");
    daemon.kill9();
    assert!(daemon.socket().exists(), "a killed daemon leaves its socket behind");
    daemon.restart();
    assert_eq!(daemon.call("health", &json!({}))["version"], json!(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_single_daemon_wins_of_many_that_start_at_once() {
    let daemon = Daemon::prepared(|settings| {
        settings.workers(0);
    });
    let mut children: Vec<_> = (0..6).map(|_| daemon.command().spawn().unwrap()).collect();
    let mut losers = Vec::new();
    eventually("five of six end", Duration::from_secs(20), || {
        children.retain_mut(|child| match child.try_wait().unwrap() {
            Some(status) => {
                losers.push(status.code());
                false
            }
            None => true,
        });
        (children.len() <= 1).then_some(())
    });
    assert_eq!(losers, vec![Some(75); 5], "{}", daemon.log());
    eventually("the winner answers", SOON, || {
        Wire::try_connect(daemon.socket()).ok()?.try_call("health", &json!({}))?.ok()
    });
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn a_socket_is_never_abstract() {
    let daemon = Daemon::start(|_| {});
    daemon.wait_for_workers(4);
    let own: Vec<String> = process::descriptor_targets(daemon.pid());
    for line in std::fs::read_to_string("/proc/net/unix").unwrap().lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (Some(inode), Some(path)) = (fields.get(6), fields.get(7)) else { continue };
        assert!(
            !(path.starts_with('@') && own.contains(&format!("socket:[{inode}]"))),
            "the daemon has the abstract socket {path}"
        );
    }
}

#[test]
fn a_frame_that_is_begun_and_not_finished_meets_a_deadline_and_holds_up_nobody() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let mut other = daemon.wire();
    let quiet = p99(&mut other, 200);
    // Two that stop inside a frame, one that dribbles a byte at a time.
    let mut in_header = daemon.wire();
    assert!(in_header.send_bytes(&[0, 0]));
    let mut in_body = daemon.wire();
    assert!(in_body.send_bytes(&[0, 0, 0, 90, b'{']));
    let mut dribbler = daemon.wire();
    let started = Instant::now();
    let frame = framed(&[b' '; 1000]);
    let mut sent = 0;
    let closed = loop {
        assert!(started.elapsed() < Duration::from_secs(30), "the daemon waits for a dribbling peer for ever");
        let alive = dribbler.send_bytes(&frame[sent..=sent]);
        sent += 1;
        match dribbler.receive(Duration::from_millis(100)) {
            Received::Nothing if alive => {}
            Received::Body(body) => assert_eq!(body["error"]["data"]["kind"], "deadline_exceeded", "{body}"),
            Received::Closed | Received::Nothing => break started.elapsed(),
        }
    };
    assert!(closed > Duration::from_secs(1), "closed after {closed:?}, which a slow but honest peer would not survive");
    in_header.closed_within(SOON);
    in_body.closed_within(SOON);
    let busy = p99(&mut other, 200);
    assert!(busy < (quiet * 2).max(Duration::from_millis(50)), "p99 of others went from {quiet:?} to {busy:?}");
}

fn p99(wire: &mut Wire, calls: usize) -> Duration {
    let mut times: Vec<Duration> = (0..calls)
        .map(|_| {
            let started = Instant::now();
            wire.result("health", &json!({}));
            started.elapsed()
        })
        .collect();
    times.sort();
    times[calls * 99 / 100]
}

#[test]
fn a_newer_protocol_is_refused_with_both_versions() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let mut wire = daemon.wire();
    assert_eq!(wire.result("hello", &json!({"protocol": 1, "client": "test"}))["protocol"], json!(1));
    let error = wire.call("hello", &json!({"protocol": 4711})).unwrap_err();
    assert_eq!(error["data"]["kind"], "unsupported_version");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("4711") && message.contains('1'), "{message}");
}

#[test]
fn a_client_of_the_last_release_is_served_as_before() {
    let daemon = Daemon::start(|_| {});
    daemon.wait_for_workers(4);
    let recorded = include_str!("../../data/frames/0.1.jsonl");
    for line in recorded.lines() {
        let exchange: serde_json::Value = serde_json::from_str(line).unwrap();
        let mut wire = daemon.wire();
        wire.send_body(exchange["request"].to_string().as_bytes());
        let answer = wire.body();
        for pointer in exchange["members"].as_array().unwrap() {
            let pointer = pointer.as_str().unwrap();
            assert!(
                answer.pointer(pointer).is_some(),
                "{pointer} is gone from {answer}\nrequest: {}",
                exchange["request"]
            );
        }
        assert_eq!(answer["id"], exchange["request"]["id"]);
    }
}

#[test]
fn a_client_that_never_reads_is_cut_and_others_do_not_notice() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0).set("limits.client_backlog_bytes", 64 * 1024);
    });
    let mut deaf = daemon.wire();
    let mut other = daemon.wire();
    deaf.stream().set_write_timeout(Some(PATIENCE)).unwrap();
    let before = process::resident_kib(daemon.pid());
    let request = framed(br#"{"jsonrpc":"2.0","id":1,"method":"status","params":{}}"#);
    let started = Instant::now();
    let mut sent = 0_u32;
    // Once the connection is cut there is nobody to write to; a busy daemon may need more than 10,000 to fall behind.
    while deaf.send_bytes(&request) {
        sent += 1;
        assert!(started.elapsed() < PATIENCE, "{sent} unread answers did not end the connection");
        if sent.is_multiple_of(100) {
            other.result("health", &json!({}));
        }
    }
    deaf.closed_within(SOON);
    other.result("health", &json!({}));
    let grown = process::resident_kib(daemon.pid()).saturating_sub(before);
    assert!(grown < 8 * 1024, "the daemon grew by {grown} KiB");
}

#[test]
fn a_half_closed_connection_gets_its_answers() {
    let daemon = Daemon::start(|_| {});
    daemon.wait_for_workers(4);
    let mut wire = daemon.wire();
    for _ in 0..50 {
        wire.request("health", &json!({}));
    }
    wire.request("naming.allocate_session", &json!({"type": "claude_coding"}));
    wire.finish_sending();
    let mut answers = 0;
    while let Received::Body(body) = wire.receive(SOON) {
        assert!(body.get("result").is_some(), "{body}");
        answers += 1;
    }
    assert_eq!(answers, 51);
}

#[test]
fn a_peer_that_passes_descriptors_does_not_fill_the_daemon() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let mut wire = daemon.wire();
    wire.result("health", &json!({}));
    let before = process::descriptors(daemon.pid());
    let file = std::fs::File::open("/dev/null").unwrap();
    let copies: Vec<OwnedFd> = (0..200).map(|_| file.try_clone().unwrap().into()).collect();
    let raw: Vec<RawFd> = copies.iter().map(AsRawFd::as_raw_fd).collect();
    for _ in 0..5 {
        let frame = framed(br#"{"jsonrpc":"2.0","id":9,"method":"health","params":{}}"#);
        sendmsg::<()>(
            wire.stream().as_raw_fd(),
            &[IoSlice::new(&frame)],
            &[ControlMessage::ScmRights(&raw)],
            MsgFlags::empty(),
            None,
        )
        .unwrap();
        assert!(matches!(wire.receive(SOON), Received::Body(_)));
    }
    eventually("no descriptor stays open", PATIENCE, || (process::descriptors(daemon.pid()) <= before).then_some(()));
}

#[test]
fn a_ten_thousand_connections_leave_nothing_behind() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    for _ in 0..100 {
        daemon.call("health", &json!({}));
    }
    let (descriptors, threads) = (process::descriptors(daemon.pid()), process::threads(daemon.pid()));
    let mut only = daemon.wire();
    for number in 0..10_000 {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        if number % 3 == 0 {
            stream.write_all(&[0, 0, 0, 60, b'{']).unwrap();
        }
    }
    eventually("descriptors and threads are as before", PATIENCE, || {
        let now = (process::descriptors(daemon.pid()), process::threads(daemon.pid()));
        let counted = only.result("status", &json!({}))["connections"].clone();
        (now.0 <= descriptors + 1 && now.1 <= threads && counted == 1).then_some(())
    });
}

#[test]
fn a_daemon_without_free_descriptors_lives_and_recovers() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
        settings.before = Some("ulimit -n 64".to_owned());
    });
    let mut open = daemon.wire();
    open.result("health", &json!({}));
    let crowd: Vec<UnixStream> = (0..200).map(|_| UnixStream::connect(daemon.socket()).unwrap()).collect();
    eventually("all descriptors are in use", SOON, || (process::descriptors(daemon.pid()) >= 63).then_some(()));
    open.result("health", &json!({}));
    drop(crowd);
    let released = Instant::now();
    daemon.call("health", &json!({}));
    assert!(released.elapsed() < Duration::from_secs(2), "served again after {:?}", released.elapsed());
}

/// Starts the daemon as systemd would, with `socket` as descriptor 3.
fn activated(daemon: &Daemon, socket: OwnedFd, announced: &str) -> std::process::Child {
    let mut plain = daemon.command();
    let program = plain.get_program().to_owned();
    let line = format!("exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS={announced}; exec \"$0\" \"$@\"");
    let mut shell = Command::new("/bin/sh");
    shell.arg("-c").arg(line).arg(program).args(plain.get_args()).env_clear();
    for (name, value) in plain.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    plain.stdin(Stdio::null());
    let log = std::fs::OpenOptions::new().create(true).append(true).open(daemon.path("daemon.log")).unwrap();
    shell.stdin(Stdio::from(socket)).stdout(log.try_clone().unwrap()).stderr(log).current_dir(daemon.directory());
    shell.spawn().unwrap()
}

fn private_listener(daemon: &Daemon) -> UnixListener {
    let directory = daemon.socket().parent().unwrap();
    std::fs::create_dir(directory).unwrap();
    std::fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
    let listener = UnixListener::bind(daemon.socket()).unwrap();
    std::fs::set_permissions(daemon.socket(), Permissions::from_mode(0o600)).unwrap();
    listener
}

#[test]
fn a_socket_of_systemd_is_served() {
    let daemon = Daemon::prepared(|settings| {
        settings.workers(0);
    });
    let listener = private_listener(&daemon);
    // A client may come before the daemon: that is what activation is for.
    let mut early = daemon.wire();
    early.request("health", &json!({}));
    let mut child = activated(&daemon, listener.into(), "1");
    let answer = early.receive(Duration::from_secs(20));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(
        matches!(&answer, Received::Body(body) if body["result"]["status"].is_string()),
        "{answer:?}\n{}",
        daemon.log()
    );
}

#[test]
fn a_wrong_activation_is_refused_and_says_why() {
    let refused = |socket: fn(&Daemon) -> OwnedFd, announced: &str| {
        let daemon = Daemon::prepared(|settings| {
            settings.workers(0);
        });
        let socket = socket(&daemon);
        let mut child = activated(&daemon, socket, announced);
        let status = eventually("the daemon refuses", Duration::from_secs(20), || child.try_wait().unwrap());
        assert!(!status.success(), "LISTEN_FDS={announced} was accepted");
        let log = daemon.log();
        assert!(log.contains("LISTEN_FDS") || log.contains("systemd"), "LISTEN_FDS={announced}: {log}");
    };
    let unix = |daemon: &Daemon| OwnedFd::from(private_listener(daemon));
    refused(unix, "0");
    refused(unix, "2");
    refused(unix, "many");
    refused(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().into(), "1");
    refused(|_| std::fs::File::open("/dev/null").unwrap().into(), "1");
}
