//! The files in which an engine keeps a session's conversation, followed while its process runs: found by the
//! conversation's name, read soon after its terminal changed and ever less often while nothing does, and told as the
//! vote of the transcript. After a restart of the daemon they are read again; nothing of them is kept.

use orx_engines::transcript::{Reader, Tell, Telling, find_records, record_count};
use orx_engines::{Context, EngineKind};
use orx_protocol::activity::Source;
use orx_protocol::api::session::{Session, SessionState};
use orx_protocol::{SessionId, clock};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

use super::Activities;
use super::tail::Tails;
use crate::sessions::holder;

/// Shortest pause between two looks, and the first one after something was new.
const SHORTEST: Duration = Duration::from_millis(250);
/// Longest such pause; a word that stands is said again at each look, before it runs out.
const LONGEST: Duration = Duration::from_secs(10);
/// Pauses between two searches for files: an engine makes them with the first prompt, which may come after hours.
const SEARCH: Duration = Duration::from_secs(1);
const LONGEST_SEARCH: Duration = Duration::from_secs(30);

/// What a conversation's files are looked for by; another one is another beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    kind: EngineKind,
    generation: u32,
    cwd: String,
    conversation: String,
}

impl Place {
    /// That of a session whose process runs; `None` where no files are known.
    fn of(session: &Session) -> Option<Self> {
        let kind: EngineKind = session.engine.parse().ok()?;
        // What serves a run speaks on its pipes.
        let runs = session.state == SessionState::Running && session.owner.is_none();
        Reader::of(kind).filter(|_| runs)?;
        Some(Self {
            kind,
            generation: session.generation,
            cwd: session.cwd.clone(),
            conversation: session.conversation.clone()?,
        })
    }
}

/// The files of one place, and when they are searched for again.
struct Following {
    place: Place,
    tails: Tails,
    search_at: Instant,
    search_pause: Duration,
}

impl Following {
    fn begin(place: Place, began_ms: u64) -> Option<Self> {
        let tails = Tails::new(Reader::of(place.kind)?, began_ms);
        Some(Self { place, tails, search_at: Instant::now(), search_pause: SEARCH })
    }

    /// Searches and reads; gives whether anything is new. It reads files: not for the tasks of the runtime.
    fn look(&mut self, context: &Context) -> bool {
        let expected = record_count(self.place.kind);
        if self.tails.len() < expected && self.search_at <= Instant::now() {
            let Place { kind, cwd, conversation, .. } = &self.place;
            match find_records(*kind, context, cwd, conversation) {
                Ok(files) => self.tails.add(files),
                Err(error) => tracing::debug!(%error, "The files of a conversation cannot be looked for."),
            }
            self.search_at = Instant::now() + self.search_pause;
            self.search_pause = (self.search_pause * 2).min(LONGEST_SEARCH);
        }
        self.tails.look(clock::now_ms())
    }
}

/// Follows the files of a session until its process has ended, or the daemon stops. `drawn` is told when there may be news.
pub(super) async fn follow(activities: Activities, id: SessionId, drawn: Arc<Notify>) {
    let mut records = activities.0.sessions.changes();
    let mut following: Option<Following> = None;
    let mut telling = Telling::default();
    let mut pause = SHORTEST;
    loop {
        if records.has_changed().unwrap_or(true) || following.is_none() {
            records.mark_unchanged();
            let Ok(row) = activities.0.sessions.row(id).await else { return };
            if row.session.state.is_final() {
                return;
            }
            let place = Place::of(&row.session);
            if following.as_ref().map(|following| &following.place) != place.as_ref() {
                tell(&activities, id, telling.look(None, clock::now_ms()));
                let directory = activities.0.sessions.directory(id);
                let began_ms = holder::read_holder(&directory).map_or(0, |holder| holder.started_at_ms);
                following = place.and_then(|place| Following::begin(place, began_ms));
                pause = SHORTEST;
            }
        }
        if let Some(mut at_work) = following.take() {
            let context = activities.engines();
            let looked = tokio::task::spawn_blocking(move || {
                let is_new = at_work.look(&context);
                (at_work, is_new)
            });
            let Ok((at_work, is_new)) = looked.await else { return };
            tell(&activities, id, telling.look(at_work.tails.says(), clock::now_ms()));
            following = Some(at_work);
            pause = if is_new { SHORTEST } else { (pause * 2).min(LONGEST) };
        }
        let at_least = tokio::time::Instant::now() + SHORTEST;
        // Without a name of the conversation there is nothing to read until the record changes.
        let reads = following.is_some();
        let quiet = async { if reads { tokio::time::sleep(pause).await } else { std::future::pending().await } };
        tokio::select! {
            () = activities.0.draining.cancelled() => return,
            changed = records.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = quiet => continue,
            () = drawn.notified() => {
                pause = SHORTEST;
                if let Some(following) = &mut following {
                    following.search_pause = SEARCH;
                    following.search_at = following.search_at.min(Instant::now() + SEARCH);
                }
            }
        }
        tokio::select! {
            () = activities.0.draining.cancelled() => return,
            () = tokio::time::sleep_until(at_least) => {}
        }
    }
}

fn tell(activities: &Activities, id: SessionId, tell: Tell) {
    match tell {
        Tell::Nothing => {}
        Tell::Says(said) => activities.observe(id, said),
        Tell::Silence => activities.closed(id, Source::Transcript),
    }
}
