//! Following the journal for one subscriber: everything after its cursor, then what comes, at the pace at which it reads.

use orx_protocol::api::event::{NOTIFICATION, SubscribeParams, Subscribed};
use orx_protocol::{RpcError, rpc};
use orx_store::{Store, StoreError, cursors, events};
use std::time::Duration;

use crate::listen::outbox::Outbox;
use crate::reply::{self, ReplyTo};

/// Events read at once.
const PAGE: u32 = 256;
/// A subscriber with more than this waiting, in bytes, gets no further events until it has read some: the journal keeps them.
const ENOUGH_WAITING: usize = 256 * 1024;
/// How long to leave such a subscriber alone.
const BREATHER: Duration = Duration::from_millis(20);

/// Answers the subscription and sends events until the connection ends.
pub async fn follow(store: Store, params: SubscribeParams, outbox: Outbox, reply: ReplyTo) {
    let mut head = store.head();
    let newest = *head.borrow_and_update();
    let mut seen = match first(&store, &params, newest).await {
        Ok(seen) => seen,
        Err(error) => return reply.send(Err(RpcError::from(error))),
    };
    reply.send(reply::raw(&Subscribed { next: seen + 1 }));
    loop {
        // Events that the filter passes over are seen too: without that a rare kind would be searched from far back each time.
        let newest = *head.borrow_and_update();
        let (kinds, subject) = (params.kinds.clone(), params.subject.clone());
        let page = store.read(move |reader| events::after(reader, seen, &kinds, subject.as_deref(), PAGE)).await;
        let page = match page {
            Ok(page) => page,
            Err(StoreError::Closed) => return,
            Err(error) => return outbox.cut(&format!("the journal cannot be read: {error}")),
        };
        let full = page.len() >= PAGE as usize;
        for event in &page {
            if let Ok(body) = rpc::call(None, NOTIFICATION, event) {
                outbox.push(&body);
            }
        }
        outbox.flush();
        seen = if full {
            page.last().map_or(seen, |event| event.seq)
        } else {
            newest.max(page.last().map_or(seen, |event| event.seq))
        };
        while outbox.backlog() > ENOUGH_WAITING && !outbox.ended().is_cancelled() {
            tokio::time::sleep(BREATHER).await;
        }
        if full && !outbox.ended().is_cancelled() {
            continue;
        }
        tokio::select! {
            () = outbox.ended().cancelled() => return,
            changed = head.changed() => if changed.is_err() { return },
        }
    }
}

/// The last event that this subscriber does not want to see again.
async fn first(store: &Store, params: &SubscribeParams, head: u64) -> Result<u64, StoreError> {
    if let Some(since) = params.since {
        return Ok(since.min(head));
    }
    match params.cursor.clone() {
        Some(cursor) => Ok(store.read(move |reader| cursors::get(reader, &cursor)).await?.unwrap_or(0)),
        None => Ok(head),
    }
}
