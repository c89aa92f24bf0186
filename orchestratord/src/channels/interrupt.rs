//! Stopping an agent's turn: said over its channel where it has one, else by the keys that its interface takes for that,
//! which are pressed while it is known to work and at no other time, since the same keys answer dialogs.

use orx_engines::{Draft, EngineKind};
use orx_protocol::activity::AgentState;
use orx_protocol::api::Empty;
use orx_protocol::api::approval::Road;
use orx_protocol::api::session::{Interrupted, Session, Until};
use orx_protocol::hold::{KeysParams, RowText, ScreenText, method};
use orx_protocol::life::Life;
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_store::messages;
use std::path::Path;
use std::time::Duration;

use super::Channels;
use super::link::Standing;
use crate::sessions::holder;

/// How long the end of the turn is waited for.
const SEEN: Duration = Duration::from_secs(5);

fn refused(session: SessionId, why: impl std::fmt::Display) -> RpcError {
    RpcError::new(ErrorKind::FailedPrecondition, format!("session {session}: {why}; nothing was done"))
}

impl Channels {
    /// Stops the turn of a session's agent, and says what it does then.
    ///
    /// # Errors
    /// `FailedPrecondition` with the reason when there is no turn to stop or no way to stop it.
    pub async fn interrupt(&self, session: SessionId) -> Result<Interrupted, RpcError> {
        let row = self.0.sessions.running(session).await?;
        if row.session.life == Life::Paused {
            return Err(refused(session, "it is paused").with_hint("`session.continue` lets it go on"));
        }
        let (road, by) = match self.tell_to_stop(session).await {
            Some(by) => (Road::Protocol, by),
            None => (Road::Screen, self.press(&row.session, Path::new(&row.socket)).await?),
        };
        let now = self.0.activities.wait_for(session, Until::Rest.agent_states(), SEEN).await?;
        let stopped = Until::Rest.agent_states().contains(&now.state);
        let mut evidence = format!("{by}; {}", now.reason);
        if stopped && road == Road::Screen && self.take_away(&row.session, Path::new(&row.socket)).await? {
            evidence.push_str("; its last prompt stood in its place for prompts again, and was taken away");
        }
        Ok(Interrupted { road, state: now.state, stopped, evidence })
    }

    /// Empties the place for prompts if the text that was sent last stands there again: the next one would be typed behind
    /// it. What a person typed themselves is left to them.
    async fn take_away(&self, session: &Session, socket: &Path) -> Result<bool, RpcError> {
        let kind: EngineKind = session.engine.parse().unwrap_or(EngineKind::Command);
        let keys = &kind.descriptor().terminal.clear;
        let name = session.session;
        let sent = self.0.sessions.store().read(move |reader| messages::of_session(reader, name)).await?;
        let (Some((first, rest)), Some(last)) = (keys.split_first(), sent.last()) else { return Ok(false) };
        let screen: ScreenText = holder::ask_now(socket, method::SCREEN, &Empty {}).await?;
        if orx_engines::draft(kind, None, &screen.lines, &last.text) != Draft::Present {
            return Ok(false);
        }
        let rows = orx_engines::composer_rows(kind, None, &screen.lines).unwrap_or_default();
        let while_rows = rows
            .filter_map(|index| {
                Some(RowText { row: u16::try_from(index).ok()?, text: screen.lines.get(index)?.clone() })
            })
            .collect();
        let Empty {} =
            holder::ask_now(socket, method::KEYS, &KeysParams { keys: vec![first.clone()], while_rows }).await?;
        let press = KeysParams { keys: rest.to_vec(), while_rows: Vec::new() };
        let Empty {} = holder::ask_now(socket, method::KEYS, &press).await?;
        Ok(true)
    }

    /// Over the channel, where it is open.
    async fn tell_to_stop(&self, session: SessionId) -> Option<String> {
        let open = self.links().get(&session).and_then(|link| match &*link.standing.borrow() {
            Standing::Open(prompts) => Some(prompts.clone()),
            Standing::Opening | Standing::Lost(_) => None,
        });
        open?.interrupt().await.then(|| "its channel was told".to_owned())
    }

    /// By the keys of its interface.
    async fn press(&self, session: &Session, socket: &Path) -> Result<String, RpcError> {
        let name = session.session;
        let kind: EngineKind = session.engine.parse().unwrap_or(EngineKind::Command);
        let keys = &kind.descriptor().terminal.interrupt;
        if session.cols == 0 || keys.is_empty() {
            let why = "it has no channel over which its agent could be told to stop, and no keys for that are known";
            return Err(refused(name, why)
                .with_hint("`session.keys` presses what its screen says, such as `escape`; `session.stop` ends it"));
        }
        let activity = self.0.activities.of(name).unwrap_or_else(|| session.activity.clone());
        match activity.state {
            AgentState::Working | AgentState::RateLimited | AgentState::SubagentsRunning => {}
            AgentState::Blocked | AgentState::WaitingInput => {
                let why = format!("it waits for an answer ({}), which the keys would give", activity.reason);
                return Err(refused(name, why).with_hint("`orxctl inbox` shows what it asks, `orxctl deny` denies it"));
            }
            AgentState::Unknown | AgentState::Starting => {
                let why = format!("it is not known to work: it is {}", activity.state.as_str());
                return Err(refused(name, why)
                    .with_hint("`session.screen` shows what it does, `session.keys` presses what that says"));
            }
            state => return Err(refused(name, format!("it has no turn to stop: it is {}", state.as_str()))),
        }
        for key in keys {
            let press = KeysParams { keys: vec![key.clone()], while_rows: Vec::new() };
            let Empty {} = holder::ask_now(socket, method::KEYS, &press).await?;
        }
        Ok(format!("{} was pressed", keys.join(", then ")))
    }
}
