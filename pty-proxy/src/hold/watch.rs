//! `hold.watch`: connections that are told of the terminal as it changes. Nothing is done for them while there are none,
//! and one that does not read is told once it does: nothing waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Instant;

use orx_protocol::clock::now_ms;
use orx_protocol::hold::file;
use orx_protocol::rpc;
use orx_protocol::watch::CHANGED;
use orx_protocol::{ErrorKind, RpcError};

use super::holder::{Holder, Session};
use crate::process::foreground;
use crate::watch::watched::{Knowledge, Processes, Watched};

/// How much of what was written before anybody watched is looked at for marks, in bytes.
const RECALLED: u64 = 256 * 1024;
/// Most watchers of a session.
const WATCHERS: usize = 8;

/// Those who watch a terminal.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// `None` while nobody watches.
    watched: Option<Watched>,
    known: BTreeMap<u64, Knowledge>,
    /// Watchers that had not read what was sent before when there was news.
    behind: BTreeSet<u64>,
}

impl Watchers {
    /// The program wrote something.
    pub(super) fn output(&mut self, bytes: &[u8], now: Instant) {
        if let Some(watched) = &mut self.watched {
            watched.output(bytes, now, now_ms());
        }
    }

    /// The terminal has another size.
    pub(super) fn resized(&mut self, now: Instant) {
        if let Some(watched) = &mut self.watched {
            watched.touch(now);
        }
    }

    /// Whether a connection watches.
    pub(super) fn has(&self, token: u64) -> bool {
        self.known.contains_key(&token)
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, token: u64) {
        self.known.remove(&token);
        self.behind.remove(&token);
        if self.known.is_empty() {
            self.watched = None;
        }
    }

    /// When watchers are to be told; `drawing_until` is the end of an open synchronized update.
    pub(super) fn wakes_at(&self, drawing_until: Option<Instant>) -> Option<Instant> {
        self.watched.as_ref().map(|watched| watched.due(drawing_until))
    }
}

/// The end of a log.
fn tail(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut log = File::open(path)?;
    let length = log.metadata()?.len();
    log.seek(SeekFrom::Start(length.saturating_sub(RECALLED)))?;
    let mut end = Vec::new();
    log.take(RECALLED).read_to_end(&mut end)?;
    Ok(end)
}

impl Holder {
    /// A connection watches from now on.
    pub(super) fn begin_watch(&mut self, token: u64, name: &str, now: Instant) -> Result<(), RpcError> {
        let path = self.directory.join(file::OUTPUT);
        let watchers = &mut self.terminal(name)?.watchers;
        if watchers.known.len() >= WATCHERS && !watchers.known.contains_key(&token) {
            let limit = format!("`{name}`: {WATCHERS} connections watch this session already");
            return Err(RpcError::new(ErrorKind::Overloaded, limit));
        }
        let watched = watchers.watched.get_or_insert_with(|| {
            let mut watched = Watched::new(now);
            // A log that cannot be read has nothing to recall.
            watched.recall(&tail(&path).unwrap_or_default());
            watched
        });
        watched.touch(now);
        watchers.known.insert(token, Knowledge::default());
        Ok(())
    }

    /// Tells watchers what is due.
    pub(super) fn tell_watchers(&mut self, now: Instant) {
        let Self { session: Session::Terminal(terminal), connections, tree, record, last_output, .. } = self else {
            return;
        };
        let Some(watched) = &terminal.watchers.watched else { return };
        let processes = watched.looks(now).then(|| {
            let members = tree.seen();
            let reader = foreground::reader(terminal.descriptor(), &members, record.child.pid);
            Processes { reader, count: u32::try_from(members.len()).ok() }
        });
        let drawing_until = terminal.emulator.drawing_until(now);
        let Watchers { watched: Some(watched), known, behind } = &mut terminal.watchers else { return };
        if let Some(processes) = processes {
            watched.looked(processes, now);
        }
        let due = watched.tells(now, drawing_until);
        if !due && behind.is_empty() {
            return;
        }
        let screen = terminal.emulator.text();
        let quiet = now.saturating_duration_since(*last_output);
        for (token, knowledge) in known {
            let Some(connection) = connections.get_mut(token).filter(|_| due || behind.contains(token)) else {
                continue;
            };
            if connection.wants_to_send() {
                behind.insert(*token);
                continue;
            }
            behind.remove(token);
            let news = watched.news(knowledge, &screen, quiet, now, now_ms());
            // A text of this size can always be written as JSON into memory.
            if let Some(body) = news.and_then(|news| rpc::call(None, CHANGED, &news).ok()) {
                connection.answer(&body);
            }
        }
        if due {
            watched.told(now);
        }
    }
}
