//! `sequence.*` and `record.*`: what workers must remember.

use orx_protocol::api::record::{
    AllocateParams, Allocated, KeyParams, ListParams, PutParams, Record, Records, SequenceParams, SequenceValue,
};
use orx_protocol::{ErrorKind, RpcError};
use orx_store::{records, sequences};
use serde::Serialize;
use std::sync::Arc;

use crate::daemon::Daemon;

/// Records of a page where no limit is named.
const PAGE: u32 = 100;
/// Most records of a page.
const PAGE_MAX: u32 = 1000;

/// Result of `record.delete`.
#[derive(Debug, Serialize)]
pub(super) struct Deleted {
    /// Whether there was one.
    deleted: bool,
}

pub(super) async fn next(daemon: Arc<Daemon>, params: SequenceParams) -> Result<SequenceValue, RpcError> {
    Ok(daemon.store.write(move |tx| sequences::next(tx, &params.name, params.key.as_deref())).await?)
}

pub(super) async fn allocate(daemon: Arc<Daemon>, params: AllocateParams) -> Result<Allocated, RpcError> {
    Ok(daemon.store.write(move |tx| sequences::allocate(tx, &params)).await?)
}

pub(super) async fn put(daemon: Arc<Daemon>, params: PutParams) -> Result<Record, RpcError> {
    Ok(daemon.store.write(move |tx| records::put(tx, &params.collection, &params.key, &params.value)).await?)
}

pub(super) async fn create(daemon: Arc<Daemon>, params: PutParams) -> Result<Record, RpcError> {
    Ok(daemon.store.write(move |tx| records::create(tx, &params.collection, &params.key, &params.value)).await?)
}

pub(super) async fn get(daemon: Arc<Daemon>, params: KeyParams) -> Result<Record, RpcError> {
    let KeyParams { collection, key } = params;
    let missing = format!("there is no record `{key}` in `{collection}`");
    let found = daemon.store.read(move |reader| records::get(reader, &collection, &key)).await?;
    found.ok_or_else(|| RpcError::new(ErrorKind::NotFound, missing))
}

pub(super) async fn delete(daemon: Arc<Daemon>, params: KeyParams) -> Result<Deleted, RpcError> {
    let deleted = daemon.store.write(move |tx| records::delete(tx, &params.collection, &params.key)).await?;
    Ok(Deleted { deleted })
}

pub(super) async fn list(daemon: Arc<Daemon>, params: ListParams) -> Result<Records, RpcError> {
    let limit = params.limit.unwrap_or(PAGE);
    if limit == 0 || limit > PAGE_MAX {
        return Err(RpcError::new(
            ErrorKind::InvalidParams,
            format!("`record.list`: `limit` is {limit}, it must be 1 to {PAGE_MAX}"),
        ));
    }
    let records = daemon
        .store
        .read(move |reader| records::list(reader, &params.collection, &params.prefix, params.after.as_deref(), limit))
        .await?;
    Ok(Records { records })
}
