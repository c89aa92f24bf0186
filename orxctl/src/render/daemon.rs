//! The daemon's own state.

use orx_protocol::api::daemon::{HealthStatus, Status};

use crate::figures;
use crate::output::{Colour, Output};
use crate::render::workers;
use crate::{table, text};

/// The word for a state of health.
const fn word(status: HealthStatus) -> &'static str {
    match status {
        HealthStatus::Healthy => "healthy",
        HealthStatus::Degraded => "degraded",
        HealthStatus::Draining => "draining",
    }
}

/// The overview of `orxctl status`.
pub(crate) fn status(status: &Status, output: Output) -> String {
    let word = word(status.health.status);
    let health = Colour::of_word(word).paint(word, output.colour);
    let mut out = format!(
        "orchestratord {}  {health}  pid {}  up {}\n",
        text::clean_line(&status.health.version),
        status.pid,
        figures::duration_ms(status.uptime_ms)
    );
    out.push_str(&table::pairs(
        &[
            ("sessions", sessions(status)),
            ("runs", format!("{} under way", status.runs)),
            ("journal", figures::plural(status.journal_seq, "event")),
            ("connections", status.connections.to_string()),
            ("socket", text::clean_line(&status.socket)),
            ("http", status.http.as_deref().map_or_else(|| "closed".to_owned(), text::clean_line)),
            ("home", text::clean_line(&status.home)),
            ("config", text::clean_line(&status.config)),
        ],
        output,
    ));
    let workers = workers::table(&status.workers, output);
    if workers.is_empty() {
        out.push_str("\nno worker is registered\n");
    } else {
        out.push('\n');
        out.push_str(&workers);
    }
    out
}

/// How many run, how many of them lack something, and how many could do all that their user can.
fn sessions(status: &Status) -> String {
    let mut out = format!("{} running", status.sessions);
    if status.degraded > 0 {
        out.push_str(&format!(", {} degraded", status.degraded));
    }
    if status.unconfined > 0 {
        out.push_str(&format!(", {} WITHOUT A SANDBOX", status.unconfined));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::daemon::Health;

    #[test]
    fn the_overview_says_what_runs_and_where() {
        let sample = Status {
            health: Health {
                status: HealthStatus::Degraded,
                version: "0.1.0".into(),
                agents: Some(2),
                timestamp: Some(1_700_000_000_000),
                interfaces: Some(vec!["unix-sockets".into()]),
                llm_router: None,
            },
            pid: 1234,
            uptime_ms: 7_380_000,
            home: "/home/ann/.local/state/orx".into(),
            config: "/home/ann/.config/orx/orchestratord.yaml".into(),
            socket: "/run/user/1000/orx/orchestratord.sock".into(),
            http: None,
            sessions: 3,
            unconfined: 1,
            degraded: 1,
            runs: 1,
            journal_seq: 4711,
            workers: workers::samples::workers().workers,
            connections: 2,
        };
        insta::assert_snapshot!("overview", status(&sample, Output::plain(Some(100))));
        insta::assert_snapshot!("overview_json", serde_json::to_string_pretty(&sample).unwrap());
        let alone = Status { workers: Vec::new(), ..sample };
        assert!(status(&alone, Output::plain(None)).ends_with("no worker is registered\n"));
    }
}
