//! What confined and limited sessions can do and what they cannot, by trying it from inside; and that an agent is never
//! taken for its user.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use orx_engines::EngineKind;
use orx_protocol::hold::Holder;
use orx_tests::harness::{Daemon, binary, eventually, eventually_or, process, search_path};
use orx_tests::model::{Action, Rule, Scenario, ScriptedModel, Step, When};
use serde_json::{Value, json};

/// How long a short program may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a coding CLI may take for a prompt.
const ENGINE: Duration = Duration::from_secs(150);
/// What each mechanism is called in the settings.
const MECHANISMS: [&str; 2] = ["bubblewrap", "landlock"];

/// A daemon of a person with a repository, a key and a start-up file.
struct Bed {
    daemon: Daemon,
    repository: PathBuf,
    user: PathBuf,
}

impl Bed {
    fn new(sandbox: &Value) -> Self {
        Self::with(sandbox, |_| {})
    }

    fn with(sandbox: &Value, adjust: impl FnOnce(&mut orx_tests::harness::Settings)) -> Self {
        let daemon = Daemon::start(|settings| {
            settings.workers(0).set("sandbox", sandbox.clone());
            let home = settings.user_home.clone();
            std::fs::create_dir_all(home.join(".ssh")).unwrap();
            std::fs::write(home.join(".ssh/id_ed25519"), "canary-of-a-key").unwrap();
            std::fs::write(home.join(".bashrc"), "# mine\n").unwrap();
            std::fs::write(home.join(".gitconfig"), "[user]\nname = a\nemail = a@b.c\n").unwrap();
            adjust(settings);
        });
        let repository = daemon.path("repository");
        std::fs::create_dir(&repository).unwrap();
        let made = std::process::Command::new("git").args(["init", "--quiet"]).arg(&repository).status().unwrap();
        assert!(made.success());
        let user = daemon.path("user");
        Self { daemon, repository, user }
    }

    /// Starts a shell script as a session in the repository.
    fn start(&self, script: &str, more: &Value) -> String {
        let mut params = json!({"engine": "command", "argv": ["/bin/bash", "-c", script], "cwd": self.repository});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned()
    }

    /// Runs a script to its end; gives the record and what it wrote.
    fn run(&self, script: &str, more: &Value) -> (Value, String) {
        let session = self.start(script, more);
        self.ended(&session)
    }

    fn ended(&self, session: &str) -> (Value, String) {
        let wait = json!({"session": session, "until": "ended", "timeout_ms": 0});
        eventually("the end of the script", PATIENCE, || {
            (self.daemon.call("session.wait", &wait)["state"] != "running").then_some(())
        });
        let log = self.daemon.call("session.log", &json!({"session": session, "limit": 10_000}));
        let lines: Vec<&str> = log["lines"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        (self.daemon.call("session.get", &json!({"session": session})), lines.join("\n"))
    }

    fn home(&self) -> PathBuf {
        self.daemon.places().home
    }
}

/// A line of a script that says whether something worked.
fn attempt(name: &str, command: &str) -> String {
    format!("if ( {command} ) >/dev/null 2>&1; then echo {name}=done; else echo {name}=refused; fi\n")
}

#[track_caller]
fn said(output: &str, wanted: &[(&str, &str)]) {
    for (name, outcome) in wanted {
        assert!(output.lines().any(|line| line.trim() == format!("{name}={outcome}")), "{name}={outcome}:\n{output}");
    }
}

#[test]
fn f_a_confined_session_writes_its_workspace_and_nothing_of_the_person() {
    for mechanism in MECHANISMS {
        let bed = Bed::new(&json!({"mechanism": mechanism}));
        let agent = bed.daemon.path("agent.sock");
        let _agent = UnixListener::bind(&agent).unwrap();
        let (user, home) = (bed.user.display(), bed.home());
        let home = home.display();
        let script = [
            attempt("workspace", "echo a > file && git add file && git commit -qm first"),
            attempt("temporary", "f=$(mktemp) && echo a > $f"),
            attempt("bashrc", &format!("echo evil >> {user}/.bashrc")),
            attempt("new-dotfile", &format!("echo evil > {user}/.profile")),
            attempt("key", &format!("cat {user}/.ssh/id_ed25519")),
            attempt("token", &format!("cat {home}/token")),
            attempt("state", &format!("echo a > {home}/sessions/x")),
            attempt("settings", &format!("cat {}", bed.daemon.places().config.display())),
            attempt("system", "echo a > /etc/orx-test"),
            attempt("shadow", "cat /etc/shadow"),
            attempt("gitconfig", "git config --global --get user.name"),
            // What is hidden is not uncovered, nor what is read-only written, from within the session's own namespaces.
            attempt("uncovered", &format!("umount {user}/.ssh; cat {user}/.ssh/id_ed25519")),
            attempt("uncovered-in-another", &format!("unshare -Urm sh -c 'umount {user}/.ssh; cat {user}/.ssh/*'")),
            attempt("remounted", "mount -o remount,rw,bind / && echo a > /etc/orx-test"),
        ]
        .concat();
        let (record, output) = bed.run(&script, &json!({"sandbox": {"mode": "required"}}));
        said(
            &output,
            &[
                ("workspace", "done"),
                ("temporary", "done"),
                ("gitconfig", "done"),
                ("bashrc", "refused"),
                ("new-dotfile", "refused"),
                ("key", "refused"),
                ("token", "refused"),
                ("state", "refused"),
                ("settings", "refused"),
                ("system", "refused"),
                ("shadow", "refused"),
                ("uncovered", "refused"),
                ("uncovered-in-another", "refused"),
                ("remounted", "refused"),
            ],
        );
        assert_eq!(record["sandbox"]["mechanism"], mechanism);
        assert_eq!(std::fs::read_to_string(bed.user.join(".bashrc")).unwrap(), "# mine\n");
        let listed = bed.daemon.orxctl(&bed.repository, &["ls", "--all"]);
        assert!(listed.done().contains(mechanism), "{listed:?}");
    }
}

#[test]
fn f_a_confined_session_commits_and_plants_nothing_in_the_repository() {
    let bed = Bed::new(&json!({"mechanism": "bubblewrap"}));
    let script = [
        attempt("commit", "echo a > file && git add file && git commit -qm first"),
        attempt("hook", "echo evil > .git/hooks/pre-commit"),
        attempt("setting", "git config core.fsmonitor evil"),
        attempt("settings-file", "echo evil >> .git/config"),
        attempt("attributes", "echo '* filter=evil' > .git/info/attributes"),
        attempt("another-git", "mv .git .git-old"),
        attempt("another-hooks", "mv .git/hooks .git/hooks-old"),
    ]
    .concat();
    let (record, output) = bed.run(&script, &json!({"sandbox": {"mode": "required"}}));
    said(&output, &[("commit", "done")]);
    for name in ["hook", "setting", "settings-file", "attributes", "another-git", "another-hooks"] {
        said(&output, &[(name, "refused")]);
    }
    assert_eq!(record["sandbox"]["not_enforced"], json!([]), "{record}");
    // Landlock alone cannot hold that, and says so.
    let bed = Bed::new(&json!({"mechanism": "landlock"}));
    let (record, _) = bed.run("true", &json!({"sandbox": {"mode": "required"}}));
    let gaps = record["sandbox"]["not_enforced"].to_string();
    assert!(gaps.contains("hooks and settings") && gaps.contains("docker.sock"), "{gaps}");
    let listed = bed.daemon.orxctl(&bed.repository, &["ls", "--all"]);
    assert!(listed.done().contains("landlock, in part"), "{listed:?}");
}

#[test]
fn f_sockets_of_agents_and_other_sessions_are_out_of_reach() {
    let bed = Bed::with(&json!({"mechanism": "bubblewrap"}), |settings| {
        let agent = settings.user_home.join("agent.sock");
        settings.variable("SSH_AUTH_SOCK", agent.display().to_string());
    });
    let agent = bed.user.join("agent.sock");
    let _agent = UnixListener::bind(&agent).unwrap();
    let other = bed.start("sleep 600", &json!({}));
    // As docker's and others': in a place of sockets, where this user may make one.
    let of_the_machine = PathBuf::from(format!("/run/orx-test-{}.sock", std::process::id()));
    let _machine = UnixListener::bind(&of_the_machine);
    let connect = |path: &Path| {
        format!("python3 -c 'import socket; s=socket.socket(socket.AF_UNIX); s.connect(\"{}\")'", path.display())
    };
    let places = bed.daemon.places();
    let script = [
        attempt("daemon", &connect(&places.socket)),
        attempt("agent", &connect(&agent)),
        attempt("agent-variable", "test -n \"$SSH_AUTH_SOCK\""),
        attempt("other-session", &connect(&places.holder_sockets().join(format!("{other}.sock")))),
        attempt("docker", &connect(Path::new("/var/run/docker.sock"))),
        attempt("machine", &connect(&of_the_machine)),
        attempt("others-processes", &format!("kill -0 {}", bed.daemon.pids().daemon)),
    ]
    .concat();
    let (_, output) = bed.run(&script, &json!({"sandbox": {"mode": "required"}}));
    // It would be reached without a sandbox.
    let (_, open) = bed.run(&attempt("machine", &connect(&of_the_machine)), &json!({}));
    said(&open, &[("machine", if of_the_machine.exists() { "done" } else { "refused" })]);
    let _ = std::fs::remove_file(&of_the_machine);
    said(
        &output,
        &[
            ("machine", "refused"),
            ("daemon", "done"),
            ("agent", "refused"),
            ("agent-variable", "refused"),
            ("other-session", "refused"),
            ("docker", "refused"),
            ("others-processes", "refused"),
        ],
    );
    bed.daemon.call("session.stop", &json!({"session": other, "grace_ms": 0}));
}

#[test]
fn f_a_missing_sandbox_refuses_unless_told_and_is_said_everywhere() {
    let bed = Bed::with(&json!({"mechanism": "bubblewrap", "commands": "required"}), |settings| {
        let tools = settings.user_home.join("tools");
        std::fs::create_dir(&tools).unwrap();
        for name in ["bash", "git", "sleep", "true"] {
            let real = std::env::split_paths(&search_path()).map(|path| path.join(name)).find(|path| path.exists());
            std::os::unix::fs::symlink(real.unwrap(), tools.join(name)).unwrap();
        }
        settings.variable("PATH", tools.display().to_string());
    });
    let create = |more: Value| {
        let mut params = json!({"engine": "command", "argv": ["/bin/bash", "-c", "sleep 600"], "cwd": bed.repository});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bed.daemon.wire().call("session.create", &params)
    };
    let refused = create(json!({})).unwrap_err();
    assert_eq!(refused["data"]["kind"], "failed_precondition", "{refused}");
    let text = refused.to_string();
    assert!(text.contains("no program `bwrap`") && text.contains("--no-sandbox"), "{text}");
    assert_eq!(bed.daemon.call("session.list", &json!({"all": true}))["sessions"], json!([]), "nothing was made");

    let preferred = create(json!({"sandbox": {"mode": "preferred"}})).unwrap();
    let session = preferred["session"].as_str().unwrap();
    let record = bed.daemon.call("session.get", &json!({"session": session}));
    assert_eq!(record["sandbox"]["mechanism"], "none");
    assert!(record["sandbox"]["why"].as_str().unwrap().contains("bwrap"), "{record}");
    let listed = bed.daemon.orxctl(&bed.repository, &["ls"]);
    assert!(listed.done().contains("NONE"), "{listed:?}");
    let events = bed.daemon.call("event.list", &json!({"kinds": ["session.created"], "since": 0, "limit": 10}));
    assert!(events.to_string().contains("\"mechanism\":\"none\""), "{events}");
    bed.daemon.call("session.stop", &json!({"session": session, "grace_ms": 0}));

    for (wish, word) in [
        (json!({"mode": "off", "network": "off"}), "need a sandbox"),
        (json!({"mode": "sometimes"}), "sometimes"),
        (json!({"netwrok": "off"}), "netwrok"),
    ] {
        let refused = create(json!({ "sandbox": wish })).unwrap_err();
        assert_eq!(refused["data"]["kind"], "invalid_params", "{refused}");
        assert!(refused.to_string().contains(word), "{refused}");
    }
}

#[test]
fn f_paths_that_would_open_the_state_are_refused() {
    let bed = Bed::new(&json!({}));
    let home = bed.home();
    for (path, word) in [
        (home.clone(), "orx's own state"),
        (home.join("sessions"), "orx's own state"),
        (PathBuf::from("/"), "orx's own state"),
        (bed.daemon.path("nowhere"), "not there"),
    ] {
        let params = json!({"engine": "command", "argv": ["true"], "cwd": bed.repository,
            "sandbox": {"mode": "required", "write": [path]}});
        let refused = bed.daemon.wire().call("session.create", &params).unwrap_err();
        assert_eq!(refused["data"]["kind"], "invalid_params", "{refused}");
        assert!(refused["message"].as_str().unwrap().contains(word), "{refused}");
    }
    let further = bed.daemon.path("further");
    std::fs::create_dir(&further).unwrap();
    let write = attempt("further", &format!("echo a > {}/file", further.display()));
    let (_, output) = bed.run(&write, &json!({"sandbox": {"mode": "required", "write": [further]}}));
    said(&output, &[("further", "done")]);
}

#[test]
fn f_nobody_looks_into_the_daemon_and_its_holders() {
    let bed = Bed::new(&json!({}));
    let other = bed.start("sleep 600", &json!({}));
    let pids = bed.daemon.pids();
    let script: String = std::iter::once(("daemon", pids.daemon))
        .chain(pids.holders.iter().map(|pid| ("holder", *pid)))
        .flat_map(|(name, pid)| {
            [
                attempt(&format!("{name}-environ"), &format!("cat /proc/{pid}/environ")),
                attempt(&format!("{name}-fd"), &format!("readlink /proc/{pid}/fd/1")),
                attempt(&format!("{name}-memory"), &format!("head -c 1 /proc/{pid}/mem")),
                attempt(&format!("{name}-maps"), &format!("cat /proc/{pid}/maps")),
            ]
        })
        .collect();
    // Root's own rights look into everything: what any user's process has is what is left without them.
    let plain = if nix::unistd::geteuid().is_root() {
        format!(
            "setpriv --bounding-set=-all --inh-caps=-all --securebits=+noroot bash -c '{}'",
            script.replace('\'', "'\\''")
        )
    } else {
        script.clone()
    };
    let confined = |mechanism: &str| {
        let bed = Bed::new(&json!({"mechanism": mechanism}));
        bed.run(&script, &json!({"sandbox": {"mode": "required"}})).1
    };
    for output in [bed.run(&plain, &json!({})).1, confined("landlock"), confined("bubblewrap")] {
        for name in ["environ", "fd", "memory", "maps"] {
            said(&output, &[(&format!("daemon-{name}"), "refused"), (&format!("holder-{name}"), "refused")]);
        }
    }
    bed.daemon.call("session.stop", &json!({"session": other, "grace_ms": 0}));
}

#[test]
fn f_a_closed_network_reaches_nothing_and_the_gateway_alone() {
    let gateway = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, closed) = (gateway.local_addr().unwrap().port(), other.local_addr().unwrap().port());
    let bed = Bed::with(&json!({"mechanism": "bubblewrap"}), |settings| {
        settings.set("engines.endpoint", json!({"url": format!("http://127.0.0.1:{port}"), "key": "k"}));
    });
    let serving = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = gateway.accept().unwrap();
        let mut question = [0; 9];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(b"the answer\n").unwrap();
        question
    });
    let reach = |port: u16| format!("exec 3<>/dev/tcp/127.0.0.1/{port}");
    let closed_to = attempt("other", &reach(closed)) + &attempt("gateway", &reach(port));
    let with = |network: &str| json!({"sandbox": {"mode": "required", "network": network}});
    let (record, output) = bed.run(&closed_to, &with("off"));
    said(&output, &[("other", "refused"), ("gateway", "refused")]);
    assert_eq!(record["sandbox"]["network"], "off");
    let script = format!(
        "{}exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'question\\n' >&3; head -1 <&3",
        attempt("other", &reach(closed))
    );
    let (record, output) = bed.run(&script, &with("gateway"));
    said(&output, &[("other", "refused")]);
    assert!(output.contains("the answer"), "{output}");
    assert_eq!(serving.join().unwrap(), *b"question\n");
    assert_eq!(record["sandbox"]["network"], "gateway");
    // What Landlock alone cannot hold is refused.
    let bed = Bed::new(&json!({"mechanism": "landlock"}));
    let mut params = json!({"engine": "command", "argv": ["true"], "cwd": bed.repository});
    params.as_object_mut().unwrap().extend(with("off").as_object().unwrap().clone());
    let refused = bed.daemon.wire().call("session.create", &params).unwrap_err();
    assert!(refused.to_string().contains("needs bubblewrap"), "{refused}");
}

#[test]
fn f_a_session_at_its_memory_cap_is_ended_and_that_is_its_reason() {
    let bed = Bed::new(&json!({}));
    let script = "python3 -c 'x = bytearray(400 << 20); print(len(x))'; echo status=$?; exit 3";
    let (record, output) = bed.run(script, &json!({"limits": {"memory_bytes": 128 << 20, "cpu_percent": 150}}));
    let limits = &record["limits"];
    assert_eq!(limits["memory_bytes"], 128 << 20);
    assert!(!output.contains("419430400"), "{output}");
    if limits["enforced_by"] == "cgroup" {
        assert_eq!((&limits["cpu_percent"], &limits["why"]), (&json!(150), &Value::Null), "{limits}");
        let message = record["message"].as_str().unwrap_or_default();
        assert!(message.contains("killed at its memory cap of 128 MiB"), "{record}");
    } else {
        assert_eq!(limits["enforced_by"], "rlimit");
        let why = limits["why"].as_str().unwrap();
        assert!(why.contains("each process") && why.contains("not limited"), "{why}");
        assert!(output.contains("MemoryError"), "{output}");
    }
    assert_eq!(groups_of(record["session"].as_str().unwrap()), [""; 0], "a control group is left");
    for (limits, word) in [
        (json!({"memory_bytes": 1}), "memory_bytes"),
        (json!({"cpu_percent": 0}), "cpu_percent"),
        (json!({"processes": 1}), "processes"),
    ] {
        let params = json!({"engine": "command", "argv": ["true"], "cwd": "/", "limits": limits});
        let refused = bed.daemon.wire().call("session.create", &params).unwrap_err();
        assert_eq!(refused["data"]["kind"], "invalid_params");
        assert!(refused.to_string().contains(word), "{refused}");
    }
}

/// Directories of the control groups of a session.
fn groups_of(session: &str) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|line| line.contains(" - cgroup")).filter_map(|line| line.split(' ').nth(4));
    let found = points.flat_map(|point| {
        let name = format!("orx-{session}");
        let found = std::process::Command::new("find").args([point, "-name", &name]).output().unwrap();
        String::from_utf8(found.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    });
    found.collect()
}

#[test]
fn f_no_control_group_of_a_lost_session_is_left() {
    let mut bed = Bed::new(&json!({}));
    let lost = |bed: &Bed, session: &str| {
        let state = || bed.daemon.call("session.get", &json!({"session": session}))["state"].clone();
        eventually("the loss in the record", PATIENCE, || (state() == "unknown").then_some(()));
        eventually("the end of its control groups", PATIENCE, || groups_of(session).is_empty().then_some(()));
    };
    let start = |bed: &Bed| {
        let session = bed.start("sleep 600", &json!({"limits": {"memory_bytes": 256 << 20, "cpu_percent": 100}}));
        let limits = bed.daemon.call("session.get", &json!({"session": session}))["limits"].clone();
        assert_eq!(limits["enforced_by"] == "cgroup", !groups_of(&session).is_empty(), "{limits}");
        session
    };
    let kill = |bed: &Bed, session: &str| {
        let text = std::fs::read(bed.home().join("sessions").join(session).join("holder.json")).unwrap();
        let record: Holder = serde_json::from_slice(&text).unwrap();
        for process in [record.keeper.unwrap(), record.holder, record.child] {
            orx_sandbox::tree::signal(process, Signal::SIGKILL);
        }
    };
    // While the daemon looks on, and while none is there.
    let session = start(&bed);
    kill(&bed, &session);
    lost(&bed, &session);
    let session = start(&bed);
    bed.daemon.kill9();
    kill(&bed, &session);
    bed.daemon.restart();
    lost(&bed, &session);
}

#[test]
fn f_a_confined_tree_is_stopped_as_a_whole() {
    for mechanism in MECHANISMS {
        let bed = Bed::new(&json!({"mechanism": mechanism}));
        let script = "trap '' TERM HUP; (setsid sleep 600 &) ; (setsid bash -c 'trap \"\" TERM HUP; (sleep 600 &); sleep 600' &); \
                      echo ready; sleep 600";
        let session = bed.start(script, &json!({"sandbox": {"mode": "required"}}));
        eventually("the script's word", PATIENCE, || {
            let log = bed.daemon.call("session.log", &json!({"session": session}));
            log["lines"].to_string().contains("ready").then_some(())
        });
        bed.daemon.call("session.stop", &json!({"session": session, "grace_ms": 200}));
        eventually("the end of every process", PATIENCE, || process::of_session(&session).is_empty().then_some(()));
        assert_eq!(bed.daemon.call("session.get", &json!({"session": session}))["state"], "ended");
    }
}

#[test]
fn f_a_confined_program_that_cannot_start_is_named() {
    let bed = Bed::new(&json!({}));
    let secret = bed.user.join(".ssh/run.sh");
    std::fs::write(&secret, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let broken = bed.repository.join("broken");
    std::fs::write(&broken, "#!/nonexistent/interpreter\n").unwrap();
    std::fs::set_permissions(&broken, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let params = json!({"engine": "command", "argv": [broken], "cwd": bed.repository,
        "sandbox": {"mode": "required"}});
    let failed = bed.daemon.wire().call("session.create", &params).unwrap_err();
    assert_eq!(failed["data"]["kind"], "upstream");
    let message = failed["message"].as_str().unwrap();
    assert!(message.contains("broken") && message.contains("No such file"), "{message}");
}

#[test]
fn c_an_agent_is_not_its_user_whatever_it_claims() {
    let bed = Bed::new(&json!({}));
    let places = bed.daemon.places();
    let orxctl = format!(
        "env -u ORX_SESSION ORX_HOME={} ORX_SOCKET={} ORX_CONFIG={} {}",
        places.home.display(),
        places.socket.display(),
        places.config.display(),
        binary("orxctl").display()
    );
    let script = format!(
        "own=$ORX_SESSION\n\
         say() {{ echo \"$1=$2\"; }}\n\
         {orxctl} ls; say plain $?\n\
         setsid -w {orxctl} ls; say apart $?\n\
         (setsid bash -c '(sleep 0.1; {orxctl} ls; echo $? > orphan.txt) &' &) ; \
         while ! test -s orphan.txt; do sleep 0.05; done; say orphan $(cat orphan.txt)\n\
         env -i {orxctl} stop $own; say stop $?\n\
         env -i {orxctl} call session.create '{{\"engine\":\"command\",\"argv\":[\"true\"],\"cwd\":\"/\"}}'; say create $?\n\
         env -i {orxctl} attach $own </dev/null; say attach $?\n\
         {orxctl} call session.get \"{{\\\"session\\\":\\\"$own\\\"}}\" >/dev/null; say itself $?\n\
         {orxctl} call health >/dev/null; say health $?\n"
    );
    for more in [json!({}), json!({"sandbox": {"mode": "required"}})] {
        let (_, output) = bed.run(&script, &more);
        let _ = std::fs::remove_file(bed.repository.join("orphan.txt"));
        said(
            &output,
            &[
                ("plain", "77"),
                ("apart", "77"),
                ("orphan", "77"),
                ("stop", "77"),
                ("create", "77"),
                ("itself", "0"),
                ("health", "0"),
            ],
        );
        assert!(!output.contains("attach=0"), "{output}");
    }
    let noted = bed.daemon.call("event.list", &json!({"kinds": ["access.refused"], "since": 0, "limit": 100}));
    assert!(!noted["events"].as_array().unwrap().is_empty(), "refusals are in the journal");
    // The person is served as before.
    assert_eq!(bed.daemon.orxctl(&bed.repository, &["ls", "--all"]).code, Some(0));
}

fn program(kind: EngineKind) -> PathBuf {
    let engines = std::env::var_os("ORX_TEST_ENGINES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/engines"), PathBuf::from);
    engines.join(kind.name()).join("node_modules/.bin").join(kind.name())
}

/// An engine in its sandbox is asked to write a file and to break out.
async fn an_engine_works_confined(kind: EngineKind, argv: &[&str], mechanism: &str) {
    let probe = "sh probe.sh".to_owned();
    let rule = Rule {
        name: "probe".to_owned(),
        when: When { prompt: vec!["run the probe".to_owned()], ..When::default() },
        steps: vec![
            Step { tools: vec![Action::Run { command: probe }], ..Step::default() },
            Step { text: "The probe has run.".to_owned(), ..Step::default() },
        ],
    };
    let otherwise = Some(Step { text: "Never mind.".to_owned(), ..Step::default() });
    let model = ScriptedModel::start(Scenario { rules: vec![rule], otherwise, ..Scenario::default() }).await.unwrap();
    let url = model.url.clone();
    let bed = Bed::with(&json!({"mechanism": mechanism}), |settings| {
        settings.set("engines.endpoint", json!({"url": url, "key": "scripted-endpoint-key"}));
        settings.set(&format!("engines.binaries.{kind}"), program(kind).to_string_lossy().into_owned());
    });
    let home = bed.home();
    let script = [
        attempt("workspace", "echo a > written.txt"),
        attempt("bashrc", &format!("echo evil >> {}/.bashrc", bed.user.display())),
        attempt("state", &format!("echo evil > {}/evil", home.display())),
        attempt("hook", "echo evil > .git/hooks/pre-commit"),
    ]
    .concat();
    std::fs::write(
        bed.repository.join("probe.sh"),
        format!("{{\n{script}}} > report.txt 2>&1\necho end >> report.txt\n"),
    )
    .unwrap();
    let network = if mechanism == "bubblewrap" { "gateway" } else { "on" };
    let params = json!({"engine": kind.name(), "argv": argv, "cwd": bed.repository, "cols": 100, "rows": 30,
        "prompt": "run the probe", "sandbox": {"network": network}});
    let created = bed.daemon.call("session.create", &params);
    let session = created["session"].as_str().unwrap();
    let report = bed.repository.join("report.txt");
    let output = eventually_or("the probe's report", ENGINE, || {
        std::fs::read_to_string(&report).ok().filter(|text| text.contains("end"))
    })
    .unwrap_or_else(|late| {
        let screen = bed.daemon.call("session.screen", &json!({ "session": session }));
        panic!("{kind} in {mechanism}: {late}; its screen is {:#}", screen["lines"])
    });
    said(&output, &[("workspace", "done"), ("bashrc", "refused"), ("state", "refused")]);
    if mechanism == "bubblewrap" {
        said(&output, &[("hook", "refused")]);
    }
    bed.daemon.call("session.stop", &json!({ "session": session }));
    eventually("the end of every process", PATIENCE, || process::of_session(session).is_empty().then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn f_claude_works_in_its_sandbox_and_does_not_get_out() {
    let argv = ["--permission-mode", "acceptEdits", "--allowedTools", "Bash"];
    for mechanism in MECHANISMS {
        an_engine_works_confined(EngineKind::Claude, &argv, mechanism).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f_codex_works_in_its_sandbox_and_does_not_get_out() {
    // orx's sandbox alone is the one that holds here.
    let argv = ["--sandbox", "danger-full-access", "--ask-for-approval", "never"];
    for mechanism in MECHANISMS {
        an_engine_works_confined(EngineKind::Codex, &argv, mechanism).await;
    }
}
