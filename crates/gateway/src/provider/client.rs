//! The pool of connections to providers: HTTP/1.1 over TCP or TLS, small writes not held back. It follows no redirection: one could
//! lead a key anywhere.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client as Pool};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use orx_router::failure::Failure;
use tokio::sync::OnceCell;

/// Idle connections to one provider that are kept.
const IDLE: usize = 256;
/// For how long.
const IDLE_FOR: Duration = Duration::from_secs(90);

/// A call that got no answer.
#[derive(Debug)]
pub struct Unanswered {
    /// How it failed.
    pub failure: Failure,
    /// Why, in words.
    pub why: String,
}

/// The pools: connections over TLS are another sort, and the system's certificates are read when the first is made.
#[derive(Debug, Clone)]
pub struct Client {
    http: HttpConnector,
    plain: Pool<HttpConnector, Full<Bytes>>,
    secure: Arc<OnceCell<Pool<HttpsConnector<HttpConnector>, Full<Bytes>>>>,
}

impl Client {
    /// Empty pools, whose connections are made within `connect`.
    #[must_use]
    pub fn new(connect: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(connect));
        http.enforce_http(false);
        Self { plain: builder().build(http.clone()), http, secure: Arc::default() }
    }

    /// Sends a request and waits until its answer begins, at most for `wait`.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn send(&self, request: Request<Full<Bytes>>, wait: Duration) -> Result<Response<Incoming>, Unanswered> {
        let answer = async {
            if request.uri().scheme() == Some(&Scheme::HTTPS) {
                let secure = self.secure.get_or_try_init(|| self.secured()).await?;
                return secure.request(request).await.map_err(|error| unanswered(&error));
            }
            self.plain.request(request).await.map_err(|error| unanswered(&error))
        };
        tokio::time::timeout(wait, answer).await.unwrap_or_else(|_| {
            Err(Unanswered {
                failure: Failure::TimeoutBeforeHeaders,
                why: format!("no answer within {} ms", wait.as_millis()),
            })
        })
    }

    async fn secured(&self) -> Result<Pool<HttpsConnector<HttpConnector>, Full<Bytes>>, Unanswered> {
        let http = self.http.clone();
        let connector = tokio::task::spawn_blocking(move || {
            let provider = rustls::crypto::ring::default_provider();
            let rooted = hyper_rustls::HttpsConnectorBuilder::new().with_provider_and_native_roots(provider);
            rooted.map(|rooted| rooted.https_only().enable_http1().wrap_connector(http))
        });
        let failed = |why: String| Unanswered { failure: Failure::Tls, why };
        let connector = connector.await.map_err(|error| failed(error.to_string()))?;
        let connector =
            connector.map_err(|error| failed(format!("no certificates of authorities are installed: {error}")))?;
        Ok(builder().build(connector))
    }
}

fn builder() -> Builder {
    let mut builder = Pool::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_FOR).pool_max_idle_per_host(IDLE);
    builder
}

fn unanswered(error: &hyper_util::client::legacy::Error) -> Unanswered {
    let why = innermost(error);
    let failure = if error.is_connect() {
        if is_of_tls(error) { Failure::Tls } else { Failure::Connect }
    } else if is_malformed(error) {
        Failure::Malformed
    } else {
        Failure::Cut
    };
    Unanswered { failure, why }
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'e (dyn Error + 'static)| (*error).source())
}

fn is_of_tls(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(holds_tls)
}

/// An `io::Error` hides what it wraps from its parent's `source`: it is asked for it, and so is what that wraps.
fn holds_tls(error: &(dyn Error + 'static)) -> bool {
    error.is::<rustls::Error>()
        || error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref)
            .is_some_and(|inner| holds_tls(inner))
}

fn is_malformed(error: &(dyn Error + 'static)) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<hyper::Error>()).any(hyper::Error::is_parse)
}

/// The last of the causes, which is the one that says something.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map_or_else(String::new, ToString::to_string)
}
