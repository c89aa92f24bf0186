//! Questions of engines that have neither hooks nor a channel: read from a dialog on the screen and answered by keys. Keys
//! are sent only while the very dialog that was decided about is on the screen, and what they did is looked at.

use orx_engines::screen::{ALL, ANSWERS};
use orx_protocol::api::Empty;
use orx_protocol::api::approval::{Approval, ApprovalKind, ApprovalState, Delivery, Road, Subject};
use orx_protocol::api::session::SessionState;
use orx_protocol::event::kind;
use orx_protocol::hold::{ScreenText, method};
use orx_protocol::{ApprovalId, RpcError, SessionId};
use orx_session::screen::{Answers, Dialog, Look, Rules};
use orx_store::{StoreError, approvals as table, events};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Approvals, Decided, NewApproval};
use crate::sessions::holder;

/// How often the screen is looked at while a dialog is on it.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked at after keys were sent, and for how long.
const LOOK_CLOSELY: Duration = Duration::from_millis(100);
const EFFECT: Duration = Duration::from_secs(10);
/// The beginning of the keys of these questions.
const KEY: &str = "screen/";

/// The dialogs that are known, by engine.
#[derive(Debug, Default)]
pub(super) struct Dialogs(HashMap<String, (Rules, Answers)>);

impl Dialogs {
    /// Those of the engines' data files.
    pub(super) fn known() -> Self {
        let read = |(engine, text): &(&str, &str)| {
            let rules = ALL.iter().find(|(name, _)| name == engine).map_or("", |(_, rules)| rules);
            let rules = Rules::parse(engine, rules).map_err(|error| error.to_string());
            match rules.and_then(|rules| Ok((rules, Answers::parse(engine, text)?))) {
                Ok(read) => Some(((*engine).to_owned(), read)),
                Err(error) => {
                    tracing::error!(engine, error, "Dialogs of an engine cannot be answered: its data cannot be read.");
                    None
                }
            }
        };
        Self(ANSWERS.iter().filter_map(read).collect())
    }

    fn find(&self, engine: &str, screen: &ScreenText) -> Option<Dialog> {
        let (rules, answers) = self.0.get(engine)?;
        answers.find(rules, None, &Look { title: &screen.title, notification: "", rows: &screen.lines })
    }
}

impl Approvals {
    /// Attends to the dialog on a session's screen, if there is one, as a task of the daemon; once for each session.
    pub(super) fn attend_screen(&self, session: SessionId) {
        if !self.0.attended.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(session) {
            return;
        }
        let approvals = self.clone();
        self.0.tasks.spawn(async move {
            if let Err(error) = approvals.attend(session).await {
                tracing::warn!(%session, %error, "A dialog on a session's screen cannot be attended to.");
            }
            approvals.0.attended.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&session);
        });
    }

    /// Attends to every dialog that was there before this start.
    pub(super) async fn attend_screens(&self) -> Result<(), RpcError> {
        for session in self.0.sessions.list(true).await? {
            if session.state == SessionState::Running && session.channel.is_none() {
                self.attend_screen(session.session);
            }
        }
        Ok(())
    }

    /// The dialog on a session's screen; `None` also for sessions that are answered by another road.
    async fn dialog(&self, session: SessionId) -> Option<(String, Dialog)> {
        let row = self.0.sessions.running(session).await.ok()?;
        if row.session.channel.is_some() || row.session.cols == 0 {
            return None;
        }
        let screen: ScreenText = holder::ask_now(Path::new(&row.socket), method::SCREEN, &Empty {}).await.ok()?;
        let dialog = self.0.dialogs.find(&row.session.engine, &screen)?;
        Some((row.session.engine, dialog))
    }

    async fn attend(&self, session: SessionId) -> Result<(), RpcError> {
        while let Some((engine, dialog)) = self.dialog(session).await {
            let asked = self.ask(self.question(session, engine, &dialog).await?).await?;
            let approval = asked.approval;
            let decided = tokio::select! {
                decided = asked.decision => decided,
                () = self.until_gone(session, &dialog) => {
                    return self.withdraw(approval, "it was answered at the session's own terminal").await;
                }
            };
            if decided.state == ApprovalState::Withdrawn {
                return Ok(());
            }
            match self.press(session, &dialog, &decided).await {
                Ok(()) => return self.delivered(approval, Ok(())).await,
                Err(why) if self.is_shown(session, &dialog).await => self.reopen(approval, why).await?,
                Err(why) => return self.delivered(approval, Err(why)).await,
            }
        }
        Ok(())
    }

    /// The question behind a dialog. What is on a screen may be cut or wrapped, so it is no command that a rule could cover.
    async fn question(&self, session: SessionId, engine: String, dialog: &Dialog) -> Result<NewApproval, RpcError> {
        let prefix = format!("{KEY}{}/", dialog.rule);
        let same = |row: &Approval| {
            row.key.as_ref().is_some_and(|key| key.starts_with(&prefix))
                && row.subject.question.as_ref() == Some(&dialog.text)
        };
        let waiting = self.list(false, Some(session)).await?.into_iter().find(same).and_then(|row| row.key);
        Ok(NewApproval {
            session,
            engine,
            kind: ApprovalKind::Tool,
            title: Some(
                dialog
                    .text
                    .lines()
                    .find(|line| line.contains(char::is_alphanumeric))
                    .unwrap_or("a dialog")
                    .trim()
                    .to_owned(),
            ),
            subject: Subject { question: Some(dialog.text.clone()), ..Subject::default() },
            road: Road::Screen,
            expires_at_ms: None,
            key: Some(waiting.unwrap_or_else(|| format!("{prefix}{}", orx_protocol::id::ulid_text()))),
        })
    }

    async fn is_shown(&self, session: SessionId, dialog: &Dialog) -> bool {
        self.dialog(session).await.is_some_and(|(_, shown)| shown == *dialog)
    }

    async fn until_gone(&self, session: SessionId, dialog: &Dialog) {
        while self.is_shown(session, dialog).await {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Presses the keys of a decision and looks whether the dialog is gone.
    ///
    /// # Errors
    /// A sentence that says why the decision did not reach the engine.
    async fn press(&self, session: SessionId, dialog: &Dialog, decided: &Decided) -> Result<(), String> {
        let row = self.0.sessions.running(session).await.map_err(|error| error.message)?;
        let keys = if decided.state == ApprovalState::Allowed { &dialog.allow } else { &dialog.deny };
        if !self.is_shown(session, dialog).await {
            return Err("the dialog was not on the screen any more when the keys were to be sent".to_owned());
        }
        let params = serde_json::json!({ "keys": keys });
        let pressed: Result<Empty, RpcError> = holder::ask_now(Path::new(&row.socket), method::KEYS, &params).await;
        pressed.map_err(|error| error.message)?;
        let sent = Instant::now();
        while sent.elapsed() < EFFECT {
            if !self.is_shown(session, dialog).await {
                return Ok(());
            }
            tokio::time::sleep(LOOK_CLOSELY).await;
        }
        Err(format!("the keys {} changed nothing within {} s", keys.join(" "), EFFECT.as_secs()))
    }

    /// Lets a question wait again whose decision did not reach the engine.
    async fn reopen(&self, approval: ApprovalId, why: String) -> Result<(), RpcError> {
        self.store()
            .write(move |tx| {
                let mut row = table::get(tx, approval)?;
                let data = serde_json::json!({
                    "session": row.session, "delivery": Delivery::Failed, "message": why, "state": ApprovalState::Pending,
                    "undone": {"state": row.state, "by": row.decided_by},
                });
                row.state = ApprovalState::Pending;
                (row.decided_at_ms, row.decided_by, row.reason, row.rule) = (None, None, None, None);
                (row.delivery, row.message) = (Delivery::Failed, Some(why));
                table::update(tx, &row)?;
                events::append(tx, kind::APPROVAL_DELIVERED, &approval.to_string(), &data)?;
                Ok::<_, StoreError>(())
            })
            .await?;
        self.announce();
        Ok(())
    }
}
