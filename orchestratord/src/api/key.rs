//! `key.*`. A session never makes, sees or revokes a key: that is a person's.

use orx_protocol::RpcError;
use orx_protocol::api::Empty;
use orx_protocol::api::key::{AddParams, Added, Key, Keys, RevokeParams};
use std::sync::Arc;

use crate::access::{Caller, standing};
use crate::daemon::Daemon;

pub(super) async fn add(daemon: Arc<Daemon>, caller: Caller, params: AddParams) -> Result<Added, RpcError> {
    standing::person(&daemon, &caller, "key.add").await?;
    daemon.refuse_when_draining()?;
    let (key, secret) = daemon.gateway().add_key(&params.name, params.cap).await?;
    Ok(Added { key, secret })
}

pub(super) async fn list(daemon: Arc<Daemon>, caller: Caller, _: Empty) -> Result<Keys, RpcError> {
    standing::person(&daemon, &caller, "key.list").await?;
    Ok(Keys { keys: daemon.gateway().keys().await? })
}

pub(super) async fn revoke(daemon: Arc<Daemon>, caller: Caller, params: RevokeParams) -> Result<Key, RpcError> {
    standing::person(&daemon, &caller, "key.revoke").await?;
    Ok(daemon.gateway().revoke_key(&params.name).await?)
}
