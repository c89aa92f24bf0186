//! `up`, `down`, `doctor`, `token`: with a program that only pretends to be the daemon.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::fake::{Fake, code, environment, run};

fn status(pid: u32) -> Value {
    json!({
        "health": {"status": "healthy", "version": "0.1.0", "llm_router": null}, "pid": pid, "uptime_ms": 1000,
        "home": "/h", "config": "/c", "socket": "/s", "http": null, "sessions": 2, "runs": 1, "journal_seq": 7,
        "workers": [], "connections": 1
    })
}

#[tokio::test]
async fn up_says_that_a_daemon_runs_already() {
    let fake = Fake::start(|method, _| match method {
        "health" => json!({"status": "healthy", "version": "0.1.0"}).into(),
        _ => status(77).into(),
    });
    let up = fake.orxctl(&["up"]).await;
    assert_eq!(code(&up), 0, "{}", up.stderr_text());
    assert!(up.stdout_text().contains("already runs (pid 77)"), "{}", up.stdout_text());
    assert!(!fake.home().exists());
    let shown = fake.orxctl(&["status"]).await;
    assert!(shown.stdout_text().contains("2 running"), "{}", shown.stdout_text());
}

#[tokio::test]
async fn up_shows_why_the_daemon_did_not_start() {
    let scratch = tempfile::tempdir().unwrap();
    // A copy of the program beside which nothing but the pretended daemon is.
    let own = scratch.path().join("orxctl");
    std::fs::copy(env!("CARGO_BIN_EXE_orxctl"), &own).unwrap();
    let daemon = scratch.path().join("orchestratord");
    std::fs::write(&daemon, "#!/bin/sh\necho \"the port is taken by $ORX_SOCKET\" >&2\nexit 78\n").unwrap();
    std::fs::set_permissions(&daemon, std::fs::Permissions::from_mode(0o755)).unwrap();
    let home = scratch.path().join("home");
    let socket = scratch.path().join("s");
    let captured = orx_sandbox::capture(orx_sandbox::Program {
        argv: vec![own.to_str().unwrap().to_owned(), "up".to_owned()],
        cwd: scratch.path().to_owned(),
        environment: environment(home.to_str().unwrap(), socket.to_str().unwrap()),
        input: None,
        deadline: std::time::Duration::from_secs(60),
        output_limit: 1 << 16,
    })
    .await
    .unwrap();
    assert_eq!(code(&captured), 78, "{}", captured.stderr_text());
    let message = captured.stderr_text();
    assert!(message.contains(&format!("the port is taken by {}", socket.display())), "{message}");
    assert!(message.contains("exit status 78"), "{message}");
    let mode = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home.clone()), 0o700);
    assert_eq!(mode(home.join("logs/orchestratord.log")), 0o600);
}

#[tokio::test]
async fn down_ends_the_very_process_that_answered() {
    let sleeping = orx_sandbox::spawn::supervised(
        &["/bin/sleep".to_owned(), "60".to_owned()],
        &std::env::temp_dir(),
        &environment("/", "/"),
        [std::process::Stdio::null(), std::process::Stdio::null(), std::process::Stdio::null()],
    );
    let mut sleeping = sleeping.unwrap();
    let pid = sleeping.id().unwrap();
    let fake = Fake::start(move |_, _| status(pid).into());
    let down = fake.orxctl(&["down"]);
    let (down, ended) = tokio::join!(down, sleeping.wait());
    assert_eq!(code(&down), 0, "{}", down.stderr_text());
    assert!(down.stdout_text().contains("2 sessions live on"), "{}", down.stdout_text());
    assert_eq!(orx_sandbox::spawn::exit(ended.unwrap()), orx_protocol::process::Exit::Signal(15));
}

#[tokio::test]
async fn down_without_a_daemon_is_done_already() {
    let scratch = tempfile::tempdir().unwrap();
    let places = environment(scratch.path().to_str().unwrap(), scratch.path().join("s").to_str().unwrap());
    let down = run(places, &["down"], None).await;
    assert_eq!((code(&down), down.stdout_text().as_str()), (0, "the daemon does not run\n"));
}

#[tokio::test]
async fn down_does_not_signal_what_it_cannot_identify() {
    let fake = Fake::start(|_, _| status(u32::MAX).into());
    let down = fake.orxctl(&["down"]).await;
    assert_eq!(code(&down), 1);
    assert!(down.stderr_text().contains("no such process"), "{}", down.stderr_text());
}

#[tokio::test]
async fn doctor_checks_each_thing_and_says_what_to_do() {
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o755)).unwrap();
    let places = environment(home.to_str().unwrap(), scratch.path().join("s").to_str().unwrap());
    let checked = run(places, &["doctor", "--json"], None).await;
    assert_eq!(code(&checked), 1, "{}", checked.stderr_text());
    let checks: Vec<Value> = serde_json::from_str(&checked.stdout_text()).unwrap();
    let named = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(named("home")["level"], "fail");
    assert!(named("home")["fix"].as_str().unwrap().contains("chmod 700"));
    assert_eq!(named("daemon")["level"], "warn");
    for name in ["config", "socket", "token", "disk", "git", "node", "agentd"] {
        assert!(named(name)["level"].is_string(), "{name}");
    }
    // Each engine is checked by itself or named among those that are not there.
    let absent = checks.iter().find(|check| check["name"] == "others" || check["name"] == "engines");
    let absent = absent.map_or("", |check| check["message"].as_str().unwrap());
    for kind in orx_engines::EngineKind::ALL.into_iter().filter(|kind| kind.program().is_some()) {
        let is_checked = checks.iter().any(|check| check["name"] == kind.name());
        assert_ne!(is_checked, absent.split([' ', ',']).any(|word| word == kind.name()), "{kind}: {checks:?}");
    }
}

#[tokio::test]
async fn the_token_is_shown_only_when_asked_for() {
    let scratch = tempfile::tempdir().unwrap();
    let places = environment(scratch.path().to_str().unwrap(), scratch.path().join("s").to_str().unwrap());
    assert_eq!(code(&run(places.clone(), &["token"], None).await), 1);
    let path = scratch.path().join("token");
    std::fs::write(&path, "hunter2\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let shown = run(places.clone(), &["token"], None).await;
    assert_eq!(code(&shown), 0);
    assert!(shown.stdout_text().contains("0600") && !shown.stdout_text().contains("hunter2"));
    assert_eq!(run(places.clone(), &["token", "--show"], None).await.stdout_text(), "hunter2\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(code(&run(places, &["token"], None).await), 1);
}

#[tokio::test]
async fn completions_are_scripts() {
    let scratch = tempfile::tempdir().unwrap();
    let places = environment(scratch.path().to_str().unwrap(), "/nonexistent");
    for shell in ["bash", "zsh", "fish"] {
        let script = run(places.clone(), &["completions", shell], None).await;
        assert_eq!(code(&script), 0);
        assert!(script.stdout_text().contains("orxctl"), "{shell}");
    }
}
