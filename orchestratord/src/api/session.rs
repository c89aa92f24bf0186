//! `session.*`.

use orx_engines::channel::ChannelKind;
use orx_protocol::api::Empty;
use orx_protocol::api::delivery::{Messages, SendParams, Sent};
use orx_protocol::api::explain::{DetectParams, Detection, Explanation, RulesListed, RulesParams};
use orx_protocol::api::session::{
    AttachParams, CreateParams, Created, Interrupted, KeysParams, ListParams, Log, LogParams, ResizeParams, Session,
    SessionParams, Sessions, StopParams, Stopped, UpgradeParams, Upgrades, WaitParams, Waited,
};
use orx_protocol::hold::{ScreenText, TerminalSize, file, method};
use orx_protocol::rpc::{self, CallId};
use orx_protocol::{ErrorKind, RpcError};
use serde_json::value::RawValue;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::daemon::Daemon;
use crate::sessions::{create as creation, holder, log as output};

/// Name of the method that switches a connection over; the listeners deal with it.
pub const ATTACH: &str = "session.attach";

/// Milliseconds of a stop's grace where none are named.
const GRACE_MS: u64 = 5000;
/// Longest grace and longest wait, in milliseconds.
const WAIT_MAX_MS: u64 = 24 * 3600 * 1000;
/// Lines of a page where no limit is named.
const LINES: u32 = 1000;
/// Most lines of a page.
const LINES_MAX: u32 = 10_000;

/// A request to attach, with the identifier that its answer needs.
#[derive(Debug)]
pub struct AttachRequest {
    /// The request's identifier.
    pub id: CallId,
    /// Its parameters.
    pub params: AttachParams,
}

impl AttachRequest {
    /// Reads the request.
    ///
    /// # Errors
    /// `InvalidRequest` without an identifier, `InvalidParams`.
    pub fn read(id: Option<CallId>, params: Option<&RawValue>) -> Result<Self, RpcError> {
        let params = rpc::params(ATTACH, params)?;
        let id = id.ok_or_else(|| RpcError::new(ErrorKind::InvalidRequest, "`session.attach` needs an `id`"))?;
        Ok(Self { id, params })
    }
}

pub(super) async fn create(daemon: Arc<Daemon>, params: CreateParams) -> Result<Created, RpcError> {
    daemon.refuse_when_draining()?;
    let mut params = params;
    daemon.sessions.fill_channel(&mut params);
    if params.worktree {
        // A wish that is refused leaves no worktree behind.
        creation::check(&params, &daemon.engines(), None)?;
        params.cwd = daemon.runs.session_worktree(&params.cwd).await?;
    }
    let mut plan = creation::plan(&params, &daemon.engines())?;
    daemon.sessions.confine(&mut plan).await?;
    let session = plan.session;
    let holder = daemon.sessions.admit(&params, plan).await?;
    daemon.sessions.learn_conversation(session, daemon.engines());
    Ok(Created { session, pid: holder.map(|holder| holder.child.pid) })
}

pub(super) async fn list(daemon: Arc<Daemon>, params: ListParams) -> Result<Sessions, RpcError> {
    Ok(Sessions { sessions: daemon.sessions.list(params.all).await? })
}

pub(super) async fn get(daemon: Arc<Daemon>, params: SessionParams) -> Result<Session, RpcError> {
    daemon.sessions.get(params.session).await
}

pub(super) fn send(
    daemon: &Arc<Daemon>,
    params: SendParams,
) -> impl Future<Output = Result<Sent, RpcError>> + Send + use<> {
    daemon.deliveries.send(params)
}

pub(super) async fn messages(daemon: Arc<Daemon>, params: SessionParams) -> Result<Messages, RpcError> {
    daemon.deliveries.messages(params.session).await
}

pub(super) async fn keys(daemon: Arc<Daemon>, params: KeysParams) -> Result<Empty, RpcError> {
    let row = daemon.sessions.running(params.session).await?;
    holder::ask_now(Path::new(&row.socket), method::KEYS, &serde_json::json!({"keys": params.keys})).await
}

pub(super) async fn interrupt(daemon: Arc<Daemon>, params: SessionParams) -> Result<Interrupted, RpcError> {
    daemon.channels.interrupt(params.session).await
}

pub(super) async fn resize(daemon: Arc<Daemon>, params: ResizeParams) -> Result<Empty, RpcError> {
    let row = daemon.sessions.running(params.session).await?;
    let size = TerminalSize { cols: params.cols, rows: params.rows }.clamped();
    let Empty {} = holder::ask_now(Path::new(&row.socket), method::RESIZE, &size).await?;
    daemon.sessions.record_size(params.session, size).await?;
    Ok(Empty {})
}

pub(super) async fn screen(daemon: Arc<Daemon>, params: SessionParams) -> Result<ScreenText, RpcError> {
    let row = daemon.sessions.row(params.session).await?;
    if !row.session.state.is_final() {
        let screen = holder::ask_now(Path::new(&row.socket), method::SCREEN, &Empty {}).await;
        // It may have ended between the look and the question; then its last screen is in its directory.
        if screen.is_ok() || !daemon.sessions.row(params.session).await?.session.state.is_final() {
            return screen;
        }
    }
    let path = daemon.sessions.directory(params.session).join(file::SCREEN);
    let kept = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    kept.ok_or_else(|| {
        RpcError::new(ErrorKind::FailedPrecondition, format!("session {} left no screen", params.session))
            .with_hint("`session.log` reads what it wrote")
    })
}

pub(super) async fn log(daemon: Arc<Daemon>, params: LogParams) -> Result<Log, RpcError> {
    let limit = params.limit.unwrap_or(LINES);
    if limit == 0 || limit > LINES_MAX {
        return Err(RpcError::new(
            ErrorKind::InvalidParams,
            format!("`session.log`: `limit` is {limit}, it must be 1 to {LINES_MAX}"),
        ));
    }
    let row = daemon.sessions.row(params.session).await?;
    let directory: PathBuf = daemon.sessions.directory(params.session);
    let ended = row.session.state.is_final();
    // An agent without a terminal writes for its channel, not for people.
    let speaks_acp = row.session.channel.as_deref() == Some(ChannelKind::Acp.name());
    let reading = tokio::task::spawn_blocking(move || {
        if speaks_acp && !params.stderr {
            return output::exchange(&directory, params.from.unwrap_or(0), limit as usize, ended);
        }
        output::read(&directory, params.stderr, params.from.unwrap_or(0), limit as usize, ended)
    });
    reading.await.map_err(|error| RpcError::new(ErrorKind::Internal, format!("reading the output failed: {error}")))?
}

pub(super) async fn wait(daemon: Arc<Daemon>, params: WaitParams) -> Result<Waited, RpcError> {
    let limit = Duration::from_millis(params.timeout_ms.min(WAIT_MAX_MS));
    let states = params.until.agent_states();
    if !states.is_empty() {
        let activity = daemon.activities.wait_for(params.session, states, limit).await?;
        return Ok(Waited { state: daemon.sessions.row(params.session).await?.session.state, activity });
    }
    let state = daemon.sessions.wait(params.session, params.until, limit).await?;
    let activity = daemon.activities.of(params.session);
    let recorded = daemon.sessions.row(params.session).await?.session.activity;
    Ok(Waited { state, activity: activity.filter(|_| !state.is_final()).unwrap_or(recorded) })
}

pub(super) async fn stop(daemon: Arc<Daemon>, params: StopParams) -> Result<Stopped, RpcError> {
    let grace = Duration::from_millis(params.grace_ms.unwrap_or(GRACE_MS).min(WAIT_MAX_MS));
    Ok(Stopped { exit: daemon.sessions.stop(params.session, grace).await?.exit })
}

pub(super) async fn upgrade(daemon: Arc<Daemon>, params: UpgradeParams) -> Result<Upgrades, RpcError> {
    daemon.sessions.upgrade(params).await
}

pub(super) async fn explain(daemon: Arc<Daemon>, params: SessionParams) -> Result<Explanation, RpcError> {
    daemon.activities.explain(params.session).await
}

pub(super) async fn detect(daemon: Arc<Daemon>, params: DetectParams) -> Result<Detection, RpcError> {
    daemon.activities.detect(params).await
}

pub(super) fn rules(daemon: &Arc<Daemon>, params: RulesParams) -> Result<RulesListed, RpcError> {
    daemon.activities.listed(&params)
}
