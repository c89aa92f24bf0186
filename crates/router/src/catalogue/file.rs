//! The shape of a catalogue's text. Every field may be absent, so that a text can be laid over another one field by field.

use std::collections::hash_map::Entry;

use orx_yaml::{TextError, place};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::read::CatalogueError;
use super::{Batch, Catalogue, Dialect, Model, ModelIndex, Provider};
use crate::amount::{MicroDollars, Tokens};
use crate::breaker;
use crate::capability::{Capabilities, Capability};
use crate::limits::Rate;
use crate::name::{ProviderId, Route};
use crate::price::{Day, Long, Price, Rates};

/// The names in the order in which they were first given.
#[derive(Debug)]
pub(super) struct Ordered<T>(Vec<(Spanned<String>, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> serde::de::Visitor<'de> for Visitor<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a mapping of names")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Ordered(members))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}

/// A whole text.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    providers: Ordered<ProviderPart>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ProviderPart {
    title: Option<String>,
    aliases: Option<Vec<String>>,
    dialect: Option<Dialect>,
    base_url: Option<String>,
    key_variable: Option<String>,
    local: Option<bool>,
    responses: Option<bool>,
    rerank: Option<bool>,
    enabled: Option<bool>,
    limits: LimitsPart,
    batch: BatchPart,
    breaker: BreakerPart,
    models: Ordered<ModelPart>,
    /// The text that gave it first, for errors.
    #[serde(skip)]
    origin: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LimitsPart {
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u64>,
    concurrent: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BatchPart {
    texts: Option<u32>,
    tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct BreakerPart {
    in_a_row: Option<u32>,
    failures: Option<u32>,
    failure_per_mille: Option<u32>,
    window_ms: Option<u64>,
    cooldown_ms: Option<u64>,
    probes: Option<u32>,
    successes: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ModelPart {
    title: Option<String>,
    aliases: Option<Vec<String>>,
    context: Option<u64>,
    max_output: Option<u64>,
    dimensions: Option<u32>,
    #[serde(deserialize_with = "per_mille")]
    quality: Option<u16>,
    latency_ms: Option<u32>,
    capabilities: Option<Vec<Capability>>,
    enabled: Option<bool>,
    price: Option<PricePart>,
    #[serde(skip)]
    origin: String,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PricePart {
    #[serde(deserialize_with = "day")]
    date: Option<Day>,
    source: Option<String>,
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
    long: Option<LongPart>,
    #[serde(deserialize_with = "day")]
    until: Option<Day>,
    then: Option<RatesPart>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LongPart {
    above: Option<u64>,
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
}

#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RatesPart {
    input: Option<u64>,
    output: Option<u64>,
    cache_read: Option<u64>,
    cache_write_5m: Option<u64>,
    cache_write_1h: Option<u64>,
}

fn per_mille<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    match Option::<u64>::deserialize(deserializer)? {
        None => Ok(None),
        Some(value) => u16::try_from(value).ok().filter(|value| *value <= 1000).map(Some).ok_or_else(|| {
            serde::de::Error::custom(format!("{value} is out of bounds: quality is per mille, 0 to 1000"))
        }),
    }
}

fn day<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Day>, D::Error> {
    match Option::<String>::deserialize(deserializer)? {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

fn over<T>(below: &mut Option<T>, above: Option<T>) {
    if above.is_some() {
        *below = above;
    }
}

/// Lays each of the named fields of one part over the same field of the other.
macro_rules! lay {
    ($below:expr, $above:expr; $($field:ident),*) => {
        $(over(&mut $below.$field, $above.$field);)*
    };
}

impl<T: Default> Ordered<T> {
    fn lay(&mut self, above: Self, mut each: impl FnMut(&mut T, T)) {
        for (name, part) in above.0 {
            match self.0.iter_mut().find(|(known, _)| known.value == name.value) {
                Some((_, below)) => each(below, part),
                None => {
                    let mut below = T::default();
                    each(&mut below, part);
                    self.0.push((name, below));
                }
            }
        }
    }
}

impl File {
    /// Lays `above`, whose text is called `origin`, over this.
    pub(super) fn lay(&mut self, above: Self, origin: &str) {
        self.providers.lay(above.providers, |below, part| {
            lay!(below, part; title, aliases, dialect, base_url, key_variable, local, responses, rerank, enabled);
            lay!(below.limits, part.limits; requests_per_minute, tokens_per_minute, concurrent);
            lay!(below.batch, part.batch; texts, tokens);
            lay!(below.breaker, part.breaker; in_a_row, failures, failure_per_mille, window_ms, cooldown_ms, probes, successes);
            below.models.lay(part.models, |below, part| below.lay(part, origin));
            if below.origin.is_empty() {
                origin.clone_into(&mut below.origin);
            }
        });
    }

    /// The catalogue of what was laid together.
    pub(super) fn finish(self, texts: &[(&str, &str)]) -> Result<Catalogue, CatalogueError> {
        let mut catalogue = Catalogue::default();
        for (name, part) in self.providers.0 {
            if part.enabled == Some(false) {
                continue;
            }
            let origin = part.origin.clone();
            let wrong = |at: &Spanned<String>, message: String| {
                let at = texts.iter().any(|(known, _)| *known == origin).then(|| place(Some(at.referenced))).flatten();
                CatalogueError(TextError { origin: origin.clone(), at, message })
            };
            let provider = provider(&name, &part).map_err(|message| wrong(&name, message))?;
            let position = catalogue.providers.len();
            let own = [provider.id.to_string()].into_iter().chain(part.aliases.unwrap_or_default());
            for alias in own.clone() {
                if let Some(other) = catalogue.provider_names.insert(alias.clone(), position)
                    && other != position
                {
                    return Err(wrong(&name, format!("two providers are called `{alias}`")));
                }
            }
            let own: Vec<String> = own.collect();
            for (name, part) in part.models.0 {
                if part.enabled == Some(false) {
                    continue;
                }
                let model = part.model(&provider, &name.value).map_err(|message| {
                    CatalogueError(TextError { origin: part.origin.clone(), at: place(Some(name.referenced)), message })
                })?;
                let index = ModelIndex(u32::try_from(catalogue.models.len()).unwrap_or(u32::MAX));
                catalogue.models.push(model);
                for alias in std::iter::once(&name.value).chain(part.aliases.iter().flatten()) {
                    let alias = alias.to_ascii_lowercase();
                    for provider in &own {
                        match catalogue.names.entry(format!("{provider}/{alias}")) {
                            Entry::Vacant(free) => {
                                free.insert(vec![index]);
                            }
                            Entry::Occupied(taken) if taken.get() == &[index] => {}
                            Entry::Occupied(_) => {
                                return Err(CatalogueError(TextError {
                                    origin: part.origin.clone(),
                                    at: place(Some(name.referenced)),
                                    message: format!("two models of {provider} are called `{alias}`"),
                                }));
                            }
                        }
                    }
                    let shared = catalogue.names.entry(alias).or_default();
                    if !shared.contains(&index) {
                        shared.push(index);
                    }
                }
            }
            catalogue.providers.push(provider);
        }
        Ok(catalogue)
    }
}

fn provider(name: &Spanned<String>, part: &ProviderPart) -> Result<Provider, String> {
    let id = name.value.as_str();
    if id.is_empty()
        || !id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))
    {
        return Err(format!(
            "`{}` is no name of a provider: small letters, digits, `-`, `_` and `.`",
            id.escape_debug()
        ));
    }
    let Some(dialect) = part.dialect else {
        return Err(format!("the provider `{id}` needs a `dialect`: anthropic, openai, google or ollama"));
    };
    if let Some(url) = &part.base_url
        && !(url.starts_with("http://") || url.starts_with("https://"))
    {
        return Err(format!("the `base_url` of `{id}` must begin with http:// or https://"));
    }
    let defaults = breaker::Settings::default();
    let given = &part.breaker;
    let settings = breaker::Settings {
        in_a_row: given.in_a_row.unwrap_or(defaults.in_a_row),
        failures: given.failures.unwrap_or(defaults.failures),
        failure_per_mille: given.failure_per_mille.unwrap_or(defaults.failure_per_mille),
        window_ms: given.window_ms.unwrap_or(defaults.window_ms),
        cooldown_ms: given.cooldown_ms.unwrap_or(defaults.cooldown_ms),
        probes: given.probes.unwrap_or(defaults.probes),
        successes: given.successes.unwrap_or(defaults.successes),
        ..defaults
    };
    settings.check().map_err(|message| format!("the `breaker` of `{id}`: {message}"))?;
    for (name, least) in [("texts", part.batch.texts.map(u64::from)), ("tokens", part.batch.tokens)] {
        if least == Some(0) {
            return Err(format!("`{name}` in the `batch` of `{id}` is 0: a call has at least one"));
        }
    }
    let responses = part.responses.unwrap_or(false);
    Ok(Provider {
        id: ProviderId::from(id),
        title: part.title.clone().unwrap_or_else(|| id.to_owned()),
        dialect,
        base_url: part.base_url.clone(),
        key_variable: part.key_variable.clone(),
        local: part.local.unwrap_or(false),
        responses,
        // OpenAI itself has none, most of what is compatible with it has one.
        rerank: dialect == Dialect::Openai && part.rerank.unwrap_or(!responses),
        batch: Batch { texts: part.batch.texts, tokens: part.batch.tokens },
        limits: Rate {
            requests_per_minute: part.limits.requests_per_minute,
            tokens_per_minute: part.limits.tokens_per_minute,
            concurrent: part.limits.concurrent,
        },
        breaker: settings,
    })
}

impl ModelPart {
    fn lay(&mut self, mut above: Self, origin: &str) {
        if let Some(price) = &mut above.price {
            let below = self.price.get_or_insert_default();
            // A figure that was changed does not come from where the figure before came from.
            if price.source.is_none() {
                price.source = Some(origin.to_owned());
            }
            lay!(below, price.clone(); date, source, input, output, cache_read, cache_write_5m, cache_write_1h, until);
            if let Some(long) = price.long.take() {
                let below = below.long.get_or_insert_default();
                lay!(below, long; above, input, output, cache_read, cache_write_5m, cache_write_1h);
            }
            if let Some(then) = price.then.take() {
                let below = below.then.get_or_insert_default();
                lay!(below, then; input, output, cache_read, cache_write_5m, cache_write_1h);
            }
        }
        lay!(self, above; title, aliases, context, max_output, dimensions, quality, latency_ms, capabilities, enabled);
        origin.clone_into(&mut self.origin);
    }

    fn model(&self, provider: &Provider, name: &str) -> Result<Model, String> {
        if name.is_empty() || name.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(format!("`{}` is no name of a model", name.escape_debug()));
        }
        let price = self.price.as_ref().map(|price| price.price(name)).transpose()?;
        Ok(Model {
            route: Route { provider: provider.id.clone(), model: name.into() },
            title: self.title.clone().unwrap_or_else(|| name.to_owned()),
            local: provider.local,
            context: self.context.map(Tokens),
            max_output: self.max_output.map(Tokens),
            dimensions: self.dimensions,
            quality: self.quality,
            latency_ms: self.latency_ms,
            capabilities: self.capabilities.iter().flatten().copied().collect::<Capabilities>(),
            price,
        })
    }
}

/// The rates of any of the parts that have them.
macro_rules! rates {
    ($part:expr) => {
        Rates {
            input: $part.input.map(MicroDollars),
            output: $part.output.map(MicroDollars),
            cache_read: $part.cache_read.map(MicroDollars),
            cache_write_5m: $part.cache_write_5m.map(MicroDollars),
            cache_write_1h: $part.cache_write_1h.map(MicroDollars),
        }
    };
}

impl PricePart {
    fn price(&self, model: &str) -> Result<Price, String> {
        let long = match &self.long {
            None => None,
            Some(part) => {
                let Some(above) = part.above else {
                    return Err(format!("`long` in the price of `{model}` needs `above`: tokens of the prompt"));
                };
                Some(Long { above: Tokens(above), rates: rates!(part) })
            }
        };
        if self.then.is_some() && self.until.is_none() {
            return Err(format!("`then` in the price of `{model}` needs `until`: the last day of what is before"));
        }
        Ok(Price {
            date: self.date,
            source: self.source.clone(),
            rates: rates!(self),
            long,
            until: self.until,
            then: self.then.as_ref().map(|part| rates!(part)),
        })
    }
}
