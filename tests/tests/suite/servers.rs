//! Servers that engines start in the background: where they put their sockets.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orx_tests::harness::{Daemon, eventually};
use serde_json::{Value, json};

/// How long a script may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A daemon without sandboxes whose `openhands` writes down where its tmux would put its socket.
fn daemon() -> (Daemon, PathBuf) {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
        settings.set("sandbox", json!({"mode": "off"}));
        let engine = settings.user_home.join("openhands");
        let script =
            "#!/bin/sh\nprintf %s \"$TMUX_TMPDIR\" > writing.$$ && mv writing.$$ \"$ORX_SESSION\"\nexec sleep 100000\n";
        std::fs::write(&engine, script).unwrap();
        std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
        settings.set("engines.binaries.openhands", engine.to_string_lossy().into_owned());
    });
    let work = daemon.path("work");
    std::fs::create_dir(&work).unwrap();
    (daemon, work)
}

/// Where a new session's servers put their sockets.
fn place(daemon: &Daemon, work: &Path, env: &Value) -> String {
    let created = daemon.call("session.create", &json!({"engine": "openhands", "cwd": work, "env": env}));
    let told = work.join(created["session"].as_str().unwrap());
    eventually("what the session was told", PATIENCE, || std::fs::read_to_string(&told).ok())
}

#[test]
fn sessions_without_a_sandbox_do_not_meet_in_one_server() {
    let (daemon, work) = daemon();
    let [first, second] = [(); 2].map(|()| place(&daemon, &work, &json!({})));
    assert_ne!(first, second, "one would end with the other's server");
    for own in [&first, &second] {
        assert!(own.starts_with(&*daemon.places().sessions().to_string_lossy()), "{own}");
        assert_eq!(std::fs::metadata(own).unwrap().permissions().mode() & 0o777, 0o700, "{own}");
    }
    let wished = place(&daemon, &work, &json!({"TMUX_TMPDIR": "/wished"}));
    assert_eq!(wished, "/wished", "whoever names a place has it");
}
