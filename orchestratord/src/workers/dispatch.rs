//! Handing requests to workers and their answers back: the hot path. A request is written to its worker, and the answer
//! to its caller, by the task that read it; nothing is parsed beyond the envelope.
//!
//! A request that finds nobody waits for a worker within its deadline. When a worker dies, idempotent requests go to
//! another under the same dispatch id; for the rest the caller is told that it is not known whether the work was done.

use orx_protocol::api::worker::{RegisterParams, Registered, Worker, WorkerState};
use orx_protocol::limits::DISPATCH_DEADLINE_MS;
use orx_protocol::{DispatchId, ErrorKind, RpcError, WorkerId};
use serde_json::value::RawValue;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

use super::registry::{self, NoWorker, Registry};
use crate::listen::outbox::{Outbox, Touched};
use crate::reply::ReplyTo;

/// Requests that may wait for a worker of one role.
const WAITING_LIMIT: usize = 10_000;
/// Times that a request is dispatched before its caller is told that workers die of it.
const ATTEMPTS: u32 = 3;

struct Pending {
    dispatch: DispatchId,
    method: String,
    params: Box<str>,
    reply: ReplyTo,
    deadline: Instant,
    idempotent: bool,
    attempts: u32,
}

impl Pending {
    fn role_and_action(&self) -> (&str, &str) {
        self.method.split_once('.').unwrap_or((&self.method, ""))
    }

    fn fail(self, error: RpcError, touched: &mut Touched) {
        self.reply.queue(Err(error), touched);
    }
}

#[derive(Default)]
struct State {
    registry: Registry,
    links: HashMap<WorkerId, Link>,
    waiting: HashMap<String, VecDeque<Pending>>,
    draining: bool,
}

struct Link {
    outbox: Outbox,
    in_flight: HashMap<DispatchId, Pending>,
    /// When the last health check was sent, while it is unanswered.
    asked: Option<Instant>,
}

/// All workers and what they have to do.
#[derive(Default)]
pub struct Dispatcher {
    state: Mutex<State>,
    /// Wakes the deadline keeper when there is something to keep.
    busy: Notify,
    /// Wakes those who wait for a change of the workers.
    changed: Notify,
}

impl Dispatcher {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes roles known that the daemon will start workers for.
    pub fn expect(&self, role: &str) {
        self.state().registry.expect(role);
    }

    /// Whether requests of this role go to workers.
    #[must_use]
    pub fn knows(&self, role: &str) -> bool {
        self.state().registry.knows(role)
    }

    /// Takes a worker in, answers its registration, and gives it what waits for its role.
    pub fn register(
        &self,
        params: &RegisterParams,
        outbox: &Outbox,
        pid: Option<u32>,
        supervised: bool,
        reply: ReplyTo,
    ) -> Option<WorkerId> {
        if let Err(error) = registry::check(params) {
            reply.send(Err(error));
            return None;
        }
        let worker = WorkerId::generate();
        let mut touched = Touched::default();
        let mut state = self.state();
        if state.draining {
            drop(state);
            reply.send(Err(RpcError::new(ErrorKind::Draining, "the daemon is ending and takes no more workers")));
            return None;
        }
        // The answer is queued before the worker can be chosen, so that it reads it before its first request.
        let answer = crate::reply::raw(&Registered { worker });
        reply.queue(answer.as_deref().map_err(Clone::clone), &mut touched);
        state.registry.add(worker, params, pid, supervised);
        state.links.insert(worker, Link { outbox: outbox.clone(), in_flight: HashMap::new(), asked: None });
        state.serve_waiting(&params.role, &mut touched);
        drop(state);
        touched.flush();
        self.changed.notify_waiters();
        Some(worker)
    }

    /// Forgets a worker whose connection ended; what it had is dispatched again or answered as lost. Gives its role.
    pub fn remove(&self, worker: WorkerId) -> Option<String> {
        let mut touched = Touched::default();
        let mut state = self.state();
        let role = state.remove(worker, &mut touched);
        drop(state);
        touched.flush();
        self.changed.notify_waiters();
        role
    }

    /// Dispatches a request; the answer goes to `reply` when it comes.
    pub fn dispatch(&self, method: &str, params: Option<&RawValue>, reply: ReplyTo, touched: &mut Touched) {
        let pending = Pending {
            dispatch: DispatchId::generate(),
            method: method.to_owned(),
            params: params.map_or("{}", RawValue::get).into(),
            reply,
            deadline: Instant::now() + Duration::from_millis(DISPATCH_DEADLINE_MS),
            idempotent: false,
            attempts: 0,
        };
        let mut state = self.state();
        if state.draining {
            drop(state);
            return pending.fail(RpcError::new(ErrorKind::Draining, "the daemon is ending"), touched);
        }
        let idle = state.is_idle();
        state.place(pending, touched);
        drop(state);
        if idle {
            self.busy.notify_one();
        }
    }

    /// Takes a worker's answer.
    pub fn answered(
        &self,
        worker: WorkerId,
        id: &orx_protocol::rpc::CallId,
        outcome: Result<&RawValue, RpcError>,
        touched: &mut Touched,
    ) {
        let orx_protocol::rpc::CallId::Text(text) = id else { return };
        let mut state = self.state();
        if text == orx_protocol::api::worker::PING {
            return state.pong(worker, touched);
        }
        let Ok(dispatch) = text.parse::<DispatchId>() else { return };
        let Some(pending) = state.links.get_mut(&worker).and_then(|link| link.in_flight.remove(&dispatch)) else {
            // Its deadline had passed and the caller was told so; the late answer has nobody to go to.
            return;
        };
        let mut role = None;
        if let Some(entry) = state.registry.entry(worker) {
            let was_full = entry.in_flight >= entry.capacity;
            entry.in_flight = entry.in_flight.saturating_sub(1);
            entry.answered += 1;
            role = was_full.then(|| entry.role.clone());
        }
        pending.reply.queue(outcome, touched);
        if let Some(role) = role {
            state.serve_waiting(&role, touched);
        }
    }

    /// All workers.
    #[must_use]
    pub fn list(&self) -> Vec<Worker> {
        self.state().registry.list()
    }

    /// Workers that take requests, and whether each of `roles` has one.
    #[must_use]
    pub fn health(&self, roles: &[&str]) -> (u32, bool) {
        let state = self.state();
        (state.registry.ready(), state.registry.serves(roles))
    }

    /// Tells a worker to finish what it has; it gets nothing new.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn drain(&self, worker: WorkerId) -> Result<(), RpcError> {
        let mut state = self.state();
        let Some(entry) = state.registry.entry(worker) else {
            return Err(RpcError::new(ErrorKind::NotFound, format!("no worker {worker} is registered"))
                .with_hint("`worker.list` names those that are"));
        };
        entry.state = WorkerState::Draining;
        if let Some(link) = state.links.get(&worker) {
            link.outbox.send(drain_notice());
        }
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }

    /// Stops dispatching and tells every worker to finish. Requests that wait for a worker are answered as refused.
    pub fn drain_all(&self) {
        let mut touched = Touched::default();
        let mut state = self.state();
        state.draining = true;
        let waiting: Vec<Pending> = state.waiting.drain().flat_map(|(_, queue)| queue).collect();
        for pending in waiting {
            pending.fail(RpcError::new(ErrorKind::Draining, "the daemon is ending"), &mut touched);
        }
        for link in state.links.values() {
            link.outbox.push(drain_notice());
            touched.add(&link.outbox);
        }
        drop(state);
        touched.flush();
    }

    /// Requests that workers have or that wait for one.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        let state = self.state();
        state.links.values().map(|link| link.in_flight.len()).sum::<usize>()
            + state.waiting.values().map(VecDeque::len).sum::<usize>()
    }

    /// Waits until the set of workers may have changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Sends a health check to every worker and marks those that did not answer the last one within `limit`. Gives the
    /// process ids of supervised workers that have been silent for `kill_after`.
    pub fn check_health(&self, now: Instant, limit: Duration, kill_after: Duration) -> Vec<u32> {
        let mut touched = Touched::default();
        let mut stuck = Vec::new();
        let mut state = self.state();
        let State { links, registry, .. } = &mut *state;
        for (worker, link) in links {
            match link.asked {
                None => {
                    link.asked = Some(now);
                    link.outbox.push(ping());
                    touched.add(&link.outbox);
                }
                Some(asked) if now.duration_since(asked) >= limit => {
                    if let Some(entry) = registry.entry(*worker) {
                        if entry.state == WorkerState::Ready {
                            tracing::warn!(worker = %worker, role = entry.role, "A worker does not answer its health check.");
                            entry.state = WorkerState::Unresponsive;
                        }
                        if entry.supervised && now.duration_since(asked) >= kill_after {
                            stuck.extend(entry.pid);
                        }
                    }
                }
                Some(_) => {}
            }
        }
        drop(state);
        touched.flush();
        stuck
    }

    /// Keeps the deadlines until the process ends: answers requests that took too long.
    pub async fn keep_deadlines(&self) {
        loop {
            self.busy.notified().await;
            loop {
                tokio::time::sleep(Duration::from_millis(250)).await;
                let mut touched = Touched::default();
                let mut state = self.state();
                state.expire(Instant::now(), &mut touched);
                let idle = state.is_idle();
                drop(state);
                touched.flush();
                if idle {
                    break;
                }
            }
        }
    }
}

fn ping() -> &'static [u8] {
    br#"{"jsonrpc":"2.0","id":"worker.ping","method":"worker.ping","params":{}}"#
}

fn drain_notice() -> &'static [u8] {
    br#"{"jsonrpc":"2.0","method":"worker.drain","params":{}}"#
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.values().all(VecDeque::is_empty) && self.links.values().all(|link| link.in_flight.is_empty())
    }

    /// Gives a request to a worker, or lets it wait, or answers why neither is possible.
    fn place(&mut self, mut pending: Pending, touched: &mut Touched) {
        let (role, action) = pending.role_and_action();
        let role = role.to_owned();
        match self.registry.choose(&role, action) {
            Ok((entry, idempotent)) => {
                entry.in_flight += 1;
                let worker = entry.worker;
                pending.idempotent = idempotent;
                pending.attempts += 1;
                let Some(link) = self.links.get_mut(&worker) else { return };
                let id = pending.dispatch.to_string();
                link.outbox.push_parts(&[
                    b"{\"jsonrpc\":\"2.0\",\"id\":\"",
                    id.as_bytes(),
                    b"\",\"method\":",
                    serde_json::to_string(&pending.method).unwrap_or_default().as_bytes(),
                    b",\"params\":",
                    pending.params.as_bytes(),
                    b"}",
                ]);
                touched.add(&link.outbox);
                link.in_flight.insert(pending.dispatch, pending);
            }
            Err(NoWorker::Nobody | NoWorker::Busy) => {
                let queue = self.waiting.entry(role.clone()).or_default();
                if queue.len() >= WAITING_LIMIT {
                    let error = RpcError::new(
                        ErrorKind::Overloaded,
                        format!("{WAITING_LIMIT} requests wait for `{role}` already"),
                    )
                    .with_hint("try again after a pause, or start more workers of the role");
                    return pending.fail(error, touched);
                }
                queue.push_back(pending);
            }
            Err(NoWorker::UnknownRole) => {
                let error =
                    RpcError::new(ErrorKind::MethodNotFound, format!("there is no method `{}`", pending.method))
                        .with_hint("no worker has registered this role; `worker.list` names those that have");
                pending.fail(error, touched);
            }
            Err(NoWorker::UnknownAction) => {
                let actions = self.registry.actions(&role).join(", ");
                let error = RpcError::new(
                    ErrorKind::MethodNotFound,
                    format!("no worker of `{role}` has the action `{action}`"),
                )
                .with_hint(format!("`{role}` serves: {actions}"));
                pending.fail(error, touched);
            }
        }
    }

    fn serve_waiting(&mut self, role: &str, touched: &mut Touched) {
        loop {
            let Some(next) = self.waiting.get(role).and_then(VecDeque::front) else { return };
            let (_, action) = next.role_and_action();
            let action = action.to_owned();
            if let Err(NoWorker::Nobody | NoWorker::Busy) = self.registry.choose(role, &action) {
                return;
            }
            let Some(pending) = self.waiting.get_mut(role).and_then(VecDeque::pop_front) else { return };
            self.place(pending, touched);
        }
    }

    fn remove(&mut self, worker: WorkerId, touched: &mut Touched) -> Option<String> {
        let role = self.registry.remove(worker).map(|entry| entry.role)?;
        let lost = self.links.remove(&worker).map(|link| link.in_flight).unwrap_or_default();
        for (_, pending) in lost {
            if pending.idempotent && pending.attempts < ATTEMPTS && !self.draining {
                self.place(pending, touched);
            } else {
                let again = if pending.idempotent {
                    "workers died with it on every attempt"
                } else {
                    "it is not known whether the work was done, and the action is not marked as safe to repeat"
                };
                let error = RpcError::new(
                    ErrorKind::WorkerLost,
                    format!("the worker of `{}` died with the request: {again}", pending.method),
                );
                pending.fail(error, touched);
            }
        }
        Some(role)
    }

    fn pong(&mut self, worker: WorkerId, touched: &mut Touched) {
        if let Some(link) = self.links.get_mut(&worker) {
            link.asked = None;
        }
        let mut role = None;
        if let Some(entry) = self.registry.entry(worker).filter(|entry| entry.state == WorkerState::Unresponsive) {
            entry.state = WorkerState::Ready;
            role = Some(entry.role.clone());
        }
        if let Some(role) = role {
            self.serve_waiting(&role, touched);
        }
    }

    fn expire(&mut self, now: Instant, touched: &mut Touched) {
        let late = |method: &str, what: &str| {
            RpcError::new(
                ErrorKind::DeadlineExceeded,
                format!("`{method}` was not answered within {} s: {what}", DISPATCH_DEADLINE_MS / 1000),
            )
        };
        for queue in self.waiting.values_mut() {
            while queue.front().is_some_and(|pending| pending.deadline <= now) {
                if let Some(pending) = queue.pop_front() {
                    let error = late(&pending.method, "no worker took it");
                    pending.fail(error, touched);
                }
            }
        }
        let mut freed = Vec::new();
        for (worker, link) in &mut self.links {
            let expired: Vec<DispatchId> = link
                .in_flight
                .values()
                .filter(|pending| pending.deadline <= now)
                .map(|pending| pending.dispatch)
                .collect();
            for dispatch in expired {
                if let Some(pending) = link.in_flight.remove(&dispatch) {
                    let error = late(&pending.method, "its worker is still at it, the outcome is not known");
                    pending.fail(error, touched);
                    freed.push(*worker);
                }
            }
        }
        for worker in freed {
            let role = self.registry.entry(worker).map(|entry| {
                entry.in_flight = entry.in_flight.saturating_sub(1);
                entry.role.clone()
            });
            if let Some(role) = role {
                self.serve_waiting(&role, touched);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Outcome;
    use bytes::Bytes;
    use orx_protocol::api::worker::Capability;
    use orx_protocol::rpc::CallId;
    use tokio::sync::{mpsc, oneshot};

    /// A worker whose requests are read from a queue.
    struct Worker {
        id: WorkerId,
        requests: mpsc::Receiver<Bytes>,
    }

    impl Worker {
        fn register(dispatcher: &Dispatcher, capacity: u32, idempotent: bool) -> Self {
            let (sender, mut requests) = mpsc::channel(100);
            let params = RegisterParams {
                role: "work".to_owned(),
                capabilities: vec![Capability::Action { action: "do".to_owned(), idempotent }],
                capacity,
                version: String::new(),
                pid: None,
            };
            let outbox = Outbox::messages(sender);
            let reply = ReplyTo::connection(outbox.clone(), Some(CallId::Number(1)), crate::reply::Shape::Rpc);
            let id = dispatcher.register(&params, &outbox, None, false, reply).unwrap();
            let first = requests.try_recv().unwrap();
            assert!(String::from_utf8_lossy(&first).contains(&id.to_string()), "the registration is answered first");
            Self { id, requests }
        }

        /// The identifier of the next request.
        fn next(&mut self) -> Option<CallId> {
            let body = self.requests.try_recv().ok()?;
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            Some(CallId::Text(body["id"].as_str().unwrap().to_owned()))
        }
    }

    fn ask(dispatcher: &Dispatcher, method: &str) -> oneshot::Receiver<Outcome> {
        let (reply, answer) = ReplyTo::once();
        let mut touched = Touched::default();
        dispatcher.dispatch(method, None, reply, &mut touched);
        touched.flush();
        answer
    }

    fn answer(dispatcher: &Dispatcher, worker: &Worker, id: &CallId) {
        let mut touched = Touched::default();
        let result = crate::reply::raw(&true).unwrap();
        dispatcher.answered(worker.id, id, Ok(&result), &mut touched);
        touched.flush();
    }

    fn kind(answer: &mut oneshot::Receiver<Outcome>) -> Option<ErrorKind> {
        answer.try_recv().ok()?.err().map(|error| error.kind())
    }

    #[test]
    fn a_request_waits_for_a_worker_and_for_a_place() {
        let dispatcher = Dispatcher::default();
        dispatcher.expect("work");
        let mut answers = [ask(&dispatcher, "work.do"), ask(&dispatcher, "work.do")];
        let mut worker = Worker::register(&dispatcher, 1, true);
        let first = worker.next().unwrap();
        assert_eq!(worker.next(), None, "its capacity is one");
        answer(&dispatcher, &worker, &first);
        let second = worker.next().unwrap();
        answer(&dispatcher, &worker, &second);
        assert!(answers.iter_mut().all(|answer| answer.try_recv().unwrap().is_ok()));
        assert_eq!(dispatcher.in_flight(), 0);
    }

    #[test]
    fn a_repeatable_request_keeps_its_identifier_when_its_worker_dies() {
        let dispatcher = Dispatcher::default();
        let mut first = Worker::register(&dispatcher, 4, true);
        let mut second = Worker::register(&dispatcher, 4, true);
        let mut reply = ask(&dispatcher, "work.do");
        let (dying, living) = match first.next() {
            Some(id) => (id, &mut second),
            None => {
                std::mem::swap(&mut first, &mut second);
                (first.next().unwrap(), &mut second)
            }
        };
        dispatcher.remove(first.id);
        let again = living.next().unwrap();
        assert_eq!(again, dying);
        // The dead worker's late answer has no effect, the living one's is the answer.
        answer(&dispatcher, &first, &dying);
        assert!(reply.try_recv().is_err());
        answer(&dispatcher, living, &again);
        assert!(reply.try_recv().unwrap().is_ok());
    }

    #[test]
    fn a_request_that_kills_every_worker_is_given_up() {
        let dispatcher = Dispatcher::default();
        let mut reply = ask_after_first(&dispatcher);
        for _ in 1..ATTEMPTS {
            let mut worker = Worker::register(&dispatcher, 1, true);
            assert!(worker.next().is_some());
            dispatcher.remove(worker.id);
        }
        assert_eq!(kind(&mut reply), Some(ErrorKind::WorkerLost));
    }

    fn ask_after_first(dispatcher: &Dispatcher) -> oneshot::Receiver<Outcome> {
        let worker = Worker::register(dispatcher, 1, true);
        let reply = ask(dispatcher, "work.do");
        dispatcher.remove(worker.id);
        reply
    }

    #[test]
    fn a_request_that_may_not_be_repeated_is_answered_as_lost() {
        let dispatcher = Dispatcher::default();
        let worker = Worker::register(&dispatcher, 1, false);
        let mut reply = ask(&dispatcher, "work.do");
        dispatcher.remove(worker.id);
        assert_eq!(kind(&mut reply), Some(ErrorKind::WorkerLost));
    }

    #[test]
    fn deadlines_answer_what_waits_and_what_is_at_work() {
        let dispatcher = Dispatcher::default();
        let mut worker = Worker::register(&dispatcher, 1, true);
        let mut replies = [ask(&dispatcher, "work.do"), ask(&dispatcher, "work.do")];
        let late = worker.next().unwrap();
        let mut touched = Touched::default();
        dispatcher.state().expire(Instant::now() + Duration::from_millis(DISPATCH_DEADLINE_MS), &mut touched);
        for reply in &mut replies {
            assert_eq!(kind(reply), Some(ErrorKind::DeadlineExceeded));
        }
        answer(&dispatcher, &worker, &late);
        assert_eq!(dispatcher.list()[0].in_flight, 0);
    }

    #[test]
    fn what_nobody_serves_is_refused_at_once() {
        let dispatcher = Dispatcher::default();
        let _worker = Worker::register(&dispatcher, 1, true);
        for method in ["work.other", "none.do", "nodot"] {
            assert_eq!(kind(&mut ask(&dispatcher, method)), Some(ErrorKind::MethodNotFound), "{method}");
        }
        dispatcher.drain_all();
        assert_eq!(kind(&mut ask(&dispatcher, "work.do")), Some(ErrorKind::Draining));
    }

    #[test]
    fn a_worker_that_does_not_answer_its_health_check_gets_nothing_until_it_does() {
        let dispatcher = Dispatcher::default();
        let mut worker = Worker::register(&dispatcher, 1, true);
        let start = Instant::now();
        let limit = Duration::from_secs(10);
        assert!(dispatcher.check_health(start, limit, limit).is_empty());
        assert_eq!(worker.next(), Some(CallId::Text("worker.ping".to_owned())));
        dispatcher.check_health(start + limit, limit, limit * 3);
        assert_eq!(dispatcher.list()[0].state, WorkerState::Unresponsive);
        let mut reply = ask(&dispatcher, "work.do");
        assert_eq!(worker.next(), None);
        answer(&dispatcher, &worker, &CallId::Text("worker.ping".to_owned()));
        let id = worker.next().unwrap();
        answer(&dispatcher, &worker, &id);
        assert!(reply.try_recv().unwrap().is_ok());
    }
}
