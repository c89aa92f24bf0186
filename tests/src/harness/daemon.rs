//! A real `orchestratord` with its workers and holders, in a directory of its own, ended with the test.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orx_client::Client;
use orx_protocol::event::kind;
use orx_protocol::places::{Places, variable};
use orx_protocol::process::ProcessIdentity;
use orx_sandbox::{identity, tree};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::deadline::eventually;
use super::{Http, Settings, Wire, binary, process, search_path};

/// How long a daemon may take to answer `health`, and to end: far above what it takes, for busy machines.
const PATIENCE: Duration = Duration::from_secs(30);
/// Lines of a log that a failure shows.
const TAIL: usize = 60;

/// A daemon that runs, or ran.
#[derive(Debug)]
pub struct Daemon {
    settings: Settings,
    directory: Option<TempDir>,
    child: Option<Child>,
    /// Processes seen at any time, so that none outlives the test.
    seen: Vec<ProcessIdentity>,
    /// Position in the journal of the newest `daemon.ready` that was waited for.
    ready: u64,
}

/// A daemon that did not start.
#[derive(Debug)]
pub struct Refused {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub log: String,
}

/// The processes of a daemon.
#[derive(Debug, Clone, Default)]
pub struct Pids {
    /// `orchestratord`.
    pub daemon: u32,
    /// Workers that are registered: role and process.
    pub workers: Vec<(String, u32)>,
    /// Holders of sessions.
    pub holders: Vec<u32>,
    /// The processes in those sessions.
    pub held: Vec<u32>,
}

impl Daemon {
    /// Starts a daemon with `adjust`ed settings and waits until it answers.
    ///
    /// # Panics
    /// When it does not; the message has the end of its log.
    #[must_use]
    #[track_caller]
    pub fn start(adjust: impl FnOnce(&mut Settings)) -> Self {
        match Self::try_start(adjust) {
            Ok(daemon) => daemon,
            Err(refused) => panic!("orchestratord ended with {}; its log:\n{}", refused.status, tail(&refused.log)),
        }
    }

    /// Starts a daemon that may refuse to run.
    ///
    /// # Errors
    /// How it ended and what it wrote.
    ///
    /// # Panics
    /// When it neither ends nor answers in time.
    #[track_caller]
    pub fn try_start(adjust: impl FnOnce(&mut Settings)) -> Result<Self, Refused> {
        let mut daemon = Self::prepared(adjust);
        daemon.launch()?;
        Ok(daemon)
    }

    /// The settings and directories of a daemon that is not started yet.
    ///
    /// # Panics
    /// When the directory cannot be made.
    #[must_use]
    #[track_caller]
    pub fn prepared(adjust: impl FnOnce(&mut Settings)) -> Self {
        let directory =
            tempfile::Builder::new().prefix("orx-t").rand_bytes(6).tempdir_in("/tmp").expect("/tmp is writable");
        let mut settings = Settings::below(directory.path());
        std::fs::create_dir_all(&settings.user_home).expect("the directory can be made");
        adjust(&mut settings);
        Self { settings, directory: Some(directory), child: None, seen: Vec::new(), ready: 0 }
    }

    /// Starts the daemon, again or for the first time, and waits until it answers.
    ///
    /// # Errors
    /// How it ended and what it wrote since this start.
    ///
    /// # Panics
    /// When it runs already, or neither ends nor answers in time.
    #[track_caller]
    pub fn launch(&mut self) -> Result<(), Refused> {
        assert!(self.child.is_none(), "the daemon runs already");
        let log_start = self.log().len();
        let mut child = self.command().spawn().expect("orchestratord can be started");
        let pid = i32::try_from(child.id()).expect("a pid");
        self.seen.extend(identity::of(pid));
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("the daemon is our child") {
                let log = self.log();
                return Err(Refused { status, log: log.get(log_start..).unwrap_or_default().to_owned() });
            }
            if let Some(ready) = self.ready_since() {
                self.ready = ready;
                self.child = Some(child);
                return Ok(());
            }
            if started.elapsed() > PATIENCE {
                self.child = Some(child);
                panic!("orchestratord does not answer after {} s; its log:\n{}", PATIENCE.as_secs(), tail(&self.log()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The command that [`Daemon::launch`] runs; a test may run it itself.
    ///
    /// # Panics
    /// When the settings file or the log cannot be written.
    #[must_use]
    #[track_caller]
    pub fn command(&self) -> Command {
        let settings = &self.settings;
        std::fs::write(&settings.config, settings.file_bytes()).expect("the settings can be written");
        let mut command = match &settings.before {
            None => Command::new(binary("orchestratord")),
            Some(line) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(format!("{line}\nexec \"$0\" \"$@\"")).arg(binary("orchestratord"));
                shell
            }
        };
        command
            .args(&settings.arguments)
            .current_dir(self.directory())
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", &settings.user_home)
            .env("LANG", "C.UTF-8")
            .env("RUST_BACKTRACE", "1")
            .env(variable::HOME, &settings.home)
            .env(variable::SOCKET, &settings.socket)
            .env(variable::CONFIG, &settings.config)
            .env(variable::HTTP, &settings.http)
            .env(variable::LOG, std::env::var("ORX_TEST_LOG").unwrap_or_else(|_| "info".to_owned()))
            .envs(settings.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::from(self.log_file()))
            .stderr(Stdio::from(self.log_file()));
        command
    }

    fn log_file(&self) -> File {
        OpenOptions::new().create(true).append(true).open(self.log_path()).expect("the log can be opened")
    }

    /// Where in the journal this start of the daemon became ready; `None` while it has not.
    fn ready_since(&self) -> Option<u64> {
        let mut wire = Wire::try_connect(&self.settings.socket).ok()?;
        let wanted = json!({"kinds": [kind::DAEMON_READY], "since": self.ready, "limit": 1000});
        let list = wire.try_call("event.list", &wanted)?.ok()?;
        list["events"].as_array()?.last()?["seq"].as_u64()
    }

    /// The directory that holds everything of this daemon.
    ///
    /// # Panics
    /// Never while the daemon lives.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.as_ref().expect("it is given up in drop alone").path()
    }

    /// The settings that it was started with; changes apply from the next start.
    pub fn settings(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The daemon's socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.settings.socket
    }

    /// Where the daemon keeps what.
    #[must_use]
    pub fn places(&self) -> Places {
        let Settings { home, config, socket, .. } = self.settings.clone();
        Places { home, config, socket }
    }

    /// A path in the test's own directory, for repositories and such.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory().join(name)
    }

    fn log_path(&self) -> PathBuf {
        self.directory().join("daemon.log")
    }

    /// Everything that the daemon and its workers wrote so far.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read(self.log_path())
            .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A new connection that speaks frames.
    #[must_use]
    #[track_caller]
    pub fn wire(&self) -> Wire {
        Wire::connect(&self.settings.socket)
    }

    /// Calls a method that must succeed, on a connection of its own.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn call(&self, method: &str, params: &Value) -> Value {
        self.wire().result(method, params)
    }

    /// A new connection of the product's own client.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn client(&self) -> Client {
        Client::connect(&self.settings.socket).await.expect("the daemon listens")
    }

    /// The HTTP side, with the local user's token.
    ///
    /// # Panics
    /// When it is closed, or there is no token.
    #[must_use]
    #[track_caller]
    pub fn http(&self) -> Http {
        // The socket may answer a moment before the port is open.
        let address = eventually("an open HTTP port", PATIENCE, || {
            self.call("status", &json!({}))["http"].as_str().map(str::to_owned)
        });
        let token = std::fs::read_to_string(self.places().token()).expect("the daemon made a token");
        Http {
            address: address.parse().unwrap_or_else(|error| panic!("{address}: {error}")),
            token: token.trim().to_owned(),
        }
    }

    /// Waits until `count` workers are registered and ready.
    ///
    /// # Panics
    /// When they are not in time.
    #[track_caller]
    pub fn wait_for_workers(&self, count: usize) {
        let mut wire = self.wire();
        eventually(&format!("{count} ready workers"), PATIENCE, || {
            let list = wire.result("worker.list", &json!({}));
            let ready = list["workers"].as_array()?.iter().filter(|worker| worker["state"] == "ready").count();
            (ready >= count).then_some(())
        });
    }

    /// The processes of this daemon, as they are now.
    ///
    /// # Panics
    /// When the daemon is not running.
    #[must_use]
    #[track_caller]
    pub fn pids(&self) -> Pids {
        let daemon = self.child.as_ref().expect("the daemon runs").id();
        let number = |value: &Value| value.as_u64().and_then(|pid| u32::try_from(pid).ok());
        let list = self.call("worker.list", &json!({}));
        let workers = list["workers"].as_array().into_iter().flatten();
        let workers =
            workers.filter_map(|worker| Some((worker["role"].as_str()?.to_owned(), number(&worker["pid"])?))).collect();
        let mut pids = Pids { daemon, workers, ..Pids::default() };
        let Ok(sessions) = std::fs::read_dir(self.places().sessions()) else { return pids };
        for session in sessions.filter_map(Result::ok) {
            let Ok(text) = std::fs::read(session.path().join(orx_protocol::hold::file::HOLDER)) else { continue };
            let Ok(holder) = serde_json::from_slice::<orx_protocol::hold::Holder>(&text) else { continue };
            for (process, list) in [(holder.holder, &mut pids.holders), (holder.child, &mut pids.held)] {
                if identity::is_alive(process) {
                    list.extend(u32::try_from(process.pid));
                }
            }
        }
        pids
    }

    /// The daemon's process id.
    ///
    /// # Panics
    /// When it is not running.
    #[must_use]
    #[track_caller]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the daemon runs").id()
    }

    /// Sends a signal to the daemon.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid");
        // It may have ended by itself; the wait that follows says how.
        let _ = kill(Pid::from_raw(pid), signal);
    }

    /// Ends the daemon, and nothing else, without warning.
    ///
    /// # Panics
    /// When it is not running.
    #[track_caller]
    pub fn kill9(&mut self) {
        self.remember();
        self.signal(Signal::SIGKILL);
        let status = self.wait_for_end();
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "the daemon ended before it was killed: {status}");
    }

    /// Asks the daemon to end and waits for it.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn terminate(&mut self) -> ExitStatus {
        self.remember();
        self.signal(Signal::SIGTERM);
        self.wait_for_end()
    }

    /// Waits until the daemon ended, by whatever cause.
    ///
    /// # Panics
    /// When it does not end in time.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the daemon runs");
        let log = self.log_path();
        let started = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("the daemon is our child") {
                return status;
            }
            if started.elapsed() > PATIENCE {
                let _ = child.kill();
                let text = std::fs::read_to_string(log).unwrap_or_default();
                panic!("orchestratord does not end; its log:\n{}", tail(&text));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Starts the daemon again in its place, after [`Daemon::kill9`] or [`Daemon::terminate`].
    ///
    /// # Panics
    /// When it does not answer; the message has the end of its log.
    #[track_caller]
    pub fn restart(&mut self) {
        if let Err(refused) = self.launch() {
            panic!("orchestratord did not come back: {}; its log:\n{}", refused.status, tail(&refused.log));
        }
    }

    fn remember(&mut self) {
        if let Some(child) = &self.child {
            let pid = i32::try_from(child.id()).unwrap_or(0);
            self.seen.extend(tree::descendants(pid));
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.remember();
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let Some(directory) = self.directory.take() else { return };
        let left = process::end_all_of(directory.path(), &self.seen);
        let failed = std::thread::panicking();
        if failed {
            let log = std::fs::read_to_string(directory.path().join("daemon.log")).unwrap_or_default();
            eprintln!("--- end of the daemon's log\n{}\n---", tail(&log));
        }
        if failed || std::env::var_os("ORX_TEST_KEEP").is_some_and(|keep| keep == "1") {
            eprintln!("kept: {}", directory.keep().display());
        }
        assert!(left.is_empty() || failed, "processes outlived the test: {left:?}");
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
}
