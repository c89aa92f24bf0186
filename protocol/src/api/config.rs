//! `config.template`: the commented project settings that `orxctl init` writes.

use serde::{Deserialize, Serialize};

/// Parameters of `config.template`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TemplateParams {
    /// A directory in the repository, absolute.
    pub repository: String,
    /// The engine to name in it; the first that is installed when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
}

/// Result of `config.template`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    /// Where it belongs: `orx.yaml` at the repository's root, absolute.
    pub path: String,
    /// Its text.
    pub text: String,
}
