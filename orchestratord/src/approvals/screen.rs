//! Questions of engines that have neither a channel nor a hook that answers: read from a dialog on the screen and answered by keys. Keys
//! are sent only while the very dialog that was decided about is on the screen, and what they did is looked at.

use orx_protocol::activity::AgentState;
use orx_protocol::api::Empty;
use orx_protocol::api::approval::{Approval, ApprovalKind, ApprovalState, Delivery, Road, Subject};
use orx_protocol::api::session::SessionState;
use orx_protocol::event::kind;
use orx_protocol::hold::{KeysParams, RowText, ScreenText, method};
use orx_protocol::{ApprovalId, ErrorKind, RpcError, SessionId};
use orx_session::screen::{Dialog, Look, is_about, is_same_dialog};
use orx_store::{StoreError, approvals as table, events};
use std::path::Path;
use std::time::{Duration, Instant};

use super::handed::is_answered_on_screen;
use super::{Approvals, Decided, NewApproval};
use crate::screens;
use crate::sessions::holder;

/// How often the screen is looked at while a dialog is on it.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked at after keys were sent, and for how long.
const LOOK_CLOSELY: Duration = Duration::from_millis(100);
const EFFECT: Duration = Duration::from_secs(10);
/// So many looks in a row must miss a dialog before it is gone: a screen that is caught while it is drawn anew shows less.
const MISSES: usize = 4;
/// How long keys are tried that a screen in the midst of being drawn refuses.
const DRAWN: Duration = Duration::from_secs(5);
/// The beginning of the keys of these questions.
const KEY: &str = "screen/";

/// The dialog of an engine on a screen, if there is one that is known.
fn find(engine: &str, screen: &ScreenText) -> Option<Dialog> {
    let (answers, rules) = (screens::answers(engine)?, screens::rules(engine)?);
    let cursor = Some(usize::from(screen.cursor.row));
    answers.find(&rules, None, &Look { title: &screen.title, notification: "", rows: &screen.lines, cursor })
}

/// The dialog that is attended to.
struct About {
    dialog: Dialog,
    /// What a hook told of it before it came.
    told: Option<Subject>,
}

impl About {
    /// Whether what is on the screen is that dialog, drawn again perhaps.
    fn is_same(&self, shown: &Dialog) -> bool {
        shown.rule == self.dialog.rule
            && self
                .told
                .as_ref()
                .map_or_else(|| is_same_dialog(&self.dialog.text, &shown.text), |told| is_about(&shown.text, told))
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
            let attended = approvals.attend(session).await;
            if let Err(error) = &attended {
                tracing::warn!(%session, %error, "A dialog on a session's screen cannot be attended to.");
            }
            approvals.0.attended.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&session);
            // Whoever was told of a dialog in the last moment left it to this task.
            if attended.is_ok() && approvals.is_blocked(session).await {
                approvals.attend_screen(session);
            }
        });
    }

    /// Attends to every dialog that was there before this start.
    pub(super) async fn attend_screens(&self) -> Result<(), RpcError> {
        for session in self.0.sessions.list(true).await? {
            if session.state == SessionState::Running && is_answered_on_screen(&session) {
                self.attend_screen(session.session);
            }
        }
        Ok(())
    }

    /// The dialog on a session's screen; `None` also for sessions that are answered by another road.
    pub(super) async fn dialog(&self, session: SessionId) -> Option<(String, Dialog)> {
        let row = self.0.sessions.running(session).await.ok()?;
        if !is_answered_on_screen(&row.session) {
            return None;
        }
        let screen: ScreenText = holder::ask_now(Path::new(&row.socket), method::SCREEN, &Empty {}).await.ok()?;
        let dialog = find(&row.session.engine, &screen)?;
        Some((row.session.engine, dialog))
    }

    async fn attend(&self, session: SessionId) -> Result<(), RpcError> {
        loop {
            let Some((engine, dialog)) = self.dialog(session).await else {
                // One that follows at once comes before anybody is told that the session was not blocked between.
                if self.is_blocked(session).await {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                return Ok(());
            };
            let told = self.told_before(session, &dialog).await?;
            let about = About { told: told.as_ref().map(|told| told.subject.clone()), dialog };
            let question = match told {
                Some(told) => told,
                None => self.question(session, engine, &about.dialog).await?,
            };
            let asked = self.ask(question).await?;
            let approval = asked.approval;
            self.moved_to_screen(approval).await?;
            let decided = tokio::select! {
                decided = asked.decision => decided,
                () = self.until_gone(session, &about) => {
                    self.withdraw(approval, "it was answered at the session's own terminal").await?;
                    continue;
                }
            };
            if decided.state == ApprovalState::Withdrawn {
                return Ok(());
            }
            match self.press(session, &about, &decided).await {
                Ok(()) => self.delivered(approval, Ok(())).await?,
                Err(why) if !self.is_gone(session, &about).await => self.reopen(approval, why).await?,
                Err(why) => self.delivered(approval, Err(why)).await?,
            }
        }
    }

    /// Whether a session that is answered on its screen is believed to wait for an answer.
    async fn is_blocked(&self, session: SessionId) -> bool {
        let running = self.0.sessions.running(session).await;
        running
            .is_ok_and(|row| is_answered_on_screen(&row.session) && row.session.activity.state == AgentState::Blocked)
    }

    /// The question behind a dialog. What is on a screen may be cut or wrapped, so it is no command that a rule could cover.
    async fn question(&self, session: SessionId, engine: String, dialog: &Dialog) -> Result<NewApproval, RpcError> {
        let prefix = format!("{KEY}{}/", dialog.rule);
        let same = |row: &Approval| {
            row.key.as_ref().is_some_and(|key| key.starts_with(&prefix))
                && row.subject.question.as_ref().is_some_and(|shown| is_same_dialog(shown, &dialog.text))
        };
        let waiting = self.list(false, Some(session)).await?.into_iter().find(same).and_then(|row| row.key);
        Ok(NewApproval {
            session,
            engine,
            kind: ApprovalKind::Tool,
            title: Some(dialog.title.clone()),
            subject: Subject { question: Some(dialog.text.clone()), ..Subject::default() },
            road: Road::Screen,
            expires_at_ms: None,
            key: Some(waiting.unwrap_or_else(|| format!("{prefix}{}", orx_protocol::id::ulid_text()))),
        })
    }

    /// The dialog as it is on the screen now, if it is still that one.
    async fn shown(&self, session: SessionId, about: &About) -> Option<Dialog> {
        self.dialog(session).await.map(|(_, shown)| shown).filter(|shown| about.is_same(shown))
    }

    /// Whether the dialog is on the screen no more.
    async fn is_gone(&self, session: SessionId, about: &About) -> bool {
        for look in 0..MISSES {
            if look > 0 {
                tokio::time::sleep(LOOK_CLOSELY).await;
            }
            if self.shown(session, about).await.is_some() {
                return false;
            }
        }
        true
    }

    async fn until_gone(&self, session: SessionId, about: &About) {
        while !self.is_gone(session, about).await {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Presses the keys of a decision and looks whether the dialog is gone.
    ///
    /// # Errors
    /// A sentence that says why the decision did not reach the engine.
    async fn press(&self, session: SessionId, about: &About, decided: &Decided) -> Result<(), String> {
        let began = Instant::now();
        let keys = loop {
            match self.shown(session, about).await {
                Some(dialog) => match self.press_at(session, &dialog, decided).await {
                    Ok(keys) => break keys,
                    Err(error) if error.kind() == ErrorKind::FailedPrecondition && began.elapsed() < DRAWN => {}
                    Err(error) => return Err(error.message),
                },
                None if began.elapsed() < DRAWN && !self.is_gone(session, about).await => {}
                None => {
                    return Err("the dialog was not on the screen any more when the keys were to be sent".to_owned());
                }
            }
            tokio::time::sleep(LOOK_CLOSELY).await;
        };
        let sent = Instant::now();
        while sent.elapsed() < EFFECT {
            if self.is_gone(session, about).await {
                return Ok(());
            }
            tokio::time::sleep(LOOK_CLOSELY).await;
        }
        Err(format!("the keys {} changed nothing within {} s", keys.join(" "), EFFECT.as_secs()))
    }

    /// Presses the keys of a decision while the rows of the dialog stand where they were seen; gives the keys.
    ///
    /// # Errors
    /// `FailedPrecondition` when they do not, and nothing was pressed; as the holder cannot be asked.
    async fn press_at(&self, session: SessionId, dialog: &Dialog, decided: &Decided) -> Result<Vec<String>, RpcError> {
        let row = self.0.sessions.running(session).await?;
        let keys = if decided.state == ApprovalState::Allowed { &dialog.allow } else { &dialog.deny };
        // The holder compares the rows in the step in which it presses: what came between is not answered.
        let while_rows = (dialog.first..).zip(dialog.text.lines());
        let while_rows =
            while_rows.filter_map(|(at, text)| Some(RowText { row: u16::try_from(at).ok()?, text: text.to_owned() }));
        let params = KeysParams { keys: keys.clone(), while_rows: while_rows.collect() };
        let Empty {} = holder::ask_now(Path::new(&row.socket), method::KEYS, &params).await?;
        Ok(keys.clone())
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
