//! The role `manager`: which workers there are, in the daemon's own words and in those of the first manager's clients.

use std::collections::HashMap;

use orx_client::{Answer, Request};
use orx_protocol::api::Empty;
use orx_protocol::api::worker::{Supervised, Worker, WorkerState, Workers};
use orx_protocol::id::WorkerId;
use serde::Serialize;

use super::passed_on;

pub(super) const ACTIONS: &[&str] = &["list", "list_agents"];

/// What the status of an agent may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// It takes requests.
    Running,
    /// It finishes what it has.
    Draining,
    /// It does not answer health checks.
    Unresponsive,
    /// Its process runs and has not registered yet.
    Starting,
    /// It ended and is started again after a pause.
    Restarting,
    /// It ended.
    Stopped,
}

/// A worker in the words of `list_agents`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Agent {
    /// `AGT-<ROLE>-<n>`, counted within the role from 1.
    name: String,
    role: String,
    pid: Option<u32>,
    status: Status,
    /// `None` while it is not registered.
    worker: Option<WorkerId>,
    supervised: bool,
    capabilities: Vec<String>,
    capacity: Option<u32>,
    in_flight: Option<u32>,
    restarts: Option<u64>,
    last_exit: Option<String>,
}

#[derive(Debug, Serialize)]
struct Listed {
    status: &'static str,
    agents: Vec<Agent>,
    #[serde(flatten)]
    workers: Workers,
}

pub(super) async fn handle(request: &Request) -> Answer {
    let workers: Workers = request.client.call("worker.list", &Empty {}).await.map_err(passed_on)?;
    Request::answer(&Listed { status: "ok", agents: agents(&workers), workers })
}

/// Registered workers, and processes that the daemon keeps alive and that are not registered at the moment.
fn agents(listed: &Workers) -> Vec<Agent> {
    let mut counted: HashMap<&str, usize> = HashMap::new();
    let mut name = |role| {
        let count = counted.entry(role).or_default();
        *count += 1;
        format!("AGT-{}-{count}", role.to_uppercase())
    };
    let process = |worker: &Worker| {
        listed.supervised.iter().find(|process| process.role == worker.role && is_of(process, worker))
    };
    let mut agents: Vec<Agent> = listed
        .workers
        .iter()
        .map(|worker| Agent {
            name: name(&worker.role),
            role: worker.role.clone(),
            pid: worker.pid,
            status: match worker.state {
                WorkerState::Ready => Status::Running,
                WorkerState::Draining => Status::Draining,
                WorkerState::Unresponsive => Status::Unresponsive,
            },
            worker: Some(worker.worker),
            supervised: worker.supervised,
            capabilities: worker.capabilities.clone(),
            capacity: Some(worker.capacity),
            in_flight: Some(worker.in_flight),
            restarts: process(worker).map(|process| process.restarts),
            last_exit: process(worker).and_then(|process| process.last_exit.clone()),
        })
        .collect();
    let absent = listed.supervised.iter().filter(|process| !listed.workers.iter().any(|worker| is_of(process, worker)));
    agents.extend(absent.map(|process| Agent {
        name: name(&process.role),
        role: process.role.clone(),
        pid: process.pid,
        status: match (process.pid, process.retry_in_ms) {
            (Some(_), _) => Status::Starting,
            (None, Some(_)) => Status::Restarting,
            (None, None) => Status::Stopped,
        },
        worker: None,
        supervised: true,
        capabilities: Vec::new(),
        capacity: None,
        in_flight: None,
        restarts: Some(process.restarts),
        last_exit: process.last_exit.clone(),
    }));
    agents
}

fn is_of(process: &Supervised, worker: &Worker) -> bool {
    process.pid.is_some() && process.pid == worker.pid
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(role: &str, pid: u32, state: WorkerState) -> Worker {
        Worker {
            worker: WorkerId::generate(),
            role: role.to_owned(),
            state,
            pid: Some(pid),
            capacity: 4,
            in_flight: 1,
            capabilities: vec!["list".to_owned()],
            version: "1".to_owned(),
            answered: 0,
            supervised: true,
        }
    }

    fn process(role: &str, pid: Option<u32>, retry_in_ms: Option<u64>) -> Supervised {
        Supervised { role: role.to_owned(), instance: 0, pid, restarts: 2, retry_in_ms, last_exit: None }
    }

    #[test]
    fn registered_and_absent_processes_are_each_listed_once_with_their_status() {
        let listed = Workers {
            workers: vec![
                worker("naming", 10, WorkerState::Ready),
                worker("naming", 11, WorkerState::Draining),
                worker("semantic", 12, WorkerState::Unresponsive),
            ],
            supervised: vec![
                process("naming", Some(10), None),
                process("manager", Some(13), None),
                process("structure", None, Some(500)),
                process("semantic", None, None),
            ],
        };
        let agents = agents(&listed);
        let seen: Vec<_> = agents.iter().map(|agent| (agent.name.as_str(), agent.pid, agent.status)).collect();
        assert_eq!(
            seen,
            [
                ("AGT-NAMING-1", Some(10), Status::Running),
                ("AGT-NAMING-2", Some(11), Status::Draining),
                ("AGT-SEMANTIC-1", Some(12), Status::Unresponsive),
                ("AGT-MANAGER-1", Some(13), Status::Starting),
                ("AGT-STRUCTURE-1", None, Status::Restarting),
                ("AGT-SEMANTIC-2", None, Status::Stopped),
            ]
        );
        assert_eq!((agents[0].restarts, agents[1].restarts), (Some(2), None));
    }

    #[test]
    fn the_answer_has_the_words_of_both() {
        let workers = Workers { workers: vec![worker("naming", 1, WorkerState::Ready)], supervised: vec![] };
        let answer = serde_json::to_value(Listed { status: "ok", agents: agents(&workers), workers }).unwrap();
        assert_eq!(answer["status"], "ok");
        assert_eq!(answer["agents"][0]["status"], "running");
        assert_eq!(answer["workers"][0]["role"], "naming");
        assert!(answer["supervised"].is_array());
    }
}
