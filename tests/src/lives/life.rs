//! The steps of a life, and all of them in order.

use serde_json::{Map, Value, json};

use super::script::stepwise;
use super::{Bed, FIRST, Road, SECOND, Turn, written};
use crate::harness::{Settings, engines};
use crate::model::{Rule, Scenario, Step};

/// A session that lives on a road.
pub struct Life {
    /// What it stands on.
    pub bed: Bed,
    road: Road,
    rules: Vec<Rule>,
}

impl Life {
    /// Starts a session that is ready for [`FIRST`] and [`SECOND`].
    ///
    /// # Panics
    /// When it does not start, or not with the channel of the road.
    pub async fn start(road: &Road, adjust: impl FnOnce(&mut Settings)) -> Self {
        let rules = [FIRST, SECOND].map(|turn| stepwise(turn.prompt, (road.steps)(turn))).to_vec();
        let otherwise = Some(Step { text: "Never mind.".to_owned(), ..Step::default() });
        let scenario = Scenario { rules: rules.clone(), otherwise, ..Scenario::default() };
        let mut bed = Bed::new(scenario, |settings| {
            engines::install(settings, road.kind);
            for adapter in road.adapters {
                engines::install_adapter(settings, adapter);
            }
            adjust(settings);
        })
        .await;
        (road.prepare)(&bed.work);
        let env: Map<String, Value> = road.env.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        bed.begin(&json!({
            "engine": road.kind.name(), "channel": road.channel, "argv": road.argv, "env": env, "title": "a whole life",
        }));
        let life = Self { bed, road: *road, rules };
        life.stands();
        life
    }

    /// The session runs on the channel that it is to have, and waits for a prompt.
    ///
    /// # Panics
    /// When it does not.
    #[track_caller]
    pub fn stands(&self) {
        self.bed.until_state("idle");
        let session = self.bed.get();
        assert_eq!(
            (&session["state"], &session["channel"], &session["channel_lost"]),
            (&json!("running"), &json!(self.road.shown), &Value::Null),
            "{session:#}"
        );
    }

    /// Tells the agent the prompt of a turn, which must be known to have been sent off at least.
    ///
    /// # Panics
    /// When that is not known.
    #[track_caller]
    pub fn prompt(&self, turn: Turn) {
        let receipt = self.bed.send(turn.prompt);
        assert!(["submitted", "accepted"].contains(&receipt.as_str()), "{receipt}\n{}", self.bed.situation());
    }

    /// Waits for the question of a turn, which holds the agent until it is answered; `None` on a road without questions.
    ///
    /// # Panics
    /// When it is not asked as the road says, or does not stop the agent.
    #[track_caller]
    pub fn question(&self, turn: Turn) -> Option<Value> {
        let asked_by = self.road.asked_by?;
        let asked = self.bed.until_asked();
        assert_eq!(
            (&asked["road"], &asked["session"], &asked["engine"]),
            (&json!(asked_by), &json!(self.bed.session), &json!(self.road.kind.name())),
            "{asked:#}"
        );
        assert!(asked["subject"].to_string().contains(turn.file), "it is not said what is asked: {asked:#}");
        self.bed.until_state("blocked");
        assert!(!self.bed.made(turn.file), "it did not wait for its answer");
        let inbox = self.bed.orxctl(&["inbox"]);
        for word in [self.road.kind.name(), "a whole life"] {
            assert!(inbox.contains(word), "{word}: {inbox}");
        }
        Some(asked)
    }

    /// Answers a question with `orxctl allow` or `orxctl deny`, and waits until the engine is known to have it.
    ///
    /// # Panics
    /// When the answer does not arrive.
    #[track_caller]
    pub fn answer(&self, asked: &Value, decision: &str) {
        self.bed.answer(asked, decision, &[]);
        self.bed.until_approval(asked, "delivery", "delivered");
    }

    /// Waits for the end of a turn in which the file was made.
    ///
    /// # Panics
    /// When the turn does not end so.
    #[track_caller]
    pub fn finished(&self, turn: Turn) {
        self.bed.until(turn.file, || self.bed.made(turn.file).then_some(()));
        self.bed.until_shown(&turn.last_words());
        self.bed.until_state("idle");
    }

    /// Waits for the end of a turn in which the file was forbidden.
    ///
    /// # Panics
    /// When the turn does not end so.
    #[track_caller]
    pub fn gave_up(&self, turn: Turn) {
        self.bed.until_state("idle");
        assert!(!self.bed.made(turn.file), "it did what was denied");
    }

    /// Waits until the engine has written down all that was said in a turn: one that is killed before that has lost it.
    ///
    /// # Panics
    /// When it does not write it.
    #[track_caller]
    pub fn kept(&self, turn: Turn) {
        let is_kept = || written(&self.bed, self.road.kind, &turn.last_words()) && (self.road.ready)(&self.bed);
        self.bed.until("the conversation to be kept", || is_kept().then_some(()));
    }

    /// Takes the session up again after everything of it was killed, and waits until it stands.
    ///
    /// # Panics
    /// When it is not taken up, or not with the conversation that it had.
    #[track_caller]
    pub fn resume(&self) {
        let before = self.bed.get();
        assert_ne!(before["state"], "running", "{before:#}");
        // The values of variables are not kept.
        let env: Vec<String> = self.road.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut arguments = vec!["resume", &self.bed.session, "--detach"];
        arguments.extend(env.iter().flat_map(|variable| ["--env", variable]));
        let said = self.bed.orxctl(&arguments);
        assert!(said.contains("its conversation goes on"), "{said}");
        let now = self.bed.get();
        assert_eq!(now["generation"], json!(2), "{now:#}");
        assert!(now["conversation"].is_string(), "{now:#}");
        if before["conversation"].is_string() {
            assert_eq!(now["conversation"], before["conversation"], "another conversation was taken up");
        }
        self.stands();
    }

    /// What the model is asked in `turn` has the whole of an `earlier` one: its prompt, and all that the model had said.
    ///
    /// # Panics
    /// When something of it is missing.
    #[track_caller]
    pub fn conversation_is_the_same(&self, earlier: Turn, turn: Turn) {
        let answered = |turn: Turn| {
            let requests = self.bed.model.requests().into_iter();
            requests.filter(move |request| request.rule.as_deref() == Some(turn.prompt) && request.outcome == "answer")
        };
        let text = self.bed.until("the model to be asked", || answered(turn).next()).text;
        let rule = self.rules.iter().find(|rule| rule.name == earlier.prompt).expect("a turn has a rule");
        let said = answered(earlier).map(|request| rule.step(request.turn).text);
        for words in [earlier.prompt.to_owned()].into_iter().chain(said) {
            assert!(text.contains(&words), "{words:?} is not in what the model was asked: {text}");
        }
    }
}

/// A whole life: started, prompted, blocked on a question, answered from the inbox, finished; everything around it killed; taken
/// up with the same conversation, asked and denied; stopped, with nothing left running.
///
/// # Panics
/// When a step of it is not as it must be.
pub async fn whole_life(road: &Road) {
    let mut life = Life::start(road, |_| {}).await;
    life.prompt(FIRST);
    if let Some(asked) = life.question(FIRST) {
        life.answer(&asked, "allow");
    }
    life.finished(FIRST);
    life.kept(FIRST);

    life.bed.kill_stack();
    life.bed.daemon.restart();
    life.resume();

    life.prompt(SECOND);
    match life.question(SECOND) {
        Some(asked) => {
            life.answer(&asked, "deny");
            life.gave_up(SECOND);
        }
        None => life.finished(SECOND),
    }
    life.conversation_is_the_same(FIRST, SECOND);
    life.bed.stop();
}
