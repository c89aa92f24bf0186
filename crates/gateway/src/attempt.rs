//! One attempt at a provider, from its leave to its bill. However it ends, its leave is given back once and its row is written: an
//! attempt that is dropped ended because its caller went away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use orx_protocol::clock;
use orx_router::breaker::Outcome;
use orx_router::breaker::board::Concerns;
use orx_router::catalogue::ModelIndex;
use orx_router::failure::Failure;
use orx_router::{MicroDollars, Tokens};
use orx_store::CallRow;

use crate::bill::{self, Bill, Seen};
use crate::control::{End, Leave};
use crate::dialect::Usage;
use crate::inner::Inner;
use crate::settings::Config;

/// The kind of a row that is the work itself.
const MAIN: &str = "main";

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub enum Ended {
    /// With an answer.
    Answered(Seen),
    /// After the caller had had the beginning of an answer: what came of it is billed.
    Cut(Failure, Seen),
    /// With a count of tokens, which costs nothing.
    Counted,
    /// Before that: it costs nothing. Another attempt may follow.
    Failed(Failure),
    /// Before anything was sent: it says nothing of the provider.
    Unsent,
}

/// An attempt.
pub struct Attempt {
    gateway: Arc<Inner>,
    config: Arc<Config>,
    leave: Option<Leave>,
    /// The model, where the catalogue knows it.
    pub model: Option<ModelIndex>,
    /// The call's row, as far as it is known.
    pub row: Box<CallRow>,
    /// The conversation that is kept with whoever answers.
    conversation: Option<Arc<str>>,
    prompt: Tokens,
    is_ours: bool,
    is_login: bool,
    began: Instant,
    first_byte_ms: Option<u64>,
    is_open: Arc<AtomicBool>,
}

impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("call", &self.row.call).field("leave", &self.leave).finish_non_exhaustive()
    }
}

/// What an attempt begins with.
pub struct Begun {
    /// The gateway.
    pub gateway: Arc<Inner>,
    /// The configuration that the call began with.
    pub config: Arc<Config>,
    /// The leave.
    pub leave: Leave,
    /// The model, where the catalogue knows it.
    pub model: Option<ModelIndex>,
    /// The call's row, as far as it is known.
    pub row: Box<CallRow>,
    /// The conversation.
    pub conversation: Option<Arc<str>>,
    /// An estimate of the prompt.
    pub prompt: Tokens,
    /// Whether the operator pays.
    pub is_ours: bool,
    /// Whether the provider gets the caller's own login.
    pub is_login: bool,
    /// When the call came.
    pub began: Instant,
    /// Whether the call's end is still to be written: whoever ends it writes it, once.
    pub is_open: Arc<AtomicBool>,
}

impl Attempt {
    /// Begins.
    #[must_use]
    pub fn new(begun: Begun) -> Self {
        let Begun { gateway, config, leave, model, row, conversation, prompt, is_ours, is_login, began, is_open } =
            begun;
        Self {
            gateway,
            config,
            leave: Some(leave),
            model,
            row,
            conversation,
            prompt,
            is_ours,
            is_login,
            began,
            first_byte_ms: None,
            is_open,
        }
    }

    /// Makes it an attempt at a part of the call, of so many tokens, that begins only now.
    #[must_use]
    pub fn of_part(mut self, tokens: Tokens) -> Self {
        self.prompt = tokens;
        self.began = Instant::now();
        self
    }

    /// The answer began.
    pub fn answers(&mut self) {
        self.first_byte_ms = Some(milliseconds(self.began));
    }

    /// The bill of what was seen, before the attempt ends: for the answer's headers.
    #[must_use]
    pub fn bill(&self, seen: &Seen) -> Bill {
        bill::of(self.model.and_then(|model| self.config.catalogue.get(model)), seen, self.prompt, clock::now_ms())
    }

    /// Gives back what the attempt holds. A second end changes nothing.
    pub fn end(&mut self, ended: Ended) {
        let Some(mut leave) = self.leave.take() else { return };
        let now = self.gateway.time.now();
        let (outcome, bill, word) = match ended {
            Ended::Answered(seen) => ((Outcome::Success, Concerns::Model), Some(self.bill(&seen)), "answered"),
            Ended::Cut(failure, seen) => {
                let word = if matches!(failure, Failure::Gone) { "gone" } else { "cut" };
                (failure.outcome(), Some(self.bill(&seen)), word)
            }
            Ended::Counted => (
                (Outcome::Success, Concerns::Model),
                Some(Bill { cost: Some(MicroDollars::ZERO), ..Bill::default() }),
                "answered",
            ),
            Ended::Failed(failure) => (failure.outcome(), None, "failed"),
            Ended::Unsent => ((Outcome::Neutral, Concerns::Model), None, "unsent"),
        };
        // The limit of a caller's own account says nothing of the operator's.
        let outcome = match outcome {
            (Outcome::Throttled { .. }, concerns) if self.is_login => (Outcome::Neutral, concerns),
            other => other,
        };
        let end = End {
            outcome,
            spend: bill.map(|bill| bill.spend(self.is_ours)),
            tokens: bill.map_or(Tokens::ZERO, |bill| bill.usage.total()),
            latency_ms: self.first_byte_ms,
        };
        let (tell, resumed) = {
            let mut control = self.gateway.control();
            if matches!(ended, Ended::Answered(_))
                && let Some(conversation) = &self.conversation
            {
                control.stickies.answered(conversation, &leave.route, now.monotonic_ms);
            }
            let resumed = match (&self.row.session, ended) {
                // A call on the side may be answered where the work itself is not.
                (Some(session), Ended::Answered(_)) if self.row.kind == MAIN && !control.parking.is_empty() => {
                    control.parking.answered(session, self.row.at_ms)
                }
                _ => None,
            };
            (control.end(&mut leave, end, now), resumed)
        };
        self.gateway.resume(resumed.into_iter().collect());
        self.row.outcome = word.into();
        self.row.ended_ms = Some(now.wall_ms);
        self.row.first_byte_ms = self.first_byte_ms;
        self.row.total_ms = Some(milliseconds(self.began));
        if let Some(bill) = bill {
            let Usage { input, output, cache_read, cache_write_5m, cache_write_1h, reasoning } = counted(&bill);
            (self.row.input, self.row.output, self.row.reasoning) = (input, output, reasoning);
            (self.row.cache_read, self.row.cache_write_5m, self.row.cache_write_1h) =
                (cache_read, cache_write_5m, cache_write_1h);
            self.row.cost_microusd = bill.cost.map(|cost| cost.0);
            self.row.is_estimate = bill.is_estimate;
        }
        if matches!(ended, Ended::Failed(Failure::Connect | Failure::Tls)) {
            self.gateway.doubt.notify_one();
        }
        self.gateway.tell(tell, &leave.route);
        self.gateway.metrics.ended(&self.row);
        // A failed attempt is not the end of its call: whoever makes the attempts writes how that ended.
        if bill.is_some() && self.is_open.swap(false, Ordering::AcqRel) {
            self.gateway.ledger.close(std::mem::take(&mut self.row));
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Once an answer began, its provider bills what it read.
        self.end(match self.first_byte_ms {
            Some(_) => {
                Ended::Cut(Failure::Gone, Seen { usage: Usage::default(), is_whole: false, is_stream: false, bytes: 0 })
            }
            None => Ended::Failed(Failure::Gone),
        });
    }
}

fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn counted(bill: &Bill) -> Usage {
    let usage = &bill.usage;
    Usage {
        input: Some(usage.input.0),
        output: Some(usage.output.0),
        cache_read: Some(usage.cache_read.0),
        cache_write_5m: Some(usage.cache_write_5m.0),
        cache_write_1h: Some(usage.cache_write_1h.0),
        reasoning: Some(usage.reasoning.0),
    }
}
