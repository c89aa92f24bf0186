//! Whether providers answer at all: looked at when the daemon begins, every few minutes, and soon after a call found one gone. One
//! that does not is marked down, so that the router passes it over, and up again as soon as it answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use orx_router::ProviderId;
use tokio_util::sync::CancellationToken;

use crate::inner::Inner;
use crate::settings::Config;

/// Between two looks at all providers.
const PERIOD: Duration = Duration::from_mins(3);
/// How long a provider may take to say anything.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long one that does not answer is down, unless it is found up before: until after the next look.
const DOWN_MS: u64 = 240_000;
/// How the reason begins of a mark that this room made, and may take away.
const REASON: &str = "it does not answer: ";

/// Looks at the providers on this machine: nothing is sent over a network before somebody calls a model.
pub(crate) async fn look_at_local(gateway: &Inner) {
    let config = gateway.config();
    let local: Vec<ProviderId> = config
        .catalogue
        .providers()
        .iter()
        .filter(|provider| provider.local)
        .map(|provider| provider.id.clone())
        .collect();
    for provider in local {
        look(gateway, &config, &provider).await;
    }
}

/// Looks at all providers that are set up and were called, or are down, until `stop`.
pub(crate) async fn watch(gateway: Arc<Inner>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PERIOD) => {}
            () = gateway.doubt.notified() => {}
        }
        let config = gateway.config();
        for provider in config.catalogue.providers() {
            let is_configured = config.upstreams.get(&provider.id).is_some_and(|upstream| upstream.is_configured());
            if is_configured && (provider.local || gateway.control().was_called(&provider.id)) {
                look(&gateway, &config, &provider.id).await;
            }
        }
    }
}

/// Looks at one provider: whatever it answers over HTTP, it is there. No key is sent.
async fn look(gateway: &Inner, config: &Config, provider: &ProviderId) {
    let Some(upstream) = config.upstreams.get(provider) else { return };
    let answered = match Request::builder().method(Method::GET).uri(upstream.root()).body(Full::new(Bytes::new())) {
        Ok(request) => gateway.client.send(request, PATIENCE).await.map(drop).map_err(|unanswered| unanswered.why),
        Err(error) => Err(error.to_string()),
    };
    let now = gateway.time.now();
    let mut control = gateway.control();
    let breaker = control.breakers.breaker(provider, None);
    // What a person marked stays as it was marked.
    let is_ours = breaker.down_reason(now.monotonic_ms).is_none_or(|reason| reason.starts_with(REASON));
    let was_down = breaker.down_reason(now.monotonic_ms).is_some();
    let is_down = answered.is_err();
    match answered {
        Err(why) if is_ours => breaker.mark_down(format!("{REASON}{why}"), Some(DOWN_MS), now.monotonic_ms),
        Ok(()) if is_ours => breaker.mark_up(),
        Ok(()) | Err(_) => return,
    }
    if was_down != is_down {
        tracing::info!(%provider, is_down, "A provider was looked at.");
        let saved = control.breakers.save(now);
        drop(control);
        gateway.keep_breakers(&saved);
    }
}
