//! After a start of the daemon: every session that was not known to have ended is held against what really runs.

use orx_protocol::SessionId;
use orx_protocol::api::session::SessionState;
use orx_protocol::clock;
use orx_protocol::event::kind;
use orx_protocol::hold::{Ended, Holder};
use orx_protocol::life::Life;
use orx_protocol::places::variable;
use orx_protocol::process::{EndReason, ProcessIdentity};
use orx_sandbox::{identity, tree};
use orx_session::life::missing::settle;
use orx_store::{SessionRow, StoreError, events, sessions as table};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Sessions, end_row, holder, lost, of_life};

/// How long what a dead holder left behind may take to end politely.
const GRACE: Duration = Duration::from_secs(2);

/// What is true of a session.
enum Truth {
    /// Its holder lives.
    Runs(Holder),
    /// It ended while nobody watched.
    Ended(Ended),
    /// Its holder is gone without a record; these processes of it still run.
    Lost(&'static str, Vec<ProcessIdentity>),
}

/// What reconciling found, for the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Sessions that still run.
    pub running: usize,
    /// Sessions that ended while the daemon was away.
    pub ended: usize,
    /// Sessions of which it is not known how they ended.
    pub lost: usize,
}

impl Sessions {
    /// Brings every record in line with what runs, in one transaction, and watches what still runs.
    ///
    /// # Errors
    /// As the store cannot be read or written.
    pub async fn reconcile(&self) -> Result<Found, StoreError> {
        let rows = self.store().read(table::unfinished).await?;
        let mut orphans: Option<HashMap<String, Vec<ProcessIdentity>>> = None;
        let mut found = Found::default();
        let mut changes: Vec<(SessionRow, &'static str, serde_json::Value)> = Vec::new();
        let mut watched: Vec<(SessionId, PathBuf, Holder)> = Vec::new();
        let mut left: Vec<ProcessIdentity> = Vec::new();
        let wanted_terminals = self.0.kept.sessions();
        // One that waits for a place has no process to look for.
        for mut row in rows.into_iter().filter(|row| row.session.life != Life::Queued) {
            let session = row.session.session;
            let directory = self.directory(session);
            if row.session.state == SessionState::Starting {
                holder::until_started(&directory).await;
            }
            let can_be_replaced = wanted_terminals.contains(&session);
            match truth(&row, &directory, can_be_replaced, &mut orphans) {
                Truth::Runs(process) => {
                    found.running += 1;
                    watched.push((session, PathBuf::from(&row.socket), process.clone()));
                    if row.session.state != SessionState::Running {
                        row.session.state = SessionState::Running;
                        row.session.life = Life::Running;
                        row.session.pid = Some(process.child.pid);
                        let data = serde_json::json!({"pid": process.child.pid, "holder": process.holder.pid, "found_again": true});
                        row.holder = Some(process);
                        changes.push((row.clone(), kind::SESSION_STARTED, data));
                    }
                    if let Some(settled) = settle(&mut row.session) {
                        changes.push((row, kind::SESSION_LIFE, of_life(&settled)));
                    }
                }
                Truth::Ended(ended) => {
                    found.ended += 1;
                    changes.extend(end_row(&mut row, ended).map(|(kind, data)| (row, kind, data)));
                }
                Truth::Lost(why, processes) => {
                    found.lost += 1;
                    left.extend(processes);
                    let ended = lost(why);
                    changes.extend(end_row(&mut row, ended).map(|(kind, data)| (row, kind, data)));
                }
            }
        }
        if !changes.is_empty() {
            self.store()
                .write(move |tx| {
                    for (row, kind, data) in &changes {
                        table::update(tx, row)?;
                        events::append(tx, kind, &row.session.session.to_string(), data)?;
                    }
                    Ok::<_, StoreError>(())
                })
                .await?;
            self.announce();
        }
        let running: Vec<SessionId> = watched.iter().map(|(session, _, _)| *session).collect();
        self.forget_all_but(&running);
        for (session, socket, process) in watched {
            self.watch(session, socket, process, false);
        }
        if !left.is_empty() {
            self.0.tasks.spawn_blocking(move || end_left(left));
        }
        self.remove_groups_of_ended().await?;
        Ok(found)
    }
}

/// What runs of sessions, by session: who is born in one carries its name in the environment.
pub(super) fn left_by() -> HashMap<String, Vec<ProcessIdentity>> {
    tree::marked(variable::SESSION)
}

/// Ends what a dead holder left behind, and what that started since. Blocks the calling thread.
pub(super) fn end_left(left: Vec<ProcessIdentity>) {
    let members = || left.iter().flat_map(|process| tree::with_descendants(*process)).collect();
    if !tree::end(members, GRACE) {
        tracing::error!(count = left.len(), "Processes that a dead holder left behind cannot be ended.");
    }
}

fn truth(
    row: &SessionRow,
    directory: &Path,
    can_be_replaced: bool,
    orphans: &mut Option<HashMap<String, Vec<ProcessIdentity>>>,
) -> Truth {
    if let Some(ended) = holder::read_ended(directory) {
        return Truth::Ended(ended);
    }
    // The holder's own record is the newer one: another may have taken over while no daemon was there.
    let known = holder::read_holder(directory).or_else(|| row.holder.clone());
    if let Some(process) = &known {
        if !process.is_of_boot(identity::boot().as_deref()) {
            return Truth::Lost("the machine was restarted", Vec::new());
        }
        let kept =
            process.keeper.is_some_and(identity::is_alive) || (can_be_replaced && identity::is_alive(process.child));
        if kept || identity::is_alive(process.holder) {
            return Truth::Runs(process.clone());
        }
    }
    if let Some(ended) = holder::read_ended(directory) {
        return Truth::Ended(ended);
    }
    let left = orphans.get_or_insert_with(left_by).remove(&row.session.session.to_string()).unwrap_or_default();
    // A run starts what it lost again; a person is told that nothing ran.
    if known.is_none() && left.is_empty() && row.session.owner.is_none() {
        let ended = Ended {
            exit: None,
            reason: EndReason::SpawnFailed,
            message: Some("the daemon was killed before its process was started".to_owned()),
            ended_at_ms: clock::now_ms(),
        };
        return Truth::Ended(ended);
    }
    Truth::Lost("its holder was gone when the daemon came back, and left no record of the end", left)
}
