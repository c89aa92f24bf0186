//! Reading the text of a catalogue.

use orx_protocol::{ErrorKind, RpcError};
use orx_yaml::TextError;

use super::file::File;

/// What is wrong with the text of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct CatalogueError(#[from] pub TextError);

impl From<CatalogueError> for RpcError {
    fn from(error: CatalogueError) -> Self {
        Self::new(ErrorKind::Configuration, error.to_string()).with_hint("correct the named place and load it again")
    }
}

/// Reads one text.
pub(super) fn parse(text: &str, origin: &str) -> Result<File, CatalogueError> {
    Ok(orx_yaml::read(text, origin)?.unwrap_or_default())
}
