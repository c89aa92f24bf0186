//! The effect that lets an engine work: prompt, launch, session, answer.

use std::path::Path;

use orx_engines::{CommandSpec, EngineKind, HeadlessRequest, Launch, Mode, headless, prepare};
use orx_protocol::{SessionId, clock};
use orx_workspace::Worktree;

use super::Pipeline;
use super::answer::{Try, answer, failed, written};
use super::effects::{Halt, Performed, Tree, commit_id};
use super::tree::{again, write};
use crate::guardrails::secrets;
use crate::machine::{Answer, Input, Trouble};
use crate::port::{HeldOutcome, HeldRequest, HostError, SessionHost};
use crate::prompts::{Material, render};
use crate::record::Record;
use crate::settings::choose::Selection;
use crate::settings::{EngineName, StageKey};
use crate::{files, gates};

/// Bytes of the whole change that a prompt is made from.
const DIFF: usize = 256 * 1024;
/// Bytes of a file of notes that a prompt is made from.
const NOTES: usize = 64 * 1024;

impl<H: SessionHost> Pipeline<H> {
    pub(super) async fn engine(
        &self,
        record: &Record,
        tree: &Tree,
        stage: StageKey,
        session: SessionId,
        fallback: Option<&Selection>,
        form: Option<&str>,
    ) -> Result<Performed, Halt> {
        let worktree = self.tree(record, tree).await?;
        let selection = match fallback {
            Some(fallback) => fallback.clone(),
            None => record.settings.choose(stage).map_err(|error| Halt::Broke(error.to_string()))?,
        };
        let kind = selection
            .engine
            .served()
            .ok_or_else(|| Halt::Broke(format!("orx does not serve the engine {}", selection.engine)))?;
        let since_ms = record.machine.stages.last().map_or_else(clock::now_ms, |stage| stage.started_at_ms);
        let tried = Try { stage, kind, selection: &selection, settings: &record.settings, session, since_ms };
        let answer = match self.session(record, worktree, tried, form).await? {
            Ok(outcome) => {
                let written = written(&outcome).await.map_err(Halt::file(&outcome.directory))?;
                self.keep_logs(record, stage, &written.output, &written.error).await?;
                answer(tried, &outcome.ended, &written)
            }
            Err(message) => Answer {
                session,
                outcome: failed(tried, Trouble::Unusable, message),
                engine: selection.engine.to_string(),
                model: selection.model.clone(),
                tokens: orx_protocol::api::run::Tokens::default(),
                cost_microusd: None,
                tool_calls: 0,
                duration_ms: 0,
            },
        };
        let mut performed = Performed::of(Input::Answered(answer));
        if !stage.writes() {
            let keep = format!("{stage}-wrote-{session}.diff");
            if self.set_back(record, worktree, &keep).await? {
                performed.warnings.push(format!(
                    "the stage {stage} is read-only and its engine wrote files: they were set back, and are kept as logs/{keep}"
                ));
            }
        }
        Ok(performed)
    }

    /// The end of the session, which is found again or started. The inner error is a sentence on why it cannot start.
    async fn session(
        &self,
        record: &Record,
        worktree: &Worktree,
        tried: Try<'_>,
        form: Option<&str>,
    ) -> Result<Result<HeldOutcome, String>, Halt> {
        let host = &self.parts().host;
        match host.wait(tried.session).await {
            Err(HostError::Unknown(_)) => {}
            found => return Ok(Ok(found?)),
        }
        let request = match self.request(record, worktree, tried, form).await? {
            Ok(request) => request,
            Err(why) => return Ok(Err(why)),
        };
        match host.start(request).await {
            Ok(()) => Ok(Ok(host.wait(tried.session).await?)),
            Err(HostError::Draining) => Err(Halt::Draining),
            Err(error @ (HostError::Failed(_) | HostError::Unknown(_))) => {
                Ok(Err(format!("{} could not be started: {error}", tried.kind)))
            }
        }
    }

    async fn request(
        &self,
        record: &Record,
        worktree: &Worktree,
        tried: Try<'_>,
        form: Option<&str>,
    ) -> Result<Result<HeldRequest, String>, Halt> {
        let Try { stage, kind, selection, .. } = tried;
        let prompt = self.prompt(record, worktree, stage, form).await?;
        let name = match record.machine.item().filter(|_| stage.writes()) {
            Some(item) => format!("prompts/{stage}-{}-{}{}.md", item.work.id, item.attempts, again(record)),
            None => format!("prompts/{stage}{}.md", again(record)),
        };
        write(record.directory(), name, prompt.clone()).await?;
        let launch = match self.launch(record, worktree.path(), tried, prompt) {
            Ok(launch) => launch,
            Err(error) => return Ok(Err(error)),
        };
        let mut environment = launch.environment;
        // Compiled Python beside the sources would look like a change.
        environment.insert("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned());
        let item = record.machine.item().filter(|_| stage.writes());
        let title = match item {
            Some(item) => format!("{stage} {} (attempt {}): {}", item.work.id, item.attempts, item.work.title),
            None => format!("{stage} of {}", record.run),
        };
        Ok(Ok(HeldRequest {
            session: tried.session,
            owner: format!("{}/{stage}", record.run),
            engine: kind.name().to_owned(),
            title,
            argv: launch.argv,
            confined_argv: launch.confined_argv,
            writes: stage.writes(),
            cwd: worktree.path().to_owned(),
            environment,
            input: launch.input,
            deadline_ms: selection.timeout.saturating_mul(1000),
        }))
    }

    fn launch(&self, record: &Record, cwd: &Path, tried: Try<'_>, prompt: String) -> Result<Launch, String> {
        let Try { stage, kind, selection, .. } = tried;
        let context = self.context(&record.programs);
        let cwd = cwd.to_string_lossy().into_owned();
        prepare(kind, &context, &cwd).map_err(|error| error.to_string())?;
        let request = HeadlessRequest {
            prompt,
            mode: if stage.writes() { Mode::Apply } else { Mode::Text },
            cwd,
            model: selection.model.clone(),
            reasoning_effort: selection.reasoning_effort.clone(),
            extra_args: extra_arguments(kind, selection),
            command: (kind == EngineKind::Command).then(|| command(record)),
        };
        headless(kind, &context, &request).map_err(|error| error.to_string())
    }

    async fn prompt(
        &self,
        record: &Record,
        worktree: &Worktree,
        stage: StageKey,
        form: Option<&str>,
    ) -> Result<String, Halt> {
        let needs_diff = matches!(stage, StageKey::Review | StageKey::KnowledgeUpdate);
        let diff = if needs_diff {
            let base = commit_id(&record.machine.base)?;
            secrets::redact(&worktree.diff(&base, DIFF).await?.text)
        } else {
            String::new()
        };
        let mut notes = Vec::new();
        if stage == StageKey::KnowledgeUpdate {
            for file in &record.settings.knowledge.allowlist {
                notes.push((file.clone(), note_text(worktree, file).await));
            }
        }
        Ok(render(
            stage,
            &Material {
                machine: &record.machine,
                facts: &record.facts,
                diff: &diff,
                notes: &notes,
                knowledge: &record.settings.knowledge,
                form,
            },
        ))
    }

    /// Keeps what an engine printed below `logs/`, whatever became of it.
    async fn keep_logs(&self, record: &Record, stage: StageKey, output: &[u8], error: &[u8]) -> Result<(), Halt> {
        let item = record.machine.item().filter(|_| stage.writes());
        let name = item.map_or_else(|| stage.to_string(), |item| format!("{stage}_{}_{}", item.work.id, item.attempts));
        let mut text = String::from_utf8_lossy(output).into_owned();
        if !error.is_empty() {
            text.push_str("\n--- standard error ---\n");
            text.push_str(&gates::plain(&String::from_utf8_lossy(error)));
        }
        let text = secrets::redact(&files::log_end(&text));
        write(record.directory(), format!("logs/agent_{name}{}.log", again(record)), text).await
    }
}

/// The text of a file of notes; empty when there is none.
pub(super) async fn note_text(worktree: &Worktree, file: &str) -> String {
    let content = worktree.content(Path::new(file), NOTES).await;
    content.map(|content| String::from_utf8_lossy(&content.bytes).into_owned()).unwrap_or_default()
}

/// Arguments for what is not part of a headless request: Codex's profile and its web search.
fn extra_arguments(kind: EngineKind, selection: &Selection) -> Vec<String> {
    let mut arguments = Vec::new();
    if kind == EngineKind::Codex {
        if let Some(profile) = &selection.profile {
            arguments.extend(["--profile".to_owned(), profile.clone()]);
        }
        if selection.web_search {
            arguments.extend(["-c".to_owned(), "tools.web_search=true".to_owned()]);
        }
    }
    arguments.extend(selection.extra_args.iter().cloned());
    arguments
}

/// The program behind the engine `command`, as it was found at the start.
fn command(record: &Record) -> CommandSpec {
    let executor = record.settings.executors.get(&EngineName::Engine(EngineKind::Command)).cloned().unwrap_or_default();
    let mut argv = executor.argv;
    if let (Some(first), Some(program)) =
        (argv.first_mut(), record.programs.get(&EngineName::Engine(EngineKind::Command)))
    {
        first.clone_from(program);
    }
    CommandSpec { argv, text_args: executor.text_args, apply_args: executor.apply_args }
}
