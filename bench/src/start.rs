//! From the start of the daemon to its first answer, which it gives once every record was held against what runs.

use anyhow::Result;
use orx_protocol::api::session::{Session, SessionState};
use orx_protocol::hold::Holder;
use orx_protocol::process::ProcessIdentity;
use orx_protocol::{SessionId, clock};
use orx_store::{SessionRow, Store, sessions};

use crate::daemon::{Daemon, home};
use crate::report::{Report, median};

const RECORDS: usize = 1000;
const SETTINGS: &str = "workers: {naming: 1, structure: 1, semantic: 1, manager: 1}\n";

/// Measures an empty start and one with many sessions whose processes are gone.
pub fn measure(report: &mut Report, rounds: usize) -> Result<()> {
    let (mut empty, mut full) = (vec![], vec![]);
    for _ in 0..rounds {
        empty.push(Daemon::start(SETTINGS)?.ready.as_secs_f64() * 1e3);
        let home = home()?;
        fill(home.path())?;
        full.push(Daemon::start_in(home, SETTINGS)?.ready.as_secs_f64() * 1e3);
    }
    report.plain("start to first answer, empty", median(empty), "ms", None);
    let full = median(full);
    report.plain("start to first answer, 1,000 records to reconcile", full, "ms", Some(("under 100 ms", full < 100.0)));
    Ok(())
}

fn fill(home: &std::path::Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&home.join("orx.db"))?;
        store
            .write(|tx| {
                for number in 0..RECORDS {
                    sessions::insert(tx, &row(number))?;
                }
                Ok(())
            })
            .await?;
        store.close().await?;
        anyhow::Ok(())
    })
}

fn row(number: usize) -> SessionRow {
    let session = SessionId::generate();
    // No process has this start time, so each of them is found to be gone.
    let gone = ProcessIdentity { pid: i32::try_from(number).unwrap_or(0) + 2, start_time: 1 };
    SessionRow {
        session: Session {
            state: SessionState::Running,
            pid: Some(gone.pid),
            cols: 80,
            rows: 24,
            argv: vec!["true".to_owned()],
            directory: format!("/nonexistent/{session}"),
            ..Session::starting(session, "command", "/", clock::now_ms())
        },
        holder: Some(Holder { holder: gone, child: gone, started_at_ms: 0, keeper: None, boot: None }),
        socket: format!("/nonexistent/{session}.sock"),
    }
}
