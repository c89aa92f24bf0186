//! What one session's agent asks over its channel: each question becomes an approval, and its decision goes back.

use orx_channels::{Ask, ChannelCommand};
use orx_protocol::api::approval::{ApprovalState, Decision, Road};
use orx_protocol::api::session::Session;
use orx_protocol::{ApprovalId, RpcError, SessionId};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::Channels;
use crate::approvals::{Approvals, Decided, NewApproval};

/// The questions of one channel.
pub(super) struct Asks {
    approvals: Approvals,
    tasks: TaskTracker,
    session: SessionId,
    engine: String,
    generation: u32,
    asked: Mutex<HashMap<String, Waiting>>,
}

/// A question that waits for its decision, or whose decision is on its way.
struct Waiting {
    approval: ApprovalId,
    /// Ends the wait.
    _waits: DropGuard,
}

impl Asks {
    pub(super) fn new(channels: &Channels, session: &Session) -> Self {
        Self {
            approvals: channels.0.approvals.clone(),
            tasks: channels.0.tasks.clone(),
            session: session.session,
            engine: session.engine.clone(),
            generation: session.generation,
            asked: Mutex::default(),
        }
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<String, Waiting>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A question's name among those of all processes of the session.
    fn name(&self, key: &str) -> String {
        format!("{}/{key}", self.generation)
    }

    /// Asks, and sends the decision back when it is there. What was asked before is taken up again.
    pub(super) async fn ask(&self, ask: Ask, commands: &mpsc::Sender<ChannelCommand>) {
        let Ask { key, kind, title, subject } = ask;
        let new = NewApproval {
            session: self.session,
            engine: self.engine.clone(),
            kind,
            title: Some(title),
            subject,
            road: Road::Protocol,
            expires_at_ms: None,
            key: Some(self.name(&key)),
        };
        let asked = match self.approvals.ask(new).await {
            Ok(asked) => asked,
            Err(error) => {
                // The agent still waits, and its user can answer at its terminal.
                tracing::error!(session = %self.session, %error, "What an agent asks cannot be put into the inbox.");
                return;
            }
        };
        let over = CancellationToken::new();
        let waits = over.clone().drop_guard();
        self.asked().insert(key.clone(), Waiting { approval: asked.approval, _waits: waits });
        let commands = commands.clone();
        self.tasks.spawn(async move {
            let decided = tokio::select! {
                decided = asked.decision => decided,
                () = over.cancelled() => return,
            };
            if let Some(command) = command(key, decided) {
                // A channel that is closed meanwhile asks again when it is opened.
                let _ = commands.send(command).await;
            }
        });
    }

    /// The engine asks that no more: somebody answered at its terminal, or it went on.
    pub(super) async fn answered(&self, key: &str) {
        let waiting = self.asked().remove(key);
        if let Some(waiting) = waiting {
            let withdrawn =
                self.approvals.withdraw(waiting.approval, "it was answered at the agent's own terminal").await;
            self.note(withdrawn);
        }
    }

    /// The engine took a decision, or could not.
    pub(super) async fn delivered(&self, key: &str, outcome: Result<(), String>) {
        let waiting = self.asked().remove(key);
        if let Some(waiting) = waiting {
            let delivered = self.approvals.delivered(waiting.approval, outcome).await;
            self.note(delivered);
        }
    }

    /// Everything that the agent still asks was told: other questions of its are over.
    pub(super) async fn in_step(&self) {
        let known: Vec<String> = self.asked().keys().map(|key| self.name(key)).collect();
        let withdrawn = self
            .approvals
            .withdraw_of(self.session, "the agent does not ask it any more", move |row| {
                row.road == Road::Protocol && row.key.as_ref().is_none_or(|key| !known.contains(key))
            })
            .await;
        self.note(withdrawn);
    }

    /// The channel is over: nobody can answer over it.
    pub(super) async fn withdraw_all(&self, why: &str) {
        self.asked().clear();
        let withdrawn = self.approvals.withdraw_of(self.session, why, |row| row.road == Road::Protocol).await;
        self.note(withdrawn);
    }

    fn note(&self, outcome: Result<(), RpcError>) {
        if let Err(error) = outcome {
            tracing::error!(session = %self.session, %error, "What became of a question cannot be recorded.");
        }
    }
}

/// A decision in the channel's words. What is allowed from now on is a rule of the daemon: the engine is told of this
/// once alone, since its own idea of what is alike may be wider.
fn command(key: String, decided: Decided) -> Option<ChannelCommand> {
    let decision = match decided.state {
        ApprovalState::Allowed => Decision::Allow,
        ApprovalState::Denied | ApprovalState::Expired => Decision::Deny,
        ApprovalState::Withdrawn | ApprovalState::Pending => return None,
    };
    Some(ChannelCommand::Decide { key, decision, answer: decided.answer, reason: decided.reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_for_ever_is_told_to_the_engine_for_once() {
        let decided = |state| Decided { state, answer: None, reason: None, always: true };
        let told = |state| match command("k".to_owned(), decided(state)) {
            Some(ChannelCommand::Decide { decision, .. }) => Some(decision),
            _ => None,
        };
        assert_eq!(told(ApprovalState::Allowed), Some(Decision::Allow));
        assert_eq!(told(ApprovalState::Denied), Some(Decision::Deny));
        assert_eq!(told(ApprovalState::Expired), Some(Decision::Deny));
        assert_eq!(told(ApprovalState::Withdrawn), None);
    }
}
