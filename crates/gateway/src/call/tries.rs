//! What becomes of attempts that fail: another at the same provider as often as the policy says, and what the caller is told when
//! nobody answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use orx_protocol::event::kind;
use orx_router::Tokens;
use orx_router::failure::{Failure, KeyOwner, Progress};
use orx_router::parking::Parking;
use orx_router::retry::{Again, Sofar};

use super::ask::Asked;
use super::park;
use super::plan::{Hop, Way};
use super::settle::Draft;
use super::unreadable;
use crate::answer::{self, Answer, Said, own};
use crate::attempt::{Attempt, Begun};
use crate::caller::Login;
use crate::control::Leave;
use crate::dialect::DialectError;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::inner::Inner;
use crate::provider::headers;
use crate::provider::upstream::Upstream;
use crate::settings::Config;

/// An attempt that failed.
pub(super) struct Failed {
    pub(super) failure: Failure,
    /// What the caller is told if nothing better comes.
    pub(super) error: ApiError,
    /// The provider's own words, where the caller speaks its dialect.
    pub(super) words: Option<(HeaderMap, Bytes)>,
    /// What parks its session, if nobody else takes the call.
    pub(super) parks: Option<Parking>,
}

impl Failed {
    /// Of an error that is no provider's words.
    pub(super) const fn new(failure: Failure, error: ApiError) -> Self {
        Self { failure, error, words: None, parks: None }
    }

    pub(super) fn own(failure: Failure, route: &str, why: &str) -> Self {
        let kind = match failure {
            Failure::TimeoutBeforeHeaders | Failure::TimeoutInStream => ErrorKind::GatewayTimeout,
            _ => ErrorKind::BadGateway,
        };
        Self::new(failure, own(kind, &format!("{route}: {failure}: {why}"), ""))
    }

    /// Without the operator's key, which some providers say again in their errors.
    pub(super) fn without_key(mut self, upstream: Option<&Upstream>) -> Self {
        let Some(upstream) = upstream else { return self };
        self.words = self.words.map(|(headers, words)| (headers, upstream.without_key(words)));
        let message = upstream.without_key(std::mem::take(&mut self.error.message).into());
        self.error.message = String::from_utf8_lossy(&message).into_owned();
        self
    }

    /// Of an error that stands in place of an answer.
    pub(super) fn in_place(error: ApiError, owner: KeyOwner) -> Self {
        Self::new(Failure::of_status(error.status, None, owner).unwrap_or(Failure::Malformed), error)
    }
}

/// What was not sent.
pub(super) struct Unsent {
    pub(super) error: ApiError,
    /// Whether another provider might be told it.
    pub(super) is_elsewhere: bool,
}

impl From<Unsent> for Failed {
    fn from(unsent: Unsent) -> Self {
        // Another provider might take what this one cannot be told; what is wrong in itself none takes.
        let failure = if unsent.is_elsewhere { Failure::Malformed } else { Failure::Caller { status: 400 } };
        Self::new(failure, unsent.error)
    }
}

impl From<DialectError> for Unsent {
    fn from(error: DialectError) -> Self {
        Self { is_elsewhere: matches!(error, DialectError::Impossible { .. }), error: unreadable(&error) }
    }
}

/// How often one provider was asked for a call, or for a part of it.
pub(super) struct Tries {
    began: Instant,
    made: u32,
    /// The tokens of the part.
    share: Option<Tokens>,
}

impl Tries {
    /// None yet.
    pub(super) fn new(share: Option<Tokens>) -> Self {
        Self { began: Instant::now(), made: 0, share }
    }

    /// Begins another.
    pub(super) fn begin(
        &mut self,
        gateway: &Arc<Inner>,
        config: &Arc<Config>,
        asked: &Asked,
        hop: &Hop,
        draft: &mut Draft,
        leave: Leave,
    ) -> Attempt {
        self.made += 1;
        draft.row.attempts += 1;
        let attempt = Attempt::new(Begun {
            gateway: Arc::clone(gateway),
            config: Arc::clone(config),
            leave,
            model: hop.model,
            row: Box::new(draft.row.clone()),
            conversation: asked.conversation.clone(),
            prompt: asked.prompt,
            is_ours: draft.row.billing == "key",
            is_login: asked.caller.login == Login::Own,
            began: asked.began,
            is_open: Arc::clone(&draft.is_open),
        });
        match self.share {
            Some(tokens) => attempt.of_part(tokens),
            None => attempt,
        }
    }

    /// Leave for another at the same provider, after the pause that the policy says; where there is none, the way goes on without it.
    pub(super) async fn again(
        &mut self,
        gateway: &Inner,
        config: &Config,
        asked: &Asked,
        way: &mut Way,
        hop: &Hop,
        failed: &Failed,
    ) -> Option<Leave> {
        let sofar = Sofar {
            attempts: self.made,
            elapsed_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            failure: failed.failure,
            progress: Progress::Nothing,
        };
        tracing::info!(call = asked.call, route = %hop.route, error = failed.error.message, "An attempt failed.");
        let random = random();
        let again = gateway.control().again(&config.retry, &hop.route.provider, sofar, random, gateway.time.now());
        let mut leave = None;
        if let Again::After(pause) = again {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            leave = way.again(gateway, config, asked, hop, self.share, gateway.time.now()).map(|(leave, _)| leave);
        }
        if leave.is_none() {
            way.failed(hop, failed.failure);
        }
        leave
    }
}

/// A call that nobody answered.
pub(super) struct Unanswered {
    /// Its row.
    pub(super) draft: Draft,
    /// The last attempt, where there was any.
    pub(super) last: Option<Failed>,
    /// What vendors said that parks its session.
    pub(super) parks: Vec<Parking>,
    /// What it cost: parts of it may have been answered all the same.
    pub(super) cost: Option<u64>,
}

/// What a caller is told when nobody answered.
///
/// # Errors
/// The error that is told where nobody was asked.
pub(super) async fn unanswered(
    gateway: &Arc<Inner>,
    config: &Config,
    asked: &Asked,
    way: &Way,
    unanswered: Unanswered,
) -> Result<Response<Answer>, ApiError> {
    let Unanswered { mut draft, last, parks, cost } = unanswered;
    let failure = last.as_ref().map(|failed| failed.failure);
    let parking = park::session(gateway, config, asked, way, failure, parks).await;
    let now = gateway.time.now();
    let Some(mut failed) = last else {
        let is_parked = parking.is_some() && asked.caller.payer.session.is_some();
        if let Some(error) = way.reached()
            && !is_parked
            && gateway.control().is_first_refusal(error)
        {
            let data = serde_json::json!({"message": error.to_string(), "call": asked.call});
            gateway.note(kind::BUDGET_REACHED, asked.caller.name().to_owned(), data);
        }
        let error = way.nobody(now);
        return Err(match &parking {
            Some(parking) => park::told_to_wait(&error.message, parking, now.wall_ms),
            None => error,
        });
    };
    if let Some(parking) = &parking
        && failed.error.status != 429
    {
        failed.error = park::told_to_wait(&failed.error.message, parking, now.wall_ms);
        failed.words = None;
    }
    let outcome = if matches!(failed.failure, Failure::Caller { .. }) { "refused" } else { "failed" };
    draft.failed(outcome, failed.error.status);
    let mut response = match failed.words {
        Some((provider, body)) => {
            let status = StatusCode::from_u16(failed.error.status).unwrap_or(StatusCode::BAD_GATEWAY);
            let mut response = Response::new(Answer::Whole(Some(body)));
            *response.status_mut() = status;
            *response.headers_mut() = headers::returned(&provider);
            response
        }
        None => answer::error(asked.dialect, &failed.error),
    };
    // Some vendors say in a header or a body of their own when to come again, which another vendor's client does not read.
    if let Some(wait) = parking.and_then(|parking| parking.retry_after(now.wall_ms)) {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert_with(|| wait.into());
    }
    let route = (&*draft.row.provider, &*draft.row.model);
    let said = Said { call: &asked.call, route, attempts: draft.row.attempts, cost };
    answer::say(response.headers_mut(), said);
    Ok(response)
}

/// A number for a pause; where the system gives none, the pause is none.
fn random() -> u64 {
    getrandom::u64().unwrap_or(0)
}
