//! Sessions as the pipeline uses them: on pipes, named by the pipeline, found again under that name.

use orx_pipeline::{HeldOutcome, HeldRequest, HostError, SessionHost};
use orx_protocol::api::session::Until;
use orx_protocol::hold::Ended;
use orx_protocol::life::Priority;
use orx_protocol::process::EndReason;
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

use super::Sessions;
use super::confine::Wish;
use super::create::Plan;

/// Longest single wait; it is renewed after that.
const WAIT: Duration = Duration::from_secs(24 * 3600);

/// Holds the pipeline's processes.
#[derive(Clone)]
pub struct Host {
    sessions: Sessions,
    /// Cancelled when the daemon ends: who waits then leaves the process to the next daemon.
    draining: CancellationToken,
}

impl Host {
    /// A host over the daemon's sessions.
    #[must_use]
    pub const fn new(sessions: Sessions, draining: CancellationToken) -> Self {
        Self { sessions, draining }
    }

    async fn ended(&self, session: SessionId) -> Result<HeldOutcome, HostError> {
        loop {
            let state = tokio::select! {
                state = self.sessions.wait(session, Until::Ended, WAIT) => state,
                () = self.draining.cancelled() => return Err(HostError::Draining),
            };
            if state.map_err(|error| refused(session, &error))?.is_final() {
                break;
            }
        }
        let row = self.sessions.row(session).await.map_err(|error| refused(session, &error))?.session;
        let ended = Ended {
            exit: row.exit,
            reason: row.reason.unwrap_or(EndReason::Lost),
            message: row.message,
            ended_at_ms: row.ended_at_ms.unwrap_or_else(clock::now_ms),
        };
        Ok(HeldOutcome { ended, directory: self.sessions.directory(session) })
    }
}

fn refused(session: SessionId, error: &RpcError) -> HostError {
    match error.kind() {
        ErrorKind::NotFound => HostError::Unknown(session),
        ErrorKind::Draining => HostError::Draining,
        _ => HostError::Failed(error.to_string()),
    }
}

impl SessionHost for Host {
    async fn start(&self, request: HeldRequest) -> Result<(), HostError> {
        if self.draining.is_cancelled() {
            return Err(HostError::Draining);
        }
        let session = request.session;
        if self.sessions.find(session).await.map_err(|error| HostError::Failed(error.to_string()))?.is_some() {
            return Ok(());
        }
        let plan = Plan {
            session,
            wish: Wish { own_repository: true, read_only: !request.writes, ..Wish::default() },
            engine: request.engine,
            argv: request.argv,
            confined_argv: request.confined_argv,
            cwd: request.cwd.to_string_lossy().into_owned(),
            environment: request.environment,
            input: request.input,
            terminal: None,
            title: Some(request.title),
            owner: Some(request.owner),
            deadline: Some(Duration::from_millis(request.deadline_ms)),
            priority: Priority::default(),
            conversation: None,
            confined: None,
            channel: None,
            outside: None,
        };
        match self.sessions.start(plan).await {
            Ok(_) => Ok(()),
            // Another call for the same session was faster.
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            Err(error) => Err(HostError::Failed(error.to_string())),
        }
    }

    async fn wait(&self, session: SessionId) -> Result<HeldOutcome, HostError> {
        self.ended(session).await
    }

    async fn stop(&self, session: SessionId, grace: Duration) -> Result<(), HostError> {
        self.sessions.stop(session, grace).await.map(|_| ()).map_err(|error| refused(session, &error))
    }
}
