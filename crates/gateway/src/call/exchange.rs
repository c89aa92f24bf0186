//! An exchange with a provider: a request goes out, and an answer begins or does not. What is asked, and what becomes of the answer, is
//! left to whoever asks.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, header, response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use orx_router::failure::{Failure, KeyOwner};
use orx_router::retry;

use super::ask::Asked;
use super::park;
use super::plan::Hop;
use super::tries::Failed;
use crate::answer::own;
use crate::attempt::{Attempt, Ended};
use crate::caller::Login;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::inner::Inner;
use crate::provider::client::{Unanswered, innermost};
use crate::settings::Config;

/// The largest error that is read, in bytes.
const ERROR: usize = 1 << 20;
/// How long an error's body is waited for.
const ERROR_WAIT: Duration = Duration::from_secs(10);

/// An answer that began.
pub(super) struct Begun {
    pub(super) head: response::Parts,
    pub(super) body: Incoming,
    /// Whose key the provider got.
    pub(super) owner: KeyOwner,
}

/// Sends a request and waits until its answer begins. `is_kept` is whether the caller speaks the provider's dialect, whose words it then
/// gets as they are. Where no answer begins the attempt has ended.
pub(super) async fn begin(
    gateway: &Inner,
    config: &Config,
    asked: &Asked,
    hop: &Hop,
    request: Request<Full<Bytes>>,
    is_kept: bool,
    attempt: &mut Attempt,
) -> Result<Begun, Box<Failed>> {
    let response = match gateway.client.send(request, config.timeouts.first_byte()).await {
        Ok(response) => response,
        Err(Unanswered { failure, why }) => {
            attempt.end(Ended::Failed(failure));
            return Err(Box::new(Failed::own(failure, &hop.route.to_string(), &why)));
        }
    };
    let owner = if asked.caller.login == Login::Own { KeyOwner::Caller } else { KeyOwner::Operator };
    let (head, body) = response.into_parts();
    if !head.status.is_success() {
        let failed = refused(gateway, config, hop, (head, body), is_kept, owner).await;
        attempt.end(Ended::Failed(failed.failure));
        return Err(Box::new(failed));
    }
    park::note(gateway, hop, &head.headers, owner);
    attempt.answers();
    Ok(Begun { head, body, owner })
}

/// A status that is no success.
async fn refused(
    gateway: &Inner,
    config: &Config,
    hop: &Hop,
    (head, body): (response::Parts, Incoming),
    is_kept: bool,
    owner: KeyOwner,
) -> Failed {
    let now_ms = gateway.time.now().wall_ms;
    let status = head.status.as_u16();
    let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let wait = retry_after.and_then(|value| retry::retry_after(value, now_ms));
    let failure = Failure::of_status(status, wait, owner).unwrap_or(Failure::Malformed);
    // What an error says is worth a little time; where it does not come, its status has to do.
    let reading = tokio::time::timeout(ERROR_WAIT, Limited::new(body, ERROR).collect());
    let bytes = reading.await.ok().and_then(Result::ok).map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut error = ApiError::read(status, retry_after, &bytes);
    match failure {
        // A refusal of the operator's key is no fault of the caller, who would take it for one of its own.
        Failure::ProviderKey { .. } => {
            error = own(
                ErrorKind::BadGateway,
                &format!("{}: {failure}: {}", hop.route, error.message),
                "correct the key in the environment of orchestratord",
            );
        }
        Failure::Malformed => {
            error = own(
                ErrorKind::BadGateway,
                &format!("{} answered {status}, which is no answer of an API", hop.route),
                "",
            );
        }
        _ => {}
    }
    let is_theirs = !matches!(failure, Failure::ProviderKey { .. } | Failure::Malformed);
    let parks = park::refused(gateway, config, hop, (status, &head.headers, &bytes), owner);
    let words = (is_kept && is_theirs && !bytes.is_empty()).then_some((head.headers, bytes));
    Failed { failure, error, words, parks }
}

/// The whole of an answer, which may be that long at most.
pub(super) async fn whole(body: Incoming, wait: Duration, limit: usize) -> Result<Bytes, (Failure, String)> {
    match tokio::time::timeout(wait, Limited::new(body, limit).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err((Failure::Malformed, format!("the answer is larger than {limit} bytes")))
        }
        Ok(Err(error)) => Err((Failure::Cut, innermost(&*error))),
        Err(_) => Err((Failure::TimeoutInStream, format!("the answer did not end within {} ms", wait.as_millis()))),
    }
}
