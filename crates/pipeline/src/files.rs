//! The run's files below `runs/<id>/`: a mirror of what the store knows, for people and tools. It is written after the
//! store, whole files at once, and made anew when a run is taken up again; what it lacks is not lost.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use orx_protocol::Event;
use orx_sandbox::file;
use serde_json::{Value, json};

use crate::machine::{Machine, Stage, StageStatus};
use crate::metrics;
use crate::record::Record;
use crate::settings::StageKey;

/// Directories of a run.
const DIRECTORIES: [&str; 6] = ["context", "prompts", "artifacts", "logs", "logs/gates", "metrics"];
/// Largest log that is kept, in bytes: its end.
const LOG: usize = 4 * 1024 * 1024;

/// The files of one run.
#[derive(Debug)]
pub(crate) struct RunFiles {
    root: PathBuf,
    /// What was written last, so that nothing is written twice.
    written: HashMap<String, u64>,
}

impl RunFiles {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, written: HashMap::new() }
    }

    /// Makes the directories.
    pub(crate) fn prepare(&self) -> std::io::Result<()> {
        file::private_directory(&self.root)?;
        for directory in DIRECTORIES {
            file::private_directory(&self.root.join(directory))?;
        }
        Ok(())
    }

    /// Writes a file below the run's directory, unless it holds just that.
    pub(crate) fn put(&mut self, path: &str, text: &str) -> std::io::Result<()> {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        if self.written.get(path) == Some(&hash) {
            return Ok(());
        }
        put(&self.root, path, text)?;
        self.written.insert(path.to_owned(), hash);
        Ok(())
    }

    /// Writes everything that the record tells.
    pub(crate) fn mirror(&mut self, record: &Record, now_ms: u64) -> std::io::Result<()> {
        let machine = &record.machine;
        self.put("context/task.md", &machine.task)?;
        for (stage, path) in [
            (StageKey::Plan, "context/plan.md"),
            (StageKey::Spec, "context/spec.md"),
            (StageKey::Review, "artifacts/review.md"),
        ] {
            if let Some(text) = machine.texts.get(&stage) {
                self.put(path, text)?;
            }
        }
        if !machine.items.is_empty() {
            self.put("context/backlog.yaml", &backlog(record))?;
        }
        for (path, text) in [
            ("context/project_map.md", &record.facts.map),
            ("context/tooling_snapshot.md", &record.facts.tooling),
            ("context/verify_commands.md", &record.facts.verify),
        ] {
            self.put(path, text)?;
        }
        self.put("context/decisions.md", &decisions(record))?;
        self.put("context/lessons.md", &lessons(machine))?;
        self.put("metrics/stages.jsonl", &metrics::stages(record))?;
        if machine.stage.is_final() {
            self.put("metrics/run.json", &pretty(&metrics::run(record)))?;
        }
        self.put("meta.json", &pretty(&meta(record)))?;
        self.put("state.json", &pretty(&state(record, now_ms)))
    }

    /// Writes the journal of the run anew.
    pub(crate) fn events(&self, events: &[Event]) -> std::io::Result<()> {
        let lines: String =
            events.iter().map(|event| event_line(event.seq, event.at_ms, &event.kind, event.data.get())).collect();
        put(&self.root, "events.jsonl", &lines)
    }

    /// Adds to the journal of the run.
    pub(crate) fn add_event(&self, seq: u64, at_ms: u64, kind: &str, data: &Value) -> std::io::Result<()> {
        let line = event_line(seq, at_ms, kind, &data.to_string());
        file::private_append(&self.root.join("events.jsonl"))?.write_all(line.as_bytes())
    }
}

/// Writes a file below `root` as a whole. No directory on the way may be a link: who works on the repository could have
/// put one there.
pub(crate) fn put(root: &Path, path: &str, text: &str) -> std::io::Result<()> {
    let target = root.join(path);
    if let Some(parent) = target.parent() {
        file::private_directory(parent)?;
    }
    file::replace(&target, text.as_bytes())
}

/// The end of a log, cut to what is kept.
pub(crate) fn log_end(text: &str) -> String {
    if text.len() <= LOG {
        return text.to_owned();
    }
    let mut start = text.len() - LOG;
    while !text.is_char_boundary(start) {
        start += 1;
    }
    format!("[cut: the last {LOG} of {} bytes]\n{}", text.len(), text.get(start..).unwrap_or_default())
}

fn event_line(seq: u64, at_ms: u64, kind: &str, data: &str) -> String {
    format!("{{\"seq\":{seq},\"at_ms\":{at_ms},\"event\":{},\"data\":{data}}}\n", Value::String(kind.to_owned()))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// A time as RFC 3339 text.
pub(crate) fn time(ms: u64) -> Option<String> {
    i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).map(|time| time.to_string())
}

/// The newest record of each stage, in S3's form.
fn stage_statuses(machine: &Machine) -> Value {
    let mut statuses = serde_json::Map::new();
    for record in &machine.stages {
        let status = match record.status {
            StageStatus::Running => "running",
            StageStatus::Completed => "completed",
            StageStatus::Failed | StageStatus::Cancelled => "failed",
        };
        let value = json!({
            "stage": record.stage.as_str(),
            "status": status,
            "started_at": time(record.started_at_ms),
            "completed_at": record.ended_at_ms.and_then(time),
            "error": record.error,
        });
        statuses.insert(record.stage.as_str().to_owned(), value);
    }
    Value::Object(statuses)
}

fn state(record: &Record, now_ms: u64) -> Value {
    let machine = &record.machine;
    json!({
        "run_id": record.run,
        "current_stage": machine.stage.as_str(),
        "current_item_id": machine.current,
        "current_iteration": machine.item().map_or(0, |item| item.attempts),
        "baseline_sha": machine.base,
        "head_sha": machine.head,
        "session": machine.session(),
        "pid": std::process::id(),
        "stage_statuses": stage_statuses(machine),
        "last_failure_evidence": machine.evidence,
        "stopped_at": machine.stopped_at.map(Stage::as_str),
        "error": machine.error,
        "created_at": time(record.created_at_ms),
        "updated_at": time(now_ms),
    })
}

fn meta(record: &Record) -> Value {
    let machine = &record.machine;
    let models: Vec<Value> = StageKey::ALL
        .iter()
        .filter_map(|stage| {
            let chosen = record.settings.choose(*stage).ok()?;
            Some(json!({ "stage": stage.as_str(), "executor": chosen.engine.as_str(), "model": chosen.model, "profile": chosen.profile }))
        })
        .collect();
    json!({
        "run_id": record.run,
        "start_time": time(record.created_at_ms),
        "end_time": record.ended_at_ms.and_then(time),
        "engine": record.engine.as_str(),
        "pipeline": machine.rules.pipeline.as_str(),
        "base_branch": record.base_branch,
        "base_commit": machine.base,
        "branch_name": record.is_published.then(|| record.branch()),
        "worktree": record.worktree(),
        "state": machine.stage.as_str(),
        "versions": { "orx": env!("CARGO_PKG_VERSION") },
        "stage_statuses": stage_statuses(machine),
        "stage_models": models,
        "warnings": machine.warnings,
        "tokens": machine.tokens(),
        "cost_microusd": machine.cost(),
    })
}

/// The backlog as S3 keeps it. JSON texts are YAML texts too, so nothing needs to be quoted by other rules.
fn backlog(record: &Record) -> String {
    let text = |text: &str| Value::String(text.to_owned()).to_string();
    let texts = |texts: &[String]| Value::from(texts.to_vec()).to_string();
    let mut yaml = format!("run_id: {}\nitems:\n", record.run);
    for item in &record.machine.items {
        yaml.push_str(&format!(
            "  - id: {}\n    title: {}\n    objective: {}\n    acceptance: {}\n    files_hint: {}\n    depends_on: {}\n    status: {}\n    attempts: {}\n    commit: {}\n    notes: {}\n",
            item.work.id,
            text(&item.work.title),
            text(&item.work.objective),
            texts(&item.work.acceptance),
            texts(&item.work.files_hint),
            texts(&item.work.depends_on),
            item.status.as_str(),
            item.attempts,
            item.commit.as_deref().unwrap_or("null"),
            item.note.as_deref().map_or("null".to_owned(), text),
        ));
    }
    yaml
}

/// What was decided, and by what.
fn decisions(record: &Record) -> String {
    let machine = &record.machine;
    let mut text = format!(
        "# Decisions\n\n- pipeline: {}\n- base: {} at {}\n",
        machine.rules.pipeline.as_str(),
        record.base_branch,
        machine.base
    );
    for stage in machine.rules.pipeline.engines() {
        if let Ok(chosen) = record.settings.choose(*stage) {
            let model = chosen.model.as_deref().map(|model| format!(", model {model}")).unwrap_or_default();
            text.push_str(&format!("- {stage}: {}{model}, at most {} s\n", chosen.engine, chosen.timeout));
        }
    }
    for warning in &machine.warnings {
        text.push_str(&format!("- {warning}\n"));
    }
    text
}

/// What went wrong on the way.
fn lessons(machine: &Machine) -> String {
    let mut text = "# Lessons\n\n".to_owned();
    let before = text.len();
    for record in machine.stages.iter().filter(|record| record.status == StageStatus::Failed) {
        let item = record.item.as_deref().map(|item| format!(" of {item}")).unwrap_or_default();
        let error = record.error.as_deref().unwrap_or("no reason was recorded");
        text.push_str(&format!("- {}{item}, attempt {}: {error}\n", record.stage.as_str(), record.attempt));
    }
    if text.len() == before {
        text.push_str("Nothing went wrong.\n");
    }
    text
}
