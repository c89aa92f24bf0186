//! Figures of a run in S3's form: a line a stage, and a summary.

use std::collections::BTreeMap;

use orx_protocol::api::run::Tokens;
use serde_json::{Value, json};

use crate::files::time;
use crate::machine::{FailureCategory, ItemStatus, Stage, StageRecord, StageStatus};
use crate::record::Record;

/// A line for every stage that ended.
pub(crate) fn stages(record: &Record) -> String {
    record
        .machine
        .stages
        .iter()
        .filter(|stage| stage.ended_at_ms.is_some())
        .map(|stage| format!("{}\n", row(record, stage)))
        .collect()
}

fn status(stage: &StageRecord) -> &'static str {
    match (stage.status, stage.category) {
        (StageStatus::Failed, Some(FailureCategory::Timeout)) => "timeout",
        (StageStatus::Failed, _) => "fail",
        (StageStatus::Cancelled, _) => "cancel",
        (StageStatus::Completed, _) => "success",
        (StageStatus::Running, _) => "running",
    }
}

fn tokens(tokens: Tokens, tool_calls: Option<u32>) -> Value {
    let total = match (tokens.input, tokens.output) {
        (None, None) => None,
        (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
    };
    json!({ "input": tokens.input, "output": tokens.output, "cached": tokens.cached, "total": total, "tool_calls": tool_calls })
}

fn duration(stage: &StageRecord) -> u64 {
    stage.ended_at_ms.unwrap_or(stage.started_at_ms).saturating_sub(stage.started_at_ms)
}

fn row(record: &Record, stage: &StageRecord) -> Value {
    let gates: Vec<Value> = record
        .machine
        .gates
        .iter()
        .filter(|gate| stage.stage == Stage::Verify && gate.item == stage.item && gate.attempt == stage.attempt)
        .map(|gate| json!({ "name": gate.gate, "verdict": gate.verdict.as_str(), "required": gate.required, "duration_ms": gate.duration_ms }))
        .collect();
    let verify: u64 = if stage.stage == Stage::Verify { duration(stage) } else { 0 };
    json!({
        "run_id": record.run,
        "stage": stage.stage.as_str(),
        "item_id": stage.item,
        "attempt": stage.attempt,
        "start_ts": time(stage.started_at_ms),
        "end_ts": stage.ended_at_ms.and_then(time),
        "duration_ms": duration(stage),
        "status": status(stage),
        "failure_category": stage.category,
        "error": stage.error,
        "executor": stage.engine,
        "model": stage.model,
        "fallback_applied": stage.fallback,
        "session": stage.session,
        "tokens": tokens(stage.tokens, stage.engine.as_ref().map(|_| stage.tool_calls)),
        "cost_microusd": stage.cost_microusd,
        "gates": gates,
        "llm_duration_ms": stage.engine_ms,
        "verify_duration_ms": verify,
    })
}

/// The summary of a run that ended.
pub(crate) fn run(record: &Record) -> Value {
    let machine = &record.machine;
    let count = |status: ItemStatus| machine.items.iter().filter(|item| item.status == status).count();
    let attempts: u32 = machine.items.iter().map(|item| item.attempts).sum();
    let fixes: u32 = machine.items.iter().map(|item| item.attempts.saturating_sub(1)).sum();
    let mut breakdown: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for stage in &machine.stages {
        let entry = breakdown.entry(stage.stage.as_str()).or_default();
        *entry = (entry.0 + 1, entry.1.saturating_add(duration(stage)));
    }
    let stages: BTreeMap<&str, Value> = breakdown
        .into_iter()
        .map(|(stage, (count, duration))| (stage, json!({ "count": count, "duration_ms": duration })))
        .collect();
    // Green is when the first verification of the whole passed.
    let green = machine
        .stages
        .iter()
        .find(|stage| stage.stage == Stage::Verify && stage.item.is_none() && stage.status == StageStatus::Completed)
        .and_then(|stage| stage.ended_at_ms)
        .map(|ended| ended.saturating_sub(record.created_at_ms));
    json!({
        "run_id": record.run,
        "status": machine.stage.as_str(),
        "error": machine.error,
        "start_ts": time(record.created_at_ms),
        "end_ts": record.ended_at_ms.and_then(time),
        "total_duration_ms": record.ended_at_ms.map(|ended| ended.saturating_sub(record.created_at_ms)),
        "time_to_green_ms": green,
        "fix_attempts_total": fixes,
        "rework_ratio": if attempts == 0 { None } else { Some(f64::from(fixes) / f64::from(attempts)) },
        "items_total": machine.items.len(),
        "items_completed": count(ItemStatus::Done),
        "items_failed": count(ItemStatus::Failed),
        "items_skipped": count(ItemStatus::Skipped),
        "tokens": tokens(machine.tokens(), Some(machine.stages.iter().map(|stage| stage.tool_calls).sum())),
        "cost_microusd": machine.cost(),
        "final_diff_stats": {
            "files": machine.commits.iter().map(|commit| commit.files).sum::<u64>(),
            "added": machine.commits.iter().map(|commit| commit.added).sum::<u64>(),
            "removed": machine.commits.iter().map(|commit| commit.removed).sum::<u64>(),
        },
        "resumes": machine.resumes,
        "stage_breakdown": stages,
    })
}
