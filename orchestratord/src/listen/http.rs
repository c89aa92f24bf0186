//! HTTP: an accept loop of our own, since a server that waits for slow headers for ever is one that anybody can fill.
//! Every request is checked for its host, its origin and its token before it is routed.

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming as IncomingBody;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use orx_gateway::Gateway;
use orx_protocol::rpc::{self, Incoming};
use orx_protocol::{ErrorKind, RpcError, clock, legacy};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::outbox::Touched;
use super::websocket;
use crate::access::Caller;
use crate::access::origin::Hosts;
use crate::access::tcp::Ends;
use crate::access::token::Token;
use crate::api::{self, Call, rest};
use crate::daemon::{Daemon, VERSION};
use crate::llm;
use crate::reply::{self, Outcome, ReplyTo};

/// How long a client may take to send its headers, and a connection be idle. Clients of models give an idle connection up after four or
/// five seconds: where both close at once, a request is lost.
const HEADERS: Duration = Duration::from_secs(8);
/// How long a client may take to send its body.
const BODY: Duration = Duration::from_secs(10);

/// What the routes share.
#[derive(Clone)]
pub struct Http {
    pub(super) daemon: Arc<Daemon>,
    token: Token,
    hosts: Arc<Hosts>,
}

/// Opens the address.
///
/// # Errors
/// When it is taken or not allowed.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Serves until `stop`; connections that are open then may finish what they have.
pub async fn serve(
    daemon: Arc<Daemon>,
    listener: std::net::TcpListener,
    token: Token,
    further_hosts: Vec<String>,
    stop: CancellationToken,
) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "HTTP is not served: its socket could not be taken over.");
            return;
        }
    };
    let port = listener.local_addr().map_or(0, |address| address.port());
    let hosts = Arc::new(Hosts::new(port, &further_hosts));
    let router = router(Http { daemon: Arc::clone(&daemon), token, hosts: Arc::clone(&hosts) });
    while let Some(((stream, peer), permit)) = daemon.connections.next(&stop, || listener.accept()).await {
        // Small answers are not held back for more; where it cannot be set they are only slower.
        let _ = stream.set_nodelay(true);
        let ends = stream.local_addr().ok().map(|own| Ends { peer, own });
        let caller = Caller::over_tcp(ends);
        let service = TowerToHyperService::new(router.clone());
        let (gateway, hosts) = (daemon.gateway().clone(), Arc::clone(&hosts));
        let service = service_fn(move |mut request: hyper::Request<IncomingBody>| {
            let uri = request.uri();
            let is_door = Gateway::door(request.method().as_str(), uri.path(), uri.query()).is_some();
            let (gateway, hosts, service, caller) =
                (gateway.clone(), Arc::clone(&hosts), service.clone(), caller.clone());
            async move {
                // Calls of models have keys of their own, and bodies that no middleware is to hold up.
                if is_door {
                    return Ok(call_of_model(&gateway, &hosts, request).await);
                }
                request.extensions_mut().insert(caller);
                hyper::service::Service::call(&service, request).await
            }
        });
        let stop = stop.clone();
        daemon.tasks.spawn(async move {
            let mut builder = hyper::server::conn::http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADERS).max_headers(64);
            let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
            tokio::pin!(connection);
            let served = tokio::select! {
                served = connection.as_mut() => served,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "An HTTP connection ended early.");
            }
            drop(permit);
        });
    }
}

/// A request at a door of the gateway.
async fn call_of_model(gateway: &Gateway, hosts: &Hosts, request: hyper::Request<IncomingBody>) -> Response {
    if !from_here(hosts, request.headers()) {
        return StatusCode::FORBIDDEN.into_response();
    }
    match gateway.serve(request).await {
        Some(answer) => {
            let mut response = answer.map(Body::new);
            response.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
            response
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn router(state: Http) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/status", get(status))
        .route("/info", get(info))
        .route("/rpc", post(call))
        .route("/api/request", post(legacy_request))
        .route("/api/route-llm", post(route_llm))
        .route("/route", post(route))
        .route("/metrics", get(metrics))
        .route("/api/v1/{*path}", get(restful).post(restful).put(restful).patch(restful).delete(restful))
        .route("/ws", get(websocket::upgrade))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_verb)
        .layer(middleware::from_fn_with_state(state.clone(), admit))
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

/// An error as an HTTP answer.
fn refusal(error: &RpcError) -> Response {
    let status = StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({"error": {"code": error.code, "message": error.message, "data": error.data}});
    let mut response = (status, axum::Json(body)).into_response();
    if error.kind() == ErrorKind::Overloaded {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if error.kind() == ErrorKind::Unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Paths that answer a caller without a token, with no more than whether the daemon is up and which version it is.
const PUBLIC: [&str; 3] = ["/health", "/health/live", "/health/ready"];

fn is_public(request: &Request) -> bool {
    request.method() == Method::GET && PUBLIC.contains(&request.uri().path())
}

/// Marks a request whose token was right.
#[derive(Clone, Copy)]
struct Known;

/// The gate before every route.
async fn admit(State(state): State<Http>, mut request: Request, next: Next) -> Response {
    let mut response = match from_here(&state.hosts, request.headers()) {
        true => {
            let known = presented(request.headers()).is_some_and(|presented| state.token.matches(presented));
            if known {
                request.extensions_mut().insert(Known);
            }
            if request.method() == Method::OPTIONS {
                // No cross-origin use is foreseen, so a preflight is answered without any allowance.
                StatusCode::NO_CONTENT.into_response()
            } else if !known && !is_public(&request) {
                refusal(
                    &RpcError::new(ErrorKind::Unauthenticated, "this route needs the local user's token").with_hint(
                        "send `Authorization: Bearer <token>`; the token is in the file `token` in ORX_HOME",
                    ),
                )
            } else {
                next.run(request).await
            }
        }
        // No body: a foreign page learns nothing from it.
        false => StatusCode::FORBIDDEN.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("cache-control", "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether the headers say that the request is meant for this daemon and was not made by a foreign page.
fn from_here(hosts: &Hosts, headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    // A header that is not text is not one of ours.
    let readable = ["host", "origin"].iter().all(|name| !headers.contains_key(*name) || text(name).is_some());
    readable && hosts.check(text("host"), text("origin"), text("sec-fetch-site")).is_ok()
}

/// The token that a request carries, in a header or as the WebSocket subprotocol `orx.token.<token>`; never in the URL.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    bearer.or_else(|| text("x-api-key")).or_else(|| {
        text("sec-websocket-protocol")?
            .split(',')
            .find_map(|protocol| protocol.trim().strip_prefix(websocket::TOKEN_PROTOCOL))
    })
}

async fn read(state: &Http, request: Request) -> Result<Bytes, RpcError> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let empty = request.headers().get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    if essence != "application/json" && !(empty && essence.is_empty()) {
        // A form or plain text is what a foreign page can send without asking.
        return Err(RpcError::new(
            ErrorKind::InvalidRequest,
            format!("the body's type is `{essence}`, it must be application/json"),
        ));
    }
    let limit = state.daemon.limits().frame;
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > limit) {
        return Err(RpcError::new(ErrorKind::TooLarge, format!("the body is above the limit of {limit} bytes")));
    }
    let reading = Limited::new(request.into_body(), limit).collect();
    match tokio::time::timeout(BODY, reading).await {
        Err(_) => Err(RpcError::new(
            ErrorKind::DeadlineExceeded,
            format!("the body did not arrive within {} s", BODY.as_secs()),
        )),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(RpcError::new(ErrorKind::TooLarge, format!("the body is above the limit of {limit} bytes")))
        }
        Ok(Err(error)) => Err(RpcError::new(ErrorKind::InvalidRequest, format!("the body could not be read: {error}"))),
    }
}

/// Reads a body, or the HTTP answer that says why not.
async fn body_or_refusal(state: &Http, request: Request) -> Result<Bytes, Response> {
    read(state, request).await.map_err(|error| {
        if error.message.contains("application/json") {
            let mut response = refusal(&error);
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            response
        } else {
            refusal(&error)
        }
    })
}

/// Carries out a method for an HTTP request.
async fn carry_out(daemon: &Arc<Daemon>, caller: &Caller, method: &str, params: Option<&RawValue>) -> Outcome {
    let (reply, answer) = ReplyTo::once();
    let mut touched = Touched::default();
    api::handle(Call { daemon, caller, method, params }, None, reply, &mut touched);
    touched.flush();
    answer
        .await
        .unwrap_or_else(|_| Err(RpcError::new(ErrorKind::Internal, "the request was dropped without an answer")))
}

fn json_text(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body.into()).into_response()
}

async fn method_as_page(state: &Http, caller: &Caller, method: &str) -> Response {
    match carry_out(&state.daemon, caller, method, None).await {
        Ok(result) => json_text(result.get().to_owned()),
        Err(error) => refusal(&error),
    }
}

async fn health(State(state): State<Http>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let page = method_as_page(&state, &caller, "health").await;
    if request.extensions().get::<Known>().is_some() {
        return page;
    }
    let (_, served) = state.daemon.workers_health();
    let status = if state.daemon.is_draining() {
        "draining"
    } else if served {
        "healthy"
    } else {
        "degraded"
    };
    axum::Json(json!({"status": status, "version": VERSION})).into_response()
}

async fn live() -> Response {
    axum::Json(json!({"status": "alive", "version": VERSION})).into_response()
}

async fn ready(State(state): State<Http>) -> Response {
    let (_, served) = state.daemon.workers_health();
    if served && !state.daemon.is_draining() {
        return axum::Json(json!({"status": "ready", "version": VERSION})).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, axum::Json(json!({"status": "not ready", "version": VERSION}))).into_response()
}

async fn status(State(state): State<Http>, Extension(caller): Extension<Caller>) -> Response {
    method_as_page(&state, &caller, "status").await
}

async fn info() -> Response {
    let methods: Vec<Value> =
        api::methods().iter().map(|method| json!({"method": method.name, "summary": method.summary})).collect();
    let routes: Vec<Value> = rest::ROUTES
        .iter()
        .map(|(verb, path, method)| json!({"verb": verb, "path": format!("/api/v1{path}"), "method": method}))
        .collect();
    axum::Json(json!({"name": "orchestratord", "version": VERSION, "protocol": orx_protocol::PROTOCOL_VERSION, "methods": methods, "routes": routes}))
        .into_response()
}

/// `POST /rpc`: one JSON-RPC body.
async fn call(State(state): State<Http>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let body = match body_or_refusal(&state, request).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    match Incoming::parse(&body) {
        Ok(Incoming::Call { id, method, params }) => {
            let outcome = carry_out(&state.daemon, &caller, &method, params).await;
            match (id, outcome) {
                (None, _) => StatusCode::NO_CONTENT.into_response(),
                (Some(id), Ok(result)) => match rpc::success(&id, &result) {
                    Ok(body) => json_text(body),
                    Err(error) => json_text(rpc::failure(Some(&id), &error)),
                },
                (Some(id), Err(error)) => json_text(rpc::failure(Some(&id), &error)),
            }
        }
        Ok(Incoming::Legacy(envelope)) => in_legacy_shape(&state, &caller, &envelope).await,
        Ok(Incoming::Answer { .. }) => {
            refusal(&RpcError::new(ErrorKind::InvalidRequest, "the body is an answer, not a request"))
        }
        Err(bad) => json_text(rpc::failure(bad.id.as_ref(), &bad.error)),
    }
}

async fn in_legacy_shape(state: &Http, caller: &Caller, envelope: &legacy::Envelope<'_>) -> Response {
    let outcome = carry_out(&state.daemon, caller, &envelope.method(), envelope.params).await;
    json_text(legacy::answer(envelope.id.as_ref(), outcome.as_deref(), clock::now_ms()))
}

/// `POST /api/route-llm`: S1's question.
async fn route_llm(State(state): State<Http>, request: Request) -> Response {
    answer_about(&state, request, |daemon, body| {
        let request = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        reply::raw(&llm::route::s1(daemon.gateway(), &request)?)
    })
    .await
}

/// `POST /route`: S0's question.
async fn route(State(state): State<Http>, request: Request) -> Response {
    answer_about(&state, request, |daemon, body| {
        let request = serde_json::from_slice(body).map_err(|error| malformed(&error))?;
        reply::raw(&llm::route::s0(daemon.gateway(), &request)?)
    })
    .await
}

fn malformed(error: &serde_json::Error) -> RpcError {
    RpcError::new(ErrorKind::InvalidRequest, format!("the body is not as it should be: {error}"))
}

async fn answer_about(state: &Http, request: Request, answer: impl FnOnce(&Daemon, &[u8]) -> Outcome) -> Response {
    match body_or_refusal(state, request).await {
        Ok(body) => match answer(&state.daemon, &body) {
            Ok(result) => json_text(result.get().to_owned()),
            Err(error) => refusal(&error),
        },
        Err(response) => response,
    }
}

/// `GET /metrics`, in Prometheus' text format.
async fn metrics(State(state): State<Http>) -> Response {
    let text = state.daemon.gateway().inner().metrics.text();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// `POST /api/request`: S1's envelope.
async fn legacy_request(State(state): State<Http>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let body = match body_or_refusal(&state, request).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    match Incoming::parse(&body) {
        Ok(Incoming::Legacy(envelope)) => in_legacy_shape(&state, &caller, &envelope).await,
        Ok(_) => refusal(
            &RpcError::new(ErrorKind::InvalidRequest, "the body has no `agent` and `action`")
                .with_hint("JSON-RPC goes to /rpc"),
        ),
        Err(bad) => refusal(&bad.error),
    }
}

/// `/api/v1/...`.
async fn restful(State(state): State<Http>, Extension(caller): Extension<Caller>, request: Request) -> Response {
    let verb = request.method().as_str().to_owned();
    let path = request.uri().path().trim_start_matches("/api/v1").to_owned();
    let query = request.uri().query().map(ToOwned::to_owned);
    let body: Option<Map<String, Value>> = if matches!(verb.as_str(), "GET" | "DELETE") {
        None
    } else {
        let body = match body_or_refusal(&state, request).await {
            Ok(body) => body,
            Err(response) => return response,
        };
        match if body.is_empty() { Ok(Map::new()) } else { serde_json::from_slice(&body) } {
            Ok(body) => Some(body),
            Err(error) => {
                return refusal(&RpcError::new(ErrorKind::Parse, format!("the body is no JSON object: {error}")));
            }
        }
    };
    let outcome = async {
        let (method, params) = rest::resolve(&verb, &path, query.as_deref(), body)?;
        let params = crate::reply::raw(&params)?;
        carry_out(&state.daemon, &caller, &method, Some(&params)).await
    };
    match outcome.await {
        Ok(result) => json_text(result.get().to_owned()),
        Err(error) => refusal(&error),
    }
}

async fn nothing_here(request: Request) -> Response {
    refusal(
        &RpcError::new(ErrorKind::MethodNotFound, format!("there is nothing at {}", request.uri().path()))
            .with_hint("GET /info lists what there is"),
    )
}

async fn wrong_verb(request: Request) -> Response {
    let error = RpcError::new(
        ErrorKind::InvalidRequest,
        format!("{} does not take {}", request.uri().path(), request.method()),
    );
    let mut response = refusal(&error);
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    response
}
