//! Bad settings and bad surroundings: the daemon refuses to start, says why, and changes nothing.

use std::net::TcpListener;

use orx_tests::harness::{Daemon, Settings};
use serde_json::json;

/// The documented exit code for settings that cannot be used.
const CONFIGURATION: i32 = 78;

fn refused(adjust: impl FnOnce(&mut Settings)) -> (Option<i32>, String) {
    match Daemon::try_start(adjust) {
        Ok(_) => panic!("the daemon started"),
        Err(refused) => (refused.status.code(), refused.log),
    }
}

fn refused_file(text: &str, words: &[&str]) {
    let (code, log) = refused(|settings| settings.file_text = Some(text.to_owned()));
    assert_eq!(code, Some(CONFIGURATION), "{text:?}: {log}");
    for word in words {
        assert!(log.contains(word), "{text:?}: {word:?} is not in\n{log}");
    }
}

#[test]
fn an_unknown_key_is_refused_with_line_and_column() {
    refused_file("version: 1\nhtpp: off\n", &["orchestratord.yaml", "htpp", "line 2", "column 1"]);
    refused_file("version: 1\nlimits:\n  frames: 3\n", &["frames", "line 3", "column 3"]);
}

#[test]
fn values_of_the_wrong_kind_are_refused_by_name() {
    refused_file("limits: {frame_bytes: many}\n", &["frame_bytes"]);
    refused_file("version: 2\n", &["version"]);
    refused_file("workers: {naming: -1}\n", &["naming"]);
    refused_file("http: [1\n", &["line"]);
}

#[test]
fn a_settings_file_that_was_named_and_is_missing_is_an_error() {
    let (code, log) = refused(|settings| {
        settings.arguments = vec!["--config".to_owned(), "/nonexistent/orchestratord.yaml".to_owned()];
    });
    assert_eq!(code, Some(CONFIGURATION), "{log}");
    assert!(log.contains("/nonexistent/orchestratord.yaml"), "{log}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, log) = refused(|settings| settings.http.clone_from(&address));
    assert_ne!(code, Some(0));
    assert!(log.contains(&address), "{log}");
}

#[test]
fn a_home_that_cannot_be_made_is_named() {
    let (code, log) = refused(|settings| {
        std::fs::write(settings.user_home.join("file"), "").unwrap();
        settings.home = settings.user_home.join("file/home");
    });
    assert_ne!(code, Some(0));
    assert!(log.contains("file/home"), "{log}");
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    assert!(daemon.terminate().success());
    let path = daemon.places().database();
    // The version is in SQLite's header: bytes 60 to 63, big-endian (see sqlite.org/fileformat2).
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[60..64].copy_from_slice(&4711u32.to_be_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let refused = daemon.launch().unwrap_err();
    assert!(!refused.status.success());
    assert!(refused.log.contains("4711") && refused.log.contains("orx.db"), "{}", refused.log);
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "a database of a newer version was written to");
}

#[test]
fn a_token_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let mut daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    assert!(daemon.terminate().success());
    let token = daemon.places().token();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = daemon.launch().unwrap_err();
    assert!(refused.log.contains(&token.display().to_string()), "{}", refused.log);
}

#[test]
fn a_daemon_ends_in_order_and_comes_back_with_what_it_knew() {
    let mut daemon = Daemon::start(|_| {});
    daemon.wait_for_workers(4);
    let named = daemon.call("naming.allocate_capability", &json!({"domain": "AUTH", "purpose": "log in"}));
    assert!(daemon.terminate().success(), "{}", daemon.log());
    assert!(!daemon.socket().exists(), "a daemon that ended in order removes its socket");
    daemon.restart();
    daemon.wait_for_workers(4);
    let next = daemon.call("naming.allocate_capability", &json!({"domain": "AUTH", "purpose": "log out"}));
    assert_eq!(next["sequence"].as_u64(), named["sequence"].as_u64().map(|number| number + 1));
}
