//! The local user's token: made at the first start, kept in a file that only the user can read, compared in constant time.

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;

/// Random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// Why there is no token to work with.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file could not be read or made.
    #[error("the token file {path} cannot be used: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not safe to trust.
    #[error("the token file {path} {why}: remove it, and a new one is made at the next start")]
    Unsafe {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The kernel gave no random bytes.
    #[error("no random bytes for a token: {0}")]
    Random(String),
}

/// A secret that is compared and never printed.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token([redacted])")
    }
}

impl Token {
    /// The token itself, for what is sealed with it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Whether a caller presented this token; takes the same time for every wrong one of its length.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }

    /// Reads the token file, or makes it with mode 0600 from its first instant.
    ///
    /// # Errors
    /// [`TokenError`] for a file that is a link, belongs to another user or can be read by others.
    pub fn load_or_make(path: &Path) -> Result<Self, TokenError> {
        let io = |source| TokenError::Io { path: path.to_owned(), source };
        let refuse = |why: String| Err(TokenError::Unsafe { path: path.to_owned(), why });
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut bytes = [0; TOKEN_BYTES];
                getrandom::fill(&mut bytes).map_err(|error| TokenError::Random(error.to_string()))?;
                let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                orx_sandbox::file::replace(path, format!("{text}\n").as_bytes()).map_err(io)?;
                Ok(Self(text))
            }
            Err(error) => Err(io(error)),
            Ok(metadata) => {
                if !metadata.is_file() {
                    return refuse("is not a regular file".to_owned());
                }
                if metadata.uid() != nix::unistd::geteuid().as_raw() {
                    return refuse(format!("belongs to the user with id {}", metadata.uid()));
                }
                let mode = metadata.permissions().mode() & 0o777;
                if mode & 0o077 != 0 {
                    return refuse(format!("has mode {mode:04o}, others may read it"));
                }
                let text = std::fs::read_to_string(path).map_err(io)?.trim().to_owned();
                if text.len() < TOKEN_BYTES {
                    return refuse(format!("holds {} characters, a token has at least {TOKEN_BYTES}", text.len()));
                }
                Ok(Self(text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let token = Token::load_or_make(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(Token::load_or_make(&path).unwrap().matches(text.trim()));
        assert!(
            token.matches(text.trim())
                && !token.matches("")
                && !token.matches(&text.replace('a', "b").replace('0', "1"))
        );
        assert_eq!(format!("{token:?}"), "Token([redacted])");
    }

    #[test]
    fn a_token_file_that_others_can_read_or_move_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "x".repeat(64)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Token::load_or_make(&path), Err(TokenError::Unsafe { .. })));
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(Token::load_or_make(&link), Err(TokenError::Unsafe { .. })));
    }
}
