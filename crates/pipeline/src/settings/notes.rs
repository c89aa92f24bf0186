//! What a settings file asks for and orx does not do, or does otherwise: said at the start of a run, never passed over.

use super::{EngineName, KnowledgeBranch, KnowledgeMode, KnowledgeTrigger, Settings, StageKey};
use orx_engines::EngineKind;

/// Sentences for a person about members that are accepted and not in force.
#[must_use]
pub fn notes(settings: &Settings) -> Vec<String> {
    let mut notes = Vec::new();
    let mut idle = |member: &str, why: &str| notes.push(format!("accepted but not yet in force: `{member}`: {why}"));
    if settings.run.parallel_items {
        idle("run.parallel_items", "items are worked on one after another");
    }
    if !settings.git.auto_commit && (settings.git.auto_push || settings.git.create_pr) {
        idle("git.auto_push and create_pr", "git.auto_commit is off, so there is no branch to hand over");
    }
    let knowledge = &settings.knowledge;
    if knowledge.enabled && knowledge.mode != KnowledgeMode::Off {
        if knowledge.trigger == KnowledgeTrigger::PerItem {
            idle("knowledge.trigger: per_item", "the update takes place once, at the end of the run");
        }
        if knowledge.mode == KnowledgeMode::Auto && knowledge.branch_mode == KnowledgeBranch::Separate {
            idle("knowledge.branch_mode: separate", "the update is a commit of its own on the run's branch");
        }
    }
    for (engine, executor) in &settings.executors {
        if executor.api_key.0 {
            idle(
                &format!("executors.{engine}.api_key"),
                "keys are not read from a repository; set the engine's variable in the daemon's environment",
            );
        }
        if executor.approval_mode.as_deref().is_some_and(|mode| mode != "auto_edit") || executor.use_yolo == Some(false)
        {
            idle(
                &format!("executors.{engine}.approval_mode and use_yolo"),
                "stages that read run read-only, stages that write run without questions in the run's own worktree",
            );
        }
        if executor.default.output_format.as_deref().is_some_and(|format| !matches!(format, "json" | "stream-json")) {
            idle(
                &format!("executors.{engine}.default.output_format"),
                "engines always answer in their structured format",
            );
        }
        if *engine != EngineName::Engine(EngineKind::Command)
            && !(executor.argv.is_empty() && executor.text_args.is_empty() && executor.apply_args.is_empty())
        {
            idle(&format!("executors.{engine}.argv, text_args and apply_args"), "they belong to the engine `command`");
        }
        if *engine != EngineName::Engine(EngineKind::Codex)
            && (!executor.profiles.is_empty() || executor.default.profile.is_some())
        {
            idle(&format!("executors.{engine}.profiles"), "only codex has profiles");
        }
    }
    let formats = settings.engine.iter().chain(settings.stage_engines.values()).chain(&settings.fallback_engine);
    for engine in formats {
        if engine.output_format.as_deref().is_some_and(|format| !matches!(format, "json" | "stream-json")) {
            idle("engine.output_format", "engines always answer in their structured format");
        }
    }
    for (stage, own) in &settings.stages {
        let engine = settings.choose(*stage).ok().map(|selection| selection.engine);
        if own.thinking_budget.is_some() {
            idle(
                &format!("stages.{stage}.thinking_budget"),
                "no engine takes it on its command line; use reasoning_effort",
            );
        }
        if own.web_search && engine != Some(EngineName::Engine(EngineKind::Codex)) {
            idle(&format!("stages.{stage}.web_search"), "only codex has such a switch");
        }
        if own.profile.is_some() && engine != Some(EngineName::Engine(EngineKind::Codex)) {
            idle(&format!("stages.{stage}.profile"), "only codex has profiles");
        }
    }
    if settings.observability != super::Observability::default() {
        idle(
            "observability",
            "orx always keeps its journal, the logs and what engines print, and sends nothing anywhere",
        );
    }
    if settings.context_caching.enabled.is_some() {
        idle("context_caching", "a prompt is one text; what repeats is served by the providers' own caches");
    }
    for stage in StageKey::ALL {
        let Ok(chosen) = settings.choose(stage) else { continue };
        let known = settings
            .executors
            .get(&chosen.engine)
            .map(|executor| executor.available_models.as_slice())
            .unwrap_or_default();
        if let Some(model) = chosen.model.filter(|model| !known.is_empty() && !known.contains(model)) {
            notes.push(format!(
                "the stage {stage} uses the model {model}, which is not in executors.{}.available_models",
                chosen.engine
            ));
        }
    }
    notes
}

/// The engines that the stages of a run can come to use, with the stage that first names each.
#[must_use]
pub fn engines(settings: &Settings, stages: &[StageKey]) -> Vec<(EngineName, StageKey)> {
    let mut engines: Vec<(EngineName, StageKey)> = Vec::new();
    for stage in stages {
        if let Ok(selection) = settings.choose(*stage)
            && !engines.iter().any(|(engine, _)| *engine == selection.engine)
        {
            engines.push((selection.engine, *stage));
        }
    }
    engines
}

#[cfg(test)]
mod tests {
    use super::super::load::parse;
    use super::*;

    #[test]
    fn what_is_not_in_force_is_said_and_the_default_says_nothing() {
        assert_eq!(notes(&Settings::default()), Vec::<String>::new());
        let text = "engine: {type: claude}\nrun: {parallel_items: true}\nexecutors: {cursor: {api_key: secret}}\nstages: {plan: {thinking_budget: 5, web_search: true}}\ngit: {auto_commit: false, auto_push: true}\n";
        let notes = notes(&parse(text, "orx.yaml").unwrap());
        assert_eq!(notes.len(), 5, "{notes:#?}");
        assert!(notes[0].starts_with("accepted but not yet in force: `run.parallel_items`"));
        assert!(!notes.concat().contains("secret"));
    }
}
