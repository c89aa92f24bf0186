//! The names of conversations that an engine chose itself: learnt from its own files as soon as they are there, so that
//! the conversation can be taken up again also when everything else is gone.
//!
//! A conversation is only taken for a session's when it can be nobody else's: while another session of the same engine
//! in the same directory has no name yet, and when a name is another session's already, nothing is concluded.

use orx_engines::{Context, EngineKind};
use orx_protocol::event::kind;
use orx_protocol::{RpcError, SessionId};
use orx_store::{SessionRow, StoreError, sessions as table};
use std::time::Duration;

use super::Sessions;

/// Pauses between looks: a CLI writes its files with its first prompt, which may come soon or after hours.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Most sessions that are compared with.
const OTHERS: u32 = 10_000;

/// Whether a conversation of this row could be found in files.
fn can_be_learnt(row: &SessionRow) -> Option<EngineKind> {
    let kind: EngineKind = row.session.engine.parse().ok()?;
    let unknown = row.session.conversation.is_none() && row.session.owner.is_none();
    (unknown && kind != EngineKind::Command && orx_engines::can_resume(kind)).then_some(kind)
}

impl Sessions {
    /// Looks for the name of a session's conversation until it is known or the session has ended, as a task of the daemon.
    pub fn learn_conversation(&self, session: SessionId, engines: Context) {
        let sessions = self.clone();
        self.0.tasks.spawn(async move {
            let mut pause = FIRST_PAUSE;
            loop {
                let Ok(row) = sessions.row(session).await else { return };
                let is_over = row.session.state.is_final();
                match sessions.find_conversation(&row, &engines).await {
                    Ok(None) if !is_over => {}
                    Ok(_) => return,
                    Err(error) => {
                        tracing::debug!(%session, %error, "The files of a session's engine cannot be looked at.")
                    }
                }
                if is_over || can_be_learnt(&row).is_none() {
                    return;
                }
                // The end of the session is a reason to look at once; other changes are not.
                let ended = sessions.wait(session, orx_protocol::api::session::Until::Ended, pause);
                if tokio::select! { state = ended => state.is_err(), () = sessions.0.stopping.cancelled() => true } {
                    return;
                }
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
    }

    /// Learns the names of the conversations of all sessions that run, after a start of the daemon.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn learn_conversations(&self, engines: &Context) -> Result<(), StoreError> {
        for row in self.store().read(table::unfinished).await? {
            if can_be_learnt(&row).is_some() {
                self.learn_conversation(row.session.session, engines.clone());
            }
        }
        Ok(())
    }

    /// The name of a session's conversation, looked for and recorded where it is not known yet.
    pub(super) async fn find_conversation(
        &self,
        row: &SessionRow,
        engines: &Context,
    ) -> Result<Option<String>, RpcError> {
        if row.session.conversation.is_some() {
            return Ok(row.session.conversation.clone());
        }
        let Some(kind) = can_be_learnt(row) else { return Ok(None) };
        let (session, engine, cwd) = (row.session.session, row.session.engine.clone(), row.session.cwd.clone());
        let since_ms = row.session.created_at_ms;
        let others = self.store().read(move |reader| table::list(reader, true, OTHERS)).await?;
        let others: Vec<_> = others
            .into_iter()
            .map(|row| row.session)
            .filter(|other| other.session != session && other.engine == engine && other.cwd == cwd)
            .collect();
        // It may be the one of a neighbour that has not been found either.
        let has_rival = others.iter().any(|other| {
            other.conversation.is_none() && other.ended_at_ms.is_none_or(|ended_at_ms| ended_at_ms >= since_ms)
        });
        if has_rival {
            return Ok(None);
        }
        let (context, place) = (engines.clone(), cwd);
        let found =
            tokio::task::spawn_blocking(move || orx_engines::find_conversations(kind, &context, &place, since_ms))
                .await
                .map_err(|error| {
                    RpcError::new(orx_protocol::ErrorKind::Internal, format!("looking failed: {error}"))
                })??;
        let mut own = found
            .into_iter()
            .map(|found| found.conversation)
            .filter(|name| !others.iter().any(|other| other.conversation.as_ref() == Some(name)));
        let (Some(conversation), None) = (own.next(), own.next()) else { return Ok(None) };
        self.record_conversation(session, conversation.clone()).await?;
        Ok(Some(conversation))
    }

    /// Records the name of a session's conversation; the engine may have begun another one since.
    ///
    /// # Errors
    /// As the store does not take it.
    pub async fn record_conversation(&self, session: SessionId, conversation: String) -> Result<(), StoreError> {
        self.update(session, move |row| {
            if row.session.conversation.as_ref() == Some(&conversation) {
                return None;
            }
            row.session.conversation = Some(conversation.clone());
            Some((kind::SESSION_CONVERSATION, serde_json::json!({"conversation": conversation})))
        })
        .await
    }
}
