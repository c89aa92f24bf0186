//! The record of a run in the store, and how `run.get` shows it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orx_protocol::RunId;
use orx_protocol::api::run;
use serde::{Deserialize, Serialize};

use crate::error::PipelineError;
use crate::machine::{self, Machine, Pipeline, Stage};
use crate::settings::{EngineName, Settings};

/// Longest task in a list, in characters.
const BRIEF_TASK: usize = 500;
/// Version of the record's form.
const FORMAT: u32 = 1;

/// Everything that is known of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Version of the form.
    pub(crate) format: u32,
    /// The run.
    pub(crate) run: RunId,
    /// Root of the user's repository.
    pub(crate) repository: PathBuf,
    /// The engine of the run, as it is shown.
    pub(crate) engine: EngineName,
    /// Where it started from, by name.
    pub(crate) base_branch: String,
    /// The settings as they were at the start: later changes of the file do not reach the run.
    pub(crate) settings: Settings,
    /// Programs of engines that the settings name, as they were found at the start.
    pub(crate) programs: BTreeMap<EngineName, String>,
    /// What the repository looked like at the start.
    pub(crate) facts: Facts,
    /// Milliseconds since the epoch.
    pub(crate) created_at_ms: u64,
    /// Milliseconds since the epoch.
    pub(crate) ended_at_ms: Option<u64>,
    /// Whether the worktree was made.
    pub(crate) has_worktree: bool,
    /// Whether the branch is in the user's repository.
    pub(crate) is_published: bool,
    /// Whether worktree and files were removed.
    pub(crate) is_cleaned: bool,
    /// The state.
    pub(crate) machine: Machine,
}

/// What the repository looked like when the worktree was made; given to engines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Files and directories.
    pub(crate) map: String,
    /// What it is built with.
    pub(crate) tooling: String,
    /// How a change is verified.
    pub(crate) verify: String,
}

impl Record {
    pub(crate) const fn format() -> u32 {
        FORMAT
    }

    /// Reads a record.
    pub(crate) fn read(run: RunId, body: &str) -> Result<Self, PipelineError> {
        let failed = |reason: String| PipelineError::Record { run, reason };
        let record: Self = serde_json::from_str(body).map_err(|error| failed(error.to_string()))?;
        if record.format > FORMAT {
            return Err(failed(format!(
                "it has form {}, and this orx knows {FORMAT}: start the newer orx that wrote it",
                record.format
            )));
        }
        Ok(record)
    }

    pub(crate) fn write(&self) -> Result<String, PipelineError> {
        serde_json::to_string(self).map_err(|error| PipelineError::Record { run: self.run, reason: error.to_string() })
    }

    /// Directory of the run's files.
    pub(crate) fn directory(&self) -> PathBuf {
        self.repository.join("runs").join(self.run.to_string())
    }

    /// The run's worktree.
    pub(crate) fn worktree(&self) -> PathBuf {
        self.repository.join(".worktrees").join(self.run.to_string())
    }

    /// The run's branch.
    pub(crate) fn branch(&self) -> String {
        format!("orx/{}", self.run)
    }

    /// As `run.list` shows it: many of them fit one answer.
    pub(crate) fn brief(&self) -> run::Run {
        let mut shown = self.shown();
        if let Some((end, _)) = shown.task.char_indices().nth(BRIEF_TASK) {
            shown.task.truncate(end);
            shown.task.push_str(" [...]");
        }
        shown.stages = shown.stages.pop().into_iter().collect();
        shown.gates.retain(|gate| gate.item.is_none());
        shown
    }

    /// As `run.get` shows it.
    pub(crate) fn shown(&self) -> run::Run {
        let machine = &self.machine;
        let stage = match machine.stage {
            // Where it ended says more than that it ended.
            Stage::Failed | Stage::Cancelled => {
                machine.stages.last().map(|record| record.stage).or(machine.stopped_at).unwrap_or(machine.stage)
            }
            stage => stage,
        };
        run::Run {
            run: self.run,
            state: machine::run_state(machine),
            stage: stage.as_str().to_owned(),
            stages: machine.stages.iter().map(shown_stage).collect(),
            branch: self.is_published.then(|| self.branch()),
            worktree: (self.has_worktree && !self.is_cleaned).then(|| text(&self.worktree())),
            items: machine.items.iter().map(shown_item).collect(),
            gates: machine.gates.iter().map(shown_gate).collect(),
            tokens: machine.tokens(),
            cost_microusd: machine.cost(),
            error: machine.error.clone(),
            repository: text(&self.repository),
            task: machine.task.clone(),
            engine: self.engine.to_string(),
            pipeline: machine.rules.pipeline.as_str().to_owned(),
            directory: text(&self.directory()),
            base_branch: self.base_branch.clone(),
            base_commit: machine.base.clone(),
            commits: machine
                .commits
                .iter()
                .map(|commit| run::Commit {
                    commit: commit.commit.clone(),
                    subject: commit.subject.clone(),
                    item: commit.item.clone(),
                })
                .collect(),
            warnings: machine.warnings.clone(),
            created_at_ms: self.created_at_ms,
            ended_at_ms: self.ended_at_ms,
        }
    }
}

fn shown_stage(record: &machine::StageRecord) -> run::Stage {
    run::Stage {
        stage: record.stage.as_str().to_owned(),
        status: record.status.as_str().to_owned(),
        item: record.item.clone(),
        attempt: record.attempt,
        session: record.session,
        started_at_ms: record.started_at_ms,
        ended_at_ms: record.ended_at_ms,
        tokens: record.tokens,
        cost_microusd: record.cost_microusd,
        error: record.error.clone(),
    }
}

fn shown_item(item: &machine::Item) -> run::Item {
    run::Item {
        id: item.work.id.clone(),
        title: item.work.title.clone(),
        status: item.status.as_str().to_owned(),
        attempts: item.attempts,
        commit: item.commit.clone(),
        note: item.note.clone(),
    }
}

fn shown_gate(report: &machine::GateReport) -> run::Gate {
    run::Gate {
        gate: report.gate.clone(),
        verdict: report.verdict.as_str().to_owned(),
        required: report.required,
        item: report.item.clone(),
        attempt: report.attempt,
        duration_ms: report.duration_ms,
        log: report.log.clone(),
        message: report.message.clone(),
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The pipeline of this name.
pub(crate) fn pipeline(name: Option<&str>) -> Result<Pipeline, PipelineError> {
    let Some(name) = name else { return Ok(Pipeline::Standard) };
    Pipeline::ALL.into_iter().find(|pipeline| pipeline.as_str() == name).ok_or_else(|| {
        PipelineError::invalid(
            format!("there is no pipeline `{}`", name.escape_debug()),
            "there are standard, fast_fix and plan_only; own pipelines are not yet served",
        )
    })
}
