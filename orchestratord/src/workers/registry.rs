//! Who serves which role, and the choice among them. Pure: no socket, no clock of its own, no lock.

use orx_protocol::api::worker::{RegisterParams, Worker, WorkerState};
use orx_protocol::{ErrorKind, RpcError, WorkerId};
use std::collections::{BTreeMap, HashMap};

/// What the registry knows of a worker.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub worker: WorkerId,
    /// Its role.
    pub role: String,
    /// Its actions, and whether each is idempotent.
    pub actions: HashMap<String, bool>,
    /// Requests that it works on at once.
    pub capacity: u32,
    /// Requests that it has.
    pub in_flight: u32,
    /// Requests that it has answered.
    pub answered: u64,
    /// Its state.
    pub state: WorkerState,
    /// Its process id.
    pub pid: Option<u32>,
    /// Its version.
    pub version: String,
    /// Whether the daemon started it.
    pub supervised: bool,
}

/// Why no worker was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoWorker {
    /// Nobody ever registered this role and it is not supervised.
    UnknownRole,
    /// Workers of the role exist and none serves the action.
    UnknownAction,
    /// Nobody takes requests at the moment.
    Nobody,
    /// All are at their capacity.
    Busy,
}

/// All workers by role.
#[derive(Debug, Default)]
pub struct Registry {
    roles: BTreeMap<String, Vec<Entry>>,
}

/// Longest role name, in bytes.
const ROLE_LENGTH: usize = 64;
/// Most requests that a worker may take at once.
const CAPACITY_MAX: u32 = 1024;
/// Nouns that belong to the daemon, so that no worker can put itself before them.
const RESERVED: [&str; 18] = [
    "health", "status", "hello", "event", "session", "approval", "rule", "run", "task", "workflow", "worker", "lock",
    "llm", "user", "token", "audit", "config", "record",
];

/// Checks what a worker says of itself.
///
/// # Errors
/// `InvalidParams` naming the member, `PermissionDenied` for a reserved noun.
pub fn check(params: &RegisterParams) -> Result<(), RpcError> {
    let bad = |message: String| Err(RpcError::new(ErrorKind::InvalidParams, format!("`worker.register`: {message}")));
    let role = &params.role;
    let named = role.starts_with(|c: char| c.is_ascii_lowercase())
        && role.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    if !named || role.len() > ROLE_LENGTH {
        return bad(format!(
            "`role` must be 1 to {ROLE_LENGTH} lower-case letters, digits, `_` or `-`, beginning with a letter"
        ));
    }
    if RESERVED.contains(&role.as_str()) || role == "sequence" {
        return Err(RpcError::new(ErrorKind::PermissionDenied, format!("the role `{role}` belongs to the daemon")));
    }
    if params.capacity == 0 || params.capacity > CAPACITY_MAX {
        return bad(format!("`capacity` is {}, it must be 1 to {CAPACITY_MAX}", params.capacity));
    }
    if params.capabilities.is_empty() {
        return bad("`capabilities` is empty: name at least one action".to_owned());
    }
    if let Some(capability) = params.capabilities.iter().find(|capability| {
        let action = capability.action();
        action.is_empty() || action.len() > 128 || action.contains(|c: char| c.is_whitespace() || c.is_control())
    }) {
        return bad(format!("`{}` is no name of an action", capability.action().escape_default()));
    }
    Ok(())
}

impl Registry {
    /// Makes a role known before anybody serves it, so that a request for it waits instead of failing.
    pub fn expect(&mut self, role: &str) {
        self.roles.entry(role.to_owned()).or_default();
    }

    /// Takes a worker in; `params` have passed [`check`].
    pub fn add(&mut self, worker: WorkerId, params: &RegisterParams, pid: Option<u32>, supervised: bool) {
        let actions = params
            .capabilities
            .iter()
            .map(|capability| (capability.action().to_owned(), capability.idempotent()))
            .collect();
        self.roles.entry(params.role.clone()).or_default().push(Entry {
            worker,
            role: params.role.clone(),
            actions,
            capacity: params.capacity,
            in_flight: 0,
            answered: 0,
            state: WorkerState::Ready,
            pid,
            version: params.version.clone(),
            supervised,
        });
    }

    /// Forgets a worker.
    pub fn remove(&mut self, worker: WorkerId) -> Option<Entry> {
        for entries in self.roles.values_mut() {
            if let Some(position) = entries.iter().position(|entry| entry.worker == worker) {
                return Some(entries.remove(position));
            }
        }
        None
    }

    /// The worker's entry.
    pub fn entry(&mut self, worker: WorkerId) -> Option<&mut Entry> {
        self.roles.values_mut().flatten().find(|entry| entry.worker == worker)
    }

    /// Whether the role is known.
    #[must_use]
    pub fn knows(&self, role: &str) -> bool {
        self.roles.contains_key(role)
    }

    /// The least loaded worker that serves the action, and whether the action is idempotent. Among equals the one that
    /// has answered least is chosen, so that equal workers share the work.
    ///
    /// # Errors
    /// [`NoWorker`].
    pub fn choose(&mut self, role: &str, action: &str) -> Result<(&mut Entry, bool), NoWorker> {
        let entries = self.roles.get_mut(role).ok_or(NoWorker::UnknownRole)?;
        if entries.is_empty() {
            return Err(NoWorker::Nobody);
        }
        if !entries.iter().any(|entry| entry.actions.contains_key(action)) {
            return Err(NoWorker::UnknownAction);
        }
        let ready = |entry: &Entry| entry.state == WorkerState::Ready && entry.actions.contains_key(action);
        let none_ready = !entries.iter().any(ready);
        let best =
            entries.iter_mut().filter(|entry| ready(entry) && entry.in_flight < entry.capacity).min_by(|a, b| {
                let load = |entry: &Entry| (u64::from(entry.in_flight) << 32) / u64::from(entry.capacity.max(1));
                load(a).cmp(&load(b)).then(a.answered.cmp(&b.answered))
            });
        match best {
            Some(entry) => {
                let idempotent = entry.actions.get(action).copied().unwrap_or(false);
                Ok((entry, idempotent))
            }
            None if none_ready => Err(NoWorker::Nobody),
            None => Err(NoWorker::Busy),
        }
    }

    /// The actions of a role, for an error that says what there is.
    #[must_use]
    pub fn actions(&self, role: &str) -> Vec<String> {
        let mut actions: Vec<String> =
            self.roles.get(role).into_iter().flatten().flat_map(|entry| entry.actions.keys().cloned()).collect();
        actions.sort();
        actions.dedup();
        actions
    }

    /// All workers, by role, then by age.
    #[must_use]
    pub fn list(&self) -> Vec<Worker> {
        self.roles
            .values()
            .flatten()
            .map(|entry| {
                let mut capabilities: Vec<String> = entry.actions.keys().cloned().collect();
                capabilities.sort();
                Worker {
                    worker: entry.worker,
                    role: entry.role.clone(),
                    state: entry.state,
                    pid: entry.pid,
                    capacity: entry.capacity,
                    in_flight: entry.in_flight,
                    capabilities,
                    version: entry.version.clone(),
                    answered: entry.answered,
                    supervised: entry.supervised,
                }
            })
            .collect()
    }

    /// Workers that take requests.
    #[must_use]
    pub fn ready(&self) -> u32 {
        let ready = self.roles.values().flatten().filter(|entry| entry.state == WorkerState::Ready).count();
        u32::try_from(ready).unwrap_or(u32::MAX)
    }

    /// Whether every one of `roles` has a worker that takes requests.
    #[must_use]
    pub fn serves(&self, roles: &[&str]) -> bool {
        roles.iter().all(|role| {
            self.roles.get(*role).is_some_and(|entries| entries.iter().any(|entry| entry.state == WorkerState::Ready))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::worker::Capability;

    fn params(role: &str, capacity: u32) -> RegisterParams {
        RegisterParams {
            role: role.to_owned(),
            capabilities: vec![Capability::Action { action: "do".to_owned(), idempotent: true }],
            capacity,
            version: String::new(),
            pid: None,
        }
    }

    #[test]
    fn the_least_loaded_worker_is_chosen_and_equals_share() {
        let mut registry = Registry::default();
        let (small, large) = (WorkerId::generate(), WorkerId::generate());
        registry.add(small, &params("naming", 1), None, false);
        registry.add(large, &params("naming", 4), None, false);
        let mut counts = HashMap::new();
        for _ in 0..5 {
            let (entry, idempotent) = registry.choose("naming", "do").unwrap();
            assert!(idempotent);
            entry.in_flight += 1;
            *counts.entry(entry.worker).or_insert(0) += 1;
        }
        assert_eq!((counts[&small], counts[&large]), (1, 4));
        assert_eq!(registry.choose("naming", "do").err(), Some(NoWorker::Busy));
    }

    #[test]
    fn why_nobody_was_chosen_is_told_apart() {
        let mut registry = Registry::default();
        assert_eq!(registry.choose("naming", "do").err(), Some(NoWorker::UnknownRole));
        registry.expect("naming");
        assert_eq!(registry.choose("naming", "do").err(), Some(NoWorker::Nobody));
        let worker = WorkerId::generate();
        registry.add(worker, &params("naming", 1), None, false);
        assert_eq!(registry.choose("naming", "other").err(), Some(NoWorker::UnknownAction));
        registry.entry(worker).unwrap().state = WorkerState::Draining;
        assert_eq!(registry.choose("naming", "do").err(), Some(NoWorker::Nobody));
        assert!(!registry.serves(&["naming"]));
    }

    #[test]
    fn what_a_worker_says_of_itself_is_checked() {
        assert!(check(&params("naming", 1)).is_ok());
        for (role, capacity) in
            [("", 1), ("Naming", 1), ("a b", 1), ("naming", 0), ("naming", 5000), ("session", 1), ("sequence", 1)]
        {
            assert!(check(&params(role, capacity)).is_err(), "{role} {capacity}");
        }
        let mut nothing = params("naming", 1);
        nothing.capabilities.clear();
        assert!(check(&nothing).is_err());
    }
}
