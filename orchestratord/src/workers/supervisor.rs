//! The worker processes that the daemon keeps alive: start, restart with back-off, orderly end.

use orx_protocol::api::worker::Supervised;
use orx_protocol::event::kind;
use orx_sandbox::environment::Environment;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::back_off::{BackOff, CRASH_LOOP};
use crate::journal::Journal;

/// How to start a worker.
#[derive(Debug, Clone)]
pub struct Command {
    /// The `agentd` program.
    pub program: PathBuf,
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Where derived indexes are kept.
    pub cache: PathBuf,
    /// The workers' exact environment.
    pub environment: Environment,
}

/// How long a worker may take to finish what it has when it is asked to leave.
const LEAVE: Duration = Duration::from_secs(5);

/// One kept process, named by role and instance.
type Slot = (String, u32);

struct Kept {
    shown: Supervised,
    stop: CancellationToken,
}

/// Keeps worker processes alive.
pub struct Supervisor {
    command: Command,
    journal: Journal,
    tasks: TaskTracker,
    kept: Mutex<BTreeMap<Slot, Kept>>,
}

impl Supervisor {
    /// A supervisor that keeps nothing yet.
    #[must_use]
    pub fn new(command: Command, journal: Journal, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self { command, journal, tasks, kept: Mutex::new(BTreeMap::new()) })
    }

    fn kept<R>(&self, f: impl FnOnce(&mut BTreeMap<Slot, Kept>) -> R) -> R {
        f(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the kept processes those of `wanted` (role to number of instances): starts what is missing, lets go what is
    /// too much.
    pub fn keep(self: &Arc<Self>, wanted: &BTreeMap<String, u32>) {
        let mut starting = Vec::new();
        self.kept(|kept| {
            for (slot, process) in kept.iter() {
                if wanted.get(&slot.0).copied().unwrap_or(0) <= slot.1 {
                    process.stop.cancel();
                }
            }
            kept.retain(|_, process| !process.stop.is_cancelled());
            for (role, count) in wanted {
                for instance in 0..*count {
                    let slot = (role.clone(), instance);
                    if kept.contains_key(&slot) {
                        continue;
                    }
                    let stop = CancellationToken::new();
                    let shown = Supervised {
                        role: role.clone(),
                        instance,
                        pid: None,
                        restarts: 0,
                        retry_in_ms: None,
                        last_exit: None,
                    };
                    kept.insert(slot.clone(), Kept { shown, stop: stop.clone() });
                    starting.push((slot, stop));
                }
            }
        });
        for (slot, stop) in starting {
            self.tasks.spawn(Arc::clone(self).keep_one(slot, stop));
        }
    }

    /// Lets all go; their tasks end when the processes have.
    pub fn stop(&self) {
        self.kept(|kept| kept.values().for_each(|process| process.stop.cancel()));
    }

    /// What is kept.
    #[must_use]
    pub fn list(&self) -> Vec<Supervised> {
        self.kept(|kept| kept.values().map(|process| process.shown.clone()).collect())
    }

    /// Whether a process id is one of the kept processes.
    #[must_use]
    pub fn owns(&self, pid: u32) -> bool {
        self.kept(|kept| kept.values().any(|process| process.shown.pid == Some(pid)))
    }

    fn show(&self, slot: &Slot, change: impl FnOnce(&mut Supervised)) {
        self.kept(|kept| {
            if let Some(process) = kept.get_mut(slot) {
                change(&mut process.shown);
            }
        });
    }

    async fn keep_one(self: Arc<Self>, slot: Slot, stop: CancellationToken) {
        let mut back_off = BackOff::default();
        while !stop.is_cancelled() {
            let started = Instant::now();
            let how = self.live(&slot, &stop).await;
            if stop.is_cancelled() {
                return;
            }
            let pause = back_off.died(started.elapsed(), fraction());
            tracing::warn!(
                role = slot.0,
                instance = slot.1,
                how,
                pause_ms = millis(pause),
                "A worker ended and is started again."
            );
            if back_off.deaths == CRASH_LOOP {
                tracing::error!(role = slot.0, deaths = back_off.deaths, "A worker dies again and again.");
                let data = serde_json::json!({"instance": slot.1, "deaths": back_off.deaths, "last_exit": how});
                self.journal.note(kind::WORKER_CRASH_LOOP, slot.0.clone(), data).await;
            }
            self.show(&slot, |shown| {
                shown.pid = None;
                shown.last_exit = Some(how);
                shown.restarts += 1;
                shown.retry_in_ms = Some(millis(pause));
            });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
            self.show(&slot, |shown| shown.retry_in_ms = None);
        }
    }

    /// One life of a worker, from its start to its end; gives how it ended.
    async fn live(&self, slot: &Slot, stop: &CancellationToken) -> String {
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        let argv = [
            text(&self.command.program),
            "--role".to_owned(),
            slot.0.clone(),
            "--socket".to_owned(),
            text(&self.command.socket),
            "--cache".to_owned(),
            text(&self.command.cache),
            "--supervised".to_owned(),
        ];
        let streams = [Stdio::null(), Stdio::null(), Stdio::inherit()];
        let directory = PathBuf::from("/");
        let mut child = match orx_sandbox::spawn::supervised(&argv, &directory, &self.command.environment, streams) {
            Ok(child) => child,
            Err(error) => return error.to_string(),
        };
        self.show(slot, |shown| shown.pid = child.id());
        let status = tokio::select! {
            status = child.wait() => status,
            () = stop.cancelled() => {
                if let Some(process) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(orx_sandbox::identity::of) {
                    orx_sandbox::tree::signal(process, nix::sys::signal::Signal::SIGTERM);
                }
                match tokio::time::timeout(LEAVE, child.wait()).await {
                    Ok(status) => status,
                    Err(_) => {
                        tracing::warn!(role = slot.0, "A worker did not leave in time and is ended by force.");
                        // The handle's drop ends it too; the error here would only say that it is gone already.
                        let _ = child.start_kill();
                        child.wait().await
                    }
                }
            }
        };
        match status {
            Ok(status) => orx_sandbox::spawn::exit(status).to_string(),
            Err(error) => format!("its end could not be seen: {error}"),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A number in 0..1 to spread starts; without randomness all are spread alike.
fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}
