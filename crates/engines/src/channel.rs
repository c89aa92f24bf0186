//! How a session with a structured channel is launched: which programs, with which arguments. What goes over the channel,
//! and who holds the programs, is decided elsewhere.

use std::fmt;
use std::str::FromStr;

use orx_sandbox::find_program;

use crate::launch::{checked, surroundings, text};
use crate::{Context, EngineError, EngineKind, Launch, environment, locate};

/// A structured channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// A server on a Unix socket, with the engine's terminal interface as a second client.
    AppServer,
    /// An HTTP server on loopback, with the engine's terminal interface as a second client.
    Serve,
    /// The Agent Client Protocol on pipes, without a terminal.
    Acp,
}

impl ChannelKind {
    /// Every channel.
    pub const ALL: [Self; 3] = [Self::AppServer, Self::Serve, Self::Acp];

    /// The name in requests and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AppServer => "app-server",
            Self::Serve => "serve",
            Self::Acp => "acp",
        }
    }

    /// Whether the session keeps its terminal.
    #[must_use]
    pub const fn has_terminal(self) -> bool {
        matches!(self, Self::AppServer | Self::Serve)
    }
}

impl fmt::Display for ChannelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ChannelKind {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or(())
    }
}

/// The channels that an engine has, best first.
pub fn channels(kind: EngineKind) -> impl Iterator<Item = ChannelKind> {
    let known = &kind.descriptor().channels;
    let attaches = known.attach.is_some();
    [
        (ChannelKind::AppServer, attaches && known.app_server.is_some()),
        (ChannelKind::Serve, attaches && known.serve.is_some()),
        (ChannelKind::Acp, known.acp.is_some() || known.acp_adapter.is_some()),
    ]
    .into_iter()
    .filter_map(|(channel, there)| there.then_some(channel))
}

/// Whether a program of this name speaks ACP for an engine that does not.
#[must_use]
pub fn is_adapter(name: &str) -> bool {
    let adapters =
        EngineKind::ALL.into_iter().filter_map(|kind| kind.descriptor().channels.acp_adapter.as_ref()?.first());
    adapters.into_iter().any(|adapter| adapter == name)
}

/// The programs of a session beside whose terminal interface a server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The server; `{address}` stands for where it is to listen.
    pub server: Vec<String>,
    /// The interface; `{address}` stands for where the server listens.
    pub interface: Vec<String>,
    /// The first prompt, where the interface takes none and it must be sent over the channel.
    pub first_prompt: Option<String>,
}

/// What stands for the server's address in arguments.
const ADDRESS: &str = "{address}";
/// What stands for the working directory in arguments.
const CWD: &str = "{cwd}";

/// A session's server and the interface that joins it, made from its launch without a channel. `further` are the caller's own
/// arguments, and `named` the conversation that is taken up again; both are in `alone` too.
///
/// # Errors
/// [`EngineError::Unsuited`] when the engine has no such channel, or cannot do beside it what the caller wants.
pub fn served(
    kind: EngineKind,
    channel: ChannelKind,
    alone: &Launch,
    cwd: &str,
    further: &[String],
    resumed: Option<&str>,
    prompt: Option<&str>,
) -> Result<Served, EngineError> {
    let unsuited = |why: String| EngineError::Unsuited { engine: kind, why };
    let known = &kind.descriptor().channels;
    let server = match channel {
        ChannelKind::AppServer => known.app_server.as_ref(),
        ChannelKind::Serve => known.serve.as_ref(),
        ChannelKind::Acp => None,
    };
    let (Some(server), Some(attach), Some((program, rest))) = (server, known.attach.as_ref(), alone.argv.split_first())
    else {
        return Err(unsuited(format!("has no channel `{channel}` beside its terminal")));
    };
    let fill = |arguments: &[String]| arguments.iter().map(|argument| argument.replace(CWD, cwd)).collect::<Vec<_>>();
    let mut interface = vec![program.clone()];
    interface.extend(fill(attach));
    let mut first_prompt = None;
    if channel == ChannelKind::AppServer {
        // Codex refuses permissions beside a conversation that it takes up at a server, and others may follow.
        if resumed.is_some() && !further.is_empty() {
            let why = format!(
                "takes no further arguments when a conversation is taken up with the channel `{channel}`: {}",
                further.join(" ")
            );
            return Err(unsuited(why));
        }
        interface.extend(rest.iter().cloned());
    } else {
        if !further.is_empty() {
            let why = format!("takes no further arguments with the channel `{channel}`: {}", further.join(" "));
            return Err(unsuited(why));
        }
        if let Some(conversation) = resumed {
            interface.extend(crate::resumption::arguments(kind, &Context::default(), conversation, true)?);
        }
        first_prompt = prompt.map(str::to_owned);
    }
    let mut argv = vec![program.clone()];
    argv.extend(fill(server));
    Ok(Served { server: argv, interface, first_prompt })
}

/// The launch of an agent that speaks ACP on pipes. Call [`crate::prepare`] before it is started.
///
/// # Errors
/// [`EngineError::Unsuited`] when the engine speaks no ACP, [`EngineError::NotInstalled`] when its program or adapter is
/// missing.
pub fn acp(kind: EngineKind, context: &Context, cwd: &str, further: &[String]) -> Result<Launch, EngineError> {
    let known = &kind.descriptor().channels;
    let argv = match (&known.acp, known.acp_adapter.as_ref().and_then(|adapter| adapter.split_first())) {
        (Some(arguments), _) => {
            let mut argv = vec![text(&locate(kind, context)?)];
            argv.extend(arguments.iter().cloned());
            argv
        }
        (None, Some((adapter, arguments))) => {
            let binary = context.binaries.get(adapter).unwrap_or(adapter);
            let found = find_program(binary, context.environment.get("PATH").map(String::as_str));
            let program = found.map_err(|missing| {
                let why = format!(
                    "speaks ACP through the program `{}`, which is missing {}; install it with `npm i -g \
                     @agentclientprotocol/{adapter}`",
                    missing.name, missing.searched
                );
                EngineError::Unsuited { engine: kind, why }
            })?;
            let mut argv = vec![text(&program)];
            argv.extend(arguments.iter().cloned());
            argv
        }
        (None, None) => {
            let why = "speaks no ACP, neither by itself nor through an adapter".to_owned();
            return Err(EngineError::Unsuited { engine: kind, why });
        }
    };
    let mut environment = surroundings(kind, context, cwd)?;
    environment::for_pipes(&mut environment);
    let mut launch = Launch { argv, confined_argv: None, environment, input: None };
    // What the engine's terminal needs beside its arguments, such as settings in a variable, its agent needs too.
    let own = launch.argv.clone();
    kind.driver().terminal(&mut launch, context, cwd);
    launch.argv = own;
    launch.argv.extend(further.iter().cloned());
    checked(launch)
}

/// The address placeholder filled in.
#[must_use]
pub fn with_address(argv: &[String], address: &str) -> Vec<String> {
    argv.iter().map(|argument| argument.replace(ADDRESS, address)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(argv: &[&str]) -> Launch {
        Launch {
            argv: argv.iter().map(|argument| (*argument).to_owned()).collect(),
            confined_argv: None,
            environment: Default::default(),
            input: None,
        }
    }

    #[test]
    fn every_engines_channels_are_named_best_first() {
        let named = |kind| channels(kind).map(ChannelKind::name).collect::<Vec<_>>();
        assert_eq!(named(EngineKind::Codex), ["app-server", "acp"]);
        assert_eq!(named(EngineKind::Opencode), ["serve", "acp"]);
        assert_eq!(named(EngineKind::Gemini), ["acp"]);
        assert_eq!(named(EngineKind::Claude), ["acp"]);
        assert_eq!(named(EngineKind::Command), [""; 0]);
    }

    #[test]
    fn codex_keeps_its_arguments_and_joins_its_server() {
        let launch = alone(&["/bin/codex", "resume", "id", "-m", "x", "--", "do it"]);
        let served = served(EngineKind::Codex, ChannelKind::AppServer, &launch, "/r", &[], None, None).unwrap();
        assert_eq!(served.interface, ["/bin/codex", "--remote", "{address}", "resume", "id", "-m", "x", "--", "do it"]);
        assert_eq!(with_address(&served.server, "unix:///s").last().map(String::as_str), Some("unix:///s"));
        assert_eq!(served.first_prompt, None);
    }

    #[test]
    fn opencode_joins_in_its_directory_and_gets_its_prompt_over_the_channel() {
        let launch = alone(&["/bin/opencode", "--prompt=do it"]);
        let served =
            served(EngineKind::Opencode, ChannelKind::Serve, &launch, "/r", &[], Some("ses_1"), Some("do it")).unwrap();
        assert_eq!(served.interface, ["/bin/opencode", "attach", "{address}", "--dir", "/r", "--session", "ses_1"]);
        assert_eq!(served.server, ["/bin/opencode", "serve", "--hostname", "127.0.0.1", "--port", "0"]);
        assert_eq!(served.first_prompt.as_deref(), Some("do it"));
    }

    #[test]
    fn what_cannot_be_done_beside_a_channel_is_refused_by_name() {
        let launch = alone(&["/bin/opencode", "--model", "m"]);
        let further = ["--model".to_owned(), "m".to_owned()];
        let refused =
            served(EngineKind::Opencode, ChannelKind::Serve, &launch, "/r", &further, None, None).unwrap_err();
        assert!(refused.to_string().contains("--model m"), "{refused}");
        let none = served(EngineKind::Gemini, ChannelKind::AppServer, &launch, "/r", &[], None, None).unwrap_err();
        assert!(none.to_string().contains("app-server"), "{none}");
        let sandbox = ["-s".to_owned(), "read-only".to_owned()];
        let resumed = served(EngineKind::Codex, ChannelKind::AppServer, &launch, "/r", &sandbox, Some("id"), None);
        assert!(resumed.unwrap_err().to_string().contains("-s read-only"));
        let missing = acp(EngineKind::Claude, &Context::default(), "/r", &[]).unwrap_err();
        assert!(missing.to_string().contains("claude-agent-acp"), "{missing}");
    }
}
