//! Which engine and model a stage gets: S3's order of precedence as a pure function.
//!
//! Engine: `stages.<stage>.executor`, then `stage_engines.<stage>`, then `engine`.
//! Model: `stages.<stage>.model` or `profile`, then `stage_engines.<stage>.model`, then `executors.<engine>.stage_models`,
//! then `executors.<engine>.profiles`, then `executors.<engine>.default.model`, then `engine.model` when it is the same
//! engine, then the CLI's own. Reasoning effort is laid over it by the same order.

use serde::{Deserialize, Serialize};

use super::{Engine, EngineName, Settings, StageKey};

/// What a stage runs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The engine.
    pub engine: EngineName,
    /// The model; the CLI's own when absent.
    pub model: Option<String>,
    /// The Codex profile.
    pub profile: Option<String>,
    /// Reasoning effort.
    pub reasoning_effort: Option<String>,
    /// Whether Codex may search the web.
    pub web_search: bool,
    /// Further arguments.
    pub extra_args: Vec<String>,
    /// Longest time, in seconds.
    pub timeout: u64,
}

/// Nothing names an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no engine is named for the stage `{0}`: set `engine.type` in orx.yaml, or give `engine` with the request")]
pub struct NoEngine(pub StageKey);

impl Settings {
    /// What a stage runs with.
    ///
    /// # Errors
    /// [`NoEngine`] when nothing names one.
    pub fn choose(&self, stage: StageKey) -> Result<Selection, NoEngine> {
        let own = self.stages.get(&stage);
        let legacy = self.stage_engines.get(&stage);
        let engine = own
            .and_then(|own| own.executor)
            .or(legacy.map(|legacy| legacy.kind))
            .or(self.engine.as_ref().map(|engine| engine.kind))
            .ok_or(NoEngine(stage))?;
        let own_pair = own.map(|own| (own.model.clone(), own.profile.clone()));
        let (model, profile) = own_pair
            .filter(|(model, profile)| model.is_some() || profile.is_some())
            .unwrap_or_else(|| self.usual_model(stage, engine));
        Ok(Selection {
            engine,
            model,
            profile,
            reasoning_effort: own
                .and_then(|own| own.reasoning_effort.clone())
                .or_else(|| self.usual_effort(stage, engine)),
            web_search: own.is_some_and(|own| own.web_search),
            extra_args: self.described(stage, engine).map(|engine| engine.extra_args.clone()).unwrap_or_default(),
            timeout: self.timeout(stage, engine),
        })
    }

    /// The `engine` or `stage_engines` member that describes this engine for this stage.
    fn described(&self, stage: StageKey, engine: EngineName) -> Option<&Engine> {
        self.stage_engines
            .get(&stage)
            .into_iter()
            .chain(&self.engine)
            .chain(&self.fallback_engine)
            .find(|described| described.kind == engine)
    }

    /// Model and profile where the stage itself says none.
    fn usual_model(&self, stage: StageKey, engine: EngineName) -> (Option<String>, Option<String>) {
        let legacy = self.stage_engines.get(&stage).filter(|legacy| legacy.kind == engine);
        let executor = self.executors.get(&engine);
        let general = self.engine.iter().chain(&self.fallback_engine).find(|general| general.kind == engine);
        // An empty text is S3's way to write that nothing is set.
        let text = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
        [
            (
                legacy.and_then(|legacy| text(legacy.model.as_ref())),
                legacy.and_then(|legacy| text(legacy.profile.as_ref())),
            ),
            (executor.and_then(|executor| text(executor.stage_models.get(&stage))), None),
            (None, executor.and_then(|executor| text(executor.profiles.get(&stage)))),
            (
                executor.and_then(|executor| text(executor.default.model.as_ref())),
                executor.and_then(|executor| text(executor.default.profile.as_ref())),
            ),
            (
                general.and_then(|general| text(general.model.as_ref())),
                general.and_then(|general| text(general.profile.as_ref())),
            ),
        ]
        .into_iter()
        .find(|(model, profile)| model.is_some() || profile.is_some())
        .unwrap_or_default()
    }

    fn usual_effort(&self, stage: StageKey, engine: EngineName) -> Option<String> {
        let legacy = self.stage_engines.get(&stage).filter(|legacy| legacy.kind == engine);
        let executor = self.executors.get(&engine);
        let general = self.engine.iter().chain(&self.fallback_engine).find(|general| general.kind == engine);
        legacy
            .and_then(|legacy| legacy.reasoning_effort.clone())
            .or_else(|| executor.and_then(|executor| executor.default.reasoning_effort.clone()))
            .or_else(|| general.and_then(|general| general.reasoning_effort.clone()))
    }

    fn timeout(&self, stage: StageKey, engine: EngineName) -> u64 {
        let described = self.described(stage, engine).or(self.engine.as_ref());
        described.map_or(600, |described| described.stage_timeouts.get(&stage).copied().unwrap_or(described.timeout))
    }

    /// What takes over when a stage failed with `message`: the first rule that matches, else the fallback engine. `None`
    /// when nothing would change.
    #[must_use]
    pub fn fallback_for(&self, stage: StageKey, failed: &Selection, message: &str) -> Option<Fallen> {
        if !self.fallback.enabled {
            return None;
        }
        let message = message.to_lowercase();
        let rule = self.fallback.rules.iter().find(|rule| {
            rule.when.executor.is_none_or(|engine| engine == failed.engine)
                && (rule.when.error_contains.is_empty()
                    || rule.when.error_contains.iter().any(|part| message.contains(&part.to_lowercase())))
        });
        let (mut next, tries) = match (rule, &self.fallback_engine) {
            (Some(rule), _) => {
                let to = &rule.switch_to;
                let mut next = self.for_engine(stage, to.executor.unwrap_or(failed.engine), failed);
                if to.model.is_some() || to.profile.is_some() {
                    (next.model, next.profile) = (to.model.clone(), to.profile.clone());
                }
                (next, rule.max_retries)
            }
            (None, Some(engine)) if engine.enabled && engine.kind != failed.engine => {
                (self.for_engine(stage, engine.kind, failed), 1)
            }
            (None, _) => return None,
        };
        next.web_search = next.web_search && next.engine == failed.engine;
        (next != *failed).then_some(Fallen { selection: next, tries })
    }

    /// The selection of a stage as if this engine were its own.
    fn for_engine(&self, stage: StageKey, engine: EngineName, failed: &Selection) -> Selection {
        if engine == failed.engine {
            return failed.clone();
        }
        let (model, profile) = self.usual_model(stage, engine);
        Selection {
            engine,
            model,
            profile,
            reasoning_effort: self.usual_effort(stage, engine),
            web_search: false,
            extra_args: self.described(stage, engine).map(|engine| engine.extra_args.clone()).unwrap_or_default(),
            timeout: self.timeout(stage, engine),
        }
    }

    /// Makes `engine` the one of every stage, as a caller's choice over the file. What the file says of another engine
    /// no longer counts.
    pub(super) fn force(&mut self, engine: EngineName) {
        let usual = self.engine.as_ref().map(|engine| engine.kind);
        self.stage_engines.retain(|_, legacy| legacy.kind == engine);
        for own in self.stages.values_mut() {
            let meant = own.executor.or(usual);
            own.executor = None;
            if meant != Some(engine) {
                own.model = None;
                own.profile = None;
                own.reasoning_effort = None;
            }
        }
        let before = self.engine.take();
        self.engine = Some(match before {
            Some(before) if before.kind == engine => Engine { enabled: true, ..before },
            Some(before) => {
                Engine { timeout: before.timeout, stage_timeouts: before.stage_timeouts, ..Engine::of(engine) }
            }
            None => Engine::of(engine),
        });
    }

    /// The name of the program that the file wants for an engine; `None` for the engine's own.
    #[must_use]
    pub fn program(&self, engine: EngineName) -> Option<&str> {
        let described = self
            .engine
            .iter()
            .chain(self.stage_engines.values())
            .chain(&self.fallback_engine)
            .find(|described| described.kind == engine && !described.binary.is_empty());
        self.executors
            .get(&engine)
            .and_then(|executor| executor.bin.as_deref())
            .filter(|bin| !bin.is_empty())
            .or(described.map(|described| described.binary.as_str()))
    }

    /// Every program that the file names for an engine, with the member that names it.
    pub(super) fn programs(&self) -> Vec<(String, &str)> {
        let mut programs: Vec<(String, &str)> = Vec::new();
        for (engine, executor) in &self.executors {
            programs.extend(executor.bin.as_deref().map(|bin| (format!("executors.{engine}.bin"), bin)));
        }
        programs.extend(self.engine.iter().map(|engine| ("engine.binary".to_owned(), engine.binary.as_str())));
        programs
    }
}

/// What takes over, and how often it may be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fallen {
    /// What it runs with.
    pub selection: Selection,
    /// Tries, from 1.
    pub tries: u32,
}

#[cfg(test)]
mod tests {
    use super::super::load::parse;
    use super::*;
    use orx_engines::EngineKind;

    fn chosen(text: &str, stage: StageKey) -> (EngineName, Option<String>, Option<String>, Option<String>) {
        let selection = parse(text, "orx.yaml").unwrap().choose(stage).unwrap();
        (selection.engine, selection.model, selection.profile, selection.reasoning_effort)
    }

    #[test]
    fn the_order_of_precedence_is_that_of_s3() {
        let some = |text: &str| Some(text.to_owned());
        let levels = [
            "engine: {type: codex, model: m-engine, reasoning_effort: low}\n",
            "executors:\n  codex:\n    default: {model: m-default, reasoning_effort: medium}\n",
            "    profiles: {plan: p-stage}\n",
            "    stage_models: {plan: m-stage}\n",
            "stage_engines: {plan: {type: codex, model: m-legacy}}\n",
            "stages: {plan: {model: m-own, reasoning_effort: high}}\n",
        ];
        let expected = [
            (some("m-engine"), None, some("low")),
            (some("m-default"), None, some("medium")),
            (None, some("p-stage"), some("medium")),
            (some("m-stage"), None, some("medium")),
            (some("m-legacy"), None, some("medium")),
            (some("m-own"), None, some("high")),
        ];
        let mut text = String::new();
        for (level, (model, profile, effort)) in levels.iter().zip(expected) {
            text.push_str(level);
            assert_eq!(
                chosen(&text, StageKey::Plan),
                (EngineName::Engine(EngineKind::Codex), model, profile, effort),
                "{text}"
            );
        }
        assert_eq!(chosen(&text, StageKey::Review).1, some("m-default"));
    }

    #[test]
    fn a_stage_has_the_model_of_its_own_engine() {
        let text = "engine: {type: codex, model: gpt}\nstages: {plan: {executor: claude_code}}\nexecutors:\n  claude_code: {default: {model: opus}}\n";
        assert_eq!(
            chosen(text, StageKey::Plan),
            (EngineName::Engine(EngineKind::Claude), Some("opus".to_owned()), None, None)
        );
        let text = "engine: {type: codex, model: gpt}\nstages: {plan: {executor: gemini}}\n";
        assert_eq!(chosen(text, StageKey::Plan), (EngineName::Engine(EngineKind::Gemini), None, None, None));
        assert_eq!(
            chosen("engine: {type: codex}", StageKey::Fix),
            (EngineName::Engine(EngineKind::Codex), None, None, None)
        );
        assert_eq!(parse("", "orx.yaml").unwrap().choose(StageKey::Spec), Err(NoEngine(StageKey::Spec)));
    }

    #[test]
    fn time_limits_are_those_of_the_stage() {
        let text = "engine: {type: codex, timeout: 100, stage_timeouts: {implement_item: 1800}}\n";
        let settings = parse(text, "orx.yaml").unwrap();
        assert_eq!(settings.choose(StageKey::Implement).unwrap().timeout, 1800);
        assert_eq!(settings.choose(StageKey::Review).unwrap().timeout, 100);
    }

    #[test]
    fn a_callers_engine_wins_and_leaves_nothing_of_another() {
        let text = "engine: {type: codex, model: gpt, binary: codex-dev, timeout: 90, extra_args: [-x]}\nstages: {plan: {executor: gemini, model: flash}, fix: {executor: claude, model: opus}}\nstage_engines: {review: {type: gemini}}\n";
        let mut settings = parse(text, "orx.yaml").unwrap();
        settings.force(EngineName::Engine(EngineKind::Claude));
        for stage in StageKey::ALL {
            let selection = settings.choose(stage).unwrap();
            assert_eq!((selection.engine, selection.timeout), (EngineName::Engine(EngineKind::Claude), 90), "{stage}");
            assert!(selection.extra_args.is_empty());
            assert_eq!(selection.model.as_deref(), (stage == StageKey::Fix).then_some("opus"), "{stage}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_takes_over_else_the_fallback_engine() {
        let text = "engine: {type: codex, model: gpt}\nfallback_engine: {type: gemini, model: flash}\nfallback:\n  rules:\n    - match: {executor: gemini}\n      switch_to: {model: pro}\n    - match: {executor: codex, error_contains: [Usage Limit]}\n      switch_to: {model: gpt-mini}\n      max_retries: 2\n";
        let settings = parse(text, "orx.yaml").unwrap();
        let own = settings.choose(StageKey::Plan).unwrap();
        let fallen = settings.fallback_for(StageKey::Plan, &own, "you hit your USAGE limit").unwrap();
        assert_eq!(
            (fallen.selection.engine, fallen.selection.model.as_deref(), fallen.tries),
            (EngineName::Engine(EngineKind::Codex), Some("gpt-mini"), 2)
        );
        let fallen = settings.fallback_for(StageKey::Plan, &own, "it crashed").unwrap();
        assert_eq!(
            (fallen.selection.engine, fallen.selection.model.as_deref()),
            (EngineName::Engine(EngineKind::Gemini), Some("flash"))
        );
        assert_eq!(
            settings.fallback_for(StageKey::Plan, &fallen.selection, "x").map(|fallen| fallen.selection.model),
            Some(Some("pro".to_owned()))
        );
        let none =
            parse("engine: {type: codex}\nfallback: {enabled: false}\nfallback_engine: {type: gemini}\n", "orx.yaml")
                .unwrap();
        assert_eq!(none.fallback_for(StageKey::Plan, &none.choose(StageKey::Plan).unwrap(), "x"), None);
    }
}
