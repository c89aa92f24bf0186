//! `notification.*`.

use orx_protocol::RpcError;
use orx_protocol::api::Empty;
use orx_protocol::api::notification::{ListParams, Notification, Notifications};
use std::sync::Arc;

use crate::daemon::Daemon;

pub(super) async fn list(daemon: Arc<Daemon>, params: ListParams) -> Result<Notifications, RpcError> {
    daemon.notifier.list(params).await
}

pub(super) async fn test(daemon: Arc<Daemon>, _: Empty) -> Result<Notification, RpcError> {
    daemon.notifier.try_out().await
}
