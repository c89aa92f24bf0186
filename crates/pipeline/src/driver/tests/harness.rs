//! A repository, a store, and a host whose engines are functions and whose gates are real programs.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use orx_engines::Context;
use orx_protocol::api::run::{Run, RunState, StartParams};
use orx_protocol::hold::{Ended, file};
use orx_protocol::process::{EndReason, Exit};
use orx_protocol::{RunId, SessionId, clock};
use orx_sandbox::{Captured, Program, capture, environment};
use orx_store::Store;
use orx_workspace::Git;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::driver::{Parts, Pipeline};
use crate::error::PipelineError;
use crate::port::{HeldOutcome, HeldRequest, HostError, SessionHost};

/// What an engine does when it is called.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// It prints this and ends well.
    Say(String),
    /// Its holder disappears.
    Vanish,
    /// It works until somebody stops it.
    Hang,
}

/// A call of an engine, as its prompt tells.
#[derive(Debug, Clone)]
pub(super) struct CallSeen {
    pub(super) stage: String,
    pub(super) item: Option<String>,
    pub(super) attempt: u32,
    pub(super) prompt: String,
    pub(super) cwd: PathBuf,
    /// How many calls of the stage came before.
    pub(super) before: usize,
}

impl CallSeen {
    /// Writes a file into the worktree.
    pub(super) fn write(&self, path: &str, text: &str) {
        let path = self.cwd.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

type Script = Arc<dyn Fn(&CallSeen) -> Act + Send + Sync>;

#[derive(Default)]
struct Seen {
    sessions: HashMap<SessionId, watch::Receiver<Option<HeldOutcome>>>,
    stops: HashMap<SessionId, watch::Sender<Option<HeldOutcome>>>,
    calls: Vec<CallSeen>,
    gates: Vec<String>,
}

/// A host that outlives its pipelines.
#[derive(Clone)]
pub(super) struct FakeHost {
    root: PathBuf,
    script: Arc<Mutex<Script>>,
    seen: Arc<Mutex<Seen>>,
}

impl std::fmt::Debug for FakeHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeHost").finish_non_exhaustive()
    }
}

impl FakeHost {
    fn outcome(&self, session: SessionId, reason: EndReason, exit: Option<Exit>) -> HeldOutcome {
        let ended = Ended { exit, reason, message: None, ended_at_ms: clock::now_ms() };
        HeldOutcome { ended, directory: self.root.join(session.to_string()) }
    }

    pub(super) fn calls(&self) -> Vec<CallSeen> {
        self.seen.lock().unwrap().calls.clone()
    }

    pub(super) fn gates(&self) -> Vec<String> {
        self.seen.lock().unwrap().gates.clone()
    }

    fn marked(prompt: &str, name: &str) -> Option<String> {
        let head = prompt.split("\n\n").next()?;
        head.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned())
    }

    async fn run_gate(&self, request: &HeldRequest) -> Captured {
        self.seen.lock().unwrap().gates.push(request.argv.join(" "));
        capture(Program {
            argv: request.argv.clone(),
            cwd: request.cwd.clone(),
            environment: request.environment.clone(),
            input: None,
            deadline: Duration::from_millis(request.deadline_ms),
            output_limit: 1024 * 1024,
        })
        .await
        .unwrap()
    }

    fn call(&self, request: &HeldRequest) -> Act {
        let prompt = request.input.clone().unwrap();
        let stage = Self::marked(&prompt, "orx-stage:").unwrap();
        let call = {
            let mut seen = self.seen.lock().unwrap();
            let call = CallSeen {
                before: seen.calls.iter().filter(|call| call.stage == stage).count(),
                item: Self::marked(&prompt, "orx-item:"),
                attempt: Self::marked(&prompt, "orx-attempt:").map_or(0, |attempt| attempt.parse().unwrap()),
                cwd: request.cwd.clone(),
                stage,
                prompt,
            };
            seen.calls.push(call.clone());
            call
        };
        let script = Arc::clone(&self.script.lock().unwrap());
        script(&call)
    }
}

impl SessionHost for FakeHost {
    async fn start(&self, request: HeldRequest) -> Result<(), HostError> {
        let session = request.session;
        if self.seen.lock().unwrap().sessions.contains_key(&session) {
            return Ok(());
        }
        let directory = self.root.join(session.to_string());
        std::fs::create_dir_all(&directory).unwrap();
        assert!(!request.environment.contains_key("SECRET_OF_THE_OPERATOR"), "{request:?}");
        let (output, error, ended) = if request.engine == "gate" {
            let captured = self.run_gate(&request).await;
            let reason = if captured.timed_out { EndReason::Deadline } else { EndReason::Exited };
            (captured.stdout, captured.stderr, Some(self.outcome(session, reason, Some(captured.exit))))
        } else {
            match self.call(&request) {
                Act::Say(text) => {
                    (text.into_bytes(), Vec::new(), Some(self.outcome(session, EndReason::Exited, Some(Exit::Code(0)))))
                }
                Act::Vanish => (Vec::new(), Vec::new(), Some(self.outcome(session, EndReason::Lost, None))),
                Act::Hang => (Vec::new(), Vec::new(), None),
            }
        };
        std::fs::write(directory.join(file::OUTPUT), output).unwrap();
        std::fs::write(directory.join(file::ERROR), error).unwrap();
        let (sender, receiver) = watch::channel(ended);
        let mut seen = self.seen.lock().unwrap();
        seen.sessions.insert(session, receiver);
        seen.stops.insert(session, sender);
        Ok(())
    }

    async fn wait(&self, session: SessionId) -> Result<HeldOutcome, HostError> {
        let found = self.seen.lock().unwrap().sessions.get(&session).cloned();
        let mut receiver = found.ok_or(HostError::Unknown(session))?;
        let ended = receiver.wait_for(Option::is_some).await.unwrap().clone();
        Ok(ended.unwrap())
    }

    async fn stop(&self, session: SessionId, _grace: Duration) -> Result<(), HostError> {
        let seen = self.seen.lock().unwrap();
        let sender = seen.stops.get(&session).ok_or(HostError::Unknown(session))?;
        let outcome = self.outcome(session, EndReason::Stopped, Some(Exit::Signal(15)));
        sender.send_if_modified(|ended| ended.is_none() && ended.replace(outcome).is_none());
        Ok(())
    }
}

/// Everything that a test needs.
pub(super) struct World {
    pub(super) scratch: tempfile::TempDir,
    pub(super) host: FakeHost,
    pub(super) store: Store,
    git: Git,
    environment: BTreeMap<String, String>,
}

/// Settings under which `sh` plays the engine and a test for a file is the gate.
pub(super) const SETTINGS: &str = "engine: {type: command}\nexecutors: {command: {argv: [sh]}}\ngates:\n  - {name: check, command: test, args: [-f, base.txt]}\nknowledge: {mode: 'off'}\n";

impl World {
    /// A repository with these files, committed on `main`.
    pub(super) async fn new(files: &[(&str, &str)]) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        for directory in ["repository", "sessions", "repositories"] {
            std::fs::create_dir(scratch.path().join(directory)).unwrap();
        }
        let mut environment = environment::base(&environment::own());
        environment.insert("HOME".to_owned(), scratch.path().to_string_lossy().into_owned());
        environment.insert("SECRET_OF_THE_OPERATOR".to_owned(), "canary".to_owned());
        environment.retain(|name, _| !name.starts_with("XDG_"));
        let host = FakeHost {
            root: scratch.path().join("sessions"),
            script: Arc::new(Mutex::new(Arc::new(obedient))),
            seen: Arc::default(),
        };
        let store = Store::open(&scratch.path().join("orx.db")).unwrap();
        let git = Git::locate(&environment).await.unwrap();
        let world = Self { scratch, host, store, git, environment };
        world.git(&["init", "--quiet", "--initial-branch=main"]).await;
        for (path, text) in files {
            let path = world.repository().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        world.git(&["add", "-A"]).await;
        world.git(&["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "first"]).await;
        world
    }

    /// A repository with the usual settings.
    pub(super) async fn usual() -> Self {
        Self::new(&[("base.txt", "base\n"), ("orx.yaml", SETTINGS)]).await
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.scratch.path().join("repository")
    }

    /// Lets the engines act so.
    pub(super) fn script(&self, script: impl Fn(&CallSeen) -> Act + Send + Sync + 'static) {
        *self.host.script.lock().unwrap() = Arc::new(script);
    }

    /// What git prints.
    pub(super) async fn git(&self, arguments: &[&str]) -> String {
        let mut argv = vec!["/usr/bin/env".to_owned(), "git".to_owned()];
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let captured = capture(Program {
            argv,
            cwd: self.repository(),
            environment: self.environment.clone(),
            input: None,
            deadline: Duration::from_secs(30),
            output_limit: 1024 * 1024,
        })
        .await
        .unwrap();
        assert!(captured.is_success(), "git {arguments:?}: {}", captured.stderr_text());
        captured.stdout_text()
    }

    /// A pipeline as a daemon would make it at its start.
    pub(super) fn pipeline(&self) -> Pipeline<FakeHost> {
        Pipeline::new(Parts {
            store: self.store.clone(),
            git: self.git.clone(),
            engines: Context { environment: self.environment.clone(), ..Context::default() },
            repositories: self.scratch.path().join("repositories"),
            host: self.host.clone(),
        })
    }

    /// A pipeline that crashes after so many boundaries.
    pub(super) fn mortal(&self, boundaries: i64) -> Pipeline<FakeHost> {
        let pipeline = self.pipeline();
        pipeline.inner.crash_after.store(boundaries, Ordering::SeqCst);
        pipeline
    }

    pub(super) fn params(&self) -> StartParams {
        StartParams {
            repository: self.repository().to_string_lossy().into_owned(),
            task: "Add the files".to_owned(),
            pipeline: None,
            engine: None,
            settings: None,
        }
    }

    /// Starts a run and drives it to its end.
    pub(super) async fn run(&self, params: StartParams) -> Run {
        let pipeline = self.pipeline();
        let started = pipeline.start(params).await.unwrap();
        self.drive(started.run).await.unwrap();
        pipeline.get(started.run).await.unwrap()
    }

    pub(super) async fn drive(&self, run: RunId) -> Result<RunState, PipelineError> {
        self.pipeline().drive(run, CancellationToken::new()).await
    }

    /// A file of a run.
    pub(super) fn file(&self, run: RunId, path: &str) -> String {
        let path = self.repository().join("runs").join(run.to_string()).join(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Every text below a directory that holds `needle`.
    pub(super) fn holding(&self, directory: &Path, needle: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut left = vec![directory.to_owned()];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_symlink() {
                    continue;
                }
                if path.is_dir() {
                    left.push(path);
                } else if String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains(needle) {
                    found.push(path);
                }
            }
        }
        found
    }
}

/// A backlog of so many items that do not depend on each other.
pub(super) fn backlog(items: u32) -> String {
    let items: String = (1..=items)
        .map(|n| format!("  - {{id: W{n:03}, title: Add file {n}, acceptance: [the file is there]}}\n"))
        .collect();
    format!("```yaml\nitems:\n{items}```\n")
}

/// An engine that does what it is told: two items, a file for each, and a friendly review.
pub(super) fn obedient(call: &CallSeen) -> Act {
    Act::Say(match call.stage.as_str() {
        "decompose" => backlog(2),
        "implement" | "fix" => {
            let item = call.item.clone().unwrap();
            call.write(&format!("{item}.txt"), &format!("{item}\n"));
            "done".to_owned()
        }
        "review" => "fine\n\nVERDICT: APPROVED\n".to_owned(),
        "knowledge" => "NOTHING".to_owned(),
        stage => format!("the {stage}"),
    })
}
