//! Which providers a call is sent to, in which order. What is decided is the router's; this gives it what it decides by.

use orx_router::breaker::{Standing, Why};
use orx_router::budget::{BudgetError, Expected};
use orx_router::catalogue::{Catalogue, Model, ModelIndex};
use orx_router::chain::{Step, Tier, Walk};
use orx_router::complexity::Band;
use orx_router::parking::{self, Parking};
use orx_router::quota::Quota;
use orx_router::strategy::rules::{Because, Facts};
use orx_router::strategy::{Ask, Decision, Health, choose};
use orx_router::{ProviderId, Route, Tokens, clocks::Clocks};

use super::ask::Asked;
use super::barred;
use crate::answer::own;
use crate::bill;
use crate::caller::Login;
use crate::control::{Barrier, Entrance, Leave};
use crate::dialect::error::{ApiError, ErrorKind};
use crate::door;
use crate::inner::Inner;
use crate::provider::upstream::vendor_of;
use crate::settings::Config;

/// Alternatives of a decision that are tried after it (S0).
const ALTERNATIVES: usize = 2;
/// Providers that are asked for one call at most (S0: three tiers).
pub(super) const MOST: usize = 5;
/// The name of all models that the catalogue does not know.
const UNLISTED: &str = "(unlisted)";
/// Tokens that an answer is taken to have where its caller does not say.
const USUAL_OUTPUT: u64 = 1_024;

/// Where a call goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hop {
    /// Provider and the name that its model has there.
    pub(super) route: Route,
    /// The model, where the catalogue knows it.
    pub(super) model: Option<ModelIndex>,
    /// What the provider is told: the route's model, or a snapshot of it that the caller named.
    pub(super) name: String,
    step: Option<Step>,
}

/// What is entered: a model at its provider, for all of the call's tokens or a share of them.
#[derive(Clone, Copy)]
struct Place<'a> {
    route: &'a Route,
    model: Option<ModelIndex>,
    share: Option<Tokens>,
}

/// A call's way.
#[derive(Debug)]
pub(super) struct Way {
    walk: Walk,
    /// What is passed to its vendor though the catalogue does not know it.
    unlisted: Option<Route>,
    snapshot: Option<String>,
    /// Who was to answer first.
    pub(super) first: Option<Route>,
    barriers: Vec<(String, Barrier)>,
}

/// Lays the way out.
///
/// # Errors
/// The error that the caller is told.
pub(super) fn way(gateway: &Inner, config: &Config, asked: &Asked, now: Clocks) -> Result<Way, ApiError> {
    if asked.caller.login == Login::Own {
        return own_way(config, asked);
    }
    let facts = Facts {
        named: &asked.model,
        stage: asked.caller.stage.as_deref(),
        kind: asked.kind,
        task: asked.task,
        band: Band::of(asked.prompt),
    };
    let ruled = config.rules.apply(&config.catalogue, facts).map_err(|unknown| {
        own(
            ErrorKind::NotFound,
            &unknown.to_string(),
            "`orxctl providers --models` lists them; the provider file can add one",
        )
    })?;
    let is_named = matches!(ruled.because, Because::Named);
    let mut control = gateway.control();
    let ask = Ask {
        input: asked.prompt,
        output: Tokens(asked.found.max_tokens.unwrap_or(USUAL_OUTPUT).min(USUAL_OUTPUT)),
        needs: if is_named { Default::default() } else { crate::features::needs(&asked.body, &asked.found) },
        priority: asked.priority.or(ruled.priority).unwrap_or_default(),
        max_latency_ms: None,
        min_quality: ruled.min_quality,
        left: if is_named { None } else { control.budget.left(&asked.caller.payer, now) },
        strategy: ruled.strategy,
        writes: !is_named,
    };
    let decide = |ask: &Ask| {
        choose(
            &config.catalogue,
            ruled.pool,
            ask,
            |_, model| {
                let health = control.health(model, config, now);
                // A model that is named leads its chain even when it is down: what follows it is found through it.
                if is_named { Health { configured: true, admitted: true, has_quota: true, ..health } } else { health }
            },
            now.wall_ms,
        )
    };
    let of_any_length = Ask { input: ask.input.min(least_context(config, ruled.pool)), ..ask };
    // Whether a prompt fits is an estimate: of a model that is named, its provider has the last word.
    let mut decision = decide(if is_named { &of_any_length } else { &ask });
    if decision.ranked.is_empty() && config.compress.is_some() {
        decision = decide(&of_any_length);
    }
    if let Some(conversation) = &asked.conversation
        && let Some(route) = control.stickies.get(conversation, now.monotonic_ms)
        && let Some(index) = config.catalogue.index_of(&route.provider, &route.model)
    {
        decision.keep(index);
    }
    drop(control);
    if decision.ranked.is_empty() {
        let message = format!("no model can take this call: {}", decision.explain(&config.catalogue));
        return Err(own(ErrorKind::Unavailable, &message, "`orxctl providers` shows which have a key and are up"));
    }
    let alternatives = if is_named { decision.ranked.len() } else { ALTERNATIVES };
    let steps = config.links.plan(&decision, alternatives);
    let first = steps.first().and_then(|step| config.catalogue.get(step.model)).map(|model| model.route.clone());
    log(asked, &ruled.because, &decision, &config.catalogue);
    Ok(Way::along(steps, first, ruled.snapshot.map(str::to_owned)))
}

/// Says why a call goes where it goes. Words that nobody reads are not made: they cost more than the choice.
pub(super) fn log(asked: &Asked, because: &Because<'_>, decision: &Decision, catalogue: &Catalogue) {
    tracing::debug!(call = asked.call, %because, why = decision.explain(catalogue), "A call is sent on.");
}

/// The least that a model of the pool reads.
fn least_context(config: &Config, pool: Option<&[ModelIndex]>) -> Tokens {
    let reads = |model: Option<&Model>| model.and_then(|model| model.context);
    let least = match pool {
        Some(pool) => pool.iter().filter_map(|index| reads(config.catalogue.get(*index))).min(),
        None => config.catalogue.models().filter_map(|(_, model)| reads(Some(model))).min(),
    };
    least.unwrap_or(Tokens(u64::MAX))
}

/// The way of a caller with a login of its own: to its vendor and nowhere else, known model or not.
pub(super) fn own_way(config: &Config, asked: &Asked) -> Result<Way, ApiError> {
    let vendor = vendor_of(asked.dialect).filter(|vendor| config.upstreams.contains_key(vendor)).ok_or_else(|| {
        own(ErrorKind::Authentication, "no vendor of this dialect takes a login of yours", "use a key of orx alone")
    })?;
    let found = config.catalogue.find(&asked.model).ok();
    let known = found.as_ref().and_then(|found| {
        found
            .models
            .iter()
            .copied()
            .find(|index| config.catalogue.get(*index).is_some_and(|model| model.route.provider == vendor))
    });
    // The vendor knows names that the catalogue does not: what the caller wrote is what it is told. Here they have one name
    // together, so that no caller makes up breakers and labels.
    let known_route = known.and_then(|model| config.catalogue.get(model)).map(|model| model.route.clone());
    let route = known_route.unwrap_or_else(|| Route::new(&vendor, UNLISTED));
    let steps = known.map(|model| Step { model, tier: Tier::Route }).into_iter().collect();
    tracing::debug!(call = asked.call, %route, "A call is sent on with its caller's own login.");
    Ok(Way {
        walk: Walk::new(steps, 1),
        unlisted: known.is_none().then(|| route.clone()),
        snapshot: Some(asked.model.clone()),
        first: Some(route),
        barriers: Vec::new(),
    })
}

impl Way {
    /// A way along `steps`.
    pub(super) fn along(steps: Vec<Step>, first: Option<Route>, snapshot: Option<String>) -> Self {
        Self { walk: Walk::new(steps, MOST), unlisted: None, snapshot, first, barriers: Vec::new() }
    }

    /// The next hop that may be asked, with leave to ask it.
    pub(super) fn next(
        &mut self,
        gateway: &Inner,
        config: &Config,
        asked: &Asked,
        now: Clocks,
    ) -> Option<(Hop, Leave, Expected)> {
        if let Some(route) = self.unlisted.take() {
            let place = Place { route: &route, model: None, share: None };
            let (leave, expected) = self.enter(gateway, config, asked, place, now)?;
            return Some((Hop { name: asked.model.clone(), route, model: None, step: None }, leave, expected));
        }
        let mut entered = None;
        let mut walk = std::mem::replace(&mut self.walk, Walk::new(Vec::new(), 0));
        let step = walk.next(|index| {
            let Some(model) = config.catalogue.get(index) else { return Err("it is of another catalogue".to_owned()) };
            let place = Place { route: &model.route, model: Some(index), share: None };
            match self.enter(gateway, config, asked, place, now) {
                Some(leave) => {
                    entered = Some(leave);
                    Ok(())
                }
                None => Err(self.barriers.last().map_or_else(String::new, |(_, barrier)| barrier.to_string())),
            }
        });
        self.walk = walk;
        let (step, (leave, expected)) = step.zip(entered)?;
        let model = config.catalogue.get(step.model)?;
        let is_first = self.first.as_ref().is_none_or(|first| first.model == model.route.model)
            || asked.caller.login == Login::Own;
        let name = self.snapshot.clone().filter(|_| is_first).unwrap_or_else(|| model.route.model.to_string());
        Some((Hop { route: model.route.clone(), model: Some(step.model), name, step: Some(step) }, leave, expected))
    }

    fn enter(
        &mut self,
        gateway: &Inner,
        config: &Config,
        asked: &Asked,
        Place { route, model, share }: Place<'_>,
        now: Clocks,
    ) -> Option<(Leave, Expected)> {
        let is_ours = asked.caller.login == Login::Operator;
        let provider = config.catalogue.provider(&route.provider)?;
        let upstream = config.upstreams.get(&route.provider)?;
        if is_ours && !upstream.is_configured() {
            let variable = upstream.key_variable.clone().unwrap_or_default();
            self.barriers.push((route.to_string(), Barrier::NoKey { variable }));
            return None;
        }
        let model = model.and_then(|model| config.catalogue.get(model));
        let is_paid = is_ours && !provider.local;
        let expected = if matches!(asked.ask, door::Ask::Embed | door::Ask::Rerank) {
            bill::expected_of_texts(model, share.unwrap_or(asked.prompt), is_paid, now.wall_ms)
        } else {
            let dialect = upstream.dialect_for(asked.dialect);
            bill::expected(model, &asked.body, dialect, asked.found.max_tokens, is_paid, now.wall_ms)
        };
        let entrance =
            Entrance { payer: &asked.caller.payer, caller: asked.caller.name(), rate: &config.callers, expected };
        let entered = gateway.control().enter(route, provider, entrance, now);
        match entered {
            Ok(leave) => Some((leave, expected)),
            Err(barrier) => {
                self.barriers.push((route.to_string(), barrier));
                None
            }
        }
    }

    /// Leave to ask the same hop again, for the whole call or a share of its tokens.
    pub(super) fn again(
        &mut self,
        gateway: &Inner,
        config: &Config,
        asked: &Asked,
        hop: &Hop,
        share: Option<Tokens>,
        now: Clocks,
    ) -> Option<(Leave, Expected)> {
        self.enter(gateway, config, asked, Place { route: &hop.route, model: hop.model, share }, now)
    }

    /// What stood in the way last, as the caller is told it.
    pub(super) fn stopped(&self, now: Clocks) -> ApiError {
        match self.barriers.last() {
            Some((route, barrier)) => barred(route, barrier, now.wall_ms),
            None => self.nobody(now),
        }
    }

    /// Notes that the attempts at a hop failed.
    pub(super) fn failed(&mut self, hop: &Hop, failure: orx_router::failure::Failure) {
        if let Some(step) = hop.step {
            self.walk.failed(step, failure, orx_router::failure::Progress::Nothing);
        }
    }

    /// What the caller is told when nobody was asked.
    pub(super) fn nobody(&self, now: Clocks) -> ApiError {
        // Nothing but money helps where a cap is reached; where none is, the first that was to be asked says most.
        let cap = self.barriers.iter().find(|(_, barrier)| matches!(barrier, Barrier::Budget(_)));
        match cap.or_else(|| self.barriers.first()) {
            Some((route, barrier)) => barred(route, barrier, now.wall_ms),
            None => own(ErrorKind::Unavailable, "no provider can be asked", ""),
        }
    }

    /// What of all that stood in the way parks the call's session: caps that are to, and vendors that asked to be left alone.
    pub(super) fn parkings(&self, gateway: &Inner, config: &Config, now: Clocks) -> Vec<Parking> {
        let parking = |(route, barrier): &(String, Barrier)| match barrier {
            Barrier::Budget(error) => parking::of_cap(error, now.wall_ms),
            Barrier::Breaker(refused) => {
                let Standing::Open { for_ms, why: Why::Throttled } = refused.standing else { return None };
                let provider = route.split_once('/').map_or(route.as_str(), |(provider, _)| provider);
                let asked = Quota { retry_at_ms: Some(now.wall_ms.saturating_add(for_ms)), ..Quota::default() };
                // A breaker stays open for an hour at most; the vendor may have named a later time.
                let said = gateway.control().quota_of(&ProviderId::from(provider)).cloned().unwrap_or_default();
                parking::of_vendor(provider, &said, now.wall_ms, config.park_from_ms)
                    .or_else(|| parking::of_vendor(provider, &asked, now.wall_ms, config.park_from_ms))
            }
            Barrier::NoKey { .. } | Barrier::Limited(_) => None,
        };
        self.barriers.iter().filter_map(parking).collect()
    }

    /// The cap that stood in the way.
    pub(super) fn reached(&self) -> Option<&BudgetError> {
        self.barriers.iter().find_map(|(_, barrier)| match barrier {
            Barrier::Budget(error) => Some(error),
            Barrier::NoKey { .. } | Barrier::Breaker(_) | Barrier::Limited(_) => None,
        })
    }
}
