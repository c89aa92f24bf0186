//! What the ledger and the shared state of the gateway say, in the shapes of the protocol.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use orx_gateway::Gateway;
use orx_protocol::api::llm::{
    Budget, Cap, Mark, MarkParams, Model, Provider, Providers, Usage, UsageLine, UsageParams,
};
use orx_protocol::{ErrorKind, RpcError, clock};
use orx_router::breaker::Standing;
use orx_router::complexity::Kind;
use orx_router::price;
use orx_router::report::{self, Against, Dimension, Line, Row};
use orx_router::{MicroDollars, ModelId, Route, Tokens};
use orx_store::{CallRow, calls};
use serde::de::DeserializeOwned;

/// Calls that are counted at once.
const MOST: u32 = 200_000;
/// Since when calls are counted where nothing is said, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// `llm.usage`.
///
/// # Errors
/// `InvalidParams` for a dimension or a model that is none; as the store fails.
pub async fn usage(gateway: &Gateway, params: UsageParams) -> Result<Usage, RpcError> {
    let by_word = params.by.as_deref().unwrap_or("model");
    let by: Dimension = word(by_word).ok_or_else(|| {
        let known = "provider, model, session, run, stage, project, user, key, kind, day";
        RpcError::new(ErrorKind::InvalidParams, format!("`by`: `{}` is none of {known}", by_word.escape_debug()))
    })?;
    let config = gateway.inner().config();
    let against = params.against.as_deref().map(|name| config.catalogue.find(name)).transpose()?;
    let since_ms = params.since_ms.unwrap_or_else(|| clock::now_ms().saturating_sub(DAY_MS));
    gateway.inner().ledger.flush().await;
    let found = gateway.inner().store.read(move |reader| calls::ended_since(reader, since_ms, MOST)).await?;
    let is_partial = found.len() >= MOST as usize;
    let is_wanted = |row: &&CallRow| {
        params.session.as_ref().is_none_or(|session| row.session.as_deref() == Some(session.as_str()))
            && params.run.as_ref().is_none_or(|run| row.run.as_deref() == Some(run.as_str()))
    };
    let cached = found.iter().filter(is_wanted).filter(|row| row.outcome == "cached");
    let (from_cache, saved) =
        cached.fold((0, 0), |(count, saved), row| (count + 1, saved + row.saved_microusd.unwrap_or(0)));
    let rows: Vec<Row> = found.iter().filter(is_wanted).map(|row| row_of(row, &config.zone)).collect();
    let against = against.and_then(|found| found.models.first().copied()).map_or(Against::First, Against::Model);
    let savings = report::savings(&rows, &config.catalogue, against);
    let standings = gateway.inner().control().budget.report(gateway.inner().time.now());
    let advice = report::advise(&rows, &standings, &config.catalogue, clock::now_ms());
    Ok(Usage {
        by: by_word.to_owned(),
        since_ms,
        lines: report::spend(&rows, by).into_iter().map(line).collect(),
        total: line(report::total(&rows)),
        is_partial,
        from_cache,
        saved_by_cache_microusd: saved,
        savings: (savings.compared > 0 && savings.saved() != 0).then(|| savings.to_string()),
        advice: advice.iter().map(ToString::to_string).collect(),
    })
}

fn word<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).ok()
}

fn row_of(row: &CallRow, zone: &TimeZone) -> Row {
    let at_ms = row.ended_ms.unwrap_or(row.at_ms);
    let tokens = |tokens: Option<u64>| Tokens(tokens.unwrap_or(0));
    let day = i64::try_from(at_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
    Row {
        at_ms,
        day: day.map_or_else(String::new, |at| at.to_zoned(zone.clone()).date().to_string()).into(),
        route: Route::new(&row.provider, &row.model),
        first: row.first.as_ref().map(|(provider, model)| Route::new(provider, model)),
        session: row.session.clone(),
        run: row.run.clone(),
        stage: row.stage.clone(),
        project: row.project.clone(),
        user: row.user.clone(),
        key: row.key.clone(),
        kind: word(&row.kind).unwrap_or(Kind::Main),
        usage: price::Usage {
            input: tokens(row.input),
            output: tokens(row.output),
            cache_read: tokens(row.cache_read),
            cache_write_5m: tokens(row.cache_write_5m),
            cache_write_1h: tokens(row.cache_write_1h),
            reasoning: tokens(row.reasoning),
        },
        cost: match &*row.outcome {
            // What failed cost nothing, whatever its price.
            "failed" | "refused" => Some(MicroDollars::ZERO),
            _ => row.cost_microusd.map(MicroDollars),
        },
        is_estimate: row.is_estimate,
        succeeded: matches!(&*row.outcome, "answered" | "cached"),
        latency_ms: row.total_ms.unwrap_or(0),
    }
}

fn line(line: Line) -> UsageLine {
    UsageLine {
        name: line.name,
        calls: line.calls,
        failed: line.failed,
        input: line.usage.input.0,
        output: line.usage.output.0,
        cache_read: line.usage.cache_read.0,
        cache_write: line.usage.cache_write_5m.0 + line.usage.cache_write_1h.0,
        cost_microusd: line.cost.0,
        unpriced: line.unpriced,
        estimated: line.estimated,
        mean_ms: line.latency_ms.checked_div(line.calls).unwrap_or(0),
    }
}

/// `llm.budget`.
#[must_use]
pub fn budget(gateway: &Gateway) -> Budget {
    let standings = gateway.inner().control().budget.report(gateway.inner().time.now());
    let caps = standings.into_iter().map(|standing| Cap {
        spent_per_mille: standing.spent_per_mille(),
        of: standing.of.to_string(),
        per: shown(&standing.per),
        cap: standing.cap,
        subject: standing.subject,
        limit_microusd: standing.limit.map(|limit| limit.0),
        limit_tokens: standing.token_limit.map(|limit| limit.0),
        spent_microusd: standing.spent.cost.0,
        spent_tokens: standing.spent.tokens.0,
        reserved_microusd: standing.reserved.cost.0,
        resets_at_ms: standing.resets_at_ms,
    });
    Budget { caps: caps.collect() }
}

/// The word that a value without members is written as.
fn shown<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// `llm.providers`.
#[must_use]
pub fn providers(gateway: &Gateway) -> Providers {
    let inner = gateway.inner();
    let config = inner.config();
    let now = inner.time.now();
    let mut control = inner.control();
    let providers = config.catalogue.providers().iter().map(|provider| {
        let whole = Route { provider: provider.id.clone(), model: ModelId::from("") };
        let standing = control.breakers.standing(&whole, now.monotonic_ms);
        let models =
            config.catalogue.models().map(|(_, model)| model).filter(|model| model.route.provider == provider.id);
        let models = models.map(|model| {
            let rates = model.price.as_ref().map(|price| price.rates(Tokens::ZERO, now.wall_ms)).unwrap_or_default();
            Model {
                model: model.route.model.to_string(),
                title: model.title.clone(),
                context: model.context.map(|tokens| tokens.0),
                input_microusd: rates.input.map(|rate| rate.0),
                output_microusd: rates.output.map(|rate| rate.0),
                priced_on: model.price.as_ref().and_then(|price| price.date).map(|day| day.to_string()),
                is_up: control.breakers.standing(&model.route, now.monotonic_ms).admits(),
            }
        });
        let models: Vec<Model> = models.collect();
        let is_configured = config.upstreams.get(&provider.id).is_some_and(|upstream| upstream.is_configured());
        let (state, mut why) = match standing {
            // A breaker of which nothing was asked says nothing of its provider.
            Standing::Closed if !is_configured => ("no_key", String::new()),
            Standing::Closed if !provider.local && !control.was_called(&provider.id) => ("untried", String::new()),
            standing => told(standing),
        };
        if let Some(reason) = control.breakers.breaker(&provider.id, None).down_reason(now.monotonic_ms) {
            why = format!("{why}: {reason}");
        }
        Provider {
            provider: provider.id.to_string(),
            title: provider.title.clone(),
            dialect: shown(&provider.dialect),
            base_url: provider.base_url.clone(),
            is_configured,
            key_variable: provider.key_variable.clone(),
            state: state.to_owned(),
            why,
            models,
        }
    });
    Providers { providers: providers.collect() }
}

fn told(standing: Standing) -> (&'static str, String) {
    match standing {
        Standing::Closed => ("closed", String::new()),
        Standing::Open { for_ms, why } => ("open", format!("{} for another {} s", shown(&why), for_ms.div_ceil(1000))),
        Standing::HalfOpen { free } => ("half_open", format!("{free} probes may begin")),
        Standing::Down { for_ms: Some(for_ms) } => ("down", format!("for another {} s", for_ms.div_ceil(1000))),
        Standing::Down { for_ms: None } => ("down", "until it is marked up".to_owned()),
    }
}

/// `llm.mark`.
///
/// # Errors
/// `NotFound` for a provider or model that is not there.
pub fn mark(gateway: &Gateway, params: &MarkParams) -> Result<Providers, RpcError> {
    let inner = gateway.inner();
    let config = inner.config();
    let Some(provider) = config.catalogue.provider(&params.provider) else {
        let known: Vec<&str> = config.catalogue.providers().iter().map(|provider| provider.id.as_str()).collect();
        let message =
            format!("there is no provider `{}`: there are {}", params.provider.escape_debug(), known.join(", "));
        return Err(RpcError::new(ErrorKind::NotFound, message).with_hint("`orxctl providers` lists them"));
    };
    let model = match &params.model {
        None => None,
        Some(name) => {
            let qualified = format!("{}/{name}", provider.id);
            let index = config.catalogue.find(&qualified)?.models.first().copied();
            index.and_then(|index| config.catalogue.get(index)).map(|model| model.route.model.clone())
        }
    };
    let now = inner.time.now();
    let (saved, resumed) = {
        let mut control = inner.control();
        let mut resumed = Vec::new();
        match params.mark {
            Mark::Reset => resumed = control.reset(&provider.id, model.as_ref()),
            Mark::Down => {
                let reason = params.reason.clone().unwrap_or_else(|| "marked down by a person".to_owned());
                control.breakers.breaker(&provider.id, model.as_ref()).mark_down(
                    reason,
                    params.for_ms,
                    now.monotonic_ms,
                );
            }
            Mark::Up => control.breakers.breaker(&provider.id, model.as_ref()).mark_up(),
        }
        (control.breakers.save(now), resumed)
    };
    inner.keep_breakers(&saved);
    gateway.resume(resumed);
    Ok(providers(gateway))
}
