//! Which models are tried after each other: the decision's own, its alternatives, then what the operator names as a way out.
//! A chain is laid out whole before the first call, so that no cycle and no unknown name is met on the way.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::catalogue::{Catalogue, ModelIndex, UnknownModel};
use crate::failure::{Failure, Progress};
use crate::strategy::Decision;

/// What the operator names as ways out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chains {
    /// For each model, by any of its names, those that follow it. They may have followers of their own.
    pub after: BTreeMap<String, Vec<String>>,
    /// What follows everything else.
    pub last: Vec<String>,
}

/// A chain that leads back to where it came from, or to nowhere. It is used without that link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// Names that follow each other in a circle, the first of them once more at the end.
    Cycle(Vec<String>),
    /// A name that no model has.
    Unknown {
        /// The chain that names it: a model, or `last`.
        within: String,
        /// The name.
        unknown: UnknownModel,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cycle(names) => write!(f, "the fallback chain goes in a circle: {}", names.join(" -> ")),
            Self::Unknown { within, unknown } => write!(f, "the fallback chain of `{within}`: {unknown}"),
        }
    }
}

/// Chains whose names are resolved in one catalogue.
#[derive(Debug, Clone, Default)]
pub struct Links {
    after: BTreeMap<ModelIndex, Vec<ModelIndex>>,
    last: Vec<ModelIndex>,
}

/// Where a model of a chain came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// It is the decision.
    Route,
    /// It is one of the decision's alternatives.
    Alternative,
    /// It is a way out.
    Fallback,
}

/// A model to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// The model.
    pub model: ModelIndex,
    /// Where it came from.
    pub tier: Tier,
}

impl Chains {
    /// The chains with their names resolved, and what is wrong with them.
    #[must_use]
    pub fn resolve(&self, catalogue: &Catalogue) -> (Links, Vec<Flaw>) {
        let mut flaws = Vec::new();
        let mut resolve = |within: &str, names: &[String]| {
            let mut models = Vec::new();
            for name in names {
                match catalogue.find(name) {
                    Ok(found) => models.extend(found.models),
                    Err(unknown) => flaws.push(Flaw::Unknown { within: within.to_owned(), unknown }),
                }
            }
            models
        };
        let last = resolve("last", &self.last);
        let mut links = Links { last, ..Links::default() };
        let mut heads = Vec::new();
        for (name, followers) in &self.after {
            heads.push((name, resolve(name, followers)));
        }
        for (name, followers) in heads {
            match catalogue.find(name) {
                Ok(found) => {
                    for head in found.models {
                        links.after.entry(*head).or_default().extend(&followers);
                    }
                }
                Err(unknown) => flaws.push(Flaw::Unknown { within: name.clone(), unknown }),
            }
        }
        flaws.extend(links.cut_cycles(catalogue));
        (links, flaws)
    }
}

impl Links {
    /// Takes out each link that leads back to where its chain came from.
    fn cut_cycles(&mut self, catalogue: &Catalogue) -> Vec<Flaw> {
        let mut flaws = Vec::new();
        let mut done = HashSet::new();
        let heads: Vec<ModelIndex> = self.after.keys().copied().collect();
        for head in heads {
            let mut path = Vec::new();
            self.visit(head, &mut path, &mut done, &mut |circle| {
                let name = |index: &ModelIndex| catalogue.get(*index).map(|model| model.route.to_string());
                flaws.push(Flaw::Cycle(circle.iter().filter_map(name).collect()));
            });
        }
        flaws
    }

    /// Depth first with a path of its own: a chain may be as long as the catalogue.
    fn visit(
        &mut self,
        head: ModelIndex,
        path: &mut Vec<(ModelIndex, usize)>,
        done: &mut HashSet<ModelIndex>,
        circle: &mut impl FnMut(&[ModelIndex]),
    ) {
        if done.contains(&head) {
            return;
        }
        path.push((head, 0));
        while let Some((model, position)) = path.last().copied() {
            let Some(next) = self.after.get(&model).and_then(|followers| followers.get(position)).copied() else {
                done.insert(model);
                path.pop();
                continue;
            };
            if let Some(start) = path.iter().position(|(on_path, _)| *on_path == next) {
                let mut round: Vec<ModelIndex> = path.iter().skip(start).map(|(one, _)| *one).collect();
                round.push(next);
                circle(&round);
                if let Some(followers) = self.after.get_mut(&model) {
                    followers.remove(position);
                }
                continue;
            }
            if let Some((_, at)) = path.last_mut() {
                *at += 1;
            }
            if !done.contains(&next) {
                path.push((next, 0));
            }
        }
    }

    /// The models to be tried for a decision, each once: the decision and at most `alternatives` of what it ranks behind it,
    /// then what follows each of them, then what follows everything.
    #[must_use]
    pub fn plan(&self, decision: &Decision, alternatives: usize) -> Vec<Step> {
        let mut steps = self.plan_after(decision, alternatives);
        for model in &self.last {
            add(&mut steps, *model, Tier::Fallback);
        }
        steps
    }

    /// As [`Links::plan`] without what follows everything: where one model cannot stand in for any other, it follows only those after
    /// which the operator wrote it.
    #[must_use]
    pub fn plan_after(&self, decision: &Decision, alternatives: usize) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::with_capacity(1 + alternatives + self.last.len());
        for (at, candidate) in decision.ranked.iter().take(1 + alternatives).enumerate() {
            add(&mut steps, candidate.model, if at == 0 { Tier::Route } else { Tier::Alternative });
        }
        // What is added while walking is walked too, so that followers of followers come in their turn.
        let mut at = 0;
        while let Some(step) = steps.get(at).copied() {
            for follower in self.after.get(&step.model).into_iter().flatten() {
                add(&mut steps, *follower, Tier::Fallback);
            }
            at += 1;
        }
        steps
    }
}

/// Adds a model that is not there yet.
fn add(steps: &mut Vec<Step>, model: ModelIndex, tier: Tier) {
    if !steps.iter().any(|step| step.model == model) {
        steps.push(Step { model, tier });
    }
}

/// How an attempt of a chain ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was answered.
    Answered,
    /// It was not made, for this reason.
    Skipped(String),
    /// It failed.
    Failed(Failure),
}

/// An attempt, for the answer's headers, the ledger and the error when all fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What was tried.
    pub step: Step,
    /// How it ended.
    pub ended: Ended,
}

/// Attempts of one request. S0 makes three; what is skipped counts for nothing.
#[derive(Debug, Clone)]
pub struct Walk {
    steps: std::vec::IntoIter<Step>,
    attempts: Vec<Attempt>,
    left: usize,
    stopped: bool,
}

impl Walk {
    /// The way along `steps` with at most `most` of them tried.
    #[must_use]
    pub fn new(steps: Vec<Step>, most: usize) -> Self {
        Self { steps: steps.into_iter(), attempts: Vec::new(), left: most, stopped: false }
    }

    /// The next model to be tried. `usable` says why one cannot be, from its breaker, limits and caps; those are passed over.
    pub fn next(&mut self, mut usable: impl FnMut(ModelIndex) -> Result<(), String>) -> Option<Step> {
        if self.stopped || self.left == 0 {
            return None;
        }
        for step in self.steps.by_ref() {
            match usable(step.model) {
                Ok(()) => {
                    self.left -= 1;
                    return Some(step);
                }
                Err(reason) => self.attempts.push(Attempt { step, ended: Ended::Skipped(reason) }),
            }
        }
        None
    }

    /// Notes that the last attempts at `step` failed so, and ends the way where no other provider may be asked.
    pub fn failed(&mut self, step: Step, failure: Failure, progress: Progress) {
        self.stopped = !failure.may_fall_back(progress);
        self.attempts.push(Attempt { step, ended: Ended::Failed(failure) });
    }

    /// Notes that `step` answered.
    pub fn answered(&mut self, step: Step) {
        self.stopped = true;
        self.attempts.push(Attempt { step, ended: Ended::Answered });
    }

    /// All attempts, in their order.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The failure to tell the caller: the last that was the provider's, as the others are only reasons why it was not asked.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.attempts.iter().rev().find_map(|attempt| match attempt.ended {
            Ended::Failed(failure) => Some(failure),
            Ended::Answered | Ended::Skipped(_) => None,
        })
    }

    /// What was tried and how it ended, in words.
    #[must_use]
    pub fn explain(&self, catalogue: &Catalogue) -> String {
        let mut text = String::new();
        for attempt in &self.attempts {
            if !text.is_empty() {
                text.push_str("; ");
            }
            if let Some(model) = catalogue.get(attempt.step.model) {
                text.push_str(&model.route.to_string());
            }
            text.push_str(": ");
            match &attempt.ended {
                Ended::Answered => text.push_str("answered"),
                Ended::Skipped(reason) => text.push_str(&format!("not tried, {reason}")),
                Ended::Failed(failure) => text.push_str(&failure.to_string()),
            }
        }
        if text.is_empty() { "no model was there to be tried".to_owned() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::{Ask, Health, Refusal, choose};
    use proptest::prelude::*;

    const SIX: &str = "
providers:
  p:
    dialect: openai
    models: {a: {quality: 900}, b: {quality: 800}, c: {quality: 700}, d: {quality: 600}, e: {quality: 500}, f: {quality: 400}}
";

    fn catalogue() -> Catalogue {
        Catalogue::read(&[("six.yaml", SIX)]).unwrap()
    }

    fn chains(text: &str) -> Chains {
        serde_saphyr::from_str(text).unwrap()
    }

    /// A decision for these models, best first.
    fn decision(catalogue: &Catalogue, pool: &[&str]) -> Decision {
        let pool: Vec<ModelIndex> = pool.iter().map(|name| catalogue.find(name).unwrap().models[0]).collect();
        choose(catalogue, Some(&pool), &Ask::default(), |_, _| Health::UNTRIED, 0)
    }

    fn planned(text: &str, pool: &[&str], alternatives: usize) -> (Vec<(String, Tier)>, Vec<String>) {
        let catalogue = catalogue();
        let (links, flaws) = chains(text).resolve(&catalogue);
        let plan = links.plan(&decision(&catalogue, pool), alternatives);
        let name = |step: &Step| catalogue.get(step.model).unwrap().route.model.to_string();
        (plan.iter().map(|step| (name(step), step.tier)).collect(), flaws.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_chain_goes_from_the_route_over_alternatives_to_ways_out() {
        use Tier::{Alternative, Fallback, Route};
        let (plan, flaws) = planned(
            "after: {a: [c], c: [e], b: [a]}
last: [f, a]",
            &["a", "b"],
            2,
        );
        let expected = [("a", Route), ("b", Alternative), ("c", Fallback), ("e", Fallback), ("f", Fallback)];
        assert_eq!(plan, expected.map(|(name, tier)| (name.to_owned(), tier)));
        assert_eq!(flaws, Vec::<String>::new());
        let catalogue = catalogue();
        let (links, _) = chains("after: {a: [c], c: [e]}\nlast: [f]").resolve(&catalogue);
        let after = links.plan_after(&decision(&catalogue, &["a", "b"]), 0);
        let names: Vec<_> =
            after.iter().map(|step| catalogue.get(step.model).unwrap().route.model.to_string()).collect();
        assert_eq!(names, ["a", "c", "e"], "what follows everything does not follow here");
        let (plan, _) = planned("last: [d]", &["a", "b", "c"], 1);
        assert_eq!(plan.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b", "d"]);
    }

    #[test]
    fn cycles_are_cut_and_unknown_names_are_named() {
        let (plan, flaws) = planned(
            "after: {a: [b], b: [c], c: [a, d], x: [a], d: [dd, d]}
last: [zz]",
            &["a"],
            0,
        );
        assert_eq!(plan.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        for expected in [
            "the fallback chain goes in a circle: p/a -> p/b -> p/c -> p/a",
            "the fallback chain goes in a circle: p/d -> p/d",
            "the fallback chain of `x`: there is no model `x`",
            "the fallback chain of `d`: there is no model `dd`",
            "the fallback chain of `last`: there is no model `zz`",
        ] {
            assert!(flaws.iter().any(|flaw| flaw.starts_with(expected)), "{expected}: {flaws:?}");
        }
        assert_eq!(flaws.len(), 5, "{flaws:?}");
    }

    #[test]
    fn a_walk_lists_every_attempt_and_ends_where_it_must() {
        let catalogue = catalogue();
        let (links, _) = chains("last: [d, e, f]").resolve(&catalogue);
        let plan = || links.plan(&decision(&catalogue, &["a", "b", "c"]), 2);
        let names = |model: ModelIndex| catalogue.get(model).unwrap().route.model.to_string();

        let mut walk = Walk::new(plan(), 3);
        let closed = |model: ModelIndex| if names(model) == "b" { Err(Refusal::Open.to_string()) } else { Ok(()) };
        let first = walk.next(closed).unwrap();
        walk.failed(first, Failure::Connect, Progress::Nothing);
        let second = walk.next(closed).unwrap();
        assert_eq!(names(second.model), "c");
        walk.failed(second, Failure::Server { status: 503, retry_after_ms: None }, Progress::Nothing);
        let third = walk.next(closed).unwrap();
        walk.answered(third);
        assert_eq!(walk.next(closed), None);
        assert_eq!(
            walk.explain(&catalogue),
            "p/a: no connection; p/b: not tried, it is down or its breaker is open; p/c: status 503; p/d: answered"
        );

        let mut walk = Walk::new(plan(), 2);
        for _ in 0..2 {
            let step = walk.next(|_| Ok(())).unwrap();
            walk.failed(step, Failure::TimeoutBeforeHeaders, Progress::Nothing);
        }
        assert_eq!(walk.next(|_| Ok(())), None, "two were enough");

        for (failure, progress) in [
            (Failure::Caller { status: 400 }, Progress::Nothing),
            (Failure::Cut, Progress::Begun),
            (Failure::Gone, Progress::Nothing),
        ] {
            let mut walk = Walk::new(plan(), 3);
            let step = walk.next(|_| Ok(())).unwrap();
            walk.failed(step, failure, progress);
            assert_eq!(walk.next(|_| Ok(())), None, "{failure}");
            assert_eq!(walk.failure(), Some(failure));
        }

        let mut walk = Walk::new(plan(), 3);
        assert_eq!(walk.next(|_| Err("down".to_owned())), None);
        assert_eq!((walk.attempts().len(), walk.failure()), (6, None));
        assert_eq!(Walk::new(Vec::new(), 3).explain(&catalogue), "no model was there to be tried");
    }

    proptest! {
        #[test]
        fn whatever_the_chains_each_model_is_tried_once_and_none_leads_back(
            links in prop::collection::vec((0_usize..6, 0_usize..6), 0..30)
        ) {
            let catalogue = catalogue();
            let names = ["a", "b", "c", "d", "e", "f"];
            let mut chains = Chains::default();
            for (from, to) in links {
                chains.after.entry(names[from].to_owned()).or_default().push(names[to].to_owned());
            }
            let (links, _) = chains.resolve(&catalogue);
            for head in links.after.keys() {
                let mut seen = HashSet::new();
                let mut open = links.after[head].clone();
                while let Some(model) = open.pop() {
                    prop_assert!(model != *head, "it leads back");
                    if seen.insert(model) {
                        open.extend(links.after.get(&model).into_iter().flatten());
                    }
                }
            }
            let plan = links.plan(&decision(&catalogue, &["a", "b"]), 1);
            let distinct: HashSet<ModelIndex> = plan.iter().map(|step| step.model).collect();
            prop_assert_eq!(distinct.len(), plan.len());
        }
    }
}
