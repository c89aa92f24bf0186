//! What a session used, as its channel tells it: recorded when it is news, and no more often than a person could follow.

use orx_channels::Usage;
use orx_engines::channel::ChannelKind;
use orx_protocol::SessionId;
use orx_protocol::api::run::Tokens;
use orx_protocol::api::session::{ContextUse, Session, Used};
use std::time::Duration;
use tokio::time::Instant;

use crate::sessions::Sessions;

/// Counts that follow each other faster are not all written.
const PAUSE: Duration = Duration::from_secs(1);

/// The counts of one session's channel.
pub(super) struct Meter {
    sessions: Sessions,
    session: SessionId,
    /// The name of what is counted, where that is not the conversation.
    process: Option<String>,
    conversation: Option<String>,
    pending: Option<(Used, Option<ContextUse>)>,
    /// When the next count may be written.
    due: Instant,
}

impl Meter {
    pub(super) fn new(sessions: Sessions, session: &Session) -> Self {
        // An agent over ACP counts what its process used, whatever it used before for the same conversation.
        let by_process = session.channel.as_deref() == Some(ChannelKind::Acp.name());
        Self {
            sessions,
            session: session.session,
            process: by_process.then(|| format!("process {}", session.generation)),
            conversation: session.conversation.clone(),
            pending: None,
            due: Instant::now(),
        }
    }

    /// The session is in this conversation from now on.
    pub(super) async fn turn_to(&mut self, conversation: &str) {
        self.flush().await;
        self.conversation = Some(conversation.to_owned());
    }

    /// A count came.
    pub(super) fn note(&mut self, usage: Usage) {
        // Before the conversation has a name it has used nothing.
        let Some(of) = self.process.clone().or_else(|| self.conversation.clone()) else { return };
        let tokens = Tokens { input: usage.input, output: usage.output, cached: usage.cached };
        let context = (usage.context.is_some() || usage.window.is_some())
            .then_some(ContextUse { used: usage.context, window: usage.window });
        self.pending = Some((Used { of, tokens, cost_microusd: usage.cost_microusd }, context));
    }

    /// When something is to be written.
    pub(super) fn due(&self) -> Option<Instant> {
        self.pending.as_ref().map(|_| self.due)
    }

    /// Writes what is not written yet.
    pub(super) async fn flush(&mut self) {
        if let Some((used, context)) = self.pending.take() {
            self.due = Instant::now() + PAUSE;
            self.sessions.record_usage(self.session, used, context).await;
        }
    }
}
