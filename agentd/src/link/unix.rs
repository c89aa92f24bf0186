//! Serving over the daemon's Unix socket: registering, coming back after the daemon was away, leaving in order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use orx_client::{Backoff, Client, ClientError, ConnectOptions, WorkerEnd, WorkerLink};
use orx_protocol::api::Empty;
use orx_protocol::api::daemon::{Health, HealthStatus};
use orx_protocol::api::worker::RegisterParams;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::roles::Service;

/// How long requests in hand may take once the process is asked to stop.
const DRAIN: Duration = Duration::from_secs(60);

/// How long the daemon may take to answer a worker that is about to leave.
const PROBE: Duration = Duration::from_secs(2);

/// What a worker is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// Whether the daemon starts this worker again itself.
    pub supervised: bool,
    /// Requests that are worked on at once.
    pub capacity: u32,
}

/// Why serving ended.
#[derive(Debug)]
pub enum End {
    /// As it should: asked to, drained, or supervised and the daemon is gone.
    Left,
    /// Supervised, and there is no daemon.
    Unreachable(ClientError),
    /// The daemon does not want this worker.
    Refused(ClientError),
    /// Stopped before so many requests were answered.
    Abandoned(usize),
}

/// The signals that ask for the end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until the process is told to stop, or, supervised, until the connection ends.
///
/// # Errors
/// When the process cannot listen to signals.
pub async fn serve(service: Service, settings: Settings) -> std::io::Result<End> {
    let mut signals = Signals::listen()?;
    let service = Arc::new(service);
    let params = RegisterParams {
        role: service.role().name().to_owned(),
        capabilities: service.role().capabilities(),
        capacity: settings.capacity,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: Some(std::process::id()),
    };
    let mut backoff = Backoff::reconnect();
    loop {
        let register = {
            let service = Arc::clone(&service);
            WorkerLink::register(&settings.socket, &params, ConnectOptions::default(), move |request| {
                let service = Arc::clone(&service);
                async move { service.handle(request).await }
            })
        };
        let mut register = std::pin::pin!(register);
        let registered = tokio::select! {
            registered = &mut register => registered,
            () = signals.next() => {
                // The daemon may have accepted already and dispatched something.
                return Ok(match tokio::time::timeout(PROBE, register).await {
                    Ok(Ok(link)) => leave(&link, &mut signals).await,
                    Ok(Err(_)) | Err(_) => End::Left,
                });
            }
        };
        match registered {
            Ok(link) => {
                tracing::info!(worker = %link.worker(), role = params.role, "registered");
                backoff.reset();
                if let Some(end) = attend(&link, &mut signals, &settings).await {
                    return Ok(end);
                }
            }
            Err(error) if !error.is_repeatable() => return Ok(End::Refused(error)),
            Err(error) if settings.supervised => return Ok(End::Unreachable(error)),
            Err(error) => tracing::debug!(%error, "not registered yet"),
        }
        tokio::select! {
            () = backoff.pause() => {}
            () = signals.next() => return Ok(End::Left),
        }
    }
}

/// Serves one connection; `None` when another is to be sought.
async fn attend(link: &WorkerLink, signals: &mut Signals, settings: &Settings) -> Option<End> {
    let ended = tokio::select! {
        ended = link.finished() => ended,
        () = signals.next() => return Some(leave(link, signals).await),
    };
    match &ended {
        WorkerEnd::Drained => tracing::info!("drained"),
        WorkerEnd::Lost(error) => tracing::info!(%error, "the connection ended"),
    }
    if settings.supervised {
        return Some(End::Left);
    }
    // A daemon that stops drains all of its workers, and they wait for the next one; a daemon that stays meant this one.
    if matches!(ended, WorkerEnd::Drained) && stays(&settings.socket).await { Some(End::Left) } else { None }
}

/// Finishes what is in hand; a second signal or the deadline ends that.
async fn leave(link: &WorkerLink, signals: &mut Signals) -> End {
    tracing::info!(in_hand = link.in_hand(), "stopping");
    let drained = tokio::select! {
        _ = link.drain() => true,
        () = signals.next() => false,
        () = tokio::time::sleep(DRAIN) => false,
    };
    if drained { End::Left } else { End::Abandoned(link.in_hand()) }
}

/// Whether the daemon is there and not about to stop.
async fn stays(socket: &std::path::Path) -> bool {
    let Ok(client) = Client::connect(socket).await else { return false };
    let health = client.call_with_deadline::<_, Health>("health", &Empty {}, PROBE).await;
    health.is_ok_and(|health| health.status != HealthStatus::Draining)
}
