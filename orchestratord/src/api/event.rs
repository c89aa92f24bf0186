//! `event.*`: the journal, read once or followed.

use orx_protocol::api::Empty;
use orx_protocol::api::event::{AcknowledgeParams, Events, ListParams, SubscribeParams};
use orx_protocol::{ErrorKind, RpcError};
use orx_store::{cursors, events};
use std::sync::Arc;

use crate::daemon::Daemon;
use crate::listen::connection::Connection;
use crate::reply::ReplyTo;
use crate::subscription;

/// Events of a page where no limit is named.
const PAGE: u32 = 100;
/// Most events of a page.
const PAGE_MAX: u32 = 1000;

pub(super) fn subscribe(connection: &Arc<Connection>, params: SubscribeParams, reply: ReplyTo) {
    if let Err(error) = connection.subscribe() {
        return reply.send(Err(error));
    }
    let daemon = &connection.daemon;
    daemon.tasks.spawn(subscription::follow(daemon.store.clone(), params, connection.outbox.clone(), reply));
}

pub(super) async fn acknowledge(daemon: Arc<Daemon>, params: AcknowledgeParams) -> Result<Empty, RpcError> {
    daemon.store.write(move |tx| cursors::set(tx, &params.cursor, params.seq)).await?;
    Ok(Empty {})
}

pub(super) async fn list(daemon: Arc<Daemon>, params: ListParams) -> Result<Events, RpcError> {
    let limit = params.limit.unwrap_or(PAGE);
    if limit == 0 || limit > PAGE_MAX {
        return Err(RpcError::new(
            ErrorKind::InvalidParams,
            format!("`event.list`: `limit` is {limit}, it must be 1 to {PAGE_MAX}"),
        ));
    }
    let since = params.since.unwrap_or(0);
    let events = daemon
        .store
        .read(move |reader| events::after(reader, since, &params.kinds, params.subject.as_deref(), limit))
        .await?;
    let next = events.last().map_or(since, |event| event.seq);
    Ok(Events { events, next })
}
