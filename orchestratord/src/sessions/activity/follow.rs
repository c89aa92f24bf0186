//! One session from its start to its end: its terminal is watched, and what is concluded is recorded.

use orx_client::{Client, ConnectOptions, Notifications};
use orx_protocol::activity::{AgentState, Observation, Source};
use orx_protocol::api::Empty;
use orx_protocol::api::session::{Session, SessionState};
use orx_protocol::hold::method;
use orx_protocol::process::EndReason;
use orx_protocol::watch::{CHANGED, Changed};
use orx_protocol::{SessionId, clock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

use super::record::Recorded;
use super::{Activities, Live, version};

/// How long a holder may take to answer that it tells.
const ANSWER: Duration = Duration::from_secs(10);
/// First pause before a holder is asked again that did not answer; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest such pause.
const PAUSE_LIMIT: Duration = Duration::from_secs(5);
/// How sure it is that a process on pipes works, in percent: it has nobody to wait for.
const HEADLESS: u8 = 75;

/// The watch of one terminal.
struct Watch {
    notifications: Notifications,
    /// The connection lives as long as this does.
    _client: Client,
}

/// Follows a session to its end, or the daemon's.
pub(super) async fn follow(activities: &Activities, session: Session, told: Arc<Notify>) {
    let id = session.session;
    let mut recorded = Recorded::new(session.activity.clone());
    let mut records = activities.0.sessions.changes();
    let mut watch: Option<Watch> = None;
    let (mut pause, mut again) = (PAUSE, Instant::now());
    loop {
        records.mark_unchanged();
        let Ok(row) = activities.0.sessions.row(id).await else { break };
        if row.session.state.is_final() {
            ended(activities, &row.session, &recorded).await;
            break;
        }
        take_generation(activities, &row.session);
        // An agent on pipes with a channel says itself what it does.
        if row.session.cols == 0 && row.session.channel.is_none() && row.session.state == SessionState::Running {
            works(activities, id);
        }
        let watches = row.session.cols > 0 && row.session.state == SessionState::Running;
        if watches && watch.is_none() && again <= Instant::now() {
            watch = begin(&row.socket).await;
            if watch.is_none() {
                again = Instant::now() + pause;
                pause = (pause * 2).min(PAUSE_LIMIT);
            } else {
                pause = PAUSE;
            }
            set_watched(activities, id, watch.is_some());
        }
        // Until the record changes, the session is followed without another look at it.
        loop {
            let wakes = conclude(activities, id, &mut recorded).await;
            let retry = (watches && watch.is_none()).then_some(again);
            let wakes = wakes.into_iter().chain(retry).min();
            tokio::select! {
                () = activities.0.draining.cancelled() => return,
                changed = records.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    break;
                }
                () = told.notified() => {}
                news = next(&mut watch) => {
                    let Some(news) = news else {
                        watch = None;
                        again = Instant::now() + pause;
                        set_watched(activities, id, false);
                        break;
                    };
                    activities.tell_quietly(id, |live| {
                        live.observer.changed(news);
                        live.drawn.notify_one();
                    });
                }
                () = sleep_until(wakes) => {
                    if retry.is_some_and(|at| at <= Instant::now()) {
                        break;
                    }
                }
            }
        }
    }
    activities.live().remove(&id);
    activities.announce();
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// Asks a holder to tell; `None` when it does not.
async fn begin(socket: &str) -> Option<Watch> {
    let client = Client::connect_with(Path::new(&PathBuf::from(socket)), ConnectOptions::default()).await.ok()?;
    let notifications = client.notifications();
    let Empty {} = client.call_with_deadline(method::WATCH, &Empty {}, ANSWER).await.ok()?;
    Some(Watch { notifications, _client: client })
}

/// The next news; `None` when the holder is gone, or some were lost and it must be asked anew.
async fn next(watch: &mut Option<Watch>) -> Option<Changed> {
    let Some(watch) = watch else { return std::future::pending().await };
    loop {
        let notification = watch.notifications.recv().await.ok()?;
        if notification.method != CHANGED {
            continue;
        }
        return serde_json::from_str(notification.params?.get()).ok();
    }
}

fn set_watched(activities: &Activities, id: SessionId, watched: bool) {
    activities.tell_quietly(id, |live| {
        live.watched = watched;
        if !watched {
            live.observer.lost_sight(clock::now_ms());
        }
    });
}

/// Another process of the session is another beginning.
fn take_generation(activities: &Activities, session: &Session) {
    let rules = activities.rules(&session.engine);
    let mut is_new = false;
    activities.tell_quietly(session.session, |live| {
        is_new = live.generation != session.generation;
        if live.generation != session.generation {
            live.generation = session.generation;
            // The engine may have been brought up to date in the meantime.
            live.version = version::of(session);
            let fusion = orx_session::activity::Fusion::starting(clock::now_ms());
            live.observer = orx_session::activity::Observer::new(rules, live.version.clone(), fusion);
        }
    });
    if is_new {
        activities.tell_standing(session.session);
    }
}

/// A process on pipes has nobody to wait for: while it runs, it works.
fn works(activities: &Activities, id: SessionId) {
    let said = Observation {
        source: Source::Process,
        state: AgentState::Working,
        reason: "its process runs, on pipes".to_owned(),
        confidence: HEADLESS,
        at_ms: clock::now_ms(),
        until_ms: None,
    };
    activities.tell_quietly(id, |live| live.observer.observe(said));
}

/// Concludes, tells and records; gives when to conclude or to record again.
async fn conclude(activities: &Activities, id: SessionId, recorded: &mut Recorded) -> Option<Instant> {
    let (changed, activity, wakes_ms) = {
        let mut live = activities.live();
        let live = live.get_mut(&id)?;
        let changed = live.observer.conclude(clock::now_ms()).is_some();
        (changed, live.observer.activity().clone(), live.observer.wakes_at())
    };
    if changed {
        activities.announce();
    }
    let mut due = recorded.due(&activity);
    if due.is_some_and(|at| at <= Instant::now()) {
        let written = activities.write(id, activity.clone()).await;
        recorded.note(activity.clone(), written, Instant::now());
        due = recorded.due(&activity);
    }
    let wakes = wakes_ms.map(|at| Instant::now() + Duration::from_millis(at.saturating_sub(clock::now_ms())));
    wakes.into_iter().chain(due).min()
}

/// The end of the process is the last thing that is told of it. The record of the end carries it already; whoever reads
/// activities alone gets its event too.
async fn ended(activities: &Activities, session: &Session, recorded: &Recorded) {
    let reason = session.reason.unwrap_or(EndReason::Lost);
    let at_ms = session.ended_at_ms.unwrap_or_else(clock::now_ms);
    let last = {
        let mut live = activities.live();
        let Some(live) = live.get_mut(&session.session) else { return };
        live.observer.ended(reason, session.exit, at_ms);
        live.observer.conclude(clock::now_ms());
        live.observer.activity().clone()
    };
    activities.announce();
    if recorded.due(&last).is_some() {
        activities.write(session.session, last).await;
    }
}

impl Activities {
    /// As [`Self::tell`], by the session's own task, which concludes after it anyway.
    fn tell_quietly(&self, session: SessionId, tell: impl FnOnce(&mut Live)) {
        if let Some(live) = self.live().get_mut(&session) {
            tell(live);
        }
    }
}
