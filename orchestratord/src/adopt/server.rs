//! Servers of opencode that somebody started. They are joined by opencode's own interface as one more client, in the
//! conversation in which something was done last.

use orx_channels::opencode::{Server, survey};
use orx_channels::{ChannelError, opencode::Surveyed};
use orx_engines::{Context, EngineKind};
use orx_protocol::api::adopt::AdoptParams;
use orx_protocol::api::session::CreateParams;
use orx_protocol::{ErrorKind, RpcError};

use crate::channels::choose::{PASSWORD, USERNAME};
use crate::sessions::outside::{self, Outside};

/// Makes a session's wish of a wish to join a server.
pub(super) async fn join(params: &AdoptParams, engines: &Context) -> Result<(CreateParams, Outside), RpcError> {
    let address = params.target.trim_end_matches('/').to_owned();
    let named = |name: &str| engines.environment.get(name).cloned();
    let server = Server {
        url: address.clone(),
        user: named(USERNAME),
        password: named(PASSWORD),
        directory: params.cwd.clone(),
    };
    let Surveyed { directory, conversation } = survey(&server).await.map_err(|error| refused(&address, error))?;
    let mut argv = vec!["attach".to_owned(), address.clone(), "--dir".to_owned(), directory.clone()];
    if let Some(conversation) = &conversation {
        argv.extend(["--session".to_owned(), conversation.clone()]);
    }
    let mut wanted = CreateParams {
        engine: EngineKind::Opencode.name().to_owned(),
        cwd: directory,
        title: params.title.clone(),
        argv,
        ..CreateParams::default()
    };
    outside::fit(&mut wanted);
    Ok((wanted, Outside { conversation, address: Some(address) }))
}

fn refused(address: &str, error: ChannelError) -> RpcError {
    let (kind, hint) = match &error {
        ChannelError::Address(_) => (ErrorKind::InvalidParams, "give it as http://127.0.0.1:4096"),
        ChannelError::Login(_) => {
            (ErrorKind::EngineLogin, "start the daemon with OPENCODE_SERVER_PASSWORD set to the server's password")
        }
        _ => (ErrorKind::Upstream, "`opencode serve --port 4096` starts a server and says its address"),
    };
    RpcError::new(kind, format!("`session.adopt`: {address}: {error}")).with_hint(hint)
}

/// Whether a process was started to join a server.
pub(super) fn joins(argv: &[String], address: &str) -> bool {
    let address = address.trim_end_matches('/');
    argv.windows(2).any(|words| matches!(words, [one, name] if one == "attach" && name == address))
}
