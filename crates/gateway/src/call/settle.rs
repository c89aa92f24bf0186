//! The row of a call from its first attempt to its end. A call whose caller goes away between two attempts ends here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use orx_protocol::CallId;
use orx_router::Route;
use orx_router::budget::Expected;
use orx_store::CallRow;

use super::ask::Asked;
use super::plan::Hop;
use crate::cache::entry::Entry;
use crate::caller::Login;
use crate::inner::Inner;
use crate::settings::Config;

/// Characters that are kept of the name of a model that is asked for.
const LONGEST_NAME: usize = 200;

/// The row.
pub(super) struct Draft {
    gateway: Arc<Inner>,
    /// What is known of the call.
    pub(super) row: CallRow,
    /// Whether the call's end is still to be written: whoever ends it writes it, once.
    pub(super) is_open: Arc<AtomicBool>,
    is_handed_over: bool,
}

impl Draft {
    /// Of a call that was not sent yet.
    pub(super) fn new(gateway: Arc<Inner>, asked: &Asked, first: Option<&Route>) -> Self {
        let payer = &asked.caller.payer;
        let row = CallRow {
            call: asked.call.as_str().into(),
            at_ms: asked.at_ms,
            asked: short(&asked.model).into(),
            dialect: asked.dialect.name().into(),
            kind: asked.kind.name().into(),
            streamed: asked.stream,
            first: first.map(|route| (route.provider.shared(), route.model.shared())),
            session: payer.session.clone(),
            run: payer.run.clone(),
            stage: asked.caller.stage.clone(),
            project: payer.project.clone(),
            user: payer.user.clone(),
            key: payer.key.clone(),
            outcome: "open".into(),
            ..CallRow::default()
        };
        Self { gateway, row, is_open: Arc::default(), is_handed_over: false }
    }

    /// Whether its end is written.
    pub(super) const fn is_answered(&self) -> bool {
        self.is_handed_over
    }

    /// The row of the next part of a call that is sent in several requests: each of them is billed by itself, so that the ledger has
    /// what its provider counts.
    pub(super) fn next(&self) -> Self {
        let at_ms = self.gateway.time.now().wall_ms;
        let row = CallRow { call: CallId::generate().to_string().into(), at_ms, attempts: 0, ..self.row.clone() };
        Self { gateway: Arc::clone(&self.gateway), row, is_open: Arc::default(), is_handed_over: false }
    }

    /// Notes that the call goes to `hop`, before it does.
    pub(super) async fn goes_to(&mut self, config: &Config, asked: &Asked, hop: &Hop, expected: Expected) {
        let is_local = config.catalogue.provider(&hop.route.provider).is_some_and(|provider| provider.local);
        self.row.provider = hop.route.provider.shared();
        self.row.model = hop.route.model.shared();
        self.row.billing = match asked.caller.login {
            Login::Own => "login",
            Login::Operator if is_local => "local",
            Login::Operator => "key",
        }
        .into();
        self.row.reserved_microusd = expected.cost.map(|cost| cost.0);
        self.row.reserved_tokens = expected.tokens.0;
        self.gateway.ledger.open(self.row.clone()).await;
        self.is_open.store(true, Ordering::Release);
    }

    /// The call was answered out of the cache.
    pub(super) fn cached(mut self, entry: &Entry) {
        let now_ms = self.gateway.time.now().wall_ms;
        self.row.provider = entry.provider.as_str().into();
        self.row.model = entry.model.as_str().into();
        self.row.billing = "cache".into();
        self.row.outcome = "cached".into();
        self.row.status = Some(200);
        self.row.cost_microusd = Some(0);
        self.row.saved_microusd = entry.cost_microusd;
        self.row.ended_ms = Some(now_ms);
        self.row.total_ms = Some(now_ms.saturating_sub(self.row.at_ms));
        self.gateway.metrics.ended(&self.row);
        self.gateway.ledger.close(Box::new(std::mem::take(&mut self.row)));
    }

    /// The call was answered; whoever answers writes its row.
    pub(super) fn answered(&mut self) {
        self.is_handed_over = true;
    }

    /// The call failed for good, and its caller gets `status`.
    pub(super) fn failed(&mut self, outcome: &'static str, status: u16) {
        self.row.status = Some(u64::from(status));
        self.close(outcome);
    }

    fn close(&mut self, outcome: &'static str) {
        if !self.is_handed_over && self.is_open.swap(false, Ordering::AcqRel) {
            let now_ms = self.gateway.time.now().wall_ms;
            self.row.outcome = outcome.into();
            self.row.ended_ms = Some(now_ms);
            self.row.total_ms = Some(now_ms.saturating_sub(self.row.at_ms));
            self.gateway.ledger.close(Box::new(self.row.clone()));
        }
    }
}

/// A model's name, of which a caller that makes it up does not fill the ledger.
fn short(name: &str) -> &str {
    name.char_indices().nth(LONGEST_NAME).and_then(|(end, _)| name.get(..end)).unwrap_or(name)
}

impl Drop for Draft {
    fn drop(&mut self) {
        self.close("gone");
    }
}
