//! Where a call would go, asked without making one: S1's `/api/route-llm` and S0's `/route`.

use orx_gateway::Gateway;
use orx_protocol::{RpcError, clock};
use orx_router::budget::Payer;
use orx_router::compat::{s0, s1};

/// S1's question.
///
/// # Errors
/// As the router refuses the request, or no model fits.
pub fn s1(gateway: &Gateway, request: &s1::Request) -> Result<s1::Reply, RpcError> {
    let inner = gateway.inner();
    let config = inner.config();
    let now = inner.time.now();
    let mut control = inner.control();
    let left = control.budget.left(&Payer::default(), now);
    let health = |_, model: &_| control.health(model, &config, now);
    Ok(s1::route(request, &config.catalogue, left, health, clock::now_ms())?)
}

/// S0's question.
///
/// # Errors
/// As the router refuses the request, or no model fits.
pub fn s0(gateway: &Gateway, request: &s0::Request) -> Result<s0::Reply, RpcError> {
    let inner = gateway.inner();
    let config = inner.config();
    let now = inner.time.now();
    let mut control = inner.control();
    let left = control.budget.left(&Payer::default(), now);
    let health = |_, model: &_| control.health(model, &config, now);
    Ok(s0::route(request, &config.catalogue, left, health, clock::now_ms())?)
}
