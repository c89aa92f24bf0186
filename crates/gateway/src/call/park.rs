//! What a call that nobody took means for its session: until when it is parked, and what its caller is told. What parks a session
//! is decided by the router.

use std::sync::Arc;

use http::HeaderMap;
use orx_router::failure::{Failure, KeyOwner};
use orx_router::parking::{self, Parking};
use orx_router::quota::Quota;

use super::ask::Asked;
use super::plan::{Hop, Way};
use crate::answer::own;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::door::Ask;
use crate::inner::Inner;
use crate::settings::Config;

/// What parks the session of a call that nobody took, once it is parked; `None` where nothing does.
pub(super) async fn session(
    gateway: &Arc<Inner>,
    config: &Config,
    asked: &Asked,
    way: &Way,
    last: Option<Failure>,
    parks: Vec<Parking>,
) -> Option<Parking> {
    // What is wrong with the request itself no time makes right.
    if matches!(last, Some(Failure::Caller { .. } | Failure::Gone)) {
        return None;
    }
    let barred = way.parkings(gateway, config, gateway.time.now());
    let parking = parking::soonest(parks.into_iter().chain(barred))?;
    // A call on the side is no reason to keep the work itself waiting.
    if let Some(session) = &asked.caller.payer.session
        && asked.ask == Ask::Generate
        && !asked.kind.is_side_call()
    {
        gateway.park(session, parking.clone()).await;
    }
    Some(parking)
}

/// What a caller is told to whom nobody answers before a time: clients that wait by themselves do then.
pub(super) fn told_to_wait(message: &str, parking: &Parking, now_ms: u64) -> ApiError {
    let retry_after = parking.retry_after(now_ms).map(|wait| wait.to_string());
    ApiError { retry_after, ..own(ErrorKind::RateLimited, &format!("{message}; {parking}"), "") }
}

/// What a refusal says of its vendor's quota, which is kept; gives what parks the session of its call, if nobody else takes it.
pub(super) fn refused(
    gateway: &Inner,
    config: &Config,
    hop: &Hop,
    (status, headers, body): (u16, &HeaderMap, &[u8]),
    owner: KeyOwner,
) -> Option<Parking> {
    let now_ms = gateway.time.now().wall_ms;
    let mut said = quota(headers, now_ms).unwrap_or_default();
    let mut parks = None;
    if status == 429 {
        said.read_body(body, now_ms);
        parks = parking::of_vendor(&hop.route.provider, &said, now_ms, config.park_from_ms);
    }
    keep(gateway, hop, said, owner);
    parks
}

/// Keeps what the headers of an answer say of its vendor's quota.
pub(super) fn note(gateway: &Inner, hop: &Hop, headers: &HeaderMap, owner: KeyOwner) {
    if let Some(quota) = quota(headers, gateway.time.now().wall_ms) {
        keep(gateway, hop, quota, owner);
    }
}

/// What headers say of a vendor's quota; `None` when they say nothing.
fn quota(headers: &HeaderMap, now_ms: u64) -> Option<Quota> {
    let says = |name: &http::HeaderName| {
        let name = name.as_str();
        name.contains("ratelimit") || name.starts_with("retry-after") || name.starts_with("x-codex-")
    };
    headers.keys().any(says).then(|| {
        Quota::read(headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))), now_ms)
    })
}

/// What an account of the caller's own has left says nothing of the operator's.
fn keep(gateway: &Inner, hop: &Hop, quota: Quota, owner: KeyOwner) {
    if owner == KeyOwner::Operator && quota != Quota::default() {
        gateway.control().quota(&hop.route.provider, quota);
    }
}
