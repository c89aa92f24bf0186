//! Starting a run: everything is checked before anything is made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use orx_engines::{Context, EngineKind, check_login, locate};
use orx_protocol::api::run::{RunState, StartParams, Started};
use orx_protocol::event::kind;
use orx_protocol::{RunId, clock, limits};
use orx_sandbox::find_program;
use orx_store::{RunRow, events, runs};
use orx_workspace::Repository;
use serde_json::json;

use super::Pipeline;
use crate::error::PipelineError;
use crate::gates;
use crate::guardrails::Guard;
use crate::machine::{GateStep, Machine, Pipeline as Route, Rules};
use crate::port::SessionHost;
use crate::record::{Facts, Record, pipeline};
use crate::settings::arguments;
use crate::settings::init::Tooling;
use crate::settings::load::{FILE, load};
use crate::settings::notes::{engines, notes};
use crate::settings::{EngineName, Gate, KnowledgeMode, Settings, VerifyMode};

/// Reviews that may ask for changes before the run fails.
const REVIEW_ROUNDS: u32 = 3;

impl<H: SessionHost> Pipeline<H> {
    /// Accepts a run. It is in the store when this returns, and nothing else is made yet: [`Pipeline::drive`] does the
    /// work.
    ///
    /// # Errors
    /// [`PipelineError`] that says what is wrong; nothing is changed then.
    pub async fn start(&self, params: StartParams) -> Result<Started, PipelineError> {
        let route = pipeline(params.pipeline.as_deref())?;
        check_task(&params.task)?;
        let repository = self.repository(&params.repository).await?;
        let root = repository.root().to_owned();
        let engine = params.engine.as_deref().map(engine_name).transpose()?;
        let file = load(&root, None, None)?;
        let mut settings = load(&root, engine, params.settings.as_ref())?;
        let mut warnings = Vec::new();
        if settings.engine.is_none() {
            self.only_engine(&mut settings, route, &mut warnings)?;
        }
        Guard::new(&settings.guardrails)
            .map_err(|message| PipelineError::invalid(message, format!("correct the pattern in {FILE}")))?;
        warnings.extend(arguments::withhold(&file, &mut settings));
        let mut programs = self.programs(&settings, &file, route)?;
        self.fallbacks(&settings, &file, &mut programs, &mut warnings);
        self.logins(&settings, &programs, route).await?;
        let wanted = settings.git.base_branch.clone();
        let (base_branch, base) = match wanted {
            Some(name) => {
                let base = repository.branch(&name).await?;
                (base.branch, base.commit)
            }
            None => {
                let head = repository.head().await?;
                (head.branch.unwrap_or_else(|| head.commit.to_string()), head.commit)
            }
        };
        let gates = self.gates(&mut settings, &root, &mut warnings)?;
        let git = &settings.git;
        let publishes = git.auto_commit && route != Route::PlanOnly;
        if publishes && (git.auto_push || git.create_pr) {
            repository.check_remote(&git.remote).await?;
        }
        if publishes && git.create_pr {
            find_program("gh", self.search_path().as_deref()).map_err(|missing| {
                PipelineError::invalid(
                    format!("git.create_pr needs GitHub's `gh`: {missing}"),
                    "install it, or turn git.create_pr off",
                )
            })?;
        }
        if !repository.uncommitted().await?.is_empty() {
            warnings.push("the repository has uncommitted changes: the run starts from the last commit and does not take them along".to_owned());
        }
        if !settings.git.auto_commit && route != Route::PlanOnly {
            warnings.push(
                "git.auto_commit is off: the commits stay in the run's worktree and no branch is made".to_owned(),
            );
        }
        warnings.extend(notes(&settings));
        let run = RunId::generate();
        let now_ms = clock::now_ms();
        let engine = route
            .engines()
            .iter()
            .rev()
            .find(|stage| stage.writes())
            .or_else(|| route.engines().first())
            .and_then(|stage| settings.choose(*stage).ok())
            .map(|chosen| chosen.engine);
        let shown = settings.engine.as_ref().map(|engine| engine.kind).or(engine);
        let Some(engine) = shown else {
            return Err(PipelineError::invalid("no engine is named", format!("set `engine.type` in {FILE}")));
        };
        let mut machine = Machine::new(rules(route, &settings, &gates), params.task, base.to_string());
        machine.warnings.clone_from(&warnings);
        let record = Record {
            format: Record::format(),
            run,
            repository: root.clone(),
            engine,
            base_branch,
            settings: Settings { gates: Some(gates), ..settings },
            programs,
            facts: Facts::default(),
            created_at_ms: now_ms,
            ended_at_ms: None,
            has_worktree: false,
            is_published: false,
            is_cleaned: false,
            machine,
        };
        let row = RunRow {
            run,
            state: RunState::Running,
            repository: root.to_string_lossy().into_owned(),
            body: record.write()?,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            version: 0,
        };
        let data = json!({
            "repository": row.repository, "engine": engine.as_str(), "pipeline": route.as_str(),
            "base_branch": record.base_branch, "base_commit": record.machine.base, "warnings": warnings,
        });
        self.parts()
            .store
            .write(move |tx| {
                runs::insert(tx, &row)?;
                events::append(tx, kind::RUN_STARTED, &run.to_string(), &data)
            })
            .await?;
        Ok(Started { run, warnings })
    }

    pub(super) async fn repository(&self, directory: &str) -> Result<Repository, PipelineError> {
        let path = Path::new(directory);
        if !path.is_absolute() {
            return Err(PipelineError::invalid(
                format!("the repository `{}` is not an absolute path", directory.escape_debug()),
                "give the full path of a directory in it",
            ));
        }
        Ok(Repository::open(&self.parts().git, path).await?)
    }

    /// Where nothing names an engine and just one is installed, it is that one.
    fn only_engine(
        &self,
        settings: &mut Settings,
        route: Route,
        warnings: &mut Vec<String>,
    ) -> Result<(), PipelineError> {
        if route.engines().iter().all(|stage| settings.choose(*stage).is_ok()) {
            return Ok(());
        }
        let installed: Vec<EngineKind> = EngineKind::ALL
            .into_iter()
            .filter(|kind| *kind != EngineKind::Command && locate(*kind, &self.engines()).is_ok())
            .collect();
        let named = match installed.as_slice() {
            [only] => {
                warnings.push(format!("no engine is named, and {only} is the only one installed: it is used"));
                EngineName::Engine(*only)
            }
            [] => {
                return Err(PipelineError::invalid(
                    "no engine is named, and none is installed",
                    "install a coding CLI, such as claude, codex, gemini or opencode",
                ));
            }
            several => {
                let names = several.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
                return Err(PipelineError::invalid(
                    format!("no engine is named, and several are installed: {names}"),
                    format!("give `engine`, or set `engine.type` in {FILE}"),
                ));
            }
        };
        settings.engine = Some(crate::settings::Engine::of(named));
        Ok(())
    }

    /// Checks every engine that the run can come to use, and finds the programs that the settings name for them.
    fn programs(
        &self,
        settings: &Settings,
        file: &Settings,
        route: Route,
    ) -> Result<BTreeMap<EngineName, String>, PipelineError> {
        let mut used = engines(settings, route.engines());
        if used.is_empty() {
            return Err(PipelineError::invalid(
                "no engine is named",
                format!("give `engine`, or set `engine.type` in {FILE}"),
            ));
        }
        let mut programs = BTreeMap::new();
        let described = settings.engine.iter().chain(settings.stage_engines.values());
        for engine in described.filter(|engine| !engine.enabled) {
            if let Some((name, stage)) = used.iter().find(|(name, _)| *name == engine.kind) {
                return Err(PipelineError::invalid(
                    format!("the stage {stage} would use {name}, which is not enabled"),
                    "set its `enabled: true`, or choose another engine",
                ));
            }
        }
        used.dedup();
        for (name, stage) in used {
            let Some(kind) = name.served() else {
                return Err(PipelineError::invalid(
                    format!("the stage {stage} would use the engine `{name}`, which orx does not serve"),
                    "choose claude, codex, gemini, opencode or command",
                ));
            };
            if let Some(program) = self.program(settings, file, name)? {
                programs.insert(name, program);
            }
            if kind != EngineKind::Command {
                locate(kind, &self.context(&programs))?;
            } else if !programs.contains_key(&name) {
                return Err(PipelineError::invalid(
                    "the engine `command` needs the program and its arguments",
                    format!("set `executors.command.argv` in {FILE}"),
                ));
            }
        }
        Ok(programs)
    }

    /// Refuses engines in which surely nobody is logged in. One with arguments or a profile of its own may call another
    /// provider, so it is let through.
    async fn logins(
        &self,
        settings: &Settings,
        programs: &BTreeMap<EngineName, String>,
        route: Route,
    ) -> Result<(), PipelineError> {
        let context = self.context(programs);
        let chosen = route.engines().iter().filter_map(|stage| settings.choose(*stage).ok());
        let plain = chosen.filter(|chosen| chosen.extra_args.is_empty() && chosen.profile.is_none());
        let engines: BTreeSet<EngineName> = plain.map(|chosen| chosen.engine).collect();
        for kind in engines.into_iter().filter_map(EngineName::served) {
            check_login(kind, &context).await?;
        }
        Ok(())
    }

    /// Warns of engines that are to take over and cannot.
    fn fallbacks(
        &self,
        settings: &Settings,
        file: &Settings,
        programs: &mut BTreeMap<EngineName, String>,
        warnings: &mut Vec<String>,
    ) {
        let rules = settings.fallback.rules.iter().filter_map(|rule| rule.switch_to.executor);
        for name in rules.chain(settings.fallback_engine.as_ref().map(|engine| engine.kind)) {
            let Some(kind) = name.served() else {
                warnings.push(format!(
                    "accepted but not yet in force: a fallback to `{name}`: orx does not serve that engine"
                ));
                continue;
            };
            match self.program(settings, file, name) {
                Ok(program) => programs.extend(program.map(|program| (name, program))),
                Err(error) => warnings.push(format!("the fallback to {name} cannot take over: {error}")),
            }
            if kind != EngineKind::Command
                && let Err(error) = locate(kind, &self.context(programs))
            {
                warnings.push(format!("the fallback to {name} cannot take over: {error}"));
            }
        }
    }

    /// The program that the settings name for an engine. What the repository's file names is looked up on the operator's
    /// `PATH`; what the caller names may be any absolute path, since the caller is the operator.
    fn program(
        &self,
        settings: &Settings,
        file: &Settings,
        engine: EngineName,
    ) -> Result<Option<String>, PipelineError> {
        let named = |settings: &Settings| match engine {
            EngineName::Engine(EngineKind::Command) => {
                settings.executors.get(&engine).and_then(|executor| executor.argv.first().cloned())
            }
            _ => settings.program(engine).map(str::to_owned),
        };
        let Some(program) = named(settings) else { return Ok(None) };
        let refused = |message: String| {
            PipelineError::invalid(
                format!("the program of the engine {engine}: {message}"),
                format!("name it by its name in {FILE}"),
            )
        };
        let by_the_caller = named(file).as_ref() != Some(&program) && Path::new(&program).is_absolute();
        let path: PathBuf = if by_the_caller {
            find_program(&program, None).map_err(|missing| refused(missing.to_string()))?
        } else {
            gates::on_path(&program, self.search_path().as_deref()).map_err(|error| refused(error.to_string()))?
        };
        Ok(Some(path.to_string_lossy().into_owned()))
    }

    /// What engines are given, with the programs of the run. The operator's own choice of a program stands above it.
    pub(super) fn context(&self, programs: &BTreeMap<EngineName, String>) -> Context {
        let mut context = Context::clone(&self.engines());
        for (engine, program) in programs {
            if *engine != EngineName::Engine(EngineKind::Command) {
                context.binaries.entry(engine.as_str().to_owned()).or_insert_with(|| program.clone());
            }
        }
        context
    }

    /// The gates of the run: those of the settings, or those that fit the repository. A needed gate whose program is not
    /// on the operator's `PATH` is refused: no engine can mend that, and each attempt would cost.
    fn gates(
        &self,
        settings: &mut Settings,
        root: &Path,
        warnings: &mut Vec<String>,
    ) -> Result<Vec<Gate>, PipelineError> {
        let search_path = self.search_path();
        let is_installed = |program: &str| find_program(program, search_path.as_deref()).is_ok();
        let gates = match settings.gates.take() {
            Some(gates) => gates,
            None => {
                let (fitting, missing): (Vec<Gate>, Vec<Gate>) =
                    Tooling::of(root).gates(is_installed).into_iter().partition(|gate| is_installed(&gate.command));
                let names = |gates: &[Gate]| gates.iter().map(|gate| gate.name.as_str()).collect::<Vec<_>>().join(", ");
                if !fitting.is_empty() {
                    warnings
                        .push(format!("no gates are set: those that fit the repository are used: {}", names(&fitting)));
                }
                if !missing.is_empty() {
                    warnings.push(format!(
                        "no gates are set, and these would fit but are not installed: {}",
                        names(&missing)
                    ));
                }
                fitting
            }
        };
        if !gates.iter().any(|gate| gate.enabled && gate.required) {
            warnings.push(format!("no required gate is set in {FILE}: nothing verifies what the engines write"));
        }
        for gate in gates.iter().filter(|gate| gate.enabled) {
            let situation = gates::Situation {
                worktree: root,
                search_path: search_path.as_deref(),
                changed: &[],
                run: &settings.run,
                full: true,
            };
            if let gates::Planned::Cannot(why) = gates::plan(gate, GateStep::Check, situation) {
                if gate.required && !gates::is_part_of_the_repository(gate) {
                    return Err(PipelineError::state(
                        format!("the needed gate {} cannot run: {why}", gate.name),
                        format!("or set `required: false` or `enabled: false` for it in {FILE}"),
                    ));
                }
                let weight = if gate.required { "needed" } else { "advisory" };
                warnings.push(format!("the {weight} gate {} cannot run as things are: {why}", gate.name));
            }
        }
        Ok(gates)
    }
}

fn check_task(task: &str) -> Result<(), PipelineError> {
    if task.trim().is_empty() {
        return Err(PipelineError::invalid("the task is empty", "say in words what is to be done"));
    }
    if task.len() > limits::TASK_TEXT {
        return Err(PipelineError::invalid(
            format!("the task has {} bytes, and {} are the most", task.len(), limits::TASK_TEXT),
            "put the long part into a file of the repository and name that",
        ));
    }
    if task.contains('\0') {
        return Err(PipelineError::invalid("the task holds a zero byte", "give it as plain text"));
    }
    Ok(())
}

fn engine_name(name: &str) -> Result<EngineName, PipelineError> {
    let kind: EngineKind = name.parse()?;
    Ok(EngineName::Engine(kind))
}

fn rules(route: Route, settings: &Settings, gates: &[Gate]) -> Rules {
    let run = &settings.run;
    Rules {
        pipeline: route,
        attempts: run.max_fix_attempts,
        review_rounds: REVIEW_ROUNDS,
        stop_on_first_failure: run.stop_on_first_failure,
        fast_items: run.per_item_verify == VerifyMode::Fast,
        max_items: usize::try_from(run.max_backlog_items).unwrap_or(usize::MAX),
        coalesce: run.coalesce_backlog_items,
        knowledge: settings.knowledge.enabled && settings.knowledge.mode != KnowledgeMode::Off,
        gates: gates::rules(gates, run),
    }
}
