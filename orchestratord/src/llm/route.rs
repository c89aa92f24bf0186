//! Where a call would go, asked without making one: S1's `/api/route-llm` and S0's `/route`.

use orx_gateway::Gateway;
use orx_protocol::{RpcError, clock};
use orx_router::MicroDollars;
use orx_router::budget::Payer;
use orx_router::catalogue::{Catalogue, Model, ModelIndex};
use orx_router::compat::{s0, s1};
use orx_router::strategy::Health;

/// S1's question.
///
/// # Errors
/// As the router refuses the request, or no model fits.
pub fn s1(gateway: &Gateway, request: &s1::Request) -> Result<s1::Reply, RpcError> {
    Ok(asked(gateway, |catalogue, left, health| s1::route(request, catalogue, left, health, clock::now_ms()))?)
}

/// S0's question.
///
/// # Errors
/// As the router refuses the request, or no model fits.
pub fn s0(gateway: &Gateway, request: &s0::Request) -> Result<s0::Reply, RpcError> {
    Ok(asked(gateway, |catalogue, left, health| s0::route(request, catalogue, left, health, clock::now_ms()))?)
}

/// Asks with what is known at the moment: the catalogue, what is left under everybody's caps, how each model fares.
fn asked<T>(
    gateway: &Gateway,
    ask: impl FnOnce(&Catalogue, Option<MicroDollars>, &dyn Fn(ModelIndex, &Model) -> Health) -> T,
) -> T {
    let inner = gateway.inner();
    let config = inner.config();
    let now = inner.time.now();
    let mut control = inner.control();
    let left = control.budget.left(&Payer::default(), now);
    ask(&config.catalogue, left, &|_, model| control.health(model, &config, now))
}
