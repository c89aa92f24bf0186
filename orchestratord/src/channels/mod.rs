//! The structured channels of the sessions that run: opened when a session starts, opened again when the daemon does, and
//! closed with their session. What comes over a channel is told to those whose business it is: what an agent does, what it
//! asks, the name of its conversation. Prompts and decisions go the other way.

mod ask;
pub mod choose;
mod interrupt;
mod link;
mod meter;
pub mod settings;

use orx_protocol::api::session::Session;
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::approvals::Approvals;
use crate::sessions::Sessions;
use crate::sessions::activity::Activities;
use crate::sessions::delivery::{Deliveries, PromptRoad, Prompted};
use crate::sessions::ready;
use link::{Link, Standing};

/// How long a prompt may take until the agent has it: a session that was just started opens its channel first.
const PROMPT: Duration = Duration::from_secs(120);

/// All channels of the daemon. Clones serve the same ones.
#[derive(Clone)]
pub struct Channels(Arc<Inner>);

struct Inner {
    sessions: Sessions,
    activities: Activities,
    approvals: Approvals,
    deliveries: Deliveries,
    tasks: TaskTracker,
    draining: CancellationToken,
    /// One for each session and generation that has a channel.
    links: Mutex<HashMap<SessionId, Link>>,
    /// Grows with every link that is made or changes.
    changed: watch::Sender<u64>,
    next_prompt: AtomicU64,
}

/// What channels report to and take from.
pub struct Parts {
    /// Sessions.
    pub sessions: Sessions,
    /// What agents do.
    pub activities: Activities,
    /// What agents ask.
    pub approvals: Approvals,
    /// Texts on their way into sessions.
    pub deliveries: Deliveries,
    /// Tasks.
    pub tasks: TaskTracker,
    /// Cancelled when the daemon begins to end.
    pub draining: CancellationToken,
}

impl Channels {
    /// The channels of these sessions. None is opened before [`Self::begin`].
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            sessions: parts.sessions,
            activities: parts.activities,
            approvals: parts.approvals,
            deliveries: parts.deliveries,
            tasks: parts.tasks,
            draining: parts.draining,
            links: Mutex::default(),
            changed: watch::Sender::new(0),
            // Names of prompts are never used twice in a session, also not by a daemon after this one.
            next_prompt: AtomicU64::new(clock::now_ms()),
        }))
    }

    /// Opens the channels of the sessions that run, and of every session that starts from now on, as a task of the daemon.
    pub fn begin(&self) {
        self.0.deliveries.set_road(Arc::new(self.clone()));
        let channels = self.clone();
        self.0.tasks.spawn(async move {
            let mut changed = channels.0.sessions.changes();
            loop {
                changed.mark_unchanged();
                match channels.0.sessions.with_channels().await {
                    Ok(rows) => channels.follow(rows.iter().map(|row| &row.session)),
                    Err(error) => tracing::error!(%error, "Channels of sessions cannot be looked after."),
                }
                tokio::select! {
                    () = channels.0.draining.cancelled() => break,
                    change = changed.changed() => if change.is_err() { break },
                }
            }
            for (_, link) in channels.links().drain() {
                link.stop.cancel();
            }
        });
    }

    fn links(&self) -> MutexGuard<'_, HashMap<SessionId, Link>> {
        self.0.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens what is missing and closes what is over.
    fn follow<'a>(&self, running: impl Iterator<Item = &'a Session>) {
        let running: HashMap<SessionId, &Session> = running.map(|session| (session.session, session)).collect();
        let mut links = self.links();
        links.retain(|session, link| {
            let goes_on = running.get(session).is_some_and(|session| session.generation == link.generation);
            if !goes_on {
                link.stop.cancel();
            }
            goes_on
        });
        let mut opened = false;
        for (name, session) in running {
            links.entry(name).or_insert_with(|| {
                opened = true;
                self.open(session)
            });
        }
        drop(links);
        if opened {
            self.announce();
        }
    }

    fn open(&self, session: &Session) -> Link {
        let stop = self.0.draining.child_token();
        let standing = watch::Sender::new(Standing::Opening);
        let link = Link { generation: session.generation, stop: stop.clone(), standing: standing.subscribe() };
        let (channels, session) = (self.clone(), session.clone());
        self.0.tasks.spawn(async move { link::keep(channels, session, standing, stop).await });
        link
    }

    fn announce(&self) {
        self.0.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The link of a session, once it is there.
    async fn standing(&self, session: SessionId) -> watch::Receiver<Standing> {
        let mut changed = self.0.changed.subscribe();
        loop {
            if let Some(link) = self.links().get(&session) {
                return link.standing.clone();
            }
            if changed.changed().await.is_err() {
                // The sender lives as long as this.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Hands a prompt to the agent of a session over its channel; `None` when it has none and its terminal is the road.
    pub async fn prompt(&self, session: SessionId, text: String) -> Option<Result<String, RpcError>> {
        let (row, socket) = match self.0.sessions.row(session).await {
            Ok(row) => (row.session, row.socket),
            Err(error) => return Some(Err(error)),
        };
        let name = row.channel.clone()?;
        let has_terminal = row.cols > 0;
        let lost = |why: &str| {
            // What has a terminal is typed to.
            (!has_terminal).then(|| {
                let message = format!("session {session} cannot be prompted: its channel `{name}` is lost: {why}");
                Err(RpcError::new(ErrorKind::FailedPrecondition, message)
                    .with_hint("stop it, then `session.resume` takes its conversation up again"))
            })
        };
        if let Some(why) = &row.channel_lost {
            return lost(why);
        }
        let handing = async {
            if has_terminal && row.conversation.is_none() {
                // Its interface shows the conversation that the prompt begins if it is there to be told.
                let composer = ready::until_composer(&row, row.created_at_ms, Path::new(&socket)).await;
                if let Err(error) = composer {
                    tracing::debug!(%session, %error, "A prompt goes over the channel before its interface is seen.");
                }
            }
            let mut standing = self.standing(session).await;
            let prompts = loop {
                match &*standing.borrow_and_update() {
                    Standing::Open(prompts) => break prompts.clone(),
                    Standing::Lost(why) => return lost(why),
                    Standing::Opening => {}
                }
                if standing.changed().await.is_err() {
                    return lost("it was closed");
                }
            };
            let id = self.0.next_prompt.fetch_add(1, Ordering::Relaxed);
            Some(prompts.hand_over(id, text).await.map(|()| format!("{name}: the engine has it")))
        };
        match tokio::time::timeout(PROMPT, handing).await {
            Ok(handed) => handed,
            Err(_) => Some(Err(RpcError::new(
                ErrorKind::DeadlineExceeded,
                format!(
                    "the agent of session {session} did not take the text within {} s; it may still",
                    PROMPT.as_secs()
                ),
            )
            .with_hint("`session.log` or `session.screen` shows whether it did"))),
        }
    }
}

impl PromptRoad for Channels {
    fn prompt(&self, session: SessionId, text: String) -> Prompted {
        let channels = self.clone();
        Box::pin(async move { Channels::prompt(&channels, session, text).await })
    }
}
