//! An operator's rules: which models a stage, a type of request, a band of size or a call on the side goes to. They are read
//! once and their names resolved, so that a request looks nothing up but its own model.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use orx_protocol::{ErrorKind, RpcError};
use serde::{Deserialize, Serialize};

use super::{Priority, Strategy};
use crate::capability::Capability;
use crate::catalogue::{Catalogue, ModelIndex, UnknownModel};
use crate::complexity::{Band, Kind};

/// Names by which a caller leaves the choice to the router.
const CHOOSE: [&str; 5] = ["", "auto", "default", "orx", "orx/auto"];
/// The least quality of a model for calls on the side where no rule says more: one that writes a sentence.
const SIDE_QUALITY: u16 = 400;

/// One rule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// The models to choose among, by any of their names; all when there are none.
    pub models: Vec<String>,
    /// How they are put in order.
    pub strategy: Option<Strategy>,
    /// How much such requests matter.
    pub priority: Option<Priority>,
    /// The least quality, per mille.
    pub min_quality: Option<u16>,
    /// Whether it also holds for requests that name a model; calls on the side do, unless this is false.
    pub over_named: Option<bool>,
}

/// All rules. Of several that fit a request, the first of these holds: `side_calls`, `stages`, `types`, `bands`, `default`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// Titles, classifications, summaries and counts.
    pub side_calls: Option<Rule>,
    /// By the stage of a run.
    pub stages: BTreeMap<String, Rule>,
    /// By the type of a request.
    pub types: BTreeMap<Capability, Rule>,
    /// By size.
    pub bands: BTreeMap<Band, Rule>,
    /// Everything else.
    pub default: Rule,
}

/// A rule names a model that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rule `{rule}`: {unknown}")]
pub struct RuleError {
    /// Which rule, as in `stages.plan`.
    pub rule: String,
    /// What it names.
    pub unknown: UnknownModel,
}

impl From<RuleError> for RpcError {
    fn from(error: RuleError) -> Self {
        Self::new(ErrorKind::Configuration, error.to_string()).with_hint("correct the rule in the settings")
    }
}

#[derive(Debug, Clone, Default)]
struct Resolved {
    pool: Option<Vec<ModelIndex>>,
    strategy: Option<Strategy>,
    priority: Option<Priority>,
    min_quality: Option<u16>,
    over_named: bool,
}

/// Rules whose names are resolved in one catalogue.
#[derive(Debug, Clone, Default)]
pub struct Ruleset {
    side_calls: Option<Resolved>,
    stages: HashMap<String, Resolved>,
    types: BTreeMap<Capability, Resolved>,
    bands: BTreeMap<Band, Resolved>,
    default: Resolved,
}

/// What is known of a request.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The model that it names.
    pub named: &'a str,
    /// The stage of the run that it is of.
    pub stage: Option<&'a str>,
    /// What it is for.
    pub kind: Kind,
    /// Its type, where it says so.
    pub task: Option<Capability>,
    /// Its size.
    pub band: Band,
}

/// Why a pool was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Because<'a> {
    /// The request names its model.
    Named,
    /// It is a call on the side.
    SideCall(Kind),
    /// By its stage.
    Stage(&'a str),
    /// By its type.
    Type(Capability),
    /// By its size.
    Band(Band),
    /// No rule was nearer.
    Default,
}

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("the request names the model"),
            Self::SideCall(kind) => write!(f, "it is a call on the side ({kind})"),
            Self::Stage(stage) => write!(f, "the rule of stage {stage}"),
            Self::Type(task) => write!(f, "the rule of {task}"),
            Self::Band(band) => write!(f, "the rule of {band} requests"),
            Self::Default => f.write_str("the rule of all other requests"),
        }
    }
}

/// What the rules say of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruled<'a> {
    /// The models to choose among; `None` for all.
    pub pool: Option<&'a [ModelIndex]>,
    /// The snapshot that the request named, to be told to the provider in place of the model's name.
    pub snapshot: Option<&'a str>,
    /// How they are put in order.
    pub strategy: Strategy,
    /// How much it matters, where a rule says so.
    pub priority: Option<Priority>,
    /// The least quality, per mille.
    pub min_quality: Option<u16>,
    /// Which rule.
    pub because: Because<'a>,
}

impl Rules {
    /// The rules with their names resolved.
    ///
    /// # Errors
    /// [`RuleError`] for a name that the catalogue does not know.
    pub fn resolve(&self, catalogue: &Catalogue) -> Result<Ruleset, RuleError> {
        let rule = |name: String, rule: &Rule, over_named: bool| -> Result<Resolved, RuleError> {
            let mut pool = Vec::new();
            for model in &rule.models {
                match catalogue.find(model) {
                    Ok(found) => pool.extend(found.models),
                    Err(unknown) => return Err(RuleError { rule: name, unknown }),
                }
            }
            Ok(Resolved {
                pool: (!pool.is_empty()).then_some(pool),
                strategy: rule.strategy,
                priority: rule.priority,
                min_quality: rule.min_quality,
                over_named: rule.over_named.unwrap_or(over_named),
            })
        };
        Ok(Ruleset {
            side_calls: self.side_calls.as_ref().map(|one| rule("side_calls".into(), one, true)).transpose()?,
            stages: self
                .stages
                .iter()
                .map(|(stage, one)| Ok((stage.clone(), rule(format!("stages.{stage}"), one, false)?)))
                .collect::<Result<_, _>>()?,
            types: self
                .types
                .iter()
                .map(|(task, one)| Ok((*task, rule(format!("types.{task}"), one, false)?)))
                .collect::<Result<_, _>>()?,
            bands: self
                .bands
                .iter()
                .map(|(band, one)| Ok((*band, rule(format!("bands.{band}"), one, false)?)))
                .collect::<Result<_, _>>()?,
            default: rule("default".into(), &self.default, false)?,
        })
    }
}

impl Ruleset {
    /// What holds for a request.
    ///
    /// # Errors
    /// [`UnknownModel`] when it names one that is not there and no rule overrides that.
    pub fn apply<'a>(&'a self, catalogue: &'a Catalogue, facts: Facts<'a>) -> Result<Ruled<'a>, UnknownModel> {
        let (rule, because) = self.rule(facts);
        // Tokens are counted by the model that is to read them: another one counts others.
        let is_overridden = facts.kind != Kind::Count && rule.is_some_and(|rule| rule.over_named);
        if !CHOOSE.contains(&facts.named) && !is_overridden {
            return named(catalogue, facts.named, rule);
        }
        Ok(match rule {
            Some(rule) => Ruled {
                pool: rule.pool.as_deref(),
                snapshot: None,
                // Calls on the side go to the cheap, unless somebody said otherwise.
                strategy: rule.strategy.unwrap_or(match because {
                    Because::SideCall(_) => Strategy::Cost,
                    _ => Strategy::default(),
                }),
                priority: rule.priority,
                min_quality: rule.min_quality,
                because,
            },
            None => Ruled {
                pool: None,
                snapshot: None,
                strategy: Strategy::Cost,
                priority: Some(Priority::Low),
                min_quality: Some(SIDE_QUALITY),
                because,
            },
        })
    }

    /// What holds for a request of which the rule of its type alone speaks: rules of stages, of sizes and of all the rest name models
    /// that write, and a request for vectors is none of theirs.
    ///
    /// # Errors
    /// [`UnknownModel`] as [`Ruleset::apply`].
    pub fn of_type<'a>(
        &'a self,
        catalogue: &'a Catalogue,
        name: &'a str,
        task: Capability,
    ) -> Result<Ruled<'a>, UnknownModel> {
        let rule = self.types.get(&task);
        if !CHOOSE.contains(&name) && !rule.is_some_and(|rule| rule.over_named) {
            return named(catalogue, name, rule);
        }
        Ok(Ruled {
            pool: rule.and_then(|rule| rule.pool.as_deref()),
            snapshot: None,
            strategy: rule.and_then(|rule| rule.strategy).unwrap_or(Strategy::Cost),
            priority: rule.and_then(|rule| rule.priority),
            min_quality: rule.and_then(|rule| rule.min_quality),
            because: if rule.is_some() { Because::Type(task) } else { Because::Default },
        })
    }

    /// The rule that is nearest; `None` for a call on the side where there is no rule for them.
    fn rule<'a>(&'a self, facts: Facts<'a>) -> (Option<&'a Resolved>, Because<'a>) {
        if facts.kind.is_side_call() {
            return (self.side_calls.as_ref(), Because::SideCall(facts.kind));
        }
        if let Some((stage, rule)) = facts.stage.and_then(|stage| Some((stage, self.stages.get(stage)?))) {
            return (Some(rule), Because::Stage(stage));
        }
        if let Some((task, rule)) = facts.task.and_then(|task| Some((task, self.types.get(&task)?))) {
            return (Some(rule), Because::Type(task));
        }
        if let Some(rule) = self.bands.get(&facts.band) {
            return (Some(rule), Because::Band(facts.band));
        }
        (Some(&self.default), Because::Default)
    }
}

/// What holds for a request that names its model and keeps it.
fn named<'a>(catalogue: &'a Catalogue, name: &'a str, rule: Option<&Resolved>) -> Result<Ruled<'a>, UnknownModel> {
    let found = catalogue.find(name)?;
    Ok(Ruled {
        pool: Some(found.models),
        snapshot: found.snapshot,
        strategy: rule.and_then(|rule| rule.strategy).unwrap_or_default(),
        priority: rule.and_then(|rule| rule.priority),
        min_quality: None,
        because: Because::Named,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts<'static> =
        Facts { named: "auto", stage: None, kind: Kind::Main, task: None, band: Band::Moderate };

    fn rules(text: &str) -> Rules {
        serde_saphyr::from_str(text).unwrap()
    }

    fn names(catalogue: &Catalogue, pool: Option<&[ModelIndex]>) -> Vec<String> {
        let pool = pool.unwrap_or_default();
        pool.iter().map(|index| catalogue.get(*index).unwrap().route.model.to_string()).collect()
    }

    #[test]
    fn the_nearest_rule_holds() {
        let catalogue = Catalogue::built_in().unwrap();
        let text = "
side_calls: {models: [haiku]}
stages:
  plan: {models: [opus], priority: high}
  implement: {models: [sonnet], over_named: true}
types:
  code_review: {models: [gpt-6.2-sol], strategy: latency}
bands:
  trivial: {models: ['llama3.2:3b']}
default: {models: [sonnet, opus], min_quality: 500}
";
        let ruleset = rules(text).resolve(&catalogue).unwrap();
        let title = Facts { kind: Kind::Title, stage: Some("plan"), ..FACTS };
        for (facts, pool, strategy, because) in [
            (title, vec!["claude-haiku-5-5"], Strategy::Cost, Because::SideCall(Kind::Title)),
            (
                Facts { named: "opus", ..title },
                vec!["claude-haiku-5-5"],
                Strategy::Cost,
                Because::SideCall(Kind::Title),
            ),
            (
                Facts { named: "opus", kind: Kind::Count, ..FACTS },
                vec!["claude-opus-5-5"],
                Strategy::Score,
                Because::Named,
            ),
            (Facts { stage: Some("plan"), ..FACTS }, vec!["claude-opus-5-5"], Strategy::Score, Because::Stage("plan")),
            (
                Facts { stage: Some("ship"), task: Some(Capability::CodeReview), ..FACTS },
                vec!["gpt-6.2-sol"],
                Strategy::Latency,
                Because::Type(Capability::CodeReview),
            ),
            (
                Facts { band: Band::Trivial, ..FACTS },
                vec!["llama3.2:3b"],
                Strategy::Score,
                Because::Band(Band::Trivial),
            ),
            (FACTS, vec!["claude-sonnet-5-5", "claude-opus-5-5"], Strategy::Score, Because::Default),
            (
                Facts { named: "haiku", stage: Some("plan"), ..FACTS },
                vec!["claude-haiku-5-5"],
                Strategy::Score,
                Because::Named,
            ),
            (
                Facts { named: "haiku", stage: Some("implement"), ..FACTS },
                vec!["claude-sonnet-5-5"],
                Strategy::Score,
                Because::Stage("implement"),
            ),
        ] {
            let ruled = ruleset.apply(&catalogue, facts).unwrap();
            assert_eq!(
                (names(&catalogue, ruled.pool), ruled.strategy, ruled.because),
                (pool.iter().map(ToString::to_string).collect(), strategy, because),
                "{facts:?}"
            );
        }
        let snapshot = ruleset.apply(&catalogue, Facts { named: "claude-opus-4-5-20251101", ..FACTS }).unwrap();
        assert_eq!(snapshot.snapshot, Some("claude-opus-4-5-20251101"));
    }

    #[test]
    fn without_rules_calls_on_the_side_are_cheap_and_a_named_model_is_kept() {
        let catalogue = Catalogue::built_in().unwrap();
        let ruleset = Rules::default().resolve(&catalogue).unwrap();
        let title = Facts { kind: Kind::Title, ..FACTS };
        let ruled = ruleset.apply(&catalogue, title).unwrap();
        assert_eq!((ruled.pool, ruled.strategy, ruled.min_quality), (None, Strategy::Cost, Some(SIDE_QUALITY)));
        let named = ruleset.apply(&catalogue, Facts { named: "opus", ..title }).unwrap();
        assert_eq!(
            (names(&catalogue, named.pool), named.because),
            (vec!["claude-opus-5-5".to_owned()], Because::Named)
        );
        assert!(
            ruleset
                .apply(&catalogue, Facts { named: "opsu", ..FACTS })
                .unwrap_err()
                .nearest
                .contains(&"opus".to_owned())
        );
    }

    #[test]
    fn a_request_for_vectors_is_under_the_rule_of_its_type_alone() {
        let catalogue = Catalogue::built_in().unwrap();
        let text = "
stages: {plan: {models: [opus], over_named: true}}
types: {embedding: {models: [nomic-embed-text]}, rerank: {models: [qwen3-reranker-4b], over_named: true}}
default: {models: [sonnet], over_named: true}
";
        let ruleset = rules(text).resolve(&catalogue).unwrap();
        for (name, task, pool, because) in [
            ("", Capability::Embedding, "nomic-embed-text", Because::Type(Capability::Embedding)),
            ("gemini-embedding-2", Capability::Embedding, "gemini-embedding-2", Because::Named),
            (
                "nomic-embed-text",
                Capability::Rerank,
                "mlx-community/Qwen3-Reranker-4B-mxfp8",
                Because::Type(Capability::Rerank),
            ),
        ] {
            let ruled = ruleset.of_type(&catalogue, name, task).unwrap();
            assert_eq!((names(&catalogue, ruled.pool), ruled.because), (vec![pool.to_owned()], because), "{name}");
        }
        let none = Rules::default().resolve(&catalogue).unwrap();
        let ruled = none.of_type(&catalogue, "auto", Capability::Embedding).unwrap();
        assert_eq!((ruled.pool, ruled.strategy, ruled.because), (None, Strategy::Cost, Because::Default));
    }

    #[test]
    fn a_wrong_rule_is_named() {
        let catalogue = Catalogue::built_in().unwrap();
        let error = rules("stages:\n  plan: {models: [opsu]}\n").resolve(&catalogue).unwrap_err();
        assert!(
            error.to_string().starts_with("the rule `stages.plan`: there is no model `opsu`: did you mean `opus`"),
            "{error}"
        );
        assert!(serde_saphyr::from_str::<Rules>("stage: {}\n").is_err());
        assert!(serde_saphyr::from_str::<Rules>("default: {model: opus}\n").is_err());
    }
}
