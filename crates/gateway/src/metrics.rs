//! Counters and times of calls, by labels whose values the catalogue bounds: providers, models, what is asked, how it ended. Nothing
//! that a caller can make up is a label.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orx_store::{CallRow, Word};

/// Bounds of the times that calls are sorted into, in milliseconds.
const BOUNDS_MS: [u64; 10] = [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 120_000];

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Label {
    provider: Arc<str>,
    model: Arc<str>,
    kind: Word,
}

#[derive(Debug, Clone, Default)]
struct Line {
    outcomes: BTreeMap<Word, u64>,
    input: u64,
    output: u64,
    cached: u64,
    cost_microusd: u64,
    buckets: [u64; BOUNDS_MS.len()],
    count: u64,
    sum_ms: u64,
}

/// The counters.
#[derive(Debug, Default)]
pub struct Metrics {
    lines: Mutex<BTreeMap<Label, Line>>,
}

impl Metrics {
    fn lines(&self) -> MutexGuard<'_, BTreeMap<Label, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an attempt that ended.
    pub fn ended(&self, row: &CallRow) {
        let label = Label { provider: row.provider.clone(), model: row.model.clone(), kind: row.kind.clone() };
        let mut lines = self.lines();
        let line = lines.entry(label).or_default();
        *line.outcomes.entry(row.outcome.clone()).or_default() += 1;
        line.input += row.input.unwrap_or(0) + row.cache_write_5m.unwrap_or(0) + row.cache_write_1h.unwrap_or(0);
        line.output += row.output.unwrap_or(0);
        line.cached += row.cache_read.unwrap_or(0);
        line.cost_microusd += row.cost_microusd.unwrap_or(0);
        if let Some(total) = row.total_ms {
            line.count += 1;
            line.sum_ms += total;
            for (bucket, bound) in line.buckets.iter_mut().zip(BOUNDS_MS) {
                *bucket += u64::from(total <= bound);
            }
        }
    }

    /// The counters in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut requests = String::from(
            "# HELP model_requests_total Attempts at providers, by how they ended.\n# TYPE model_requests_total counter\n",
        );
        let mut latency = String::from(
            "# HELP model_latency_seconds From a call to its answer's end.\n# TYPE model_latency_seconds histogram\n",
        );
        let mut tokens = String::from("# HELP model_tokens_total Tokens.\n# TYPE model_tokens_total counter\n");
        let mut cost =
            String::from("# HELP model_cost_microusd_total Micro-dollars.\n# TYPE model_cost_microusd_total counter\n");
        for (label, line) in self.lines().iter() {
            let of = format!(
                "provider=\"{}\",model=\"{}\",operation=\"{}\"",
                escaped(&label.provider),
                escaped(&label.model),
                escaped(&label.kind)
            );
            for (outcome, count) in &line.outcomes {
                // Writing into a text cannot fail.
                let _ = writeln!(requests, "model_requests_total{{{of},status=\"{outcome}\"}} {count}");
            }
            for (kind, count) in [("input", line.input), ("output", line.output), ("cached", line.cached)] {
                let _ = writeln!(tokens, "model_tokens_total{{{of},type=\"{kind}\"}} {count}");
            }
            let _ = writeln!(cost, "model_cost_microusd_total{{{of}}} {}", line.cost_microusd);
            for (bound, count) in BOUNDS_MS.iter().zip(line.buckets) {
                let _ = writeln!(latency, "model_latency_seconds_bucket{{{of},le=\"{}\"}} {count}", seconds(*bound));
            }
            let _ = writeln!(latency, "model_latency_seconds_bucket{{{of},le=\"+Inf\"}} {}", line.count);
            let _ = writeln!(latency, "model_latency_seconds_sum{{{of}}} {}", seconds(line.sum_ms));
            let _ = writeln!(latency, "model_latency_seconds_count{{{of}}} {}", line.count);
        }
        format!("{requests}{latency}{tokens}{cost}")
    }
}

fn seconds(ms: u64) -> String {
    let text = format!("{}.{:03}", ms / 1000, ms % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ended_is_counted_in_its_line() {
        let metrics = Metrics::default();
        let row = CallRow {
            provider: "p".into(),
            model: "m\"".into(),
            kind: "main".into(),
            outcome: "answered".into(),
            input: Some(10),
            output: Some(3),
            cost_microusd: Some(7),
            total_ms: Some(1_500),
            ..CallRow::default()
        };
        metrics.ended(&row);
        metrics.ended(&CallRow { outcome: "failed".into(), total_ms: None, ..row });
        let text = metrics.text();
        for line in [
            r#"model_requests_total{provider="p",model="m\"",operation="main",status="answered"} 1"#,
            r#"model_requests_total{provider="p",model="m\"",operation="main",status="failed"} 1"#,
            r#"model_tokens_total{provider="p",model="m\"",operation="main",type="input"} 20"#,
            r#"model_latency_seconds_bucket{provider="p",model="m\"",operation="main",le="1"} 0"#,
            r#"model_latency_seconds_bucket{provider="p",model="m\"",operation="main",le="2.5"} 1"#,
            r#"model_latency_seconds_sum{provider="p",model="m\"",operation="main"} 1.5"#,
            r#"model_cost_microusd_total{provider="p",model="m\"",operation="main"} 14"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
