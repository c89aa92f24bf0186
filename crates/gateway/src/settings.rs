//! The gateway's settings as an operator writes them, and what is made of them and the catalogue. Keys of providers come from the
//! environment, never from a file.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use orx_router::ProviderId;
use orx_router::budget::{Cap, Of};
use orx_router::catalogue::{Catalogue, CatalogueError, Provider};
use orx_router::chain::{Chains, Links};
use orx_router::limits::Rate;
use orx_router::quota;
use orx_router::retry::Policy;
use orx_router::strategy::rules::{RuleError, Rules, Ruleset};
use serde::Deserialize;

use crate::cache::remote;
use crate::cache::settings::CacheSettings;
use crate::provider::upstream::{Upstream, UpstreamError};

/// `gateway` of `orchestratord.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileGateway {
    /// Whether sessions are led through the gateway: `off`, or `routed` with a key of their own.
    pub sessions: Sessions,
    /// The file that is laid over the built-in providers and models; `providers.yaml` beside the settings where there is one.
    pub providers: Option<std::path::PathBuf>,
    /// The time zone of days and months of caps, as in `Europe/Berlin`; the system's where absent.
    pub time_zone: Option<String>,
    /// The caps.
    pub caps: Vec<Cap>,
    /// Which models which requests go to.
    pub rules: Rules,
    /// Which models follow which.
    pub fallbacks: Chains,
    /// When a failed call is made again.
    pub retry: Policy,
    /// How much each caller may ask.
    pub callers: Rate,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// The largest body of a request, in bytes.
    pub body_bytes: Option<usize>,
    /// Answers that are given again; none where absent.
    pub cache: Option<CacheSettings>,
    /// What is left out of prompts that would not fit; nothing where absent.
    pub compress: Option<Compress>,
    /// A vendor's refusal parks its session when it lasts so long, in milliseconds; a minute when absent.
    pub park_from_ms: Option<u64>,
}

/// `gateway.compress`: old results of tools are left out of prompts that would not fit their model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Compress {
    /// How much of a model's context the prompt and its answer may fill, in percent.
    pub at_percent: u64,
    /// How many of the last messages stay as they are.
    pub keep_recent: usize,
}

impl Default for Compress {
    fn default() -> Self {
        Self { at_percent: 90, keep_recent: 8 }
    }
}

/// Whether sessions are led through the gateway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sessions {
    /// They talk to their vendors.
    #[default]
    Off,
    /// They talk to the gateway, with a key of their own.
    Routed,
}

/// How long is waited, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// For a connection; a change comes into force at the next start.
    pub connect_ms: u64,
    /// For the beginning of an answer.
    pub first_byte_ms: u64,
    /// For the next piece of an answer.
    pub idle_ms: u64,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect_ms: 5_000, first_byte_ms: 300_000, idle_ms: 120_000 }
    }
}

impl Timeouts {
    /// For the beginning of an answer.
    #[must_use]
    pub const fn first_byte(&self) -> Duration {
        Duration::from_millis(self.first_byte_ms)
    }

    /// For the next piece of one.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        Duration::from_millis(self.idle_ms)
    }
}

/// The largest body of a request where nothing else is set: what vendors take.
const BODY: usize = 32 << 20;

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The catalogue is wrong, with line and column.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A rule names no model.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// A fallback chain is wrong.
    #[error("`gateway.fallbacks`: {0}")]
    Chain(String),
    /// No such time zone.
    #[error("`gateway.time_zone`: `{0}` is no time zone: write it as Europe/Berlin, or as CET-1CEST,M3.5.0,M10.5.0/3")]
    Zone(String),
    /// A provider cannot be asked.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The cache cannot be kept so.
    #[error("`gateway.cache`: {0}")]
    Cache(String),
    /// A figure is out of bounds.
    #[error("`gateway.{name}` is {value}, it must be {least} to {most}")]
    Bounds {
        /// Which.
        name: &'static str,
        /// What it is.
        value: u64,
        /// The least.
        least: u64,
        /// The most.
        most: u64,
    },
}

/// Settings, checked and resolved.
#[derive(Debug)]
pub struct Config {
    /// Providers and models.
    pub catalogue: Catalogue,
    /// Which models which requests go to.
    pub rules: Ruleset,
    /// Which models follow which.
    pub links: Links,
    /// Where providers are, and with which key.
    pub upstreams: BTreeMap<ProviderId, Upstream>,
    /// The caps.
    pub caps: Vec<Cap>,
    /// The time zone of their days.
    pub zone: TimeZone,
    /// When a failed call is made again.
    pub retry: Policy,
    /// How much each caller may ask.
    pub callers: Rate,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// The largest body of a request, in bytes.
    pub body_bytes: usize,
    /// Answers that are given again.
    pub cache: Option<CacheSettings>,
    /// What is left out of prompts that would not fit.
    pub compress: Option<Compress>,
    /// How long a vendor's refusal lasts at least that parks its session, in milliseconds.
    pub park_from_ms: u64,
}

impl Config {
    /// Makes a configuration of what is written. `providers` is the operator's file: its name for errors and its text; `variable`
    /// gives the variables of the environment.
    ///
    /// # Errors
    /// [`SettingsError`], which names what is wrong and where.
    pub fn new(
        file: &FileGateway,
        providers: Option<(&str, &str)>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let catalogue = match providers {
            Some((origin, text)) => Catalogue::with_operator(text, origin)?,
            None => Catalogue::built_in()?,
        };
        let (links, flaws) = file.fallbacks.resolve(&catalogue);
        if let Some(flaw) = flaws.first() {
            return Err(SettingsError::Chain(flaw.to_string()));
        }
        let bounds = |name, value: u64, least, most| match (least..=most).contains(&value) {
            true => Ok(value),
            false => Err(SettingsError::Bounds { name, value, least, most }),
        };
        bounds("timeouts.connect_ms", file.timeouts.connect_ms, 10, 600_000)?;
        bounds("timeouts.first_byte_ms", file.timeouts.first_byte_ms, 10, 3_600_000)?;
        bounds("timeouts.idle_ms", file.timeouts.idle_ms, 10, 3_600_000)?;
        let body = bounds("body_bytes", file.body_bytes.unwrap_or(BODY) as u64, 1024, 1 << 30)?;
        if let Some(compress) = &file.compress {
            bounds("compress.at_percent", compress.at_percent, 10, 100)?;
            bounds("compress.keep_recent", compress.keep_recent as u64, 1, 10_000)?;
        }
        if let Some(cache) = &file.cache {
            bounds("cache.ttl_s", cache.ttl_s, 1, 30 * 86_400)?;
            bounds("cache.bytes", cache.bytes, 1 << 20, 64 << 30)?;
            if cache.of == Of::All {
                let why =
                    "`of: all` would give every caller everybody's answers: use project, session, run, user or key";
                return Err(SettingsError::Cache(why.to_owned()));
            }
            if let Some(address) = &cache.redis {
                remote::check(address).map_err(SettingsError::Cache)?;
            }
            if let Some(semantic) = &cache.semantic {
                bounds("cache.semantic.threshold_per_mille", semantic.threshold_per_mille.into(), 500, 1_000)?;
                if let Err(unknown) = catalogue.find(&semantic.model) {
                    return Err(SettingsError::Cache(format!("`semantic.model`: {unknown}")));
                }
            }
        }
        let park_from_ms = file.park_from_ms.unwrap_or(quota::SHORT_MS);
        bounds("park_from_ms", park_from_ms, 100, 86_400_000)?;
        let upstreams = catalogue
            .providers()
            .iter()
            .map(|provider: &Provider| Ok((provider.id.clone(), Upstream::new(provider, variable)?)))
            .collect::<Result<_, UpstreamError>>()?;
        Ok(Self {
            rules: file.rules.resolve(&catalogue)?,
            links,
            upstreams,
            caps: file.caps.clone(),
            zone: zone(file.time_zone.as_deref())?,
            retry: file.retry,
            callers: file.callers,
            timeouts: file.timeouts,
            body_bytes: usize::try_from(body).unwrap_or(BODY),
            cache: file.cache.clone(),
            compress: file.compress,
            park_from_ms,
            catalogue,
        })
    }
}

fn zone(name: Option<&str>) -> Result<TimeZone, SettingsError> {
    let Some(name) = name else { return Ok(TimeZone::system()) };
    TimeZone::get(name).or_else(|_| TimeZone::posix(name)).map_err(|_| SettingsError::Zone(name.to_owned()))
}
