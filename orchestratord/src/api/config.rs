//! `config.*`.

use orx_protocol::RpcError;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

use crate::daemon::Daemon;

/// Parameters of `config.template`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TemplateParams {
    /// A directory in the repository.
    repository: String,
    /// The engine to name in it.
    #[serde(default)]
    engine: Option<String>,
}

/// Result of `config.template`.
#[derive(Debug, Serialize)]
pub(super) struct Template {
    /// Where the file belongs.
    path: String,
    /// Its text.
    text: String,
}

pub(super) async fn template(daemon: Arc<Daemon>, params: TemplateParams) -> Result<Template, RpcError> {
    let (path, text) = daemon.runs.settings_template(&params.repository, params.engine.as_deref()).await?;
    Ok(Template { path, text })
}
