//! `orxctl token`.

use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use clap::Args;
use serde::Serialize;

use crate::context::Context;
use crate::failure::{Failure, Status};

/// Arguments of `token`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl token
  curl -H \"Authorization: Bearer $(orxctl token --show)\" http://127.0.0.1:8090/api/v1/status")]
pub struct Token {
    /// Print the token itself
    #[arg(long)]
    pub show: bool,
}

/// What is known of the token's file, without its content.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TokenFile {
    /// Its path.
    path: String,
    /// Whether it is there.
    pub(crate) exists: bool,
    /// Its permissions, octal.
    mode: Option<String>,
    /// Whether only its owner, who is this user, can read it.
    pub(crate) private: bool,
}

/// Looks at the token's file.
///
/// # Errors
/// When it cannot be looked at.
pub(crate) fn look(path: &Path) -> std::io::Result<TokenFile> {
    let shown = path.display().to_string();
    match std::fs::symlink_metadata(path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o7777;
            let own = metadata.uid() == nix::unistd::geteuid().as_raw();
            let private = metadata.is_file() && own && mode & 0o077 == 0;
            Ok(TokenFile { path: shown, exists: true, mode: Some(format!("{mode:04o}")), private })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(TokenFile { path: shown, exists: false, mode: None, private: false })
        }
        Err(error) => Err(error),
    }
}

pub(crate) fn run(context: &Context, arguments: &Token) -> Result<Status, Failure> {
    let path = context.places.token();
    let unreadable = |error: std::io::Error| {
        let message = format!("the token {} cannot be read: {error}", path.display());
        if error.kind() == ErrorKind::PermissionDenied {
            Failure::not_allowed(message)
        } else {
            Failure::failed(message)
        }
    };
    let file = look(&path).map_err(unreadable)?;
    if !file.exists {
        return Err(Failure::failed(format!("there is no token at {} yet", path.display()))
            .with_hint("the daemon makes it when it starts: `orxctl up`"));
    }
    if !file.private {
        context.output.warning(&format!(
            "others may read the token (mode {}): chmod 600 {} and restart the daemon with a new one",
            file.mode.as_deref().unwrap_or("unknown"),
            path.display()
        ));
    }
    if arguments.show {
        let secret = std::fs::read_to_string(&path).map_err(unreadable)?;
        context.output.text(secret.trim())?;
    } else if context.output.json {
        context.output.json(&file)?;
    } else {
        let verdict = if file.private { "readable by you alone" } else { "NOT private" };
        context.output.text(&format!(
            "{} (mode {}, {verdict})",
            file.path,
            file.mode.as_deref().unwrap_or("unknown")
        ))?;
    }
    Ok(Status::of_success(file.private))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_others_can_read_is_seen() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("token");
        assert!(!look(&path).unwrap().exists);
        std::fs::write(&path, "secret").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(!look(&path).unwrap().private);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(look(&path).unwrap().mode.as_deref(), Some("0600"));
        assert!(look(&path).unwrap().private);
    }
}
