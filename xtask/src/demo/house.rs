//! The demo's own daemon, model and directory: started here, ended here, whatever happens in between.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::project::Project;
use crate::shell::{self, bold, dim};

/// How long `orxctl up` and `orxctl down` may take.
const DAEMON_LIMIT: Duration = Duration::from_secs(60);

/// Who does the work.
#[derive(Debug)]
pub enum Engine {
    /// A coding CLI that the person has.
    OnPath(String),
    /// A coding CLI below `target/`.
    Installed { name: String, program: PathBuf },
    /// The stand-in that needs no node.
    Scripted,
}

/// Everything that the demo started.
pub struct House {
    directory: Option<TempDir>,
    programs: PathBuf,
    engine: Engine,
    model: Option<(Child, String)>,
    daemon: bool,
}

impl House {
    /// A directory with a short name: a socket's path has to fit into 107 bytes. It is not in `/tmp`: Codex refuses to make its
    /// sandbox for a home there.
    pub fn prepare(programs: PathBuf, engine: Engine) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("orx-demo-").rand_bytes(4).tempdir_in("/var/tmp")?;
        Ok(Self { directory: Some(directory), programs, engine, model: None, daemon: false })
    }

    pub fn directory(&self) -> &Path {
        self.directory.as_ref().map_or(Path::new("/nonexistent"), TempDir::path)
    }

    fn home(&self) -> PathBuf {
        self.directory().join("home")
    }

    fn socket(&self) -> PathBuf {
        self.home().join("run/orchestratord.sock")
    }

    fn config(&self) -> PathBuf {
        self.directory().join("orchestratord.yaml")
    }

    /// The engine's name for `orxctl run`.
    pub fn engine_name(&self) -> &str {
        match &self.engine {
            Engine::OnPath(name) | Engine::Installed { name, .. } => name,
            Engine::Scripted => "command",
        }
    }

    fn scenario() -> PathBuf {
        shell::root().join("tests/data/scenarios/demo.json")
    }

    /// What `orx.yaml` has to say of the engine.
    pub fn engine_settings(&self) -> Value {
        match &self.engine {
            Engine::OnPath(_) | Engine::Installed { .. } => Value::Null,
            Engine::Scripted => json!({"command": {
                "argv": ["scripted-cli", "--scenario", Self::scenario()],
                "text_args": ["--read-only"],
            }}),
        }
    }

    /// Starts the scripted model and gives its address.
    pub fn start_model(&mut self) -> Result<String> {
        let mut child = Command::new(self.programs.join("scripted-model"))
            .arg("--scenario")
            .arg(Self::scenario())
            .args(["--listen", "127.0.0.1:0", "--log"])
            .arg(self.directory().join("model.jsonl"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // Ctrl-C goes to the foreground's group: the model is ended after the run, not with it.
            .process_group(0)
            .spawn()
            .context("scripted-model could not be started")?;
        let stdout = child.stdout.take();
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let url = line.trim().to_owned();
        self.model = Some((child, url.clone()));
        if url.is_empty() {
            bail!("scripted-model did not say where it listens");
        }
        Ok(url)
    }

    /// Starts the daemon and waits for its workers.
    pub fn start_daemon(&mut self) -> Result<String> {
        let (_, url) = self.model.as_ref().context("the model runs first")?;
        let mut engines = json!({"endpoint": {"url": url, "key": "demo-key-of-the-scripted-model"}});
        if let Engine::Installed { name, program } = &self.engine {
            engines["binaries"] = json!({ name: program });
        }
        let config = json!({"version": 1, "http": "127.0.0.1:0", "engines": engines});
        std::fs::write(self.config(), format!("{config:#}\n"))?;
        // What was started before a failure is ended too.
        self.daemon = true;
        let mut child = self.orxctl(&["up"]).stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let status = shell::wait(&mut child, DAEMON_LIMIT, "orxctl up")?;
        if !status.success() {
            bail!("`orxctl up` failed ({status})");
        }
        let started = std::time::Instant::now();
        loop {
            let workers = self.call("worker.list", &json!({}))?;
            let mut roles: Vec<&str> = workers["workers"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|worker| worker["role"].as_str())
                .collect();
            if roles.len() >= 4 {
                roles.sort_unstable();
                let status = self.call("status", &json!({}))?;
                return Ok(format!("pid {}, {}", status["pid"], roles.join(", ")));
            }
            if started.elapsed() > DAEMON_LIMIT {
                bail!("only these workers came: {}", roles.join(", "));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// `orxctl` for this daemon.
    pub fn orxctl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("orxctl"));
        command.args(arguments).current_dir(self.directory());
        for (name, value) in self.variables() {
            command.env(name, value);
        }
        if let Engine::Scripted = self.engine {
            // A repository's settings name a program by its name; where it is found is the operator's to say.
            let path = std::env::var_os("PATH").unwrap_or_default();
            let found = std::iter::once(self.programs.clone()).chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(found).unwrap_or(path));
        }
        command.env_remove("ORX_SESSION").env_remove("ORX_TOKEN").env_remove("ORX_HTTP");
        command
    }

    fn variables(&self) -> [(&'static str, PathBuf); 3] {
        [("ORX_HOME", self.home()), ("ORX_SOCKET", self.socket()), ("ORX_CONFIG", self.config())]
    }

    /// Calls a method of the daemon.
    pub fn call(&self, method: &str, params: &Value) -> Result<Value> {
        let text = shell::output(&mut self.orxctl(&["--json", "call", method, &params.to_string()]))?;
        serde_json::from_str(&text).with_context(|| format!("`orxctl call {method}` printed no JSON: {text}"))
    }

    /// The newest run of a repository.
    pub fn newest_run(&self, repository: &Path) -> Result<Value> {
        let mut runs = self.call("run.list", &json!({"repository": repository, "limit": 1}))?;
        match runs["runs"].get_mut(0) {
            Some(run) => Ok(run.take()),
            None => bail!("the daemon knows no run of {}", repository.display()),
        }
    }

    /// Where to look when something went wrong.
    pub fn places(&self) -> String {
        format!("Kept for a look: {}\n  logs: {}", self.directory().display(), self.home().join("logs").display())
    }

    /// Leaves the directory where it is.
    pub fn keep_directory(&mut self) {
        if let Some(directory) = &mut self.directory {
            directory.disable_cleanup(true);
        }
    }

    /// Leaves everything running and says how to look around.
    pub fn keep(&mut self, project: &Project) -> String {
        self.keep_directory();
        self.daemon = false;
        let model = self.model.take().map(|(child, _)| child.id());
        let variables: String =
            self.variables().iter().map(|(name, value)| format!("  export {name}={}\n", value.display())).collect();
        let orxctl = self.programs.join("orxctl");
        let orxctl = orxctl.display();
        let path = project.path().display();
        let model = model.map_or_else(String::new, |pid| format!(" && kill {pid}"));
        let line = |command: String, what: &str| format!("  {command:<72} {}\n", dim(what));
        let mut said = format!("{}\n{variables}  cd {path}\n", bold("The daemon is still there. In another shell:"));
        said += &line(format!("{orxctl} status"), "daemon, workers, runs");
        said += &line(
            format!("{orxctl} new {}", self.engine_name_for_a_session()),
            "a session of your own; Ctrl+B d leaves it",
        );
        said += &line(format!("{orxctl} ls"), "sessions; then `attach <id>` to look and type");
        said += &line(format!("{orxctl} events --since 0"), "everything that happened");
        said += &line(format!("{orxctl} down{model}"), "end it all");
        said + &format!("  rm -rf {}", self.directory().display())
    }

    fn engine_name_for_a_session(&self) -> &str {
        match &self.engine {
            Engine::OnPath(name) | Engine::Installed { name, .. } => name,
            Engine::Scripted => "command -- sh",
        }
    }

    /// Ends the daemon and the model.
    pub fn stop(&mut self) -> Result<()> {
        let ended = if std::mem::take(&mut self.daemon) { self.down() } else { Ok(()) };
        if let Some((mut model, _)) = self.model.take() {
            let _ = model.kill();
            let _ = model.wait();
        }
        ended
    }

    /// Ends what the daemon would let live on: sessions outlive it, and so would a run's engine.
    fn end_work(&self) -> Result<()> {
        let listed = |method: &str, params: &Value, name: &str| -> Result<Vec<Value>> {
            Ok(self.call(method, params)?[name].as_array().cloned().unwrap_or_default())
        };
        for run in listed("run.list", &json!({}), "runs")? {
            if run["state"] == "running" {
                self.call("run.cancel", &json!({"run": run["run"]}))?;
            }
        }
        for session in listed("session.list", &json!({"all": true}), "sessions")? {
            if session["state"] == "running" || session["state"] == "starting" {
                self.call("session.stop", &json!({"session": session["session"], "grace_ms": 500}))?;
            }
        }
        Ok(())
    }

    fn down(&self) -> Result<()> {
        let ended = self.end_work();
        let output = self.orxctl(&["down"]).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return ended;
        }
        bail!("`orxctl down` failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("the demo's daemon could not be ended: {error:#}");
            self.keep_directory();
        }
    }
}
