//! Questions of engines without hooks: read from the dialog on the screen, answered by keys, and only believed to be answered
//! when the dialog is gone.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use orx_tests::harness::{Daemon, eventually_or};
use serde_json::{Value, json};

/// How long a look at the screen, keys and their effect may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The lines of a script that draw the dialog.
const DIALOG: &str = "printf '\\033[2J\\033[H'\nprintf '%s\\r\\n' '────────────────────' ' Bash command' \"   rm -rf build  # $dialog\" ' Do you want to proceed?' ' ❯ 1. Yes' '   2. No' ' Esc to cancel · Tab to amend'\n";

/// A daemon whose `claude` is a script that draws a permission dialog as Claude Code does, and obeys as many keys as a test
/// says.
struct Bed {
    daemon: Daemon,
    work: PathBuf,
    session: String,
}

impl Bed {
    /// `deaf`: keys that are ignored before one is obeyed.
    fn new(deaf: usize) -> Self {
        Self::drawing(deaf, 1)
    }

    /// `dialogs`: how many it draws, one after another, with a moment between.
    fn drawing(deaf: usize, dialogs: usize) -> Self {
        Self::playing(&format!(
            "for dialog in $(seq {dialogs}); do\n{DIALOG}for n in $(seq {deaf}); do read -rsn1 key; done\nread -rsn1 key\nprintf '%q' \"$key\" >> pressed\nprintf '\\033[2J\\033[H'\nsleep 0.25\ndone\n"
        ))
    }

    /// `lines`: what its script does.
    fn playing(lines: &str) -> Self {
        let daemon = Daemon::start(|settings| {
            settings.workers(0);
            settings.set("sandbox", json!({"mode": "off"}));
            let engine = settings.user_home.join("claude");
            let script = format!("#!/bin/bash\nstty raw -echo\n{lines}sleep 100000\n");
            std::fs::write(&engine, script).unwrap();
            std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
            settings.set("engines.binaries.claude", engine.to_string_lossy().into_owned());
        });
        let work = daemon.path("work");
        std::fs::create_dir(&work).unwrap();
        // Without hooks the screen is all there is.
        let params = json!({"engine": "claude", "argv": ["--bare"], "cwd": work, "cols": 100, "rows": 30});
        let session = daemon.call("session.create", &params)["session"].as_str().unwrap().to_owned();
        Self { daemon, work, session }
    }

    fn approvals(&self) -> Vec<Value> {
        let list = self.daemon.call("approval.list", &json!({"all": true}));
        list["approvals"].as_array().unwrap().clone()
    }

    /// Waits for the newest question to be as `look` wants it.
    #[track_caller]
    fn until(&self, what: &str, look: impl Fn(&Value) -> bool) -> Value {
        self.wait(what, || self.approvals().pop().filter(|row| look(row)))
    }

    /// Waits for the delivery of a decision, whatever is asked after it.
    #[track_caller]
    fn until_delivered(&self, asked: &Value) {
        let is_it = |row: &Value| row["approval"] == asked["approval"] && row["delivery"] == "delivered";
        self.wait("the delivery", || self.approvals().into_iter().find(is_it));
    }

    #[track_caller]
    fn wait(&self, what: &str, look: impl FnMut() -> Option<Value>) -> Value {
        eventually_or(what, PATIENCE, look).unwrap_or_else(|error| {
            let explained = self.daemon.call("session.explain", &json!({"session": self.session}));
            panic!("{error}: {explained:#}")
        })
    }

    fn decide(&self, approval: &Value, decision: &str) {
        let params = json!({"approvals": [approval["approval"]], "decision": decision});
        self.daemon.call("approval.decide", &params);
    }

    fn pressed(&self) -> Option<String> {
        std::fs::read_to_string(self.work.join("pressed")).ok()
    }
}

#[test]
fn a_dialog_on_the_screen_is_answered_by_keys_and_that_is_verified() {
    for (decision, key) in [("allow", "1"), ("deny", "$'\\E'")] {
        let bed = Bed::new(0);
        let asked = bed.until("the question", |row| row["state"] == "pending");
        assert_eq!((&asked["road"], &asked["kind"]), (&json!("screen"), &json!("tool")));
        let shown = asked["subject"]["question"].as_str().unwrap();
        assert!(shown.contains("rm -rf build") && shown.ends_with("Tab to amend"), "{shown}");
        // What is read from a screen may be cut: no rule is made of it.
        let always = json!({"approvals": [asked["approval"]], "decision": "allow_always"});
        let error = bed.daemon.wire().call("approval.decide", &always).unwrap_err();
        assert_eq!(error["data"]["kind"], "failed_precondition", "{error}");
        bed.decide(&asked, decision);
        bed.until("the delivery", |row| row["delivery"] == "delivered");
        assert_eq!(bed.pressed().as_deref(), Some(key));
    }
}

#[test]
fn a_dialog_that_is_drawn_again_and_again_is_one_question_and_is_answered() {
    // Some CLIs clear a dialog and draw it anew with every turn of a spinner.
    let bed = Bed::playing(&format!(
        "while true; do\nprintf '\\033[2J\\033[H'\nsleep 0.04\n{DIALOG}n=$((n + 1))\nprintf '%s' $n > drawn\nread -rsn1 -t 0.12 key && break\ndone\nprintf '%q' \"$key\" > pressed\nprintf '\\033[2J\\033[H'\n"
    ));
    let asked = bed.until("the question", |row| row["state"] == "pending");
    let drawn = || std::fs::read_to_string(bed.work.join("drawn")).ok()?.parse::<u32>().ok();
    let from = drawn().unwrap_or(0);
    eventually_or("it to be drawn anew", PATIENCE, || drawn().filter(|times| *times > from + 50)).unwrap();
    let waiting = bed.until("the same question", |row| row["state"] == "pending");
    assert_eq!(waiting["approval"], asked["approval"]);
    bed.decide(&asked, "allow");
    let told = bed.until("the delivery", |row| row["delivery"] != "pending");
    assert_eq!((&told["state"], &told["delivery"]), (&json!("allowed"), &json!("delivered")), "{told}");
    assert_eq!(bed.pressed().as_deref(), Some("1"));
}

#[test]
fn keys_that_change_nothing_leave_the_question_open_with_the_reason() {
    let bed = Bed::new(1);
    let asked = bed.until("the question", |row| row["state"] == "pending");
    bed.decide(&asked, "allow");
    let open = bed.until("the question again", |row| row["state"] == "pending" && row["delivery"] == "failed");
    assert_eq!(open["approval"], asked["approval"]);
    assert!(open["message"].as_str().unwrap().contains("changed nothing"), "{open}");
    let shown = bed.daemon.orxctl(&bed.work, &["inbox"]);
    assert!(shown.done().contains("changed nothing"), "{shown:?}");
    assert_eq!(bed.pressed(), None);
    bed.decide(&asked, "allow");
    bed.until("the delivery", |row| row["delivery"] == "delivered" && row["state"] == "allowed");
    assert_eq!(bed.pressed().as_deref(), Some("1"));
}

#[test]
fn a_dialog_that_follows_the_last_one_at_once_is_asked_too() {
    let bed = Bed::drawing(0, 2);
    for keys in ["1", "11"] {
        let asked = bed.until("the question", |row| row["state"] == "pending");
        bed.decide(&asked, "allow");
        bed.until_delivered(&asked);
        assert_eq!(bed.pressed().as_deref(), Some(keys));
    }
}

#[test]
fn a_dialog_that_is_answered_at_its_terminal_is_asked_no_more_and_survives_the_daemon() {
    let mut bed = Bed::new(0);
    let asked = bed.until("the question", |row| row["state"] == "pending");
    bed.daemon.kill9();
    bed.daemon.restart();
    let waiting = bed.until("the same question", |row| row["state"] == "pending");
    assert_eq!(waiting["approval"], asked["approval"]);
    bed.daemon.call("session.keys", &json!({"session": bed.session, "keys": ["2"]}));
    let ended = bed.until("its end", |row| row["state"] == "withdrawn");
    assert!(ended["message"].as_str().unwrap().contains("terminal"), "{ended}");
}
