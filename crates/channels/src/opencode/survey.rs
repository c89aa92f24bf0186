//! What a server of opencode that somebody started has in hand, for whoever looks once and goes again.

use serde_json::Value;

use super::server::{Server, encoded};
use crate::error::ChannelError;
use crate::text::{line, owned, text};

/// What a server answers who wants a password or another one.
const UNAUTHORIZED: u16 = 401;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// The directory that it works in, or the one that was asked about.
    pub directory: String,
    /// The conversation there in which something was done last.
    pub conversation: Option<String>,
}

/// Asks a server where it works, and which conversation it had last there.
///
/// # Errors
/// [`ChannelError::Login`] when it wants a password or another one; when nobody answers, or says what is not understood.
pub async fn survey(server: &Server) -> Result<Surveyed, ChannelError> {
    let path = ask(server, "/path").await?;
    let directory = owned(&path, "/directory").ok_or_else(|| ChannelError::Protocol {
        peer: super::translate::PEER,
        why: "it does not say which directory it works in".to_owned(),
    })?;
    let last = ask(server, &format!("/session?roots=true&limit=1&directory={}", encoded(&directory))).await?;
    let conversation = owned(&last, "/0/id").filter(|_| text(&last, "/0/directory") == Some(directory.as_str()));
    Ok(Surveyed { directory, conversation })
}

async fn ask(server: &Server, path: &str) -> Result<Value, ChannelError> {
    let (status, body) = server.call(server.request("GET", path, None)?).await?;
    match status {
        200..=299 => Ok(body),
        UNAUTHORIZED if server.password.is_none() => Err(ChannelError::Login("its server has a password".to_owned())),
        UNAUTHORIZED => Err(ChannelError::Login("its server has another password".to_owned())),
        _ => {
            let said = text(&body, "/message").or_else(|| body.as_str()).unwrap_or("it gives no reason");
            let what = path.split('?').next().unwrap_or(path).to_owned();
            Err(ChannelError::Refused { what, why: format!("status {status}: {}", line(said)) })
        }
    }
}
