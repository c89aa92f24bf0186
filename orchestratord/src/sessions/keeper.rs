//! The daemon's own hold on sessions: duplicates of their terminals, from which a holder that died together with its keeper is
//! replaced; and what can be said of how well a session survives. Under systemd the duplicates are in its descriptor store
//! too, and outlive the daemon.
//!
//! As a rule a killed holder is replaced by its keeper (`pty-proxy`), without the daemon; this is what remains when both
//! are gone.

use nix::sys::socket::setsockopt;
use nix::sys::time::{TimeVal, TimeValLike};
use orx_protocol::api::Empty;
use orx_protocol::api::session::{Session, SessionState, Survival, SurvivalLevel};
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::hold::{Descriptors, HAND_OVER_VERSION, HandOver, Holder, file, method};
use orx_protocol::limits::FRAME_KNOWN;
use orx_protocol::places::variable;
use orx_protocol::rpc::{self, CallId, Incoming};
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_sandbox::{descriptors, environment, identity};
use sd_notify::NotifyState;
use std::collections::HashMap;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::again::keeps_files;
use super::wish::Wish;
use super::{Sessions, holder};

/// How long a holder may take to hand over duplicates.
const LIMIT: Duration = Duration::from_secs(10);
/// Pause before another holder is started again that could not be.
const AGAIN: Duration = Duration::from_secs(1);
/// The longest such pause.
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// What the names of descriptors begin with that systemd stores for a session.
const STORED: &str = "orx.";

/// The duplicates that this daemon has.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<SessionId, Vec<OwnedFd>>>);

impl Kept {
    /// Descriptors that another daemon stored with systemd, by their names there.
    pub(super) fn from_store(stored: Vec<(String, OwnedFd)>) -> Self {
        let mut found: HashMap<SessionId, Vec<(usize, OwnedFd)>> = HashMap::new();
        for (name, descriptor) in stored {
            if let Some((session, place)) = session_of(&name) {
                found.entry(session).or_default().push((place, descriptor));
            }
        }
        let sorted = found.into_iter().map(|(session, mut descriptors)| {
            descriptors.sort_by_key(|(place, _)| *place);
            // One that was stored twice comes twice.
            descriptors.dedup_by_key(|(place, _)| *place);
            (session, descriptors.into_iter().map(|(_, descriptor)| descriptor).collect())
        });
        Self(Mutex::new(sorted.collect()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Vec<OwnedFd>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps duplicates of a session's terminal, here and with systemd.
    fn keep(&self, session: SessionId, taken: Vec<OwnedFd>) {
        for (place, descriptor) in taken.iter().enumerate() {
            let name = stored_name(session, place);
            // Not watched: a terminal that nobody has open is to be stored too.
            let states = [NotifyState::FdStore, NotifyState::FdName(&name), NotifyState::Custom("FDPOLL=0")];
            if let Err(error) = sd_notify::notify_with_fds(&states, &[descriptor.as_fd()]) {
                tracing::warn!(%session, %error, "A terminal could not be stored with the service manager.");
            }
        }
        self.lock().insert(session, taken);
    }

    /// Whether this daemon has a session's terminal.
    fn has(&self, session: SessionId) -> bool {
        self.lock().contains_key(&session)
    }

    /// Duplicates of the duplicates, for a new holder.
    fn copies(&self, session: SessionId) -> Option<std::io::Result<Vec<OwnedFd>>> {
        self.lock().get(&session).map(|kept| kept.iter().map(OwnedFd::try_clone).collect())
    }

    /// The session is over.
    pub(super) fn forget(&self, session: SessionId) {
        let Some(kept) = self.lock().remove(&session) else { return };
        for place in 0..kept.len() {
            let name = stored_name(session, place);
            if let Err(error) = sd_notify::notify(&[NotifyState::FdStoreRemove, NotifyState::FdName(&name)]) {
                tracing::warn!(%session, %error, "A terminal stays stored with the service manager.");
            }
        }
    }

    /// Sessions whose terminals are kept.
    pub(super) fn sessions(&self) -> Vec<SessionId> {
        self.lock().keys().copied().collect()
    }
}

fn stored_name(session: SessionId, place: usize) -> String {
    format!("{STORED}{session}.{place}")
}

fn session_of(name: &str) -> Option<(SessionId, usize)> {
    let (session, place) = name.strip_prefix(STORED)?.rsplit_once('.')?;
    Some((session.parse().ok()?, place.parse().ok()?))
}

/// Whether systemd hands back a descriptor of this name for a session, and not to listen on.
#[must_use]
pub fn is_stored_name(name: &str) -> bool {
    session_of(name).is_some()
}

impl Sessions {
    /// Takes duplicates of a session's terminal from its holder. A session that cannot be kept that way still has its keeper.
    pub(super) async fn keep_terminal(&self, session: SessionId, socket: &Path) {
        let socket = socket.to_owned();
        let taken = tokio::task::spawn_blocking(move || take(&socket)).await;
        match taken {
            Ok(Ok(taken)) => self.0.kept.keep(session, taken),
            Ok(Err(error)) => tracing::warn!(%session, %error, "The terminal of a session is not kept by the daemon."),
            Err(error) => tracing::error!(%session, %error, "Taking a terminal failed."),
        }
    }

    /// Starts another holder for a session whose holder and keeper are gone, while its program lives; `None` when there is
    /// nothing to hold any more.
    pub(super) async fn replace_holder(&self, session: SessionId, gone: &Holder) -> Option<Holder> {
        let mut pause = AGAIN;
        loop {
            if !gone.is_of_boot(identity::boot().as_deref()) || !identity::is_alive(gone.child) {
                return None;
            }
            let outputs = match self.0.kept.copies(session)? {
                Ok(outputs) => outputs,
                Err(error) => {
                    tracing::error!(%session, %error, "A terminal cannot be handed over.");
                    return None;
                }
            };
            match start(&self.0.program, &self.directory(session), session, gone, &outputs).await {
                Ok(next) => return Some(next),
                Err(why) => tracing::error!(%session, why, "Another holder could not be started; it is tried again."),
            }
            // The daemon's end leaves it to the next one, where that has the terminal too.
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.stopping.cancelled() => return None,
            }
            pause = (pause * 2).min(AGAIN_MOST);
        }
    }

    /// Gives up stored terminals of sessions that are over.
    pub(super) fn forget_all_but(&self, wanted: &[SessionId]) {
        for session in self.0.kept.sessions() {
            if !wanted.contains(&session) {
                self.0.kept.forget(session);
            }
        }
    }

    /// A session as callers see it: with how well it survives.
    pub(super) fn shown(&self, mut row: orx_store::SessionRow) -> Session {
        let session = row.session.session;
        let left = Left {
            keeper: row.holder.as_ref().and_then(|holder| holder.keeper).is_some_and(identity::is_alive),
            daemon: self.0.kept.has(session),
            recording: row.session.state.is_final() && self.directory(session).join(file::RECORDING).exists(),
            silent: row.session.state.is_final() && keeps_files(&row.session) && self.is_silent(&row.session),
        };
        row.session.survival = survival(&row.session, left);
        row.session
    }
}

impl Sessions {
    /// Whether the engine of a session that ended keeps nothing of its conversation. What is not known is not said.
    fn is_silent(&self, session: &Session) -> bool {
        let (Some(conversation), Ok(kind)) = (&session.conversation, session.engine.parse()) else { return false };
        let Some(wish) = Wish::load(&self.directory(session.session)) else { return false };
        // Its variables may have moved the files, and an agent outside of orx has its own.
        if wish.has_variables() || wish.outside.is_some() {
            return false;
        }
        let Some(basis) = self.basis() else { return false };
        orx_engines::transcript::is_kept(kind, &basis.engines, &session.cwd, conversation) == Some(false)
    }
}

/// What there is beside a session's record.
#[derive(Debug, Clone, Copy, Default)]
struct Left {
    keeper: bool,
    daemon: bool,
    recording: bool,
    /// Its engine keeps nothing of its conversation.
    silent: bool,
}

/// How well a session survives.
fn survival(session: &Session, left: Left) -> Survival {
    let kept = left.keeper || left.daemon;
    let of = |level, kept, reason: &str| Survival { level, reason: reason.to_owned(), kept };
    match session.state {
        SessionState::Starting => of(SurvivalLevel::None, false, "its process is not started yet"),
        SessionState::Running => {
            let who = match (left.keeper, left.daemon) {
                (true, true) => {
                    "its keeper and the daemon keep its terminal open, and start another holder when this one dies"
                }
                (true, false) => "its keeper keeps its terminal open and starts another holder when this one dies",
                (false, true) => "the daemon keeps its terminal open and starts another holder when this one dies",
                (false, false) => "its holder alone keeps its terminal open: the session ends with it",
            };
            of(SurvivalLevel::Live, kept, who)
        }
        SessionState::Ended | SessionState::Failed | SessionState::Unknown => {
            let how = match (&session.message, session.state) {
                (Some(message), _) => message.clone(),
                (None, SessionState::Failed) => "its process did not start".to_owned(),
                (None, SessionState::Unknown) => "how its process ended is not known".to_owned(),
                (None, _) => "its process ended".to_owned(),
            };
            let how = if left.silent {
                format!("{how}; its engine keeps no conversation, since nothing was said in it")
            } else {
                how
            };
            if session.conversation.is_some() && session.state != SessionState::Failed && !left.silent {
                let reason = format!("{how}; `orxctl resume` takes its conversation up again");
                return of(SurvivalLevel::Resumable, false, &reason);
            }
            if left.recording {
                return of(SurvivalLevel::Replay, false, &format!("{how}; what it showed was recorded"));
            }
            of(SurvivalLevel::None, false, &format!("{how}; nothing of it was kept"))
        }
    }
}

/// Starts a holder that takes over what `gone` held.
async fn start(
    program: &Path,
    directory: &Path,
    session: SessionId,
    gone: &Holder,
    outputs: &[OwnedFd],
) -> Result<Holder, String> {
    let told = HandOver {
        version: HAND_OVER_VERSION,
        child: gone.child,
        started_at_ms: gone.started_at_ms,
        outputs: outputs.iter().map(AsRawFd::as_raw_fd).collect(),
        listener: None,
        lock: None,
        unsaved: None,
        link: None,
        keeper: None,
        exit: None,
        serving: None,
    };
    let told = serde_json::to_vec(&told).map_err(|error| error.to_string())?;
    let file = descriptors::nameless(&told).map_err(|error| format!("nothing can be handed over: {error}"))?;
    let mut passed: Vec<BorrowedFd<'_>> = outputs.iter().map(AsFd::as_fd).collect();
    passed.push(file.as_fd());
    let number = file.as_raw_fd().to_string();
    // The program has its environment; its new holder needs none of that but the mark by which it is known.
    let mut own = environment::base(&environment::own());
    own.insert(variable::SESSION.to_owned(), session.to_string());
    holder::report(program, directory, &["--take-over", &number], &own, &passed).await
}

/// Asks a holder for duplicates of its program's terminal.
fn take(socket: &Path) -> Result<Vec<OwnedFd>, RpcError> {
    let failed = |error: std::io::Error| {
        RpcError::new(ErrorKind::Unavailable, format!("the session's holder does not answer: {error}"))
    };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    let limit = TimeVal::seconds(i64::try_from(LIMIT.as_secs()).unwrap_or(i64::MAX));
    setsockopt(&stream, nix::sys::socket::sockopt::ReceiveTimeout, &limit).map_err(|errno| failed(errno.into()))?;
    setsockopt(&stream, nix::sys::socket::sockopt::SendTimeout, &limit).map_err(|errno| failed(errno.into()))?;
    let body = rpc::call(Some(&CallId::Number(1)), method::DESCRIPTORS, &Empty {})?;
    let mut wire = bytes::BytesMut::new();
    frame::encode(&body, &mut wire).map_err(|error| RpcError::new(ErrorKind::TooLarge, error.to_string()))?;
    stream.write_all(&wire).map_err(failed)?;
    let mut decoder = FrameDecoder::new(FRAME_KNOWN);
    let mut taken = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let (count, came) = descriptors::receive(stream.as_fd(), &mut buffer).map_err(failed)?;
        if count == 0 {
            return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
        }
        taken.extend(came);
        decoder.buffer().extend_from_slice(buffer.get(..count).unwrap_or_default());
        let Some(body) = decoder.next().map_err(|error| RpcError::new(ErrorKind::Internal, error.to_string()))? else {
            continue;
        };
        let odd = || RpcError::new(ErrorKind::Internal, "the holder answered with something else than its terminal");
        let Ok(Incoming::Answer { outcome, .. }) = Incoming::parse(&body) else { return Err(odd()) };
        let told: Descriptors = serde_json::from_str(outcome?.get()).map_err(|_| odd())?;
        return if told.count == taken.len() && !taken.is_empty() { Ok(taken) } else { Err(odd()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_terminals_are_told_from_sockets_and_sorted() {
        let session = SessionId::generate();
        let open = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        assert!(is_stored_name(&stored_name(session, 1)));
        for name in ["orchestratord.socket", "orx.socket", "orx.ses_x.0", "stored", "connection", ""] {
            assert!(!is_stored_name(name), "{name}");
        }
        let kept = Kept::from_store(vec![
            (stored_name(session, 1), open()),
            (stored_name(session, 0), open()),
            (stored_name(session, 0), open()),
            ("stored".to_owned(), open()),
        ]);
        assert_eq!(kept.sessions(), [session]);
        assert_eq!(kept.copies(session).unwrap().unwrap().len(), 2);
        kept.forget(session);
        assert!(!kept.has(session));
    }

    #[test]
    fn what_is_left_of_a_session_is_said_with_its_reason() {
        let session = Session::starting(SessionId::generate(), "claude", "/", 1);
        let running = Session { state: SessionState::Running, ..session.clone() };
        let talking = Session { conversation: Some("c".to_owned()), ..session.clone() };
        let all = Left { keeper: true, daemon: true, recording: true, silent: false };
        let none = Left::default();
        for (session, left, level, kept, said) in [
            (session.clone(), all, SurvivalLevel::None, false, "not started yet"),
            (running.clone(), all, SurvivalLevel::Live, true, "its keeper and the daemon"),
            (running.clone(), Left { keeper: false, ..all }, SurvivalLevel::Live, true, "the daemon keeps"),
            (running.clone(), Left { daemon: false, ..all }, SurvivalLevel::Live, true, "its keeper keeps"),
            (running, none, SurvivalLevel::Live, false, "its holder alone"),
            (
                Session {
                    state: SessionState::Unknown,
                    message: Some("the machine was restarted".into()),
                    ..talking.clone()
                },
                all,
                SurvivalLevel::Resumable,
                false,
                "the machine was restarted; `orxctl resume`",
            ),
            (
                Session { state: SessionState::Ended, ..talking.clone() },
                Left { silent: true, ..all },
                SurvivalLevel::Replay,
                false,
                "nothing was said in it; what it showed",
            ),
            (
                Session { state: SessionState::Failed, ..talking.clone() },
                none,
                SurvivalLevel::None,
                false,
                "did not start",
            ),
            (
                Session { state: SessionState::Ended, ..session.clone() },
                all,
                SurvivalLevel::Replay,
                false,
                "was recorded",
            ),
            (Session { state: SessionState::Ended, ..session }, none, SurvivalLevel::None, false, "nothing of it"),
        ] {
            let survival = survival(&session, left);
            assert_eq!((survival.level, survival.kept), (level, kept), "{survival:?}");
            assert!(survival.reason.contains(said), "{survival:?}");
        }
    }
}
