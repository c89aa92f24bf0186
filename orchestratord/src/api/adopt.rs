//! `session.adoptable` and `session.adopt`.

use orx_protocol::RpcError;
use orx_protocol::api::adopt::{AdoptParams, Adoptable, AdoptableParams};
use orx_protocol::api::session::Created;
use std::sync::Arc;

use crate::adopt;
use crate::daemon::Daemon;

pub(super) async fn adoptable(daemon: Arc<Daemon>, params: AdoptableParams) -> Result<Adoptable, RpcError> {
    adopt::adoptable(&daemon, params).await
}

pub(super) async fn adopt(daemon: Arc<Daemon>, params: AdoptParams) -> Result<Created, RpcError> {
    daemon.refuse_when_draining()?;
    adopt::adopt(&daemon, params).await
}
