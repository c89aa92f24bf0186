//! The breakers of all routes: one a provider, for what no model of it can help (no connection, no valid key), and one a
//! model. A call needs the leave of both.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::saved::Saved;
use super::{Breaker, Change, Outcome, Permit, Refused, Settings, Standing};
use crate::catalogue::Provider;
use crate::clocks::Clocks;
use crate::name::{ModelId, ProviderId, Route};

/// Whom the end of a call concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concerns {
    /// The provider with all its models.
    Provider,
    /// The model alone.
    Model,
}

/// Leave to call a route. It has to be given back with [`Breakers::finish`].
#[must_use = "a permit that is not given back holds a probe's place until its lease ends"]
#[derive(Debug, PartialEq, Eq)]
pub struct RoutePermit {
    provider: Permit,
    model: Permit,
}

impl RoutePermit {
    /// Whether the call is a probe of either.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.provider.is_probe() || self.model.is_probe()
    }
}

#[derive(Debug, Clone, Default)]
struct Entry {
    settings: Settings,
    own: Breaker,
    models: HashMap<ModelId, Breaker>,
}

/// All breakers.
#[derive(Debug, Clone, Default)]
pub struct Breakers {
    providers: HashMap<ProviderId, Entry>,
}

/// A saved breaker with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedRoute {
    /// The provider.
    pub provider: ProviderId,
    /// The model; `None` for the breaker of the provider itself.
    pub model: Option<ModelId>,
    /// The breaker.
    pub breaker: Saved,
}

impl Breakers {
    /// Breakers with these providers' settings, and with what was saved of them. What was saved of a provider that is no
    /// longer known is left out.
    #[must_use]
    pub fn new<'p>(providers: impl IntoIterator<Item = &'p Provider>, saved: &[SavedRoute], now: Clocks) -> Self {
        let mut board = Self::default();
        board.configure(providers);
        for route in saved {
            if let Some(entry) = board.providers.get_mut(&route.provider) {
                let breaker = Breaker::restore(&route.breaker, &entry.settings, now);
                match &route.model {
                    Some(model) => {
                        entry.models.insert(model.clone(), breaker);
                    }
                    None => entry.own = breaker,
                }
            }
        }
        board
    }

    /// Takes other settings over; the breakers stay as they are. Providers that are not among them are forgotten.
    pub fn configure<'p>(&mut self, providers: impl IntoIterator<Item = &'p Provider>) {
        let mut before = std::mem::take(&mut self.providers);
        for provider in providers {
            let mut entry = before.remove(&provider.id).unwrap_or_default();
            entry.settings = provider.breaker;
            self.providers.insert(provider.id.clone(), entry);
        }
    }

    /// What the route is at `now`: the less willing of its two breakers.
    #[must_use]
    pub fn standing(&self, route: &Route, now: u64) -> Standing {
        let Some(entry) = self.providers.get(&route.provider) else { return Standing::Closed };
        let own = entry.own.standing(&entry.settings, now);
        let model = entry.models.get(&route.model).map_or(Standing::Closed, |one| one.standing(&entry.settings, now));
        match (own, model) {
            (own, _) if !own.admits() => own,
            (_, model) if !model.admits() => model,
            (Standing::Closed, model) => model,
            (own, _) => own,
        }
    }

    /// Leave to call the route at `now`.
    ///
    /// # Errors
    /// [`Refused`] by the provider's breaker or the model's.
    pub fn acquire(&mut self, route: &Route, now: u64) -> Result<RoutePermit, Refused> {
        let entry = self.entry(&route.provider);
        let breaker = match entry.models.get_mut(&route.model) {
            Some(breaker) => breaker,
            None => entry.models.entry(route.model.clone()).or_default(),
        };
        // Neither is to use up a probe of the other: both are looked at before either gives leave.
        for one in [&entry.own, &*breaker] {
            one.admit(&entry.settings, now)?;
        }
        let provider = entry.own.acquire(&entry.settings, now)?;
        let model = breaker.acquire(&entry.settings, now)?;
        Ok(RoutePermit { provider, model })
    }

    /// Takes the leave for a call back that ended so, with what that changed.
    pub fn finish(
        &mut self,
        route: &Route,
        permit: RoutePermit,
        outcome: Outcome,
        concerns: Concerns,
        now: u64,
    ) -> Option<Change> {
        let entry = self.entry(&route.provider);
        let (of_provider, of_model) = match (outcome, concerns) {
            // Whoever answers, however badly, is there.
            (Outcome::Failure | Outcome::Throttled { .. }, Concerns::Model) => (Outcome::Success, outcome),
            (Outcome::Failure | Outcome::Throttled { .. }, Concerns::Provider) => (outcome, Outcome::Neutral),
            (Outcome::Success | Outcome::Neutral, _) => (outcome, outcome),
        };
        let provider = entry.own.finish(&entry.settings, permit.provider, of_provider, now);
        let model = match entry.models.get_mut(&route.model) {
            Some(breaker) => breaker.finish(&entry.settings, permit.model, of_model, now),
            None => None,
        };
        provider.or(model)
    }

    /// Closes and marks up by hand: one model, or the provider with all its models.
    pub fn reset(&mut self, provider: &ProviderId, model: Option<&ModelId>) {
        let entry = self.entry(provider);
        match model {
            Some(model) => {
                if let Some(breaker) = entry.models.get_mut(model) {
                    breaker.reset();
                }
            }
            None => {
                entry.own.reset();
                entry.models.clear();
            }
        }
    }

    /// The breaker of a provider, or of a model of it, to be marked down or up.
    pub fn breaker(&mut self, provider: &ProviderId, model: Option<&ModelId>) -> &mut Breaker {
        let entry = self.entry(provider);
        match model {
            Some(model) => entry.models.entry(model.clone()).or_default(),
            None => &mut entry.own,
        }
    }

    /// What is to be kept of all of them.
    #[must_use]
    pub fn save(&self, now: Clocks) -> Vec<SavedRoute> {
        let mut saved = Vec::new();
        for (provider, entry) in &self.providers {
            let own = std::iter::once((None, &entry.own));
            let models = entry.models.iter().map(|(model, breaker)| (Some(model.clone()), breaker));
            for (model, breaker) in own.chain(models) {
                saved.push(SavedRoute { provider: provider.clone(), model, breaker: breaker.save(now) });
            }
        }
        saved.sort_by(|a, b| (&a.provider, &a.model).cmp(&(&b.provider, &b.model)));
        saved
    }

    fn entry(&mut self, provider: &ProviderId) -> &mut Entry {
        if !self.providers.contains_key(provider) {
            self.providers.insert(provider.clone(), Entry::default());
        }
        self.providers.entry(provider.clone()).or_default()
    }
}
