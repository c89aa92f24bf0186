//! Steps of a session's life that a caller asks for: held still, let go on, said to be done, given up. Which step may
//! follow which is decided by `orx_session::life`.

use orx_protocol::api::Empty;
use orx_protocol::api::session::Session;
use orx_protocol::event::kind;
use orx_protocol::hold::{Ended, method};
use orx_protocol::life::{Life, Outcome};
use orx_protocol::process::EndReason;
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use orx_session::life;
use orx_store::{SessionRow, StoreError};
use std::path::Path;
use std::time::Duration;

use super::{Sessions, holder};

/// Grace of a session that is given up.
const GRACE: Duration = Duration::from_secs(5);

fn refused(session: SessionId, error: impl std::fmt::Display) -> RpcError {
    RpcError::new(ErrorKind::FailedPrecondition, format!("session {session}: {error}"))
}

impl Sessions {
    /// Moves a session to another place in its life, if that may follow; records the event of it.
    pub(super) async fn move_on(
        &self,
        session: SessionId,
        to: Life,
        change: impl FnOnce(&mut SessionRow) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.try_update(session, move |row| {
            let from = row.session.life;
            life::check(from, to).map_err(|error| StoreError::Conflict(format!("session {session}: {error}")))?;
            row.session.life = to;
            change(row);
            Ok(Some((kind::SESSION_LIFE, serde_json::json!({"from": from, "to": to}))))
        })
        .await
    }

    /// Holds a session's processes still. Its time does not run meanwhile.
    ///
    /// # Errors
    /// `FailedPrecondition` when it does not run; as the holder answers.
    pub async fn pause(&self, session: SessionId) -> Result<Session, RpcError> {
        let row = self.running(session).await?;
        if row.session.life == Life::Paused {
            return Ok(row.session);
        }
        life::check(row.session.life, Life::Paused).map_err(|error| refused(session, error))?;
        let Empty {} = holder::ask_now(Path::new(&row.socket), method::PAUSE, &Empty {}).await?;
        self.move_on(session, Life::Paused, |_| {}).await?;
        Ok(self.row(session).await?.session)
    }

    /// Lets a session that is held still go on.
    ///
    /// # Errors
    /// `FailedPrecondition` when it is not held still; as the holder answers.
    pub async fn go_on(&self, session: SessionId) -> Result<Session, RpcError> {
        let row = self.running(session).await?;
        if row.session.life != Life::Paused {
            return Err(refused(session, format!("it is {} and not paused", row.session.life)));
        }
        let Empty {} = holder::ask_now(Path::new(&row.socket), method::CONTINUE, &Empty {}).await?;
        self.move_on(session, Life::Running, |_| {}).await?;
        Ok(self.row(session).await?.session)
    }

    /// Records what a session, or who looks after it, says of its work; it counts at its end.
    ///
    /// # Errors
    /// `FailedPrecondition` when its process has ended.
    pub async fn finish(&self, session: SessionId, outcome: Outcome) -> Result<Session, RpcError> {
        self.running(session).await?;
        self.try_update(session, move |row| {
            if row.session.state.is_final() {
                return Err(StoreError::Conflict(format!("session {session} has ended meanwhile")));
            }
            row.session.terms.outcome = Some(outcome);
            Ok(Some((kind::SESSION_LIFE, serde_json::json!({"outcome": outcome}))))
        })
        .await?;
        Ok(self.row(session).await?.session)
    }

    /// Gives a session up for good: one that waits, is paused, or ended badly. One that works is stopped first, by its
    /// own word.
    ///
    /// # Errors
    /// `FailedPrecondition` when it may not be given up as it is.
    pub async fn cancel(&self, session: SessionId) -> Result<Session, RpcError> {
        let row = self.row(session).await?;
        let from = row.session.life;
        if from == Life::Cancelled {
            return Ok(row.session);
        }
        life::check(from, Life::Cancelled)
            .map_err(|error| refused(session, error).with_hint("`session.stop` ends one that runs"))?;
        if from == Life::Queued {
            self.leave_queue(session).await?;
        } else if !row.session.state.is_final() {
            self.stop(session, GRACE).await?;
        }
        self.move_on(session, Life::Cancelled, |_| {}).await?;
        Ok(self.row(session).await?.session)
    }

    /// Ends a session that waits for a place; nothing of it runs.
    pub(super) async fn leave_queue(&self, session: SessionId) -> Result<(), StoreError> {
        self.0.places.plans().remove(&session);
        let ended = Ended {
            exit: None,
            reason: EndReason::Stopped,
            message: Some("it was ended while it waited for a place".to_owned()),
            ended_at_ms: clock::now_ms(),
        };
        self.record_end(session, ended).await
    }
}
