//! Hooks of engines: installed for one session each, heard here, and answered where they ask. A hook is believed to be of
//! the session in whose processes it runs, whatever it says.

pub mod hold;
pub mod install;

use orx_engines::EngineKind;
use orx_engines::hooks::{self, Answer, Asker, Asking, Heard, Meaning, Question};
use orx_protocol::api::approval::{ApprovalState, Delivery, Road};
use orx_protocol::api::hook::{DeliveredParams, ReportParams, Reported};
use orx_protocol::{ApprovalId, ErrorKind, RpcError, SessionId, clock};
use orx_session::approval::Verdict;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::access::{Caller, standing};
use crate::approvals::{Intent, NewApproval};
use crate::daemon::Daemon;
use hold::Hold;

/// One who concludes something from what hooks say: what an agent does, whether it took a prompt. It is told in the order
/// of the calls and must not block.
pub trait Witness: Send + Sync {
    /// A hook of this session was called with this payload, which means that.
    fn heard(&self, session: SessionId, payload: &Value, heard: &Heard);
}

/// Those who are told.
#[derive(Default)]
pub struct Witnesses(RwLock<Vec<Arc<dyn Witness>>>);

impl Witnesses {
    /// Adds one.
    pub fn add(&self, witness: Arc<dyn Witness>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(witness);
    }

    fn all(&self) -> Vec<Arc<dyn Witness>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Longest file that is read to show what a tool would change in it, in bytes.
const SHOWN: u64 = 512 * 1024;
/// Longest name that a hook may give to its call.
const CALL: usize = 128;

/// Deals with a call of a hook; `left` ends when the hook is gone.
///
/// # Errors
/// `PermissionDenied` for a call from outside a session or from another than it says; `InvalidParams` for a payload that
/// is none; `FailedPrecondition` when the session's engine is another.
pub async fn report(
    daemon: &Arc<Daemon>,
    caller: &Caller,
    params: ReportParams,
    left: impl Future<Output = ()> + Send,
) -> Result<Reported, RpcError> {
    let session = session(daemon, caller, params.session).await?;
    let row = daemon.sessions.running(session).await?.session;
    if row.engine != params.engine {
        return Err(RpcError::new(
            ErrorKind::FailedPrecondition,
            format!("session {session} runs {}, and this is a hook of {}", row.engine, params.engine),
        ));
    }
    let invalid = |why: String| RpcError::new(ErrorKind::InvalidParams, format!("`hook.report`: {why}"));
    let kind: EngineKind =
        params.engine.parse().map_err(|error: orx_engines::EngineError| invalid(error.to_string()))?;
    let call = params.call.unwrap_or_else(orx_protocol::id::ulid_text);
    if call.len() > CALL || !call.chars().all(|character| character.is_ascii_alphanumeric()) {
        return Err(invalid(format!("`call` is at most {CALL} letters and digits")));
    }
    let payload = hooks::plain(kind, params.payload);
    let heard = {
        let payload = payload.clone();
        tokio::task::spawn_blocking(move || hooks::understand(kind, &payload, &regular_file))
            .await
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the payload could not be read: {error}")))?
            .map_err(|error| invalid(error.to_string()))?
    };
    note_conversation(daemon, session, &heard).await?;
    let hook = Hook { daemon, session, kind, payload };
    match heard.meaning.clone() {
        Meaning::Asks(question) => hook.ask(*question, &heard, &call, left).await,
        meaning => {
            hook.observe(&heard);
            hook.notice(meaning, &heard, &call).await
        }
    }
}

/// Notes that a hook handed a decision to its engine.
///
/// # Errors
/// `PermissionDenied` for a caller outside the approval's session; `NotFound`.
pub async fn delivered(daemon: &Arc<Daemon>, caller: &Caller, params: DeliveredParams) -> Result<(), RpcError> {
    let session = session(daemon, caller, None).await?;
    let approval = daemon.approvals.get(params.approval).await?;
    if approval.session != session {
        return Err(RpcError::new(
            ErrorKind::PermissionDenied,
            format!("approval {} is not of session {session}", params.approval),
        ));
    }
    if approval.state == ApprovalState::Pending || approval.delivery != Delivery::Pending {
        return Ok(());
    }
    daemon.approvals.delivered(params.approval, Ok(())).await
}

/// The session of a caller, which must be the one that it names.
async fn session(daemon: &Daemon, caller: &Caller, claimed: Option<SessionId>) -> Result<SessionId, RpcError> {
    let Some(session) = standing::session_behind(daemon, caller).await? else {
        return Err(RpcError::new(
            ErrorKind::PermissionDenied,
            "a hook was called from outside a session of this daemon",
        )
        .with_hint("hooks are called by the engines in sessions; there is nothing to call by hand"));
    };
    match claimed.filter(|claimed| *claimed != session) {
        None => Ok(session),
        Some(claimed) => Err(RpcError::new(
            ErrorKind::PermissionDenied,
            format!("a hook says that it is of session {claimed}, and it is called from session {session}"),
        )),
    }
}

/// Records the conversation that a hook is of. A helper's hooks carry the name of the main conversation too.
async fn note_conversation(daemon: &Daemon, session: SessionId, heard: &Heard) -> Result<(), RpcError> {
    if let Some(conversation) = &heard.conversation {
        daemon.sessions.record_conversation(session, conversation.clone()).await?;
    }
    Ok(())
}

/// The text of a regular file of moderate size; `None` for anything else, such as a pipe that would never end.
fn regular_file(path: &str) -> Option<String> {
    let file = File::options().read(true).custom_flags(nix::libc::O_NONBLOCK).open(path).ok()?;
    let metadata = file.metadata().ok().filter(|metadata| metadata.is_file() && metadata.len() <= SHOWN)?;
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
    file.take(SHOWN).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

struct Hook<'a> {
    daemon: &'a Arc<Daemon>,
    session: SessionId,
    kind: EngineKind,
    payload: Value,
}

impl Hook<'_> {
    /// Asks whoever decides, and waits as long as the hook does.
    async fn ask(
        &self,
        question: Question,
        heard: &Heard,
        call: &str,
        left: impl Future<Output = ()> + Send,
    ) -> Result<Reported, RpcError> {
        let approvals = &self.daemon.approvals;
        let asked = approvals.ask(self.question(question, Road::Hook, call)).await?;
        let approval = asked.approval;
        let mut decision = asked.decision;
        let at_once = tokio::select! {
            biased;
            decided = &mut decision => Some(decided),
            () = std::future::ready(()) => None,
        };
        if at_once.is_none() {
            // What a rule decides at once keeps nobody waiting.
            self.observe(heard);
        }
        let decided = match at_once {
            Some(decided) => decided,
            None => {
                let dialog = self.until_dialog(approval).await?;
                tokio::select! {
                    decided = decision => decided,
                    () = left => {
                        // The dialog was dismissed at the terminal, or the daemon's own connection failed and the hook
                        // comes back.
                        approvals.asker_left(approval, "it was answered at the session's own terminal, or its hook ended");
                        return Err(RpcError::new(ErrorKind::Unavailable, "the hook is gone"));
                    }
                    () = dialog => {
                        approvals.hand_over(self.session, approval);
                        return Ok(Reported::default());
                    }
                }
            }
        };
        let answer =
            Answer { state: decided.state, reason: decided.reason.as_deref(), answer: decided.answer.as_deref() };
        let output = hooks::answer(self.kind, &self.payload, answer);
        if output.is_some() {
            // The hook confirms that it handed the answer over; one that is gone before that has not.
            approvals.asker_left(approval, "its hook ended before the engine was told");
        }
        Ok(Reported { approval: output.is_some().then_some(approval), output })
    }

    fn question(&self, question: Question, road: Road, call: &str) -> NewApproval {
        NewApproval {
            session: self.session,
            engine: self.kind.name().to_owned(),
            kind: question.kind,
            title: None,
            subject: question.subject,
            road,
            expires_at_ms: None,
            key: Some(question.asker.key(call)),
        }
    }

    /// Asks what a dialog will ask, which comes when the hook has ended and is answered by keys.
    async fn foretell(&self, question: Question, call: &str) -> Result<(), RpcError> {
        let approvals = &self.daemon.approvals;
        let asked = approvals.ask(self.question(question, Road::Screen, call)).await?;
        approvals.hand_over(self.session, asked.approval);
        Ok(())
    }

    /// Keeps a question with the hook of an engine that shows no dialog meanwhile; what is given ends when the engine is to
    /// show one, and never where it does anyway.
    async fn until_dialog(&self, approval: ApprovalId) -> Result<impl Future<Output = ()> + Send, RpcError> {
        let held = match hooks::asking(self.kind) {
            Some(Asking::Before { patience }) => {
                let row = self.daemon.approvals.get(approval).await?;
                // The engine waits since the question came, also over a restart of the daemon.
                let waited = Duration::from_millis(clock::now_ms().saturating_sub(row.created_at_ms));
                Some((Hold::begin(self.daemon, self.session, &row.title), patience.saturating_sub(waited)))
            }
            Some(Asking::Beside) | None => None,
        };
        let (sessions, session) = (self.daemon.sessions.clone(), self.session);
        Ok(async move {
            match held {
                Some((_hold, patience)) => hold::until_dialog(&sessions, session, patience).await,
                None => std::future::pending().await,
            }
        })
    }

    /// Does what follows from something that was not asked.
    async fn notice(&self, meaning: Meaning, heard: &Heard, call: &str) -> Result<Reported, RpcError> {
        match meaning {
            Meaning::Intends(question) => return self.hold_back(*question).await,
            Meaning::WentOn(asker) => {
                self.withdraw(asker.prefix(), "it was answered at the session's own terminal").await?;
            }
            Meaning::Prompted(_) | Meaning::Ended => {
                self.withdraw("hook/".to_owned(), &format!("the agent went on ({})", heard.point)).await?;
            }
            Meaning::TurnEnded(helper) => {
                let prefix = Asker::prefix_of(helper.as_deref());
                self.withdraw(prefix, &format!("the agent's turn is over ({})", heard.point)).await?;
            }
            Meaning::Foretells(question) => self.foretell(*question, call).await?,
            Meaning::Asks(_) | Meaning::Noticed => {}
        }
        Ok(Reported::default())
    }

    /// Ends the questions whose key begins so: the engine does not wait for them any more.
    async fn withdraw(&self, prefix: String, why: &str) -> Result<(), RpcError> {
        let fits = move |row: &orx_protocol::api::approval::Approval| {
            row.key.as_ref().is_some_and(|key| key.starts_with(&prefix))
        };
        self.daemon.approvals.withdraw_of(self.session, why, fits).await
    }

    /// Holds back what a rule denies, or wants asked, although the engine itself would just do it.
    async fn hold_back(&self, question: Question) -> Result<Reported, RpcError> {
        let intent = Intent {
            session: self.session,
            engine: self.kind.name().to_owned(),
            kind: question.kind,
            subject: question.subject,
        };
        let output = match self.daemon.approvals.judge_intent(intent).await? {
            Verdict::Deny(rule) => {
                let reason = format!("A standing rule of the operator denies this (rule {rule}).");
                hooks::hold_back(self.kind, true, &reason)
            }
            Verdict::Ask(Some(rule)) => {
                let reason = format!("A standing rule of the operator wants to be asked (rule {rule}).");
                hooks::hold_back(self.kind, false, &reason)
            }
            Verdict::Ask(None) | Verdict::Allow(_) => None,
        };
        Ok(Reported { output, approval: None })
    }

    /// Tells those who conclude something from it.
    fn observe(&self, heard: &Heard) {
        for witness in self.daemon.hooks.all() {
            witness.heard(self.session, &self.payload, heard);
        }
    }
}
