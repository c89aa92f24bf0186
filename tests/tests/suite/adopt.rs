//! Adoption: a pane of tmux is mirrored and stays tmux's; worktrees are found; what is not there is said.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use orx_tests::harness::{Daemon, Repository, eventually};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(30);

/// A tmux server of the test's own.
struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// A server with one pane that runs a shell line.
    fn start(daemon: &Daemon, line: &str) -> Self {
        let directory = daemon.directory().join(format!("tmux-{}", nix::unistd::getuid()));
        std::fs::create_dir_all(&directory).unwrap();
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).unwrap();
        let tmux = Self { socket: directory.join("default") };
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "-x", "90", "-y", "20", "-s", "work", line]);
        tmux
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output =
            Command::new("tmux").arg("-S").arg(&self.socket).args(arguments).output().expect("tmux is installed");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn pane(&self) -> String {
        self.run(&["list-panes", "-a", "-F", "#{pane_id}"]).trim().to_owned()
    }

    fn shown(&self) -> String {
        self.run(&["capture-pane", "-p", "-t", &self.pane()])
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

fn prepared() -> Daemon {
    let mut daemon = Daemon::prepared(|settings| {
        settings.workers(0);
    });
    let directory = daemon.directory().to_string_lossy().into_owned();
    daemon.settings().variable("TMUX_TMPDIR", directory);
    daemon
}

fn screen(daemon: &Daemon, session: &str) -> String {
    let screen = daemon.call("session.screen", &json!({ "session": session }));
    screen["lines"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

fn adopt(daemon: &Daemon, target: &str) -> String {
    let adopted = daemon.call("session.adopt", &json!({"origin": "tmux", "target": target}));
    adopted["session"].as_str().unwrap().to_owned()
}

#[test]
fn a_pane_of_tmux_is_read_and_typed_into_and_outlives_the_session() {
    let mut daemon = prepared();
    let tmux = Tmux::start(&daemon, "printf '\\033[1mfrom before\\033[0m\\n'; PS1='$ ' exec sh");
    eventually("the pane shows it", PATIENCE, || tmux.shown().contains("from before").then_some(()));
    daemon.launch().unwrap();
    let listed = daemon.call("session.adoptable", &json!({}));
    let candidate = listed["candidates"].as_array().unwrap().iter().find(|one| one["origin"] == "tmux").cloned();
    let candidate = candidate.unwrap_or_else(|| panic!("{listed}"));
    assert_eq!((&candidate["engine"], &candidate["title"]), (&json!("command"), &json!("work:0")));
    let session = adopt(&daemon, candidate["target"].as_str().unwrap());
    eventually("it is mirrored", PATIENCE, || screen(&daemon, &session).contains("from before").then_some(()));
    let now = daemon.call("session.get", &json!({ "session": session }));
    assert_eq!((&now["cols"], &now["rows"], &now["title"]), (&json!(90), &json!(20), &json!("tmux work:0")));
    daemon.call("session.send", &json!({"session": session, "text": "echo from-$((40+2))"}));
    eventually("the pane ran it", PATIENCE, || tmux.shown().contains("from-42").then_some(()));
    eventually("the mirror shows it", PATIENCE, || screen(&daemon, &session).contains("from-42").then_some(()));
    daemon.call("session.keys", &json!({"session": session, "keys": ["x", "y", "ctrl-u"]}));
    tmux.run(&["send-keys", "-t", &tmux.pane(), "echo by-hand", "Enter"]);
    eventually("what a person does there is seen", PATIENCE, || {
        screen(&daemon, &session).contains("by-hand").then_some(())
    });
    let error =
        daemon.wire().call("session.adopt", &json!({"origin": "tmux", "target": candidate["target"]})).unwrap_err();
    assert!(error.to_string().contains("already"), "{error}");
    daemon.kill9();
    tmux.run(&["send-keys", "-t", &tmux.pane(), "echo while-away", "Enter"]);
    daemon.restart();
    eventually("nothing is missed", PATIENCE, || screen(&daemon, &session).contains("while-away").then_some(()));
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 2000}));
    assert!(tmux.shown().contains("while-away"), "the pane lives on");
    // Once it is let go it can be adopted again, and the session ends with the pane.
    let session = adopt(&daemon, &tmux.pane());
    eventually("it is mirrored", PATIENCE, || screen(&daemon, &session).contains("while-away").then_some(()));
    tmux.run(&["send-keys", "-t", &tmux.pane(), "exit", "Enter"]);
    eventually("it ended", PATIENCE, || {
        let state = daemon.call("session.get", &json!({ "session": session }));
        (state["life"] == "completed").then_some(())
    });
}

#[test]
fn a_pane_with_an_engine_in_it_is_mirrored_as_any_other() {
    let mut daemon = prepared();
    let tmux = Tmux::start(&daemon, "echo its own screen; exec sleep 600");
    daemon.launch().unwrap();
    let adopted = daemon.call("session.adopt", &json!({"origin": "tmux", "target": tmux.pane(), "engine": "claude"}));
    let session = adopted["session"].as_str().unwrap().to_owned();
    eventually("it is mirrored", PATIENCE, || screen(&daemon, &session).contains("its own screen").then_some(()));
    let now = daemon.call("session.get", &json!({ "session": session }));
    assert_eq!((&now["engine"], &now["channel"]), (&json!("claude"), &Value::Null), "it has no hooks of ours");
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
}

#[test]
fn a_text_of_several_lines_is_a_paste_for_the_program_in_the_pane() {
    let mut daemon = prepared();
    let typed = daemon.path("typed");
    let tmux = Tmux::start(
        &daemon,
        &format!(
            "stty raw -echo; printf '\\033[?2004hready'; head -c 24 > {}; printf done; sleep 600",
            typed.display()
        ),
    );
    eventually("the program is ready", PATIENCE, || tmux.shown().contains("ready").then_some(()));
    daemon.launch().unwrap();
    let session = adopt(&daemon, &tmux.pane());
    eventually("it is mirrored", PATIENCE, || screen(&daemon, &session).contains("ready").then_some(()));
    daemon.call("session.send", &json!({"session": session, "text": "one 'x'\ntwo", "submit": true}));
    eventually("it has all", PATIENCE, || tmux.shown().contains("done").then_some(()));
    assert_eq!(std::fs::read(&typed).unwrap(), b"\x1b[200~one 'x'\rtwo\x1b[201~\r");
    daemon.call("session.stop", &json!({"session": session, "grace_ms": 100}));
}

#[test]
fn worktrees_and_conversations_of_a_directory_are_listed_and_worked_in() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let repository = Repository::with_files(&daemon.path("repository"), &[("a.txt", "base\n")]);
    let other = daemon.path("other tree");
    repository.git(&["worktree", "add", "-b", "fix", other.to_str().unwrap()]);
    let cwd = repository.path().to_string_lossy().into_owned();
    let listed = daemon.call("session.adoptable", &json!({ "cwd": cwd }));
    let of = |origin: &str| -> Vec<Value> {
        listed["candidates"].as_array().unwrap().iter().filter(|one| one["origin"] == origin).cloned().collect()
    };
    let worktrees: Vec<_> = of("worktree").iter().map(|one| (one["target"].clone(), one["title"].clone())).collect();
    assert_eq!(worktrees, [(json!(cwd), json!("main")), (json!(other), json!("fix"))]);
    assert_eq!(of("conversation"), [] as [Value; 0]);
    for (params, words) in [
        (json!({"origin": "worktree", "target": other}), "engine"),
        (json!({"origin": "worktree", "target": daemon.directory(), "engine": "command"}), "no worktree"),
        (json!({"origin": "tmux", "target": "%99"}), "no pane"),
        (json!({"origin": "server", "target": "http://example.com"}), "on this machine"),
        (json!({"origin": "conversation", "target": "x", "engine": "claude", "cwd": cwd}), "x"),
        (json!({"origin": "attic", "target": "x"}), "attic"),
    ] {
        let error = daemon.wire().call("session.adopt", &params).unwrap_err();
        assert!(error.to_string().contains(words), "{params}: {error}");
    }
    let error = daemon.wire().call("session.adoptable", &json!({"cwd": "here"})).unwrap_err();
    assert!(error.to_string().contains("absolute"), "{error}");
}
