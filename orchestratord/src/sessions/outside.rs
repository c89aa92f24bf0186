//! Sessions whose process is a client of what runs outside of orx: a server of opencode or of Codex, a background agent of
//! Claude Code. The agent does what it does there, as it did: the client has no sandbox, no hooks and no endpoint of ours,
//! and its channel leads to where the server listens already. Who is joined, and how, is decided by [`crate::adopt`].

use orx_engines::channel::{self, ChannelKind};
use orx_engines::{Context, EngineKind, Launch};
use orx_protocol::api::confinement::{SandboxMode, SandboxParams};
use orx_protocol::api::session::CreateParams;
use orx_protocol::{RpcError, SessionId};
use serde::{Deserialize, Serialize};

use super::create::{self, Plan};
use crate::channels::choose::{ChannelPlan, OFF, Programs};

/// What is joined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// The conversation, where its name is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<String>,
    /// Where the server listens that has the agent in hand, where it is spoken to beside its interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Makes a wish for a session one for a client.
pub fn fit(wanted: &mut CreateParams) {
    wanted.channel = Some(OFF.to_owned());
    wanted.sandbox = SandboxParams { mode: Some(SandboxMode::Off), ..SandboxParams::default() };
}

/// How a client is launched.
///
/// # Errors
/// As [`create::check`].
pub(super) fn launch(params: &CreateParams, engines: &Context) -> Result<(EngineKind, Launch), RpcError> {
    create::check(params, &surroundings(engines), None)
}

/// The plan of a client's session.
///
/// # Errors
/// As [`create::check`].
pub fn plan(session: SessionId, params: &CreateParams, outside: &Outside, engines: &Context) -> Result<Plan, RpcError> {
    let (kind, launched) = launch(params, engines)?;
    let conversation = outside.conversation.clone();
    let plan = create::complete(session, kind, launched, conversation, None, params, &surroundings(engines))?;
    let channel = outside.address.as_ref().and_then(|address| {
        let kind = channel::channels(kind).find(|channel| channel.has_terminal())?;
        Some(joined(kind, address))
    });
    Ok(Plan { channel, outside: Some(outside.clone()), ..plan })
}

fn joined(kind: ChannelKind, address: &str) -> ChannelPlan {
    ChannelPlan {
        kind,
        programs: Programs::Joined(address.to_owned()),
        password: None,
        resumed: None,
        first_prompt: None,
    }
}

/// What a client's launch is made from: whose model the agent asks is settled where it runs.
#[must_use]
pub fn surroundings(engines: &Context) -> Context {
    Context { endpoint: None, ..engines.clone() }
}
