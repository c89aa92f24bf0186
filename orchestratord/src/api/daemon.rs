//! `health`, `status`, `hello`.

use orx_protocol::api::Empty;
use orx_protocol::api::daemon::{Health, HealthStatus, Hello, HelloParams, Status};
use orx_protocol::api::session::TERMINAL_CODEC;
use orx_protocol::{ErrorKind, PROTOCOL_VERSION, RpcError, clock};
use std::sync::Arc;

use crate::daemon::{Daemon, VERSION};

pub(super) fn health(daemon: &Arc<Daemon>, _: Empty) -> Result<Health, RpcError> {
    Ok(now(daemon))
}

/// The daemon's health at this moment.
fn now(daemon: &Daemon) -> Health {
    let (agents, served) = daemon.workers_health();
    let status = match (daemon.is_draining(), served && daemon.is_storing()) {
        (true, _) => HealthStatus::Draining,
        (false, true) => HealthStatus::Healthy,
        (false, false) => HealthStatus::Degraded,
    };
    Health {
        status,
        version: VERSION.to_owned(),
        agents: Some(agents),
        timestamp: Some(clock::now_ms()),
        interfaces: Some(daemon.interfaces()),
        llm_router: None,
    }
}

pub(super) async fn status(daemon: Arc<Daemon>, _: Empty) -> Result<Status, RpcError> {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let settings = daemon.settings();
    Ok(Status {
        health: now(&daemon),
        pid: std::process::id(),
        uptime_ms: daemon.uptime_ms(),
        home: settings.places.home.to_string_lossy().into_owned(),
        config: settings.places.config.to_string_lossy().into_owned(),
        socket: settings.places.socket.to_string_lossy().into_owned(),
        http: daemon.http_address().map(|address| address.to_string()),
        sessions: count(daemon.sessions.unfinished().await?),
        unconfined: count(daemon.sessions.unconfined().await?),
        degraded: count(daemon.sessions.degraded().await?),
        runs: count(daemon.runs.unfinished().await?),
        journal_seq: *daemon.store.head().borrow(),
        workers: daemon.dispatcher.list(),
        connections: count(daemon.connections.open()),
    })
}

pub(super) fn hello(_: &Arc<Daemon>, params: HelloParams) -> Result<Hello, RpcError> {
    if params.protocol != PROTOCOL_VERSION {
        return Err(RpcError::new(
            ErrorKind::UnsupportedVersion,
            format!(
                "the client speaks protocol {}, this daemon ({VERSION}) speaks {PROTOCOL_VERSION}",
                params.protocol
            ),
        )
        .with_hint("bring the older of the two up to date"));
    }
    Ok(Hello { protocol: PROTOCOL_VERSION, version: VERSION.to_owned(), codecs: vec![TERMINAL_CODEC.to_owned()] })
}
