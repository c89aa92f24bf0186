//! Which structured channel a session gets, and the programs that it is started with.

use orx_engines::channel::{self, ChannelKind, Served};
use orx_engines::{Context, EngineKind, Launch};
use orx_protocol::api::session::CreateParams;
use orx_protocol::{ErrorKind, RpcError};
use std::collections::BTreeMap;

/// What a caller writes to leave the choice to the daemon, and to have none.
pub(super) const AUTO: &str = "auto";
pub(crate) const OFF: &str = "off";
/// The variable in which opencode's programs take the password of their server.
pub(crate) const PASSWORD: &str = "OPENCODE_SERVER_PASSWORD";
/// The variable in which they take the name of their user there.
pub(crate) const USERNAME: &str = "OPENCODE_SERVER_USERNAME";
/// Bytes of a password.
const PASSWORD_BYTES: usize = 32;

/// The channel of a session that is about to start.
#[derive(Clone)]
pub struct ChannelPlan {
    /// Which.
    pub kind: ChannelKind,
    /// The programs.
    pub programs: Programs,
    /// The password of its server, where that has one.
    pub password: Option<String>,
    /// The conversation that is taken up.
    pub resumed: Option<String>,
    /// What the channel's first prompt is, where the program takes none.
    pub first_prompt: Option<String>,
}

impl std::fmt::Debug for ChannelPlan {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelPlan")
            .field("kind", &self.kind)
            .field("programs", &self.programs)
            .finish_non_exhaustive()
    }
}

/// What runs.
#[derive(Debug, Clone)]
pub enum Programs {
    /// A server beside an interface; and what runs when the server does not come up.
    Served(Served, Vec<String>),
    /// An agent on pipes.
    Agent(Vec<String>),
    /// The session's program alone; the server runs outside of orx, and listens at this address.
    Joined(String),
}

impl ChannelPlan {
    /// Every program that the session's launcher may start.
    pub fn programs(&self) -> impl Iterator<Item = &String> {
        let (first, second) = match &self.programs {
            Programs::Served(served, alone) => (served.server.first(), alone.first()),
            Programs::Agent(agent) => (agent.first(), None),
            Programs::Joined(_) => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// The channel that a caller wants, or the best that keeps the session's terminal.
///
/// # Errors
/// `InvalidParams` for a name that is none, `FailedPrecondition` for a channel that the engine does not have.
pub fn choose(kind: EngineKind, params: &CreateParams) -> Result<Option<ChannelKind>, RpcError> {
    let names = || channel::channels(kind).map(ChannelKind::name).collect::<Vec<_>>().join(", ");
    match params.channel.as_deref().unwrap_or(AUTO) {
        OFF => Ok(None),
        AUTO => Ok(channel::channels(kind).find(|channel| {
            // opencode's interface takes no arguments of its caller beside a server.
            channel.has_terminal() && (*channel != ChannelKind::Serve || params.argv.is_empty())
        })),
        name => {
            let wanted: ChannelKind = name.parse().map_err(|()| {
                let all = ChannelKind::ALL.map(ChannelKind::name).join(", ");
                RpcError::new(
                    ErrorKind::InvalidParams,
                    format!(
                        "`session.create`: `channel` is `{}`, it must be {AUTO}, {OFF}, {all}",
                        name.escape_default()
                    ),
                )
            })?;
            if channel::channels(kind).any(|channel| channel == wanted) {
                return Ok(Some(wanted));
            }
            let there = match names() {
                none if none.is_empty() => "none".to_owned(),
                names => names,
            };
            Err(RpcError::new(
                ErrorKind::FailedPrecondition,
                format!("`session.create`: {kind} has no channel `{wanted}`; it has {there}"),
            ))
        }
    }
}

/// Whether the choice is the daemon's: a channel that cannot be had is then none, and no error.
#[must_use]
pub fn is_left_to_us(params: &CreateParams) -> bool {
    params.channel.as_deref().is_none_or(|channel| channel == AUTO)
}

/// The launch of an agent that has no terminal.
///
/// # Errors
/// As `orx_engines::channel::acp`.
pub fn agent(kind: EngineKind, params: &CreateParams, engines: &Context) -> Result<Launch, RpcError> {
    Ok(channel::acp(kind, engines, &params.cwd, &params.argv)?)
}

/// Makes a channel of a launch, and gives the environment what its programs need for it.
///
/// # Errors
/// As `orx_engines::channel::served`; as the system gives no random bytes.
pub fn plan(
    kind: EngineKind,
    wanted: ChannelKind,
    launch: &Launch,
    params: &CreateParams,
    resumed: Option<&str>,
    environment: &mut BTreeMap<String, String>,
) -> Result<ChannelPlan, RpcError> {
    let resumed_name = resumed.map(str::to_owned);
    if wanted == ChannelKind::Acp {
        return Ok(ChannelPlan {
            kind: wanted,
            programs: Programs::Agent(launch.argv.clone()),
            password: None,
            resumed: resumed_name,
            first_prompt: params.prompt.clone(),
        });
    }
    let served = channel::served(kind, wanted, launch, &params.cwd, &params.argv, resumed, params.prompt.as_deref())?;
    let password = match wanted {
        ChannelKind::Serve => {
            let password = random()?;
            environment.insert(PASSWORD.to_owned(), password.clone());
            Some(password)
        }
        ChannelKind::AppServer | ChannelKind::Acp => None,
    };
    let first_prompt = served.first_prompt.clone();
    let programs = Programs::Served(served, launch.argv.clone());
    Ok(ChannelPlan { kind: wanted, programs, password, resumed: resumed_name, first_prompt })
}

fn random() -> Result<String, RpcError> {
    let mut bytes = [0; PASSWORD_BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the system gives no random bytes: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(channel: Option<&str>, argv: &[&str]) -> CreateParams {
        CreateParams {
            channel: channel.map(str::to_owned),
            argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
            ..CreateParams::default()
        }
    }

    #[test]
    fn the_best_channel_that_keeps_the_terminal_is_chosen() {
        for (kind, channel, argv, expected) in [
            (EngineKind::Codex, None, &[] as &[&str], Some(ChannelKind::AppServer)),
            (EngineKind::Codex, Some("auto"), &["-m", "x"], Some(ChannelKind::AppServer)),
            (EngineKind::Codex, Some("off"), &[], None),
            (EngineKind::Codex, Some("acp"), &[], Some(ChannelKind::Acp)),
            (EngineKind::Opencode, None, &[], Some(ChannelKind::Serve)),
            (EngineKind::Opencode, None, &["--model", "x"], None),
            (EngineKind::Gemini, None, &[], None),
            (EngineKind::Gemini, Some("acp"), &[], Some(ChannelKind::Acp)),
            (EngineKind::Command, None, &["true"], None),
        ] {
            assert_eq!(choose(kind, &params(channel, argv)).unwrap(), expected, "{kind} {channel:?} {argv:?}");
        }
    }

    #[test]
    fn a_channel_that_is_none_is_refused_with_those_that_are() {
        let misspelt = choose(EngineKind::Codex, &params(Some("appserver"), &[])).unwrap_err();
        assert_eq!(misspelt.kind(), ErrorKind::InvalidParams);
        assert!(misspelt.message.contains("app-server, serve, acp"), "{}", misspelt.message);
        let missing = choose(EngineKind::Gemini, &params(Some("serve"), &[])).unwrap_err();
        assert!(missing.message.contains("it has acp"), "{}", missing.message);
        let none = choose(EngineKind::Command, &params(Some("acp"), &[])).unwrap_err();
        assert!(none.message.contains("it has none"), "{}", none.message);
    }
}
