//! Whether a caller is a person or an agent. An agent is whoever runs in a session: by descent from the session's
//! processes, or by the session's name in its environment or in that of an ancestor. What it claims does not matter, and
//! when it cannot be found out the answer is no.

use orx_protocol::places::variable;
use orx_protocol::process::ProcessIdentity;
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_sandbox::{descent, identity};
use orx_store::sessions as table;
use std::collections::{HashMap, HashSet};

use super::tcp::{self, Owner};
use super::{Caller, Door};
use crate::daemon::Daemon;

/// What is known of sessions, to hold processes against.
struct Sessions {
    /// Holders and the processes that they hold.
    processes: HashMap<ProcessIdentity, SessionId>,
    /// Every session of this daemon, also ended ones: what they left running is theirs too.
    names: HashSet<SessionId>,
}

/// Sessions that are looked through.
const SESSIONS: u32 = 100_000;

impl Sessions {
    async fn read(daemon: &Daemon) -> Result<Self, RpcError> {
        let rows = daemon.store.read(|reader| table::list(reader, true, SESSIONS)).await?;
        let names = rows.iter().map(|row| row.session.session).collect();
        let processes = rows
            .iter()
            .filter_map(|row| Some((row.session.session, row.holder.as_ref()?)))
            .flat_map(|(session, holder)| [(holder.holder, session), (holder.child, session)])
            .collect();
        Ok(Self { processes, names })
    }

    /// The session from whose processes a process descends.
    fn by_descent(&self, pid: i32) -> Option<SessionId> {
        descent::chain(pid).into_iter().find_map(|process| self.processes.get(&process).copied())
    }

    /// The session in which a process runs, also when it left the session's processes or pretends to be in one: for what
    /// an agent may not do, a false alarm is the better mistake.
    fn of(&self, pid: i32) -> Option<SessionId> {
        self.by_descent(pid).or_else(|| {
            descent::chain(pid).into_iter().find_map(|process| {
                let named = descent::variable(process.pid, variable::SESSION)?.parse().ok()?;
                self.names.contains(&named).then_some(named)
            })
        })
    }
}

/// The session from whose processes a call on the Unix socket comes, whatever the caller's environment says; `None` for
/// everybody else. For what is believed of a session because it says so.
///
/// # Errors
/// As the store cannot be read.
pub async fn session_behind(daemon: &Daemon, caller: &Caller) -> Result<Option<SessionId>, RpcError> {
    let Some(process) = caller.process.filter(|_| caller.door == Door::Unix) else { return Ok(None) };
    let sessions = Sessions::read(daemon).await?;
    tokio::task::spawn_blocking(move || {
        let session = sessions.by_descent(process.pid);
        session.filter(|_| identity::is_alive(process))
    })
    .await
    .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the caller could not be looked at: {error}")))
}

/// The session from which a call comes; `None` for a person.
///
/// # Errors
/// `PermissionDenied` when the caller cannot be told from an agent.
pub async fn session_of(daemon: &Daemon, caller: &Caller) -> Result<Option<SessionId>, RpcError> {
    let sessions = Sessions::read(daemon).await?;
    let caller = caller.clone();
    tokio::task::spawn_blocking(move || match caller.door {
        Door::Unix => of_process(&sessions, &caller),
        Door::Http | Door::WebSocket => of_ends(&sessions, &caller),
    })
    .await
    .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the caller could not be looked at: {error}")))?
}

fn unknown(why: &str) -> RpcError {
    RpcError::new(ErrorKind::PermissionDenied, format!("only a person may do this, and {why}"))
        .with_hint("use `orxctl` outside the session")
}

fn of_process(sessions: &Sessions, caller: &Caller) -> Result<Option<SessionId>, RpcError> {
    let Some(process) = caller.process else { return Err(unknown("the system does not tell who called")) };
    let session = sessions.of(process.pid);
    // Looked at last, so that what was seen was this process's and not that of a later one with its number.
    if identity::is_alive(process) { Ok(session) } else { Err(unknown("the process that called has ended")) }
}

fn of_ends(sessions: &Sessions, caller: &Caller) -> Result<Option<SessionId>, RpcError> {
    let Some(ends) = caller.ends else { return Err(unknown("the connection does not tell where it comes from")) };
    match tcp::owner(ends) {
        Owner::Processes(pids) => Ok(pids.into_iter().find_map(|pid| sessions.of(pid))),
        // Whichever of them it is: none that belongs to a session leaves nobody but a person.
        Owner::Closed(pids) => match pids.into_iter().find_map(|pid| sessions.of(pid)) {
            None => Ok(None),
            Some(session) => Err(unknown(&format!("the caller cannot be told from session {session}, which hides"))),
        },
        Owner::OtherUser(_) | Owner::Elsewhere => Ok(None),
        Owner::Gone => Err(unknown("the process that called cannot be found")),
    }
}

/// Refuses agents.
///
/// # Errors
/// `PermissionDenied` for a caller in a session, or one that cannot be told from it.
pub async fn person(daemon: &Daemon, caller: &Caller, method: &str) -> Result<(), RpcError> {
    match session_of(daemon, caller).await? {
        None => Ok(()),
        Some(session) => {
            tracing::warn!(%session, pid = caller.pid, method, "An agent tried what only a person may do.");
            let data = serde_json::json!({"method": method, "session": session, "pid": caller.pid});
            daemon.journal.note(orx_protocol::event::kind::ACCESS_REFUSED, session.to_string(), data).await;
            Err(RpcError::new(
                ErrorKind::PermissionDenied,
                format!("`{method}` is a person's to do, and this call comes from session {session}"),
            )
            .with_hint("a session may report and ask; approve from a terminal outside of it"))
        }
    }
}
