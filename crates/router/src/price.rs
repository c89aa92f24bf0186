//! What a call costs, in whole micro-dollars, rounded up once at the end; and what it may cost at most before it is sent.
//! A price that is not known gives no cost: it is never taken for nothing.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use orx_protocol::{ErrorKind, RpcError};
use serde::{Deserialize, Serialize};

use crate::amount::{MicroDollars, Tokens};
use crate::catalogue::Model;

/// Tokens that prices are for.
const UNIT: u128 = 1_000_000;
/// More tokens of one sort than any call has: a count above it is a provider's defect.
pub const ABSURD: u64 = 50_000_000;

/// A day, as in `2026-11-20`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    date: Date,
    /// Where the next day begins in UTC, in milliseconds since the epoch.
    end_ms: u64,
}

impl Day {
    /// Whether the whole day is over at `now_ms` (since the epoch), in UTC.
    #[must_use]
    pub const fn is_over(self, now_ms: u64) -> bool {
        now_ms >= self.end_ms
    }
}

impl FromStr for Day {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is no day: write it as 2026-11-20", text.escape_debug());
        let date: Date = text.parse().map_err(|_| wrong())?;
        let end = date.tomorrow().and_then(|next| next.to_zoned(TimeZone::UTC)).map_err(|_| wrong())?;
        let end_ms = u64::try_from(end.timestamp().as_millisecond()).map_err(|_| wrong())?;
        Ok(Self { date, end_ms })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.date.fmt(f)
    }
}

/// Prices of a million tokens of each sort; `None` where it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rates {
    /// What was not in a cache.
    pub input: Option<MicroDollars>,
    /// The answer, with what was thought.
    pub output: Option<MicroDollars>,
    /// What was read from a cache.
    pub cache_read: Option<MicroDollars>,
    /// What was written to a cache for the usual time (five minutes at Anthropic).
    pub cache_write_5m: Option<MicroDollars>,
    /// What was written to a cache for the long time (an hour at Anthropic).
    pub cache_write_1h: Option<MicroDollars>,
}

/// Rates of requests with a long prompt: they are for the whole request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Long {
    /// A prompt with more tokens than this is long.
    pub above: Tokens,
    /// The rates.
    pub rates: Rates,
}

/// The price of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Price {
    /// When the source said so.
    pub date: Option<Day>,
    /// Who said so.
    pub source: Option<String>,
    /// The rates.
    pub rates: Rates,
    /// The rates of long prompts, where they are others.
    pub long: Option<Long>,
    /// The last day of these rates, where it is known.
    pub until: Option<Day>,
    /// The rates after that day; without them they are not known any more.
    pub then: Option<Rates>,
}

impl Price {
    /// The rates for a prompt of so many tokens at `now_ms` (since the epoch).
    #[must_use]
    pub fn rates(&self, prompt: Tokens, now_ms: u64) -> Rates {
        if self.until.is_some_and(|until| until.is_over(now_ms)) {
            return self.then.unwrap_or_default();
        }
        match self.long {
            Some(long) if prompt > long.above => long.rates,
            _ => self.rates,
        }
    }
}

/// What a provider counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input that was not in a cache.
    pub input: Tokens,
    /// The answer, with what was thought.
    pub output: Tokens,
    /// Input that was read from a cache.
    pub cache_read: Tokens,
    /// Input that was written to a cache for the usual time.
    pub cache_write_5m: Tokens,
    /// Input that was written to a cache for the long time.
    pub cache_write_1h: Tokens,
    /// How much of `output` was thought: it is billed as output and not once more.
    pub reasoning: Tokens,
}

/// Counts as a provider wrote them; what it did not say is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RawUsage {
    /// As [`Usage::input`].
    pub input: Option<i64>,
    /// As [`Usage::output`].
    pub output: Option<i64>,
    /// As [`Usage::cache_read`].
    pub cache_read: Option<i64>,
    /// As [`Usage::cache_write_5m`].
    pub cache_write_5m: Option<i64>,
    /// As [`Usage::cache_write_1h`].
    pub cache_write_1h: Option<i64>,
    /// As [`Usage::reasoning`].
    pub reasoning: Option<i64>,
}

/// A part of a usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// [`Usage::input`].
    Input,
    /// [`Usage::output`].
    Output,
    /// [`Usage::cache_read`].
    CacheRead,
    /// [`Usage::cache_write_5m`].
    CacheWrite5m,
    /// [`Usage::cache_write_1h`].
    CacheWrite1h,
    /// [`Usage::reasoning`].
    Reasoning,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::Reasoning => "reasoning",
        })
    }
}

/// Why a usage has no cost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceError {
    /// The catalogue has no price for what was used.
    #[error("the price of {part} tokens of {model} is not known")]
    Unknown {
        /// The model.
        model: String,
        /// What has no price.
        part: Part,
    },
    /// The provider's count cannot be right.
    #[error("the provider counted {count} {part} tokens, which cannot be right")]
    Absurd {
        /// What was counted.
        part: Part,
        /// The count.
        count: i64,
    },
    /// The provider counted nothing.
    #[error("the provider did not say how many {0} tokens were used")]
    Missing(Part),
}

impl From<PriceError> for RpcError {
    fn from(error: PriceError) -> Self {
        let message = error.to_string();
        match error {
            PriceError::Unknown { .. } => Self::new(ErrorKind::Configuration, message)
                .with_hint("give the model a `price` in the provider file: micro-dollars per million tokens"),
            PriceError::Absurd { .. } | PriceError::Missing(_) => {
                Self::new(ErrorKind::Upstream, message).with_hint("the call is entered with an estimate and marked so")
            }
        }
    }
}

impl Usage {
    /// The counts of a provider, if they can be right.
    ///
    /// # Errors
    /// [`PriceError::Missing`] without input or output; [`PriceError::Absurd`] for a count below nothing, above
    /// [`ABSURD`], or of more thinking than answer.
    pub fn read(raw: RawUsage) -> Result<Self, PriceError> {
        let count = |part: Part, count: i64| match u64::try_from(count) {
            Ok(tokens) if tokens <= ABSURD => Ok(Tokens(tokens)),
            _ => Err(PriceError::Absurd { part, count }),
        };
        let needed = |part: Part, given: Option<i64>| count(part, given.ok_or(PriceError::Missing(part))?);
        let optional = |part: Part, given: Option<i64>| count(part, given.unwrap_or(0));
        let usage = Self {
            input: needed(Part::Input, raw.input)?,
            output: needed(Part::Output, raw.output)?,
            cache_read: optional(Part::CacheRead, raw.cache_read)?,
            cache_write_5m: optional(Part::CacheWrite5m, raw.cache_write_5m)?,
            cache_write_1h: optional(Part::CacheWrite1h, raw.cache_write_1h)?,
            reasoning: optional(Part::Reasoning, raw.reasoning)?,
        };
        if usage.reasoning > usage.output {
            let count = raw.reasoning.unwrap_or(0);
            return Err(PriceError::Absurd { part: Part::Reasoning, count });
        }
        Ok(usage)
    }

    /// Tokens of the prompt, wherever they came from.
    #[must_use]
    pub const fn prompt(&self) -> Tokens {
        self.input.plus(self.cache_read).plus(self.cache_write_5m).plus(self.cache_write_1h)
    }

    /// All tokens.
    #[must_use]
    pub const fn total(&self) -> Tokens {
        self.prompt().plus(self.output)
    }
}

/// What `usage` of `model` costs at `now_ms` (since the epoch), rounded up to a micro-dollar.
///
/// # Errors
/// [`PriceError::Unknown`] when a part that was used has no price.
pub fn cost(model: &Model, usage: &Usage, now_ms: u64) -> Result<MicroDollars, PriceError> {
    let rates = model.price.as_ref().map(|price| price.rates(usage.prompt(), now_ms)).unwrap_or_default();
    let mut sum: u128 = 0;
    for (part, tokens, rate) in [
        (Part::Input, usage.input, rates.input),
        (Part::Output, usage.output, rates.output),
        (Part::CacheRead, usage.cache_read, rates.cache_read),
        (Part::CacheWrite5m, usage.cache_write_5m, rates.cache_write_5m),
        (Part::CacheWrite1h, usage.cache_write_1h, rates.cache_write_1h),
    ] {
        if tokens == Tokens::ZERO {
            continue;
        }
        let rate = rate.ok_or_else(|| PriceError::Unknown { model: model.route.to_string(), part })?;
        // Five products of two 64-bit numbers do not fill 128 bits unless all are near their ends.
        sum = sum.saturating_add(u128::from(tokens.0) * u128::from(rate.0));
    }
    Ok(MicroDollars(u64::try_from(sum.div_ceil(UNIT)).unwrap_or(u64::MAX)))
}

/// What a call may use and cost, before it is sent. It is an estimate and has to be told as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Tokens of the prompt, from its bytes.
    pub input: Tokens,
    /// Tokens of the answer, at most; `None` where nothing bounds it.
    pub output: Option<Tokens>,
    /// What they cost; `None` where a price, or the answer's bound, is not known.
    pub cost: Option<MicroDollars>,
}

impl Estimate {
    /// All tokens that are known of.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        self.input.plus(self.output.unwrap_or_default())
    }
}

/// Tokens of a prompt of so many bytes: three bytes a token, which is on the high side for text and about right for
/// JSON and code with the tokenizers of today.
#[must_use]
pub const fn tokens_of(bytes: u64) -> Tokens {
    Tokens(bytes.div_ceil(3))
}

/// Whether a request has its prompt written to a cache, which may cost more than to have it read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Caching {
    /// It does not.
    #[default]
    Never,
    /// For the usual time.
    Usual,
    /// For the long time.
    Long,
}

/// What a request of `input` tokens to `model` costs at most, when its answer may have `max_output` tokens.
#[must_use]
pub fn estimate(model: &Model, input: Tokens, caching: Caching, max_output: Option<Tokens>, now_ms: u64) -> Estimate {
    let output = match (max_output, model.max_output) {
        (Some(asked), Some(most)) => Some(asked.min(most)),
        (asked, most) => asked.or(most),
    };
    let usage = output.map(|output| match caching {
        Caching::Never => Usage { input, output, ..Usage::default() },
        Caching::Usual => Usage { cache_write_5m: input, output, ..Usage::default() },
        Caching::Long => Usage { cache_write_1h: input, output, ..Usage::default() },
    });
    // Where writing has no price of its own, it costs what reading does.
    let plain = |usage: Usage| cost(model, &Usage { input, output: usage.output, ..Usage::default() }, now_ms);
    let cost = usage.and_then(|usage| cost(model, &usage, now_ms).or_else(|_| plain(usage)).ok());
    Estimate { input, output, cost }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;
    use proptest::prelude::*;

    const NOW: u64 = 1_795_000_000_000; // 2026-11-18

    fn catalogue() -> &'static Catalogue {
        static BUILT_IN: std::sync::LazyLock<Catalogue> = std::sync::LazyLock::new(|| Catalogue::built_in().unwrap());
        &BUILT_IN
    }

    fn model(catalogue: &Catalogue, name: &str) -> Model {
        catalogue.get(catalogue.find(name).unwrap().models[0]).unwrap().clone()
    }

    fn usage(input: u64, output: u64, read: u64, write_5m: u64, write_1h: u64) -> Usage {
        Usage {
            input: Tokens(input),
            output: Tokens(output),
            cache_read: Tokens(read),
            cache_write_5m: Tokens(write_5m),
            cache_write_1h: Tokens(write_1h),
            reasoning: Tokens::ZERO,
        }
    }

    #[test]
    fn each_part_has_its_price_and_the_sum_is_rounded_up_once() {
        let catalogue = catalogue();
        for (name, used, expected) in [
            ("claude-opus-4-8", usage(1_000_000, 1_000_000, 1_000_000, 1_000_000, 1_000_000), 46_750_000),
            ("claude-opus-4-8", usage(0, 0, 0, 0, 0), 0),
            ("claude-haiku-5-5", usage(1, 0, 0, 0, 0), 1), // a tenth of a micro-dollar
            ("claude-haiku-5-5", usage(1, 1, 3, 0, 0), 1), // 0.1 + 0.5 + 0.03: one micro-dollar, not three
            ("claude-haiku-5-5", usage(100_000, 10, 0, 0, 0), 10_005),
            ("claude-haiku-5-5", usage(50_000, 10, 50_001, 0, 0), 27_526), // the whole request is long
            ("llama3.2:3b", usage(5_000, 5_000, 1, 1, 1), 0),
        ] {
            assert_eq!(cost(&model(catalogue, name), &used, NOW), Ok(MicroDollars(expected)), "{name} {used:?}");
        }
    }

    #[test]
    fn a_price_that_is_not_known_is_no_price() {
        let catalogue = catalogue();
        let luna = model(catalogue, "gpt-6-luna");
        assert_eq!(cost(&luna, &usage(10, 10, 0, 0, 0), NOW), Ok(MicroDollars(6)));
        let error = cost(&luna, &usage(10, 10, 1, 0, 0), NOW).unwrap_err();
        assert_eq!(error.to_string(), "the price of cache_read tokens of openai/gpt-6-luna is not known");
        assert!(cost(&luna, &usage(272_001, 1, 0, 0, 0), NOW).is_err(), "its long rates are not known");
        let operators = Catalogue::with_operator("providers: {openai: {models: {new: {}}}}", "operator.yaml").unwrap();
        let new = model(&operators, "new");
        assert!(cost(&new, &usage(1, 0, 0, 0, 0), NOW).is_err());
        assert_eq!(estimate(&new, Tokens(1), Caching::Never, Some(Tokens(0)), NOW).cost, None);
        let rpc = RpcError::from(error);
        assert_eq!(rpc.kind(), ErrorKind::Configuration);
    }

    #[test]
    fn a_price_ends_with_its_last_day() {
        let catalogue = catalogue();
        let flash = model(catalogue, "gemini-3.8-flash");
        let million = usage(1_000_000, 0, 0, 0, 0);
        let last: Day = "2026-12-31".parse().unwrap();
        assert_eq!(cost(&flash, &million, last.end_ms - 1), Ok(MicroDollars(750_000)));
        assert_eq!(cost(&flash, &million, last.end_ms), Ok(MicroDollars(1_500_000)));
        assert!("31.12.2026".parse::<Day>().unwrap_err().contains("2026-11-20"));
    }

    #[test]
    fn counts_that_cannot_be_right_are_refused() {
        let good = RawUsage { input: Some(10), output: Some(20), reasoning: Some(20), ..RawUsage::default() };
        assert_eq!(Usage::read(good).unwrap().total(), Tokens(30));
        for (raw, expected) in [
            (RawUsage { input: None, ..good }, "the provider did not say how many input tokens were used"),
            (RawUsage { output: None, ..good }, "the provider did not say how many output tokens were used"),
            (RawUsage { input: Some(-1), ..good }, "the provider counted -1 input tokens, which cannot be right"),
            (
                RawUsage { cache_read: Some(i64::MIN), ..good },
                "the provider counted -9223372036854775808 cache_read tokens, which cannot be right",
            ),
            (
                RawUsage { output: Some(50_000_001), ..good },
                "the provider counted 50000001 output tokens, which cannot be right",
            ),
            (
                RawUsage { reasoning: Some(21), ..good },
                "the provider counted 21 reasoning tokens, which cannot be right",
            ),
        ] {
            assert_eq!(Usage::read(raw).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn an_estimate_is_bounded_by_what_the_model_can_say() {
        let catalogue = catalogue();
        let opus = model(catalogue, "claude-opus-4-5");
        let of = |model: &Model, caching, asked| estimate(model, tokens_of(3_000), caching, asked, NOW);
        let estimate = |asked| of(&opus, Caching::Never, asked);
        assert_eq!(estimate(Some(Tokens(1_000))).cost, Some(MicroDollars(5_000 + 25_000)));
        assert_eq!(estimate(Some(Tokens(1_000_000))).output, Some(Tokens(64_000)));
        assert_eq!(estimate(None).output, Some(Tokens(64_000)));
        assert_eq!(of(&opus, Caching::Usual, Some(Tokens(0))).cost, Some(MicroDollars(6_250)));
        assert_eq!(of(&opus, Caching::Long, Some(Tokens(0))).cost, Some(MicroDollars(10_000)));
        let without = model(catalogue, "gpt-5.5");
        assert_eq!(of(&without, Caching::Long, Some(Tokens(0))).cost, Some(MicroDollars(5_000)));
        assert_eq!(tokens_of(0), Tokens(0));
        assert_eq!(tokens_of(1), Tokens(1));
    }

    proptest! {
        #[test]
        fn nothing_overflows_and_more_is_never_cheaper(a in any::<[u64; 5]>(), more in any::<u64>(), rates in any::<[u64; 5]>()) {
            let mut model = model(catalogue(), "claude-opus-4-8");
            let [input, output, cache_read, cache_write_5m, cache_write_1h] = rates.map(|rate| Some(MicroDollars(rate)));
            model.price = Some(Price {
                rates: Rates { input, output, cache_read, cache_write_5m, cache_write_1h },
                ..Price::default()
            });
            let less = usage(a[0], a[1], a[2], a[3], a[4]);
            let greater = Usage { output: less.output.plus(Tokens(more)), ..less };
            prop_assert!(cost(&model, &less, NOW).unwrap() <= cost(&model, &greater, NOW).unwrap());
        }

        #[test]
        fn the_cost_of_a_sum_differs_from_the_sum_of_costs_by_rounding_alone(
            a in prop::array::uniform5(0_u64..100_000), b in prop::array::uniform5(0_u64..100_000)
        ) {
            let model = model(catalogue(), "claude-opus-4-8");
            let whole: Vec<u64> = a.iter().zip(b).map(|(x, y)| x + y).collect();
            let of = |parts: &[u64]| cost(&model, &usage(parts[0], parts[1], parts[2], parts[3], parts[4]), NOW).unwrap().0;
            let (apart, together) = (of(&a) + of(&b), of(&whole));
            prop_assert!(together <= apart && apart <= together + 1);
        }
    }
}
