//! One CLI in one session of a real daemon, a scripted model behind it, and the timeline of what is true of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use orx_engines::transcript::Reader;
use orx_engines::{Context, Endpoint, EngineKind, find_conversation};
use orx_protocol::activity::AgentState;
use orx_protocol::clock::now_ms;
use orx_protocol::hold::{Holder, file};
use serde_json::{Value, json};

use super::corpus::Word;
use super::recipe::{Places, Recipe};
use super::witness::Witness;
use crate::harness::wire::Received;
use crate::harness::{Daemon, eventually_or};
use crate::model::{Happened, Moment, Scenario, ScriptedModel};

/// The longest that a CLI may take for anything on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
/// A screen that did not change for so long is drawn.
const SETTLED: Duration = Duration::from_millis(1500);
/// The longest that a screen is waited for to settle: some never do.
const SETTLING: Duration = Duration::from_secs(7);
/// The model's key.
const KEY: &str = "scripted-endpoint-key-0123456789";

/// A state that began, on the wall clock.
#[derive(Debug, Clone)]
pub struct Begun {
    /// The state.
    pub state: AgentState,
    /// Not before this time.
    pub from_ms: u64,
    /// From here on, where the recorder knows; otherwise the recording's screens say when it had been drawn.
    pub by_ms: Option<u64>,
    /// Why.
    pub why: String,
    /// When the next thing was done: until here the screen shows this state.
    pub until_ms: u64,
}

/// What was true when.
#[derive(Debug, Clone, Default)]
pub struct Timeline(pub Vec<Begun>);

impl Timeline {
    /// A state began.
    pub fn begin(&mut self, state: AgentState, from_ms: u64, by_ms: Option<u64>, why: &str) {
        if let Some(last) = self.0.last_mut() {
            last.until_ms = from_ms;
        }
        self.0.push(Begun { state, from_ms, by_ms, why: why.to_owned(), until_ms: u64::MAX });
    }
}

/// The session and all around it.
pub struct Bed {
    /// The CLI's recipe.
    pub recipe: Recipe,
    /// Where it takes place.
    pub places: Places,
    /// What was true.
    pub timeline: Timeline,
    model: ScriptedModel,
    daemon: Daemon,
    session: String,
    witness: Option<Witness>,
    _scratch: tempfile::TempDir,
}

impl Bed {
    /// Starts everything.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(
        recipe: Recipe,
        program: &Path,
        scenario: impl FnOnce(&Path) -> Scenario,
        size: (u16, u16),
    ) -> anyhow::Result<Self> {
        let scratch = tempfile::Builder::new().prefix("orx-a").tempdir_in("/tmp")?;
        let [work, home, own] = ["calculator", "home", "own"].map(|name| scratch.path().join(name));
        for directory in [&work, &home, &own] {
            std::fs::create_dir_all(directory)?;
        }
        std::fs::write(work.join("notes.txt"), "one\ntwo\nthree\n")?;
        let version = version_of(program)?;
        let model = ScriptedModel::start(scenario(&work)).await?;
        let places = Places {
            work,
            home,
            own,
            url: model.url.clone(),
            key: KEY.to_owned(),
            version,
            program: program.to_owned(),
        };
        (recipe.prepare)(&places);
        let daemon = Daemon::start(|settings| {
            settings.workers(0);
            settings.set("engines.endpoint", json!({"url": model.url, "key": KEY}));
            if recipe.known {
                let binary = program.to_string_lossy().into_owned();
                settings.set(&format!("engines.binaries.{}", recipe.engine), binary);
            }
            if let Ok(path) = std::env::var("PATH") {
                settings.variable("PATH", path);
            }
        });
        let mut argv = (recipe.arguments)(&places);
        let engine = if recipe.known { recipe.engine } else { "command" };
        if !recipe.known {
            argv.insert(0, program.to_string_lossy().into_owned());
        }
        let env: serde_json::Map<String, Value> =
            (recipe.environment)(&places).into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        let mut timeline = Timeline::default();
        timeline.begin(AgentState::Starting, now_ms(), Some(now_ms()), "its process was started");
        let params =
            // The recorder's own files lie outside the workspace, and what is recorded is the terminal.
            json!({"engine": engine, "cwd": places.work, "argv": argv, "env": env, "cols": size.0, "rows": size.1,
                "sandbox": {"mode": "off"}, "channel": "off"});
        let created = daemon.call("session.create", &params);
        let session = created["session"].as_str().context("a session has a name")?.to_owned();
        let begun = daemon.call("session.get", &json!({"session": session}));
        let witness = witness(engine, &daemon, &places, begun["conversation"].as_str().map(str::to_owned));
        Ok(Self { recipe, places, timeline, model, daemon, session, witness, _scratch: scratch })
    }

    fn call(&self, method: &str, more: &Value) -> anyhow::Result<Value> {
        let mut params = json!({ "session": self.session });
        params.as_object_mut().context("an object")?.extend(more.as_object().context("an object")?.clone());
        let mut wire = self.daemon.wire();
        wire.request(method, &params);
        match wire.receive(PATIENCE) {
            Received::Body(mut answer) if answer.get("result").is_some() => Ok(answer["result"].take()),
            other => bail!("{method}: {other:?}"),
        }
    }

    /// The screen.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn screen(&self) -> anyhow::Result<Vec<String>> {
        Ok(serde_json::from_value(self.call("session.screen", &json!({}))?["lines"].take())?)
    }

    /// Waits until the screen shows one of these.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn shown(&self, texts: &[&str]) -> anyhow::Result<()> {
        let is_shown = |screen: &[String]| texts.iter().any(|text| screen.iter().any(|line| line.contains(text)));
        self.until(&format!("{texts:?} on the screen"), is_shown)
    }

    fn until(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> anyhow::Result<()> {
        let shown = eventually_or(what, PATIENCE, || match self.screen() {
            Ok(screen) => wanted(&screen).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        shown.map_err(|late| anyhow!("{late}; it is\n{}", self.screen().unwrap_or_default().join("\n")))?
    }

    /// Waits until one of its dialogs is open.
    ///
    /// # Errors
    /// When none is in time.
    pub fn asks(&self) -> anyhow::Result<()> {
        match self.recipe.is_open {
            Some(is_open) => self.until("an open dialog", is_open),
            None => self.shown(self.recipe.dialogs),
        }
    }

    /// Waits until the screen is drawn, and a while longer.
    ///
    /// # Errors
    /// When the session has ended.
    pub fn settled(&self) -> anyhow::Result<()> {
        let mut last = (self.screen()?, Instant::now());
        let settled = eventually_or("a screen that stands still", SETTLING, || match self.screen() {
            Ok(screen) if screen != last.0 => {
                last = (screen, Instant::now());
                None
            }
            Ok(_) => (last.1.elapsed() >= SETTLED).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        // Some never stand still.
        settled.unwrap_or(Ok(()))
    }

    /// Lets time go by while the session does what it does.
    pub fn stay(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// Presses keys; gives when.
    ///
    /// # Errors
    /// When the session does not take them.
    pub fn press(&self, keys: &[&str]) -> anyhow::Result<u64> {
        let at = now_ms();
        self.call("session.keys", &json!({ "keys": keys }))?;
        Ok(at)
    }

    /// Types a prompt; gives when.
    ///
    /// # Errors
    /// When the session does not take it.
    pub fn send(&self, text: &str) -> anyhow::Result<u64> {
        let at = now_ms();
        self.call("session.send", &json!({ "text": text }))?;
        Ok(at)
    }

    /// Waits for a moment of the model at or after `since` on the wall clock.
    ///
    /// # Errors
    /// When there is none in time.
    pub fn moment(&self, since: u64, wanted: impl Fn(&Happened) -> bool) -> anyhow::Result<Moment> {
        eventually_or("what the model was to be asked", PATIENCE, || {
            self.model.moments().into_iter().find(|moment| moment.at_ms >= since && wanted(&moment.what))
        })
        .map_err(|late| {
            let asked: Vec<_> = self.model.requests().into_iter().map(|r| (r.path, r.prompt, r.outcome)).collect();
            let screen = self.screen().unwrap_or_default().join("\n");
            anyhow!("{late}; it was asked {asked:?}; the screen is\n{screen}")
        })
    }

    /// The next request of the conversation.
    ///
    /// # Errors
    /// As [`Self::moment`].
    pub fn came(&self, since: u64) -> anyhow::Result<Moment> {
        self.moment(since, |what| matches!(what, Happened::Came { .. }))
    }

    /// What becomes of a request, or of a later one.
    ///
    /// # Errors
    /// As [`Self::moment`].
    pub fn after(&self, came: &Moment, wanted: impl Fn(&Happened) -> bool) -> anyhow::Result<Moment> {
        eventually_or("what becomes of a request", PATIENCE, || {
            self.model.moments().into_iter().find(|moment| moment.number >= came.number && wanted(&moment.what))
        })
        .map_err(|late| anyhow!("{late}; {:?}", self.model.moments()))
    }

    /// A request of the conversation that came already.
    #[must_use]
    pub fn came_already(&self, since: u64) -> Option<Moment> {
        let moments = self.model.moments();
        moments.into_iter().find(|moment| moment.at_ms >= since && matches!(moment.what, Happened::Came { .. }))
    }

    /// Whether the model answered something already.
    #[must_use]
    pub fn answered_already(&self, came: &Moment) -> bool {
        let moments = self.model.moments();
        moments.iter().any(|m| m.number >= came.number && matches!(m.what, Happened::Answered { .. }))
    }

    /// When the newest thing happened to a request.
    #[must_use]
    pub fn newest_moment(&self) -> u64 {
        self.model.moments().last().map_or(0, |moment| moment.at_ms)
    }

    /// When the request of a moment came.
    #[must_use]
    pub fn last_came(&self, of: &Moment) -> Option<u64> {
        let moments = self.model.moments();
        moments.iter().find(|m| m.number == of.number && matches!(m.what, Happened::Came { .. })).map(|m| m.at_ms)
    }

    /// When a request was answered.
    ///
    /// # Errors
    /// As [`Self::moment`].
    pub fn outcome(&self, came: &Moment) -> anyhow::Result<u64> {
        let is_it = |m: &Moment| m.number == came.number && matches!(m.what, Happened::Answered { .. });
        let answered = eventually_or(&format!("the answer to request {}", came.number), PATIENCE, || {
            self.model.moments().into_iter().find(is_it)
        });
        answered.map(|moment| moment.at_ms).map_err(|late| anyhow!(late))
    }

    /// When the model had its last word on a turn, other than on a helper's request.
    #[must_use]
    pub fn turn_over(&self, came: &Moment, helper: &Moment) -> Option<u64> {
        let moments = self.model.moments();
        let is_it = |m: &&Moment| {
            m.number >= came.number && m.number != helper.number && matches!(m.what, Happened::Answered { calls: 0 })
        };
        moments.iter().find(is_it).map(|m| m.at_ms)
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// When it does not.
    pub fn ended(&self) -> anyhow::Result<Value> {
        let waited = self.call("session.wait", &json!({"until": "ended", "timeout_ms": 20_000}))?;
        ensure!(waited["state"] == "ended", "it does not end: {waited}; {:?}", self.screen());
        self.call("session.get", &json!({}))
    }

    /// Ends the session.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> anyhow::Result<()> {
        self.call("session.stop", &json!({})).map(|_| ())
    }

    /// What the engine wrote into the files of its conversation, on the wall clock; once.
    pub fn written(&mut self) -> Vec<(u64, Word)> {
        self.witness.take().map(Witness::end).unwrap_or_default()
    }

    fn directory(&self) -> PathBuf {
        self.daemon.places().sessions().join(&self.session)
    }

    /// The recording so far, and when it began on the wall clock.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn recording(&self) -> anyhow::Result<(String, u64)> {
        let directory = self.directory();
        let holder: Holder = serde_json::from_slice(&std::fs::read(directory.join(file::HOLDER))?)?;
        let cast = std::fs::read_to_string(directory.join(file::RECORDING))?;
        Ok((cast, holder.started_at_ms))
    }
}

/// Whoever looks at the files of the conversation, where the engine keeps some that tell.
fn witness(engine: &str, daemon: &Daemon, places: &Places, named: Option<String>) -> Option<Witness> {
    let kind: EngineKind = engine.parse().ok()?;
    let context = Context {
        endpoint: Some(Endpoint { url: places.url.clone(), key: places.key.clone() }),
        private_homes: daemon.places().engines(),
        ..Context::default()
    };
    let cwd = places.work.to_string_lossy().into_owned();
    let (own, place, since) = (context.clone(), cwd.clone(), now_ms());
    let conversation = move || named.clone().or_else(|| find_conversation(kind, &own, &place, since).ok().flatten());
    Reader::of(kind).map(|_| Witness::begin(kind, context, cwd, conversation))
}

/// What a program calls its version; some tell it beside their help alone.
fn version_of(program: &Path) -> anyhow::Result<String> {
    let told = |question: &str| -> anyhow::Result<Option<String>> {
        let output = std::process::Command::new(program).arg(question).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let words = text.split_whitespace().map(|word| word.trim_matches(|c: char| !c.is_ascii_digit()));
        let is_version =
            |word: &&str| word.split('.').count() == 3 && word.chars().all(|c| c.is_ascii_digit() || c == '.');
        Ok(words.into_iter().find(is_version).map(str::to_owned))
    };
    told("--version")?
        .map_or_else(|| told("--help"), |version| Ok(Some(version)))?
        .with_context(|| format!("{} does not tell its version", program.display()))
}
