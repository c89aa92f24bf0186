//! A daemon whose engines ask a scripted model, and one session.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::{GONE, KEY, PATIENCE};
use crate::harness::wire::Received;
use crate::harness::{Daemon, Settings, eventually_or, process};
use crate::model::{Scenario, ScriptedModel};

/// The session and all around it.
pub struct Bed {
    /// The model.
    pub model: ScriptedModel,
    /// The daemon.
    pub daemon: Daemon,
    /// A directory to work in.
    pub work: PathBuf,
    /// The session that is spoken of, once it is begun.
    pub session: String,
}

impl Bed {
    /// A model and a daemon without workers; [`Self::begin`] begins the session. `adjust` installs the engines.
    ///
    /// # Panics
    /// When something does not start.
    pub async fn new(scenario: Scenario, adjust: impl FnOnce(&mut Settings)) -> Self {
        let model = ScriptedModel::start(scenario).await.expect("a port is free");
        let daemon = Daemon::start(|settings| {
            settings.workers(0);
            settings.set("engines.endpoint", json!({"url": model.url, "key": KEY}));
            adjust(settings);
        });
        let work = daemon.path("work");
        std::fs::create_dir(&work).expect("the directory is the test's own");
        let work = work.canonicalize().expect("it is there");
        Self { model, daemon, work, session: String::new() }
    }

    /// Creates the session, in the working directory unless `create` says otherwise.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn begin(&mut self, create: &Value) {
        let mut params = json!({"cwd": self.work, "cols": 100, "rows": 30});
        extend(&mut params, create);
        let created = self.daemon.call("session.create", &params);
        self.session = created["session"].as_str().expect("a session has a name").to_owned();
    }

    /// Calls a method about the session.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn call(&self, method: &str, more: &Value) -> Value {
        let mut params = json!({ "session": self.session });
        extend(&mut params, more);
        self.daemon.call(method, &params)
    }

    /// What is known of the session.
    #[must_use]
    #[track_caller]
    pub fn get(&self) -> Value {
        self.call("session.get", &json!({}))
    }

    /// What its agent does, in a word.
    #[must_use]
    #[track_caller]
    pub fn state(&self) -> String {
        self.get()["activity"]["state"].as_str().unwrap_or_default().to_owned()
    }

    /// The whole answer to `session.send`, which may wait for a CLI that starts slowly.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn try_send(&self, text: &str) -> Value {
        let mut wire = self.daemon.wire();
        wire.request("session.send", &json!({"session": self.session, "text": text}));
        match wire.receive(PATIENCE) {
            Received::Body(answer) => answer,
            other => panic!("{other:?}\n{}", self.situation()),
        }
    }

    /// Sends a text and gives how far it came.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn send(&self, text: &str) -> String {
        let mut answer = self.try_send(text);
        let receipt = answer["result"]["receipt"].take();
        receipt.as_str().unwrap_or_else(|| panic!("{answer}\n{}", self.situation())).to_owned()
    }

    /// Sends a text that must be known to have been taken by the agent.
    ///
    /// # Panics
    /// When that is not known.
    #[track_caller]
    pub fn prompt(&self, text: &str) {
        let receipt = self.send(text);
        assert_eq!(receipt, "accepted", "{}", self.situation());
    }

    /// Whether the model was told this in any request.
    #[must_use]
    pub fn model_heard(&self, text: &str) -> bool {
        self.model.requests().iter().any(|request| request.text.contains(text))
    }

    /// Presses keys at its terminal.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    pub fn keys(&self, keys: &[&str]) {
        self.call("session.keys", &json!({ "keys": keys }));
    }

    /// The rows of its screen.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    #[track_caller]
    pub fn lines(&self) -> Vec<String> {
        serde_json::from_value(self.call("session.screen", &json!({}))["lines"].take()).expect("rows are texts")
    }

    /// Its screen as one text.
    #[must_use]
    #[track_caller]
    pub fn screen(&self) -> String {
        self.lines().join("\n")
    }

    /// The lines of its log.
    ///
    /// # Panics
    /// When it has none.
    #[must_use]
    #[track_caller]
    pub fn log(&self) -> Vec<String> {
        let (mut lines, mut from) = (Vec::<String>::new(), json!(0));
        loop {
            let mut page = self.call("session.log", &json!({ "from": from }));
            lines.extend(serde_json::from_value::<Vec<String>>(page["lines"].take()).expect("lines are texts"));
            if page["next"] == from {
                return lines;
            }
            from = page["next"].take();
        }
    }

    /// All that a person can read of it: the screen, or the log of one that has none.
    #[must_use]
    #[track_caller]
    pub fn shown(&self) -> String {
        if self.get()["cols"] == 0 { self.log().join("\n") } else { self.screen() }
    }

    /// All that helps to understand why something did not come.
    #[must_use]
    pub fn situation(&self) -> String {
        let stderr = self.call("session.log", &json!({"stderr": true}));
        let explained = self.call("session.explain", &json!({}));
        let asked: Vec<_> =
            self.model.requests().into_iter().map(|request| (request.prompt, request.turn, request.outcome)).collect();
        format!(
            "{:#}\n--- shows\n{}\n--- stderr {stderr}\n--- because {explained:#}\n--- inbox {:?}\n--- the model was asked {asked:?}",
            self.get(),
            self.shown(),
            self.approvals(true),
        )
    }

    /// Waits until `look` finds what is looked for.
    ///
    /// # Panics
    /// When it does not in time; the message says how things stand.
    #[track_caller]
    pub fn until<T>(&self, what: &str, look: impl FnMut() -> Option<T>) -> T {
        eventually_or(what, PATIENCE, look).unwrap_or_else(|error| panic!("{error}\n{}", self.situation()))
    }

    /// Waits until a text can be read of the session.
    #[track_caller]
    pub fn until_shown(&self, text: &str) {
        self.until(&format!("{text:?} to be read"), || self.shown().contains(text).then_some(()));
    }

    /// Waits until its agent is known to do this.
    #[track_caller]
    pub fn until_state(&self, state: &str) {
        self.until(&format!("the agent {state}"), || (self.state() == state).then_some(()));
    }

    /// Whether a file is in the working directory.
    #[must_use]
    pub fn made(&self, name: &str) -> bool {
        self.work.join(name).exists()
    }

    /// Waits until a file has what [`super::write`] writes.
    #[track_caller]
    pub fn until_written(&self, name: &str) {
        let path = self.work.join(name);
        self.until(name, || std::fs::read_to_string(&path).ok().filter(|text| text == "hello\n"));
    }

    /// Runs `orxctl` beside the daemon; it must succeed.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn orxctl(&self, arguments: &[&str]) -> String {
        self.daemon.orxctl(self.daemon.directory(), arguments).done().to_owned()
    }

    /// Ends the session and waits until none of its processes is left.
    ///
    /// # Panics
    /// When there was none, or one is left.
    #[track_caller]
    pub fn stop(&self) {
        let tree = process::tree_of_session(&self.session);
        assert!(!tree.is_empty(), "the session has no process");
        self.orxctl(&["stop", &self.session]);
        process::until_gone(&self.session, &tree, GONE);
        assert_eq!(self.get()["state"], "ended");
    }

    /// Ends the daemon, the keeper and holder of the session and everything that runs in it, all without warning.
    ///
    /// # Panics
    /// When something of it lives on.
    #[track_caller]
    pub fn kill_stack(&mut self) {
        let tree = process::tree_of_session(&self.session);
        assert!(!tree.is_empty(), "the session has no process");
        // First, so that it does not replace what dies.
        self.daemon.kill9();
        process::kill_tree(&self.session, &tree);
        process::until_gone(&self.session, &tree, GONE);
    }
}

fn extend(params: &mut Value, more: &Value) {
    let (Some(params), Some(more)) = (params.as_object_mut(), more.as_object()) else {
        panic!("parameters are objects: {more}")
    };
    params.extend(more.clone());
}
