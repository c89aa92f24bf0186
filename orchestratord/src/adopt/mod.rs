//! Adoption: what runs or was begun outside of orx becomes a session of its own. A pane of tmux is mirrored and stays
//! tmux's; a conversation is taken up by its engine; a server gets a client, also Codex's own.

mod agents;
mod codex;
mod server;
mod tmux;

use orx_engines::{Context, EngineKind, Launch, ResumeRequest};
use orx_protocol::api::adopt::{AdoptParams, Adoptable, AdoptableParams, Candidate, Origin};
use orx_protocol::api::session::{CreateParams, Created, Session};
use orx_protocol::event::kind;
use orx_protocol::{ErrorKind, RpcError, SessionId};
use std::path::Path;
use std::sync::Arc;

use crate::daemon::Daemon;
use crate::sessions::create::{self, Plan};
use crate::sessions::outside;

fn invalid(why: impl std::fmt::Display) -> RpcError {
    RpcError::new(ErrorKind::InvalidParams, format!("`session.adopt`: {why}"))
}

/// Looks for what can be adopted. What cannot be looked through is named, and does not hide the rest.
///
/// # Errors
/// `InvalidParams` for a directory that is none.
pub async fn adoptable(daemon: &Daemon, params: AdoptableParams) -> Result<Adoptable, RpcError> {
    let mut found = Adoptable::default();
    let engines = daemon.engines();
    note(&mut found, "tmux", tmux::panes(&engines).await);
    note(&mut found, "background agents of Claude Code", agents::list(&engines).await);
    note(&mut found, "threads of Codex's own server", codex::list(&engines).await);
    if let Some(cwd) = params.cwd {
        if !Path::new(&cwd).is_absolute() || !Path::new(&cwd).is_dir() {
            let why = format!("`session.adoptable`: `cwd`: {cwd} is no absolute path of a directory");
            return Err(RpcError::new(ErrorKind::InvalidParams, why));
        }
        note(&mut found, "conversations", conversations(&engines, &cwd).await);
        note(&mut found, "worktrees", worktrees(daemon, &cwd).await);
    }
    // What a server has in hand is not taken up a second time beside it.
    let in_hand: Vec<String> = found.candidates.iter().filter_map(|one| one.conversation.clone()).collect();
    found.candidates.retain(|one| one.origin != Origin::Conversation || !in_hand.contains(&one.target));
    let sessions = daemon.sessions.list(true).await?;
    for candidate in &mut found.candidates {
        candidate.session = sessions.iter().find(|session| is_of(session, candidate)).map(|session| session.session);
    }
    Ok(found)
}

fn note(found: &mut Adoptable, what: &str, looked: Result<Vec<Candidate>, String>) {
    match looked {
        Ok(candidates) => found.candidates.extend(candidates),
        Err(why) => found.notes.push(format!("{what}: {why}")),
    }
}

/// Whether a session looks after a candidate already.
fn is_of(session: &Session, candidate: &Candidate) -> bool {
    match candidate.origin {
        Origin::Tmux => !session.state.is_final() && tmux::shows(session, &candidate.target),
        Origin::Agent => {
            let attached = ["attach".to_owned(), candidate.target.clone()];
            !session.state.is_final()
                && (session.argv.ends_with(&attached) || codex::joins(&session.argv, &candidate.target))
        }
        Origin::Conversation => {
            session.conversation.as_ref() == Some(&candidate.target)
                && Some(&session.engine) == candidate.engine.as_ref()
        }
        Origin::Worktree => !session.state.is_final() && session.cwd == candidate.target,
        Origin::Server => !session.state.is_final() && server::joins(&session.argv, &candidate.target),
    }
}

/// The conversations of every engine in a directory.
async fn conversations(engines: &Context, cwd: &str) -> Result<Vec<Candidate>, String> {
    let (context, place) = (engines.clone(), cwd.to_owned());
    let looking = tokio::task::spawn_blocking(move || {
        let mut candidates = Vec::new();
        for kind in EngineKind::ALL.into_iter().filter(|kind| orx_engines::can_resume(*kind)) {
            let found =
                orx_engines::find_conversations(kind, &context, &place, 0).map_err(|error| error.to_string())?;
            candidates.extend(found.into_iter().map(|found| Candidate {
                origin: Origin::Conversation,
                target: found.conversation,
                engine: Some(kind.name().to_owned()),
                cwd: place.clone(),
                title: None,
                session: None,
                conversation: None,
            }));
        }
        Ok(candidates)
    });
    looking.await.unwrap_or_else(|error| Err(error.to_string()))
}

/// What works in the background, of one engine or of all that have such.
async fn in_background(engines: &Context, engine: Option<&str>) -> Result<Vec<Candidate>, String> {
    let of_claude = agents::list(engines);
    let of_codex = codex::list(engines);
    match engine.and_then(|name| name.parse::<EngineKind>().ok()) {
        Some(EngineKind::Claude) => of_claude.await,
        Some(EngineKind::Codex) => of_codex.await,
        _ => match tokio::join!(of_claude, of_codex) {
            (Ok(one), Ok(other)) => Ok(one.into_iter().chain(other).collect()),
            // What one of them has is not hidden by the other's failure.
            (Ok(found), Err(why)) | (Err(why), Ok(found)) => {
                if found.is_empty() {
                    Err(why)
                } else {
                    Ok(found)
                }
            }
            (Err(why), Err(_)) => Err(why),
        },
    }
}

async fn worktrees(daemon: &Daemon, cwd: &str) -> Result<Vec<Candidate>, String> {
    let found = daemon.runs.worktrees_of(cwd).await.map_err(|error| error.to_string())?;
    Ok(found
        .into_iter()
        .map(|(path, branch)| Candidate {
            origin: Origin::Worktree,
            target: path.clone(),
            engine: None,
            cwd: path,
            title: branch,
            session: None,
            conversation: None,
        })
        .collect())
}

/// Adopts.
///
/// # Errors
/// `InvalidParams` naming the member; `NotFound` when there is nothing of that name; `Conflict` when a session looks after
/// it already; as the session does not start.
pub async fn adopt(daemon: &Arc<Daemon>, params: AdoptParams) -> Result<Created, RpcError> {
    let engines = daemon.engines();
    let (wanted, mut plan) = match params.origin {
        Origin::Tmux => (None, tmux::plan(daemon, &params, &engines).await?),
        Origin::Agent => {
            let candidate = known(in_background(&engines, params.engine.as_deref()).await, &params)?;
            let mut wanted = create_params(&params, candidate.engine.as_deref())?;
            if Path::new(&candidate.cwd).is_dir() {
                wanted.cwd.clone_from(&candidate.cwd);
            }
            outside::fit(&mut wanted);
            let joined = if candidate.engine.as_deref() == Some(EngineKind::Codex.name()) {
                codex::join(&mut wanted, &candidate, &engines)
            } else {
                agents::join(&mut wanted, &candidate)
            };
            let plan = outside::plan(SessionId::generate(), &wanted, &joined, &engines)?;
            (Some(wanted), plan)
        }
        Origin::Server => {
            let (wanted, joined) = server::join(&params, &engines).await?;
            let plan = outside::plan(SessionId::generate(), &wanted, &joined, &engines)?;
            (Some(wanted), plan)
        }
        Origin::Conversation => {
            let mut wanted = create_params(&params, None)?;
            daemon.sessions.fill_channel(&mut wanted);
            known(conversations(&engines, &wanted.cwd).await, &params)?;
            let plan = resumed(&wanted, &params.target, &engines)?;
            (Some(wanted), plan)
        }
        Origin::Worktree => {
            let mut wanted = create_params(&AdoptParams { cwd: Some(params.target.clone()), ..params.clone() }, None)?;
            wanted.cwd.clone_from(&params.target);
            daemon.sessions.fill_channel(&mut wanted);
            known(worktrees(daemon, &params.target).await, &params)?;
            let plan = create::plan(&wanted, &engines)?;
            (Some(wanted), plan)
        }
    };
    refuse_twice(daemon, &params).await?;
    // How it is confined is part of its record from the first.
    daemon.sessions.confine(&mut plan).await?;
    let session = plan.session;
    let holder = match wanted {
        Some(wanted) => daemon.sessions.admit(&wanted, plan).await?,
        // A mirror takes no place: its agent runs anyway.
        None => Some(daemon.sessions.start(plan).await?),
    };
    let data = serde_json::json!({"origin": params.origin, "target": params.target});
    daemon.journal.note(kind::SESSION_ADOPTED, session.to_string(), data).await;
    daemon.sessions.learn_conversation(session, engines);
    Ok(Created { session, pid: holder.map(|holder| holder.child.pid) })
}

async fn refuse_twice(daemon: &Daemon, params: &AdoptParams) -> Result<(), RpcError> {
    let candidate = Candidate {
        origin: params.origin,
        target: params.target.clone(),
        engine: params.engine.clone(),
        cwd: String::new(),
        title: None,
        session: None,
        conversation: None,
    };
    let sessions = daemon.sessions.list(true).await?;
    match sessions.iter().find(|session| !session.state.is_final() && is_of(session, &candidate)) {
        Some(session) if params.origin != Origin::Worktree => Err(RpcError::new(
            ErrorKind::Conflict,
            format!("session {} looks after {} already", session.session, params.target),
        )),
        _ => Ok(()),
    }
}

/// Checks that a target is among what was found.
fn known(found: Result<Vec<Candidate>, String>, params: &AdoptParams) -> Result<Candidate, RpcError> {
    let found = found.map_err(|why| RpcError::new(ErrorKind::Upstream, why))?;
    let fits = |candidate: &Candidate| {
        candidate.target == params.target
            && (params.engine.is_none() || candidate.engine.is_none() || candidate.engine == params.engine)
    };
    found.into_iter().find(fits).ok_or_else(|| {
        let why = format!("there is no {} named {}", params.origin.as_str(), params.target);
        RpcError::new(ErrorKind::NotFound, why).with_hint("`session.adoptable` lists what there is")
    })
}

fn create_params(params: &AdoptParams, engine: Option<&str>) -> Result<CreateParams, RpcError> {
    let engine = engine.map(str::to_owned).or_else(|| params.engine.clone());
    let home = || std::env::var("HOME").ok();
    Ok(CreateParams {
        engine: engine.ok_or_else(|| invalid("`engine` is missing: which engine is it of?"))?,
        cwd: params.cwd.clone().or_else(home).ok_or_else(|| invalid("`cwd` is missing"))?,
        title: params.title.clone(),
        ..CreateParams::default()
    })
}

/// The launch that takes a conversation up.
fn resumed(wanted: &CreateParams, conversation: &str, engines: &Context) -> Result<Plan, RpcError> {
    let (kind, _) = create::check(wanted, engines, None)?;
    let request =
        ResumeRequest { cwd: wanted.cwd.clone(), conversation: conversation.to_owned(), argv: wanted.argv.clone() };
    let launch: Launch = orx_engines::resume(kind, engines, &request)?;
    let name = Some(conversation.to_owned());
    create::complete(SessionId::generate(), kind, launch, name, Some(conversation), wanted, engines)
}
