//! Workers as a table.

use orx_protocol::api::worker::{Worker, WorkerState, Workers};

use crate::figures;
use crate::output::Output;
use crate::table::{Cell, Table};

const fn word(state: WorkerState) -> &'static str {
    match state {
        WorkerState::Ready => "ready",
        WorkerState::Draining => "draining",
        WorkerState::Unresponsive => "unresponsive",
    }
}

/// The registered workers.
pub(crate) fn table(workers: &[Worker], output: Output) -> String {
    let mut table = Table::new(&["ROLE", "STATE", "PID", "BUSY", "ANSWERED", "VERSION", "WORKER"]);
    for worker in workers {
        table.row(vec![
            Cell::new(&worker.role),
            Cell::word(word(worker.state)),
            Cell::new(worker.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string())),
            Cell::new(format!("{}/{}", worker.in_flight, worker.capacity)),
            Cell::new(figures::count(worker.answered)),
            Cell::new(&worker.version),
            Cell::new(worker.worker.to_string()),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render(output) }
}

/// The registered workers, and the supervised processes that are not well.
pub(crate) fn list(list: &Workers, output: Output) -> String {
    let mut out = table(&list.workers, output);
    let mut troubled = Table::new(&["SUPERVISED", "PID", "RESTARTS", "NEXT START", "LAST END"]);
    for process in list.supervised.iter().filter(|process| process.pid.is_none() || process.restarts > 0) {
        troubled.row(vec![
            Cell::new(format!("{}/{}", process.role, process.instance)),
            Cell::new(process.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string())),
            Cell::new(process.restarts.to_string()),
            Cell::new(
                process.retry_in_ms.map_or_else(|| "-".to_owned(), |wait| format!("in {}", figures::duration_ms(wait))),
            ),
            Cell::new(process.last_exit.as_deref().unwrap_or("-")),
        ]);
    }
    if !troubled.is_empty() {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&troubled.render(output));
    }
    out
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;
    use orx_protocol::api::worker::Supervised;

    pub(crate) fn workers() -> Workers {
        let worker = |role: &str, state, in_flight| Worker {
            worker: "wrk_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            role: role.into(),
            state,
            pid: Some(4321),
            capacity: 8,
            in_flight,
            capabilities: vec!["next".into()],
            version: "0.1.0".into(),
            answered: 12_345,
            supervised: true,
        };
        Workers {
            workers: vec![worker("naming", WorkerState::Ready, 0), worker("semantic", WorkerState::Unresponsive, 3)],
            supervised: vec![Supervised {
                role: "manager".into(),
                instance: 0,
                pid: None,
                restarts: 4,
                retry_in_ms: Some(8_000),
                last_exit: Some("signal 9".into()),
            }],
        }
    }

    #[test]
    fn workers_are_listed_with_those_in_trouble() {
        insta::assert_snapshot!(list(&workers(), Output::plain(Some(100))));
    }
}
