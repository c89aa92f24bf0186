//! Conversations that are set back with the files of a checkpoint, where their engine's records allow that. How those are
//! copied is `orx_engines`'.

use orx_engines::{Context, EngineKind};
use orx_protocol::api::life::{Checkpoint, Rewound};
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use orx_store::SessionRow;
use std::time::{Duration, Instant};

use super::Sessions;
use super::wish::Wish;

/// An engine collects lines for a moment before it writes them: Claude Code for 100 ms.
const COLLECTS: Duration = Duration::from_millis(250);
/// An agent that has been idle for longer has written all that it will, on a slow machine too: a turn without an end was cut
/// off by the end of an earlier process.
const WRITES_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(25);

/// A conversation that can be set back.
pub(super) struct Rewinding {
    kind: EngineKind,
    cwd: String,
    conversation: String,
    bytes: u64,
}

/// The conversation was left as it is.
pub(super) fn left(why: impl Into<String>) -> Rewound {
    Rewound { done: false, how: why.into() }
}

async fn off_thread<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, orx_engines::NotRewound> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(look).await {
        Ok(looked) => looked.map_err(|error| error.to_string()),
        Err(error) => Err(format!("looking failed: {error}")),
    }
}

impl Sessions {
    /// Waits until the engine of an agent that is idle has written down all of its last turn: what it has not written is no
    /// part of a checkpoint, and one that is held still writes nothing.
    pub(super) async fn until_written_down(&self, row: &SessionRow, idle_since_ms: u64, engines: &Context) {
        let kind = row.session.engine.parse::<EngineKind>().ok().filter(|kind| orx_engines::can_rewind(*kind));
        let (Some(kind), Some(conversation)) = (kind, &row.session.conversation) else { return };
        let idle = Duration::from_millis(clock::now_ms().saturating_sub(idle_since_ms));
        let (now, session) = (Instant::now(), row.session.session);
        let collected_at = now + COLLECTS.saturating_sub(idle);
        let deadline = now + WRITES_WITHIN.saturating_sub(idle);
        while Instant::now() < deadline {
            let (context, cwd, name) = (engines.clone(), row.session.cwd.clone(), conversation.clone());
            let look = move || Ok(orx_engines::transcript::ends_within_turn(kind, &context, &cwd, &name)?);
            match off_thread(look).await {
                Ok(false) if Instant::now() >= collected_at => return,
                Ok(_) => tokio::time::sleep(LOOK).await,
                Err(why) => {
                    tracing::debug!(%session, why, "It is not known whether a conversation is written down.");
                    return;
                }
            }
        }
    }

    /// How far the record of a session's conversation goes now; `None` where it could not be set back to that.
    pub(super) async fn conversation_bytes(&self, row: &SessionRow, engines: &Context) -> Option<u64> {
        let kind: EngineKind = row.session.engine.parse().ok()?;
        let conversation = row.session.conversation.clone().filter(|_| orx_engines::can_rewind(kind))?;
        let (context, cwd, session) = (engines.clone(), row.session.cwd.clone(), row.session.session);
        let looked = off_thread(move || orx_engines::moment(kind, &context, &cwd, &conversation)).await;
        looked
            .inspect_err(|why| tracing::info!(%session, why, "A checkpoint cannot set its conversation back."))
            .ok()
            .filter(|bytes| *bytes > 0)
    }

    /// Whether the conversation of a session can be set back to a checkpoint; nothing is changed.
    ///
    /// # Errors
    /// `FailedPrecondition` with the reason when it cannot.
    pub(super) async fn rewinding(
        &self,
        row: &SessionRow,
        checkpoint: &Checkpoint,
        engines: &Context,
    ) -> Result<Rewinding, RpcError> {
        let refused = |why: String| {
            let message = format!("session {}: its conversation cannot be set back: {why}", row.session.session);
            RpcError::new(ErrorKind::FailedPrecondition, message)
                .with_hint("without `rewind` the files alone are set back")
        };
        let kind: EngineKind = row.session.engine.parse()?;
        if Wish::load(&self.directory(row.session.session)).is_some_and(|wish| wish.outside.is_some()) {
            return Err(refused("its agent runs outside of orx".to_owned()));
        }
        if !orx_engines::can_rewind(kind) {
            return Err(refused(format!("{kind} cannot do that")));
        }
        let (Some(conversation), Some(bytes)) = (checkpoint.conversation.clone(), checkpoint.conversation_bytes) else {
            let why = format!("checkpoint {} does not say how far it went", checkpoint.sequence);
            return Err(refused(why));
        };
        let rewinding = Rewinding { kind, cwd: row.session.cwd.clone(), conversation, bytes };
        let (context, cwd, name) = (engines.clone(), rewinding.cwd.clone(), rewinding.conversation.clone());
        off_thread(move || orx_engines::check_moment(kind, &context, &cwd, &name, bytes)).await.map_err(refused)?;
        Ok(rewinding)
    }

    /// Sets the conversation of a session that does not run back, under a name of its own, and records that name.
    pub(super) async fn rewind(
        &self,
        session: SessionId,
        rewinding: Rewinding,
        engines: &Context,
    ) -> Result<Rewound, RpcError> {
        let Rewinding { kind, cwd, conversation, bytes } = rewinding;
        let new = orx_engines::conversation_name(SessionId::generate());
        let (context, name, old) = (engines.clone(), new.clone(), conversation.clone());
        off_thread(move || orx_engines::rewind(kind, &context, &cwd, &old, bytes, &name)).await.map_err(|why| {
            RpcError::new(
                ErrorKind::Storage,
                format!("session {session}: its conversation could not be set back: {why}"),
            )
        })?;
        self.record_conversation(session, new.clone()).await?;
        Ok(Rewound {
            done: true,
            how: format!("it ends where it ended at the checkpoint, as {new}; all of it stays as {conversation}"),
        })
    }
}
