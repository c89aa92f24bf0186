//! Resident memory of the daemon idle and with sessions, and of one session's holder.

use anyhow::{Context, Result};
use orx_client::Client;
use orx_protocol::api::session::{CreateParams, Created, SessionParams};
use std::time::Duration;

use crate::daemon::Daemon;
use crate::pty::usage::memory;
use crate::report::Report;

const SESSIONS: usize = 20;

/// Measures the daemon idle and with sessions.
pub fn measure(report: &mut Report) -> Result<()> {
    let daemon = Daemon::start("workers: {naming: 1, structure: 1, semantic: 1, manager: 1}\n")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::connect(&daemon.socket()).await?;
        // Settled: workers registered, first events written.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let idle = memory(i32::try_from(daemon.pid())?, "Rss:")?;
        report.plain("daemon idle: resident", idle, "MiB", Some(("under 25 MiB", idle < 25.0)));
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS {
            let params = CreateParams {
                engine: "command".to_owned(),
                argv: vec!["/bin/sleep".to_owned(), "600".to_owned()],
                cwd: "/".to_owned(),
                ..CreateParams::default()
            };
            let created: Created = client.call("session.create", &params).await?;
            sessions.push(created);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        report.plain("daemon with 20 sessions: resident", memory(i32::try_from(daemon.pid())?, "Rss:")?, "MiB", None);
        let mut total = 0.0;
        for created in &sessions {
            let events: serde_json::Value = client
                .call(
                    "event.list",
                    &serde_json::json!({"kinds": ["session.started"], "subject": created.session, "limit": 1}),
                )
                .await?;
            let holder = events["events"][0]["data"]["holder"].as_i64().context("no holder in the event")?;
            total += memory(i32::try_from(holder)?, "Pss:")?;
        }
        report.plain("a session's holder, idle: proportional", total / SESSIONS as f64, "MiB", None);
        for created in &sessions {
            let _: serde_json::Value = client.call("session.stop", &SessionParams { session: created.session }).await?;
        }
        Ok(())
    })
}
