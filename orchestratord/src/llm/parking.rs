//! What it means for a session that the gateway parked it: its agent is said to be limited, texts for it wait, and both end with the
//! parking. Who is parked, and until when, is the gateway's (`orx_gateway`).

use std::collections::HashSet;
use std::sync::Arc;

use orx_gateway::Gateway;
use orx_protocol::SessionId;
use orx_protocol::activity::{AgentState, Observation, Source};
use orx_router::parking::Parking;

use crate::daemon::Daemon;

/// How sure the gateway is: it refused the calls itself.
const CERTAIN: u8 = 99;

/// What the gateway says of what a parked session's agent does.
fn said(parking: &Parking) -> Observation {
    Observation {
        source: Source::Gateway,
        state: AgentState::RateLimited,
        reason: parking.why.to_string(),
        confidence: CERTAIN,
        at_ms: parking.since_ms,
        until_ms: parking.until_ms,
    }
}

/// Lets sessions and their texts know who is parked, before any of them is looked at.
pub fn connect(daemon: &Arc<Daemon>) {
    let gateway = daemon.gateway().clone();
    daemon.activities.set_standing(move |session| gateway.parking_of(session).as_ref().map(said));
    let gateway = daemon.gateway().clone();
    daemon.deliveries.set_parked(move |session| gateway.parking_of(session).map(|parking| parking.to_string()));
}

/// Lets them hear of it as it changes, as a task of the daemon.
pub fn begin(daemon: &Arc<Daemon>) {
    let gateway = daemon.gateway().clone();
    let following = Arc::clone(daemon);
    daemon.tasks.spawn(async move { follow(&following, &gateway).await });
}

async fn follow(daemon: &Daemon, gateway: &Gateway) {
    let mut changes = gateway.parking_changes();
    let mut records = daemon.sessions.changes();
    let mut known: HashSet<SessionId> = HashSet::new();
    loop {
        changes.mark_unchanged();
        records.mark_unchanged();
        let parked = gateway.parkings();
        for (session, parking) in &parked {
            daemon.activities.observe(*session, said(parking));
        }
        let now: HashSet<SessionId> = parked.iter().map(|(session, _)| *session).collect();
        for session in known.difference(&now) {
            daemon.activities.closed(*session, Source::Gateway);
        }
        if known.difference(&now).next().is_some() {
            daemon.deliveries.look_again();
        }
        known = now;
        forget_ended(daemon, gateway, &known).await;
        tokio::select! {
            () = daemon.draining.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            // Whether one of them ended.
            changed = records.changed(), if !known.is_empty() => if changed.is_err() { return },
        }
    }
}

/// The end of a session is the end of its being parked.
async fn forget_ended(daemon: &Daemon, gateway: &Gateway, parked: &HashSet<SessionId>) {
    for session in parked {
        match daemon.sessions.find(*session).await {
            Ok(Some(row)) if !row.session.state.is_final() => {}
            Ok(_) => gateway.forget_parking(*session),
            // It is looked at again when a record changes.
            Err(error) => tracing::warn!(%session, %error, "A parked session's record cannot be read."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_router::parking::Why;

    #[test]
    fn a_parked_session_is_limited_until_the_time_it_is_parked_for() {
        let why = Why::Vendor { provider: "anthropic".to_owned(), window: Some("5h".to_owned()) };
        let said = said(&Parking { since_ms: 7, until_ms: Some(9), why });
        assert_eq!((said.source, said.state, said.until_ms), (Source::Gateway, AgentState::RateLimited, Some(9)));
        assert_eq!(said.reason, "the quota `5h` of anthropic is used up");
    }
}
