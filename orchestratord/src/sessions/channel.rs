//! What a session's record and directory have of its structured channel. What goes over it is the business of
//! [`crate::channels`].

use orx_engines::channel::{ChannelKind, with_address};
use orx_protocol::api::session::{ContextUse, SessionState, Used};
use orx_protocol::event::kind;
use orx_protocol::launch::{DIRECTORY, LaunchSpec, Ready, Relay, Serve, file};
use orx_protocol::limits::SOCKET_PATH;
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_session::usage;
use orx_store::{SessionRow, StoreError, sessions as table};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use super::Sessions;
use super::create::Plan;
use crate::channels::choose::{ChannelPlan, Programs};

/// The socket in a launcher's directory on which it is spoken to, or on which its server is reached.
const SOCKET: &str = "s";
/// The socket there that a server which is guarded is told to listen on.
const SERVER_SOCKET: &str = "e";
/// What the daemon keeps of a session's channel, in the session's directory.
pub(super) const KEPT: &str = "channel.json";
/// How long a server may take to answer: opencode takes ten seconds on a busy machine.
const SERVER_LIMIT_MS: u64 = 60_000;
/// What stands before the address in what opencode's server says.
const SAID: &str = "listening on ";

/// What is needed to open a channel again after the daemon's own end.
#[derive(Clone, Serialize, Deserialize)]
pub struct Kept {
    /// The password of the session's server. It opens nothing else, and ends with the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// The conversation that the agent is to take up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<String>,
    /// Where its server listens that runs outside of orx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
    /// What it is asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_prompt: Option<String>,
}

impl Kept {
    /// Reads what is kept in a session's directory.
    #[must_use]
    pub fn load(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(directory.join(KEPT)).ok()?).ok()
    }
}

/// The launcher's place in a session's directory: its sandbox opens that to it and nothing else there, where what is found
/// is believed.
#[must_use]
pub fn place(directory: &Path) -> PathBuf {
    directory.join(DIRECTORY)
}

/// The socket of the channel of a session with this directory.
#[must_use]
pub fn socket(directory: &Path) -> PathBuf {
    place(directory).join(SOCKET)
}

impl Sessions {
    /// Puts the launcher of a plan's channel in front of its programs. Once done, it stays.
    pub(super) fn lay_channel(&self, plan: &mut Plan) {
        if plan.channel.as_ref().is_none_or(|channel| matches!(channel.programs, Programs::Joined(_))) {
            return;
        }
        let directory = self.directory(plan.session);
        if let Err(why) = prepare(&directory, plan) {
            // It has a terminal all the same; one that has none is refused when it is launched.
            tracing::warn!(session = %plan.session, why, "A session gets no structured channel.");
            plan.channel = plan.channel.take().filter(|channel| !channel.kind.has_terminal());
            return;
        }
        plan.argv = vec![
            self.0.program.to_string_lossy().into_owned(),
            "launch".to_owned(),
            "--directory".to_owned(),
            place(&directory).to_string_lossy().into_owned(),
        ];
    }

    /// Writes what the launcher of a plan's channel is told, and what is needed to open the channel.
    pub(super) fn write_channel(&self, session: SessionId, channel: &ChannelPlan) -> Result<(), RpcError> {
        let directory = self.directory(session);
        let spec = spec(channel, &directory)?;
        let joined = match &channel.programs {
            Programs::Joined(address) => Some(address.clone()),
            Programs::Agent(_) | Programs::Served(..) => None,
        };
        let kept = Kept {
            joined,
            password: channel.password.clone(),
            resumed: channel.resumed.clone(),
            first_prompt: channel.first_prompt.clone(),
        };
        let written = (|| {
            orx_sandbox::file::private_directory(&directory)?;
            if let Some(spec) = spec {
                let spec = serde_json::to_vec(&spec).map_err(std::io::Error::other)?;
                orx_sandbox::file::replace(&place(&directory).join(file::SPEC), &spec)?;
            }
            let kept = serde_json::to_vec(&kept).map_err(std::io::Error::other)?;
            orx_sandbox::file::replace(&directory.join(KEPT), &kept)
        })();
        written.map_err(|error: std::io::Error| {
            RpcError::new(ErrorKind::Storage, format!("{} cannot be written: {error}", directory.display()))
        })
    }

    /// Sessions that run with a channel. One that was lost may be back.
    ///
    /// # Errors
    /// As the store cannot be read.
    pub async fn with_channels(&self) -> Result<Vec<SessionRow>, StoreError> {
        let mut rows = self.store().read(table::unfinished).await?;
        rows.retain(|row| {
            let session = &row.session;
            session.state == SessionState::Running && session.channel.is_some()
        });
        Ok(rows)
    }

    /// Records that a session's channel is lost, and why: the session is degraded.
    pub async fn record_channel_lost(&self, session: SessionId, why: String) {
        let record = || {
            let why = why.clone();
            self.update(session, move |row| {
                if row.session.state.is_final() || row.session.channel_lost.is_some() {
                    return None;
                }
                let data = serde_json::json!({"channel": row.session.channel, "lost": why});
                row.session.channel_lost = Some(why);
                Some((kind::SESSION_CHANNEL, data))
            })
        };
        self.insist(session, record).await;
    }

    /// Records what a session used, as its channel says.
    pub async fn record_usage(&self, session: SessionId, said: Used, context: Option<ContextUse>) {
        let recorded = self
            .update(session, move |row| {
                if !usage::note(&mut row.session, said, context) {
                    return None;
                }
                let session = &row.session;
                let data = serde_json::json!({
                    "tokens": session.tokens, "cost_microusd": session.cost_microusd, "context": session.context,
                });
                Some((kind::SESSION_USAGE, data))
            })
            .await;
        // The channel says it again, with more, as long as the session works.
        if let Err(error) = recorded {
            tracing::warn!(%session, %error, "What a session used cannot be recorded.");
        }
    }

    /// Records that a session's channel is there, if it was lost before.
    pub async fn record_channel_back(&self, session: SessionId) {
        let record = || {
            self.update(session, |row| {
                let lost = row.session.channel_lost.take()?;
                Some((
                    kind::SESSION_CHANNEL,
                    serde_json::json!({"channel": row.session.channel, "back": true, "was": lost}),
                ))
            })
        };
        self.insist(session, record).await;
    }
}

/// Makes the directories that the launcher of a channel writes to, so that a sandbox can open them to it.
fn prepare(directory: &Path, plan: &Plan) -> Result<(), String> {
    let unusable = |path: &Path, error: std::io::Error| format!("{} cannot be used: {error}", path.display());
    let own = place(directory);
    for path in [directory, &own] {
        orx_sandbox::file::private_directory(path).map_err(|error| unusable(path, error))?;
    }
    if plan.channel.as_ref().is_some_and(|channel| channel.kind == ChannelKind::AppServer) {
        let length = socket(directory).as_os_str().len();
        if length > SOCKET_PATH {
            return Err(format!("the path of its socket has {length} bytes, the kernel takes {SOCKET_PATH}"));
        }
        let place = server_sockets();
        orx_sandbox::file::private_directory(&place).map_err(|error| unusable(&place, error))?;
    }
    Ok(())
}

/// Where Codex puts the sockets of its servers, wherever it is told to listen: it links to there.
fn server_sockets() -> PathBuf {
    PathBuf::from(format!("/tmp/codex-daemon-{}", nix::unistd::geteuid()))
}

/// What a channel's programs write among shared temporary files.
pub(super) fn writable(channel: &ChannelPlan) -> Option<PathBuf> {
    (channel.kind == ChannelKind::AppServer).then(server_sockets)
}

/// What the launcher is told; nothing where there is none.
fn spec(channel: &ChannelPlan, directory: &Path) -> Result<Option<LaunchSpec>, RpcError> {
    let path = socket(directory).to_string_lossy().into_owned();
    let length = path.len();
    let has_socket = channel.kind != ChannelKind::Serve && !matches!(channel.programs, Programs::Joined(_));
    if length > SOCKET_PATH && has_socket {
        return Err(RpcError::new(
            ErrorKind::FailedPrecondition,
            format!("the socket {path} of the session's channel has {length} bytes, the kernel takes {SOCKET_PATH}"),
        )
        .with_hint("set ORX_HOME to a shorter path, or `channel: off`"));
    }
    Ok(match &channel.programs {
        Programs::Joined(_) => None,
        Programs::Agent(agent) => Some(LaunchSpec::Relay(Relay { agent: agent.clone(), socket: path })),
        Programs::Served(served, alone) => {
            let (server, ready, guarded) = match channel.kind {
                ChannelKind::Serve => (served.server.clone(), Ready::Line(SAID.to_owned()), None),
                ChannelKind::AppServer | ChannelKind::Acp if cfg!(target_os = "linux") => {
                    let own = place(directory).join(SERVER_SOCKET).to_string_lossy().into_owned();
                    (with_address(&served.server, &format!("unix://{own}")), Ready::Socket(own), Some(path))
                }
                ChannelKind::AppServer | ChannelKind::Acp => {
                    (with_address(&served.server, &format!("unix://{path}")), Ready::Socket(path), None)
                }
            };
            Some(LaunchSpec::Serve(Serve {
                server,
                ready,
                limit_ms: SERVER_LIMIT_MS,
                guarded,
                interface: served.interface.clone(),
                alone: alone.clone(),
            }))
        }
    })
}
