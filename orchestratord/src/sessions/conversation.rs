//! The names of conversations that an engine chose itself: learnt from its own files as soon as they are there, so that
//! the conversation can be taken up again also when everything else is gone.
//!
//! A conversation is only taken for a session's when it can be nobody else's: while another session of the same engine
//! in the same directory has no name yet, and when a name is another session's already, nothing is concluded.

use orx_engines::{Context, EngineKind};
use orx_protocol::api::session::Session;
use orx_protocol::event::{Event, kind};
use orx_protocol::{RpcError, SessionId};
use orx_store::{Reader, SessionRow, StoreError, events, sessions as table};
use std::time::Duration;

use super::Sessions;

/// Pauses between looks: a CLI writes its files with its first prompt, which may come soon or after hours.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Most names of one session's conversations that are looked through.
const NAMES: u32 = 1000;
/// Most sessions that are compared with.
const OTHERS: u32 = 10_000;

/// Whether a conversation of this row could be found in files.
fn can_be_learnt(row: &SessionRow) -> Option<EngineKind> {
    let kind: EngineKind = row.session.engine.parse().ok()?;
    let may_be_old = orx_engines::forks_conversation(kind) && row.session.terms.taken_up_at_ms.is_some();
    let unknown = (row.session.conversation.is_none() || may_be_old) && row.session.owner.is_none();
    (unknown && kind != EngineKind::Command && orx_engines::can_resume(kind)).then_some(kind)
}

/// When the process began of which the conversation is looked for.
fn began_at_ms(session: &Session) -> u64 {
    session.terms.taken_up_at_ms.unwrap_or(session.created_at_ms)
}

/// Whether the name of a session is that of the conversation that its present process has: one that was taken up may go on
/// under another name. `found` are conversations with the times when they began.
fn is_named(session: &Session, forks: bool, found: &[(String, u64)]) -> bool {
    let Some(name) = &session.conversation else { return false };
    let since_ms = session.terms.taken_up_at_ms.filter(|_| forks);
    since_ms.is_none_or(|since_ms| found.iter().any(|(found, began_ms)| found == name && *began_ms >= since_ms))
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
                    // The name from before it was taken up: it may go on under another one.
                    Ok(Some(name)) if !is_over && row.session.conversation == Some(name.clone()) => {}
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
        let Some(kind) = can_be_learnt(row) else { return Ok(row.session.conversation.clone()) };
        let forks = orx_engines::forks_conversation(kind);
        let (session, engine, cwd) = (row.session.session, row.session.engine.clone(), row.session.cwd.clone());
        let since_ms = began_at_ms(&row.session);
        let others = self.store().read(move |reader| table::list(reader, true, OTHERS)).await?;
        let others: Vec<_> = others
            .into_iter()
            .map(|row| row.session)
            .filter(|other| other.session != session && other.engine == engine && other.cwd == cwd)
            .collect();
        let (context, place) = (engines.clone(), cwd);
        // Those of others are looked at too, where a name alone does not say whether it is still theirs.
        let from_ms = if forks { 0 } else { since_ms };
        let found =
            tokio::task::spawn_blocking(move || orx_engines::find_conversations(kind, &context, &place, from_ms))
                .await
                .map_err(|error| {
                    RpcError::new(orx_protocol::ErrorKind::Internal, format!("looking failed: {error}"))
                })??;
        let mut began: Vec<(String, u64)> =
            found.into_iter().map(|found| (found.conversation, found.began_at_ms)).collect();
        // To ask costs a start of the program: not again and again while the session runs.
        if row.session.state.is_final() && orx_engines::lists_conversations(kind) {
            let listed = orx_engines::list_conversations(kind, engines, &row.session.cwd).await?;
            began.extend(listed.into_iter().map(|listed| (listed.conversation, listed.began_at_ms)));
        }
        if is_named(&row.session, forks, &began) {
            return Ok(row.session.conversation.clone());
        }
        // It may be the one of a neighbour that has not been found either.
        let has_rival = others.iter().any(|other| {
            !is_named(other, forks, &began) && other.ended_at_ms.is_none_or(|ended_at_ms| ended_at_ms >= since_ms)
        });
        // What began before or after it is a stranger's.
        let lived = since_ms..=row.session.ended_at_ms.unwrap_or(u64::MAX);
        let mut own = began
            .into_iter()
            .filter(|(_, began_at_ms)| lived.contains(began_at_ms))
            .map(|(name, _)| name)
            .filter(|name| !others.iter().any(|other| other.conversation.as_ref() == Some(name)));
        let (conversation, is_certain) = match (own.next(), own.next()) {
            // Nothing began since it was taken up, so it is still what it was.
            (None, _) => return Ok(row.session.conversation.clone()),
            (Some(conversation), second) => (conversation, second.is_none() && !has_rival),
        };
        if !is_certain {
            return Ok(None);
        }
        self.record_conversation(session, conversation.clone()).await?;
        Ok(Some(conversation))
    }

    /// When the name of a session's conversation was first recorded, in milliseconds since the epoch; `None` where the journal
    /// does not tell.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn conversation_began_ms(
        &self,
        session: SessionId,
        conversation: &str,
    ) -> Result<Option<u64>, StoreError> {
        let kinds = [kind::SESSION_CONVERSATION.to_owned()];
        let subject = session.to_string();
        let told = move |reader: &Reader<'_>| events::after(reader, 0, &kinds, Some(&subject), NAMES);
        let told = self.store().read(told).await?;
        let data = |event: &Event| serde_json::from_str::<serde_json::Value>(event.data.get()).unwrap_or_default();
        Ok(told.iter().find(|event| data(event)["conversation"] == conversation).map(|event| event.at_ms))
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
