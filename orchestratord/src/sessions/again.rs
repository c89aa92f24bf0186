//! Taking a session up again after its process ended: its conversation, never a stranger's and never a fresh agent in
//! its place unless the caller asks for one. The session keeps its name; its process is the next generation, and the
//! files of the last one are kept below its directory.

use orx_engines::channel::ChannelKind;
use orx_engines::{Context, EngineKind, Launch, ResumeRequest};
use orx_protocol::api::life::{Again, AgainParams};
use orx_protocol::api::session::{CreateParams, Session, SessionState};
use orx_protocol::event::kind;
use orx_protocol::hold::file;
use orx_protocol::launch;
use orx_protocol::life::Life;
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use orx_session::life;
use orx_store::{SessionRow, StoreError};
use std::io;
use std::path::Path;

use super::Sessions;
use super::outside::{self, Outside};
use super::rewinding;
use super::wish::Wish;
use super::{channel, create, holder};
use crate::channels::choose;
use crate::runs::Runs;

/// The files of a generation, the record of its end last: until that is moved the session has ended for everybody.
const FILES: [&str; 15] = [
    file::SPEC,
    file::HOLDER,
    file::OUTPUT,
    file::ERROR,
    file::RECORDING,
    file::MOMENTS,
    file::SCROLLBACK,
    file::SCROLLBACK_OLDER,
    file::SCREEN,
    file::SCREEN_STATE,
    file::SIZES,
    file::HOLDER_LOG,
    launch::DIRECTORY,
    channel::KEPT,
    file::ENDED,
];

/// What to do about a conversation that cannot be taken up.
const FRESH: &str = "`fresh: true` begins a new conversation in its place; the screen and the log of the old one stay";

/// How a session goes on.
struct Way {
    params: CreateParams,
    kind: EngineKind,
    launch: Launch,
    /// The conversation that is taken up.
    resumed: Option<String>,
    /// The conversation that the new process has, taken up or begun, as far as it is known before the start.
    conversation: Option<String>,
    /// What is joined again, where its agent runs outside of orx.
    outside: Option<Outside>,
}

fn refused(session: SessionId, why: impl std::fmt::Display) -> RpcError {
    RpcError::new(ErrorKind::FailedPrecondition, format!("session {session}: {why}"))
}

impl Sessions {
    /// Takes up the conversation of a session that ended.
    ///
    /// # Errors
    /// `FailedPrecondition` when it runs, or when its conversation is not known; `InvalidParams` without the variables
    /// that it was made with; as its process does not start.
    pub async fn resume(&self, params: AgainParams, engines: &Context) -> Result<Again, RpcError> {
        self.again(params, engines, false).await
    }

    /// Tries a session again that ended badly: sets its files back to its last checkpoint, and takes it up from there.
    ///
    /// # Errors
    /// As [`Sessions::resume`]; `FailedPrecondition` when it did not end badly or was tried too often.
    pub async fn retry(&self, params: AgainParams, engines: &Context, runs: &Runs) -> Result<Again, RpcError> {
        let session = params.session;
        let row = self.row(session).await?;
        life::check_retry(row.session.life, row.session.terms.retries).map_err(|why| refused(session, why))?;
        self.check_again(&row, &params, engines).await?;
        let checkpoint = self.last_checkpoint(session).await?;
        if let Some(checkpoint) = &checkpoint {
            self.set_back(session, checkpoint, runs, engines).await?;
        }
        let mut again = self.again(params, engines, true).await?;
        again.checkpoint = checkpoint.filter(|checkpoint| checkpoint.commit.is_some()).map(|kept| kept.sequence);
        again.rewound = again.checkpoint.map(|_| rewinding::left("a retry goes on with the conversation as it is now"));
        Ok(again)
    }

    /// Checks that a session can be taken up again, before anything is changed.
    ///
    /// # Errors
    /// As [`Sessions::resume`].
    pub(super) async fn check_again(
        &self,
        row: &SessionRow,
        params: &AgainParams,
        engines: &Context,
    ) -> Result<(), RpcError> {
        self.way(row, params, engines).await.map(drop)
    }

    /// Takes a session up again.
    ///
    /// # Errors
    /// As [`Sessions::resume`].
    pub(super) async fn again(&self, params: AgainParams, engines: &Context, retry: bool) -> Result<Again, RpcError> {
        let session = params.session;
        let _one_at_a_time = self.0.taking_up.lock().await;
        let row = self.row(session).await?;
        if !row.session.state.is_final() {
            return Err(refused(session, format!("it is {}", row.session.state.as_str()))
                .with_hint("attach to it, or stop it first"));
        }
        life::check(row.session.life, Life::Pending).map_err(|why| refused(session, why))?;
        let way = self.way(&row, &params, engines).await?;
        let (directory, generation) = (self.directory(session), row.session.generation);
        holder::until_left(&directory).await;
        tokio::task::spawn_blocking(move || archive(&directory, generation))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|error| {
                let why = format!("the files of session {session} cannot be put aside: {error}");
                RpcError::new(ErrorKind::Storage, why)
            })?;
        let resumes = way.resumed.as_deref();
        let plan = match &way.outside {
            Some(joined) => outside::plan(session, &way.params, joined, engines)?,
            None => {
                let conversation = way.conversation.clone();
                create::complete(session, way.kind, way.launch, conversation, resumes, &way.params, engines)?
            }
        };
        let channel = plan.channel.as_ref().map(|channel| channel.kind.name().to_owned());
        let (argv, conversation) = (plan.argv.clone(), way.conversation);
        let resumed = way.resumed.clone();
        let holder = self
            .admit_as(plan, |life| async move {
                self.try_update(session, move |row| {
                    if row.session.generation != generation || !row.session.state.is_final() {
                        return Err(StoreError::Conflict(format!("session {session} was taken up by somebody else")));
                    }
                    let from = row.session.life;
                    begin_again(row, life, retry);
                    (row.session.argv, row.session.conversation) = (argv, conversation);
                    (row.session.channel, row.session.channel_lost) = (channel, None);
                    let data = serde_json::json!({
                        "from": from, "to": life, "generation": row.session.generation, "resumes": resumed,
                    });
                    Ok(Some((kind::SESSION_LIFE, data)))
                })
                .await
            })
            .await?;
        Ok(Again {
            session,
            pid: holder.map(|holder| holder.child.pid),
            generation: generation.saturating_add(1),
            conversation: way.resumed,
            checkpoint: None,
            rewound: None,
        })
    }

    /// How a session would go on.
    async fn way(&self, row: &SessionRow, params: &AgainParams, engines: &Context) -> Result<Way, RpcError> {
        let session = &row.session;
        let mut wish = Wish::load(&self.directory(session.session)).ok_or_else(|| {
            let why = if session.owner.is_some() {
                "it belongs to a run; `run.resume` takes that up"
            } else {
                "what it was made with is not kept"
            };
            refused(session.session, why)
        })?;
        let outside = wish.outside.take();
        let mut params_again = wish.complete(&params.env)?;
        self.fill_channel(&mut params_again);
        let kind: EngineKind = session.engine.parse()?;
        if !Path::new(&params_again.cwd).is_dir() {
            let why = format!("its directory {} is not there any more", params_again.cwd);
            return Err(refused(session.session, why).with_hint("make it again, or begin a session in another one"));
        }
        if let Some(joined) = outside {
            if params.fresh {
                let why = "it joined what runs outside of orx and has no conversation of its own to begin anew";
                return Err(refused(session.session, why).with_hint("`session.create` begins a session with a new one"));
            }
            let (kind, launch) = outside::launch(&params_again, engines)?;
            let conversation = joined.conversation.clone();
            let resumed = conversation.clone();
            return Ok(Way { params: params_again, kind, launch, resumed, conversation, outside: Some(joined) });
        }
        if kind == EngineKind::Command {
            // A command has no conversation that could be lost: it is run again.
            let (kind, launch) = create::check(&params_again, engines, None)?;
            return Ok(Way { params: params_again, kind, launch, resumed: None, conversation: None, outside: None });
        }
        let known = self.find_conversation(row, engines).await?;
        if let Some(conversation) = known.clone().filter(|_| !params.fresh && keeps_files(session)) {
            check_kept(session.session, kind, conversation, &params_again, engines).await?;
        }
        match known.filter(|_| orx_engines::can_resume(kind) && !params.fresh) {
            Some(conversation) => {
                // The first prompt is in the conversation already.
                params_again.prompt = None;
                create::check(&params_again, engines, None)?;
                let request = ResumeRequest {
                    cwd: params_again.cwd.clone(),
                    conversation: conversation.clone(),
                    argv: params_again.argv.clone(),
                };
                let launch = match choose::choose(kind, &params_again)? {
                    Some(ChannelKind::Acp) => choose::agent(kind, &params_again, engines)?,
                    _ => orx_engines::resume(kind, engines, &request)?,
                };
                let resumed = Some(conversation);
                let conversation = resumed.clone();
                Ok(Way { params: params_again, kind, launch, resumed, conversation, outside: None })
            }
            None if params.fresh => {
                // A name of its own: the session's own is that of the conversation that is given up.
                let conversation = create::conversation_of(&params_again, SessionId::generate());
                let (kind, launch) = create::check(&params_again, engines, conversation.as_deref())?;
                Ok(Way { params: params_again, kind, launch, resumed: None, conversation, outside: None })
            }
            None => {
                let why = if orx_engines::can_resume(kind) {
                    format!("the name of its conversation with {kind} is not known, so it cannot be taken up")
                } else {
                    format!("{kind} cannot take a conversation up again")
                };
                Err(refused(session.session, why).with_hint(FRESH))
            }
        }
    }
}

/// Whether a session's conversation is in files of its engine that are known. An agent on pipes may be an adapter, which keeps what it
/// likes where it likes, and says itself when it has nothing to take up.
pub(super) fn keeps_files(session: &Session) -> bool {
    session.channel.as_deref() != Some(ChannelKind::Acp.name())
}

/// Refuses a conversation of which its engine keeps nothing: it would end at once, or begin another.
async fn check_kept(
    session: SessionId,
    kind: EngineKind,
    conversation: String,
    params: &CreateParams,
    engines: &Context,
) -> Result<(), RpcError> {
    let mut context = engines.clone();
    context.environment.extend(params.env.clone());
    let cwd = params.cwd.clone();
    let looking =
        tokio::task::spawn_blocking(move || orx_engines::transcript::is_kept(kind, &context, &cwd, &conversation))
            .await;
    match looking {
        Ok(Some(false)) => {
            let why = format!("{kind} keeps nothing of its conversation: nothing was said in it, or it was removed");
            Err(refused(session, why).with_hint(FRESH))
        }
        // A panic there is logged by the runtime; the engine says the rest.
        _ => Ok(()),
    }
}

/// The record of a session that is taken up again.
fn begin_again(row: &mut SessionRow, life: Life, retry: bool) {
    let session = &mut row.session;
    session.state = SessionState::Starting;
    session.life = life;
    session.generation = session.generation.saturating_add(1);
    (session.pid, session.exit, session.reason, session.message, session.ended_at_ms) = (None, None, None, None, None);
    session.activity = orx_protocol::activity::Activity::default();
    session.terms.outcome = None;
    session.terms.missing = None;
    session.context = None;
    let now_ms = clock::now_ms();
    session.terms.taken_up_at_ms = Some(now_ms);
    session.terms.queued_at_ms = (life == Life::Queued).then_some(now_ms);
    session.terms.retries = session.terms.retries.saturating_add(u32::from(retry));
    row.holder = None;
}

/// Puts the files of a generation into a directory of their own. Called again after a death half way, it goes on.
fn archive(directory: &Path, generation: u32) -> io::Result<()> {
    let kept = directory.join(format!("generation-{generation}"));
    orx_sandbox::file::private_directory(&kept)?;
    for name in FILES {
        match std::fs::rename(directory.join(name), kept.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_a_generation_are_put_aside_also_when_it_takes_two_tries() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        std::fs::write(path.join(file::OUTPUT), "first").unwrap();
        std::fs::write(path.join(file::ENDED), "{}").unwrap();
        archive(path, 1).unwrap();
        archive(path, 1).unwrap();
        assert!(!path.join(file::ENDED).exists());
        assert_eq!(std::fs::read(path.join("generation-1").join(file::OUTPUT)).unwrap(), b"first");
    }
}
