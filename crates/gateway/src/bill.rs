//! What a call used and cost: as its provider counted, or as an estimate where it did not. Pure.

use orx_router::budget::{Expected, Spend};
use orx_router::catalogue::Model;
use orx_router::price::{self, Caching, RawUsage};
use orx_router::{MicroDollars, Tokens};

use crate::dialect::{Dialect, Usage};

/// Tokens of an answer for which money is held back, however many more its caller would take: coding CLIs ask for 64,000 each time
/// and use a few hundred, and a cap is to stop a session when its money is spent, not when it might be.
const USUAL_OUTPUT: u64 = 8_192;
/// Bytes of a stream a token of its answer, names and frames of its events with it: an estimate for streams that were cut.
const STREAM_BYTES: u64 = 40;

/// What a call used and cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bill {
    /// Tokens.
    pub usage: price::Usage,
    /// Money; `None` where a price is not known.
    pub cost: Option<MicroDollars>,
    /// Whether any of it is an estimate.
    pub is_estimate: bool,
}

impl Bill {
    /// What is charged to caps on money and tokens. `is_ours` is whether the operator pays.
    #[must_use]
    pub fn spend(&self, is_ours: bool) -> Spend {
        let cost = self.cost.filter(|_| is_ours).unwrap_or_default();
        Spend { cost, tokens: self.usage.total() }
    }
}

/// How far an answer came, and what was seen of it.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// What its provider counted.
    pub usage: Usage,
    /// Whether it came to its end.
    pub is_whole: bool,
    /// Whether it was a stream.
    pub is_stream: bool,
    /// Its bytes.
    pub bytes: u64,
}

/// What may be asked of a model, from the request's size; a picture's bytes are no tokens, so that no prompt is taken for longer than
/// its model reads.
#[must_use]
pub fn prompt(bytes: usize, model: Option<&Model>) -> Tokens {
    let tokens = price::tokens_of(bytes as u64);
    model.and_then(|model| model.context).map_or(tokens, |context| tokens.min(context))
}

/// What is held back for a call.
#[must_use]
pub fn expected(
    model: Option<&Model>,
    body: &[u8],
    dialect: Dialect,
    max_tokens: Option<u64>,
    is_ours: bool,
    now_ms: u64,
) -> Expected {
    let input = prompt(body.len(), model);
    let output = Tokens(max_tokens.unwrap_or(USUAL_OUTPUT).min(USUAL_OUTPUT));
    let tokens = input.plus(output);
    if !is_ours {
        return Expected { cost: Some(MicroDollars::ZERO), tokens };
    }
    let cost = model.and_then(|model| price::estimate(model, input, caching(dialect, body), Some(output), now_ms).cost);
    Expected { cost, tokens }
}

/// What is held back for a request for vectors of texts, or for their order: there is no answer of tokens, and each text is read by
/// itself, so that all of them together may be longer than what the model reads at once.
#[must_use]
pub fn expected_of_texts(model: Option<&Model>, input: Tokens, is_ours: bool, now_ms: u64) -> Expected {
    if !is_ours {
        return Expected { cost: Some(MicroDollars::ZERO), tokens: input };
    }
    let usage = price::Usage { input, ..price::Usage::default() };
    Expected { cost: model.and_then(|model| price::cost(model, &usage, now_ms).ok()), tokens: input }
}

fn caching(dialect: Dialect, body: &[u8]) -> Caching {
    let has = |needle: &[u8]| memchr::memmem::find(body, needle).is_some();
    if dialect != Dialect::Anthropic || !has(b"\"cache_control\"") {
        Caching::Never
    } else if has(b"\"1h\"") {
        Caching::Long
    } else {
        Caching::Usual
    }
}

/// The bill of an answer. `prompt` is the estimate of the prompt, for providers that do not count.
#[must_use]
pub fn of(model: Option<&Model>, seen: &Seen, prompt: Tokens, now_ms: u64) -> Bill {
    let counted = |tokens: Option<u64>| tokens.map(|tokens| i64::try_from(tokens).unwrap_or(i64::MAX));
    let by_bytes = Tokens(if seen.is_stream { seen.bytes / STREAM_BYTES } else { seen.bytes / 4 });
    let mut raw = RawUsage {
        input: counted(seen.usage.input),
        output: counted(seen.usage.output),
        cache_read: counted(seen.usage.cache_read),
        cache_write_5m: counted(seen.usage.cache_write_5m),
        cache_write_1h: counted(seen.usage.cache_write_1h),
        reasoning: counted(seen.usage.reasoning),
    };
    // A prompt that came out of a cache as a whole leaves nothing to be counted.
    if seen.usage.prompt().is_some() {
        raw.input = raw.input.or(Some(0));
    }
    let mut bill = match price::Usage::read(raw) {
        Ok(usage) => Bill { usage, ..Bill::default() },
        Err(_) => {
            let trusted = |count: Option<i64>, instead: Tokens| match count.map(u64::try_from) {
                Some(Ok(count)) if count <= price::ABSURD => Tokens(count),
                _ => instead,
            };
            let usage = price::Usage {
                input: trusted(raw.input, prompt),
                output: trusted(raw.output, by_bytes),
                cache_read: trusted(raw.cache_read, Tokens::ZERO),
                cache_write_5m: trusted(raw.cache_write_5m, Tokens::ZERO),
                cache_write_1h: trusted(raw.cache_write_1h, Tokens::ZERO),
                reasoning: Tokens::ZERO,
            };
            Bill { usage, cost: None, is_estimate: true }
        }
    };
    if !seen.is_whole {
        // What was counted before the end is the beginning of it at most.
        bill.usage.output = bill.usage.output.max(by_bytes);
        bill.is_estimate = true;
    }
    bill.cost = model.and_then(|model| price::cost(model, &bill.usage, now_ms).ok());
    bill
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_router::catalogue::Catalogue;

    const TEXT: &str = "
providers:
  p:
    dialect: anthropic
    models:
      m:
        context: 200000
        price: {input: 1000000, output: 5000000, cache_read: 100000, cache_write_5m: 1250000, cache_write_1h: 2000000}
";

    fn seen(usage: Usage) -> Seen {
        Seen { usage, is_whole: true, is_stream: true, bytes: 4_000 }
    }

    #[test]
    fn what_was_counted_is_billed_and_what_was_not_is_estimated() {
        let catalogue = Catalogue::read(&[("t.yaml", TEXT)]).unwrap();
        let model = catalogue.models().next().map(|(_, model)| model);
        let counted = Usage { input: Some(1_000), output: Some(100), cache_read: Some(10_000), ..Usage::default() };
        let bill = of(model, &seen(counted), Tokens(7), 0);
        assert_eq!((bill.cost, bill.is_estimate), (Some(MicroDollars(1_000 + 500 + 1_000)), false));
        let cached = Usage { cache_read: Some(10), output: Some(1), ..Usage::default() };
        assert!(!of(model, &seen(cached), Tokens(7), 0).is_estimate);
        let nothing = of(model, &seen(Usage::default()), Tokens(7), 0);
        assert_eq!((nothing.usage.input, nothing.usage.output, nothing.is_estimate), (Tokens(7), Tokens(100), true));
        let absurd = Usage { input: Some(u64::MAX), output: Some(3), ..Usage::default() };
        let bill = of(model, &seen(absurd), Tokens(7), 0);
        assert_eq!((bill.usage.input, bill.usage.output, bill.is_estimate), (Tokens(7), Tokens(3), true));
        let begun = Usage { input: Some(1_000), output: Some(1), ..Usage::default() };
        let cut = of(model, &Seen { is_whole: false, ..seen(begun) }, Tokens(7), 0);
        assert_eq!((cut.usage.input, cut.usage.output, cut.is_estimate), (Tokens(1_000), Tokens(100), true));
        assert_eq!(of(None, &seen(counted), Tokens(7), 0).cost, None);
    }

    #[test]
    fn what_is_held_back_is_what_such_calls_cost() {
        let catalogue = Catalogue::read(&[("t.yaml", TEXT)]).unwrap();
        let model = catalogue.models().next().map(|(_, model)| model);
        let held = |body: &[u8], most, ours| expected(model, body, Dialect::Anthropic, most, ours, 0);
        let plain = held(&[b' '; 3_000], Some(64_000), true);
        assert_eq!(plain.cost, Some(MicroDollars(1_000 + 8_192 * 5)));
        let vectors = expected_of_texts(model, Tokens(300_000), true, 0);
        assert_eq!((vectors.cost, vectors.tokens), (Some(MicroDollars(300_000)), Tokens(300_000)), "above the context");
        assert_eq!(expected_of_texts(model, Tokens(7), false, 0).cost, Some(MicroDollars::ZERO));
        assert_eq!(expected_of_texts(None, Tokens(7), true, 0).cost, None);
        let cached = held(b"{\"cache_control\": {}}", Some(1), true);
        assert_eq!(cached.cost, Some(MicroDollars(7 * 1_250_000 / 1_000_000 + 1 + 5)));
        assert_eq!(held(&[b' '; 3_000], None, false).cost, Some(MicroDollars(0)), "a login of the caller's own");
        assert_eq!(held(&vec![b' '; 3_000_000], Some(1), true).tokens, Tokens(200_001), "a picture");
    }
}
