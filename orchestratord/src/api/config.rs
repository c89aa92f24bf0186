//! `config.*`.

use orx_protocol::RpcError;
use orx_protocol::api::config::{Template, TemplateParams};
use std::sync::Arc;

use crate::daemon::Daemon;

pub(super) async fn template(daemon: Arc<Daemon>, params: TemplateParams) -> Result<Template, RpcError> {
    let (path, text) = daemon.runs.settings_template(&params.repository, params.engine.as_deref()).await?;
    Ok(Template { path, text })
}
