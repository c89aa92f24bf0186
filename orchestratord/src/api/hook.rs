//! `hook.*`.

use orx_protocol::RpcError;
use orx_protocol::api::Empty;
use orx_protocol::api::hook::{DeliveredParams, ReportParams};
use std::sync::Arc;

use crate::access::Caller;
use crate::daemon::Daemon;
use crate::hooks;
use crate::listen::connection::Connection;
use crate::reply::{self, ReplyTo};

/// Answered when there is something to say, which may be as late as a person decides; the connection's end is the hook's.
pub(super) fn report(connection: &Arc<Connection>, params: ReportParams, reply: ReplyTo) {
    let (daemon, caller) = (Arc::clone(&connection.daemon), connection.caller.clone());
    let ended = connection.outbox.ended().clone();
    connection.daemon.tasks.spawn(async move {
        let reported = hooks::report(&daemon, &caller, params, ended.cancelled()).await;
        reply.send(reported.and_then(|reported| reply::raw(&reported)));
    });
}

pub(super) async fn delivered(daemon: Arc<Daemon>, caller: Caller, params: DeliveredParams) -> Result<Empty, RpcError> {
    hooks::delivered(&daemon, &caller, params).await?;
    Ok(Empty {})
}
