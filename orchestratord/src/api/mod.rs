//! The method table: one for all doors. A method is a thin function from parameters to a result; what it does is done by
//! the services of [`Daemon`]. Methods that are not in the table belong to workers.

mod adopt;
mod approval;
mod config;
mod daemon;
mod event;
mod hook;
mod key;
mod life;
mod llm;
mod look;
mod notification;
mod record;
pub mod rest;
mod rule;
mod run;
pub mod session;
mod worker;

use orx_protocol::{ErrorKind, RpcError, rpc};
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use crate::access::rights::{self, Right};
use crate::access::{Caller, Door};
use crate::daemon::Daemon;
use crate::listen::connection::Connection;
use crate::listen::outbox::Touched;
use crate::reply::{Outcome, ReplyTo};

/// A request, as it came through a door.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    /// The daemon.
    pub daemon: &'a Arc<Daemon>,
    /// Who asks.
    pub caller: &'a Caller,
    /// The method's name.
    pub method: &'a str,
    /// The parameters as they came.
    pub params: Option<&'a RawValue>,
}

type Later = Pin<Box<dyn Future<Output = Outcome> + Send>>;

enum Handler {
    /// Answered at once, on the task that read the request.
    Now(fn(&Call<'_>) -> Outcome),
    /// Answered when it is done.
    Later(fn(Arc<Daemon>, Option<Box<RawValue>>) -> Later),
    /// The same, with a place among others of its kind that it has from the moment at which it came.
    InOrder(fn(&Arc<Daemon>, Option<&RawValue>) -> Later),
    /// Answered when it is done, and it matters who asks.
    By(fn(Arc<Daemon>, Caller, Option<Box<RawValue>>) -> Later),
    /// Concerns the lasting connection on which it came.
    Connected(fn(&Call<'_>, &Arc<Connection>, ReplyTo)),
}

/// One method of the daemon.
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    handler: Handler,
}

/// A table entry for an asynchronous function of typed parameters.
macro_rules! later {
    ($name:literal, $summary:literal, $function:path) => {
        Method {
            name: $name,
            summary: $summary,
            handler: Handler::Later(|daemon, params| {
                Box::pin(async move {
                    let params = rpc::params($name, params.as_deref())?;
                    crate::reply::raw(&$function(daemon, params).await?)
                })
            }),
        }
    };
}

/// A table entry for a function of typed parameters that takes its place at once and gives what is to be waited for.
macro_rules! in_order {
    ($name:literal, $summary:literal, $function:path) => {
        Method {
            name: $name,
            summary: $summary,
            handler: Handler::InOrder(|daemon, params| {
                let begun = rpc::params($name, params).map(|params| $function(daemon, params));
                Box::pin(async move { crate::reply::raw(&begun?.await?) })
            }),
        }
    };
}

/// A table entry for an asynchronous function of the caller and typed parameters.
macro_rules! by {
    ($name:literal, $summary:literal, $function:path) => {
        Method {
            name: $name,
            summary: $summary,
            handler: Handler::By(|daemon, caller, params| {
                Box::pin(async move {
                    let params = rpc::params($name, params.as_deref())?;
                    crate::reply::raw(&$function(daemon, caller, params).await?)
                })
            }),
        }
    };
}

/// A table entry for a function that answers at once.
macro_rules! now {
    ($name:literal, $summary:literal, $function:path) => {
        Method {
            name: $name,
            summary: $summary,
            handler: Handler::Now(|call| {
                let params = rpc::params($name, call.params)?;
                crate::reply::raw(&$function(call.daemon, params)?)
            }),
        }
    };
}

/// A table entry for a function of the connection.
macro_rules! connected {
    ($name:literal, $summary:literal, $function:path) => {
        Method {
            name: $name,
            summary: $summary,
            handler: Handler::Connected(|call, connection, reply| match rpc::params($name, call.params) {
                Ok(params) => $function(connection, params, reply),
                Err(error) => reply.send(Err(error)),
            }),
        }
    };
}

static METHODS: &[Method] = &[
    now!("health", "Whether the daemon is well; cheap", daemon::health),
    later!("status", "What the daemon is, where it is and what it has", daemon::status),
    now!("hello", "Negotiates version and codec", daemon::hello),
    later!("config.template", "The settings file for a repository", config::template),
    connected!("event.subscribe", "Sends events from the journal as they come", event::subscribe),
    later!("event.acknowledge", "Moves a named cursor", event::acknowledge),
    later!("event.list", "Reads the journal", event::list),
    later!("sequence.next", "The next number of a counter", record::next),
    later!("sequence.allocate", "The next number and the record that it names, in one step", record::allocate),
    later!("record.put", "Writes a record", record::put),
    later!("record.create", "Writes a record unless there is one", record::create),
    later!("record.get", "Reads a record", record::get),
    later!("record.delete", "Removes a record", record::delete),
    later!("record.list", "Reads records in key order", record::list),
    connected!("worker.register", "Makes this connection a worker's", worker::register),
    now!("worker.list", "Workers and the processes that are kept alive", worker::list),
    now!("worker.drain", "Lets a worker finish and leave", worker::drain),
    later!("session.create", "Starts an engine or a command on a terminal", session::create),
    later!("session.list", "Sessions", session::list),
    later!("session.get", "One session", session::get),
    in_order!("session.send", "Types a text", session::send),
    later!("session.messages", "What became of the texts that were sent to a session", session::messages),
    later!("session.keys", "Presses keys", session::keys),
    later!("session.interrupt", "Stops an agent's turn", session::interrupt),
    later!("session.resize", "Changes the terminal's size", session::resize),
    later!("session.screen", "The screen as text", session::screen),
    later!("session.scrollback", "Lines that scrolled out of the screen, by number", look::scrollback),
    later!("session.recording", "The screen of the recording at a moment", look::recording),
    later!("session.log", "What the process wrote, as lines", session::log),
    later!("session.wait", "Waits for a state", session::wait),
    later!("session.explain", "By what a session's activity is concluded", session::explain),
    later!("session.detect", "The activity that a recording shows, over time", session::detect),
    now!("session.rules", "The rules over screens, by engine", session::rules),
    later!("session.stop", "Ends the whole process tree", session::stop),
    later!("session.upgrade", "Lets holders go on as the present version", session::upgrade),
    later!("session.pause", "Holds a session's processes still; its time stands still too", life::pause),
    later!("session.continue", "Lets a session that is held still go on", life::go_on),
    later!("session.finish", "Says how the session's work went; it counts at its end", life::finish),
    later!("session.cancel", "Gives a session up for good", life::cancel),
    later!("session.resume", "Takes up the conversation of a session that ended", life::resume),
    later!("session.retry", "Tries a session again that ended badly, from its last checkpoint", life::retry),
    later!("session.checkpoint", "Keeps a session's files and conversation of this moment", life::checkpoint),
    later!("session.checkpoints", "The checkpoints of a session", life::checkpoints),
    later!("session.restore", "Sets a session back to a checkpoint and takes it up from there", life::restore),
    later!("approval.list", "What agents ask and nobody has decided, or all of it", approval::list),
    later!("approval.get", "One approval", approval::get),
    by!("approval.decide", "Allows or denies what agents ask, all or none", approval::decide),
    later!("rule.list", "Standing decisions about approvals", rule::list),
    by!("rule.add", "Makes a standing decision", rule::add),
    by!("rule.remove", "Removes a standing decision", rule::remove),
    connected!("hook.report", "What an engine's hook was told; answered with what it prints", hook::report),
    by!("hook.delivered", "A hook handed a decision to its engine", hook::delivered),
    later!("session.adoptable", "What runs or was begun elsewhere and can be adopted", adopt::adoptable),
    later!("session.adopt", "Looks after something that runs or was begun elsewhere", adopt::adopt),
    now!("llm.route", "Where a call of a model would go, as S1 asks it", llm::route),
    now!("llm.providers", "Providers and models, which have a key and are up", llm::providers),
    now!("llm.budget", "The caps on what calls cost, and what is left", llm::budget),
    later!("llm.usage", "What calls of models used and cost", llm::usage),
    now!("llm.mark", "Resets the breakers of a provider, or marks it down or up", llm::mark),
    by!("key.add", "Makes a key with a name, with which models are called", key::add),
    by!("key.list", "Keys with names", key::list),
    by!("key.revoke", "Makes a key with a name void", key::revoke),
    later!("notification.list", "What people were told, and whether it arrived", notification::list),
    later!("notification.test", "Tells by every road that is on that this is a trial", notification::test),
    later!("run.start", "Starts a pipeline on a task", run::start),
    later!("run.list", "Runs, newest first", run::list),
    later!("run.get", "One run", run::get),
    later!("run.wait", "Waits until a run stands still", run::wait),
    later!("run.cancel", "Ends a run", run::cancel),
    later!("run.resume", "Takes a run up where it stopped", run::resume),
    later!("run.clean", "Removes a run's worktree", run::clean),
    later!("run.artifact", "Reads a file of a run", run::artifact),
];

/// All methods of the daemon.
#[must_use]
pub fn methods() -> &'static [Method] {
    METHODS
}

fn find(name: &str) -> Option<&'static Method> {
    static INDEX: OnceLock<HashMap<&'static str, &'static Method>> = OnceLock::new();
    INDEX.get_or_init(|| METHODS.iter().map(|method| (method.name, method)).collect()).get(name).copied()
}

/// Deals with a request; the answer is queued now or sent later. What an agent might not do is looked at first.
pub fn handle(call: Call<'_>, connection: Option<&Arc<Connection>>, reply: ReplyTo, touched: &mut Touched) {
    // Looking at who is at the other end of a TCP connection takes a while.
    let is_quick = call.caller.door == Door::Unix || rights::of(call.method) == Right::Anyone;
    if is_quick && !rights::is_in_question(call.caller, call.method) {
        return carry_out(call, connection, reply, touched);
    }
    let (daemon, caller, method) = (Arc::clone(call.daemon), call.caller.clone(), call.method.to_owned());
    let (params, connection) = (call.params.map(ToOwned::to_owned), connection.cloned());
    // What keeps an order has its place while its caller is looked at; nothing is done before it is waited for.
    let begun = match find(call.method).map(|method| &method.handler) {
        Some(Handler::InOrder(function)) => Some(function(call.daemon, call.params)),
        _ => None,
    };
    call.daemon.tasks.spawn(async move {
        if let Err(error) = rights::check(&daemon, &caller, &method, params.as_deref()).await {
            return reply.send(Err(error));
        }
        if let Some(begun) = begun {
            return reply.send(begun.await);
        }
        let mut touched = Touched::default();
        let call = Call { daemon: &daemon, caller: &caller, method: &method, params: params.as_deref() };
        carry_out(call, connection.as_ref(), reply, &mut touched);
        touched.flush();
    });
}

fn carry_out(call: Call<'_>, connection: Option<&Arc<Connection>>, reply: ReplyTo, touched: &mut Touched) {
    match find(call.method).map(|method| &method.handler) {
        Some(Handler::Now(function)) => {
            let outcome = function(&call);
            reply.queue(outcome.as_deref().map_err(Clone::clone), touched);
        }
        Some(Handler::Later(function)) => {
            let future = function(Arc::clone(call.daemon), call.params.map(ToOwned::to_owned));
            call.daemon.tasks.spawn(async move { reply.send(future.await) });
        }
        Some(Handler::InOrder(function)) => {
            let future = function(call.daemon, call.params);
            call.daemon.tasks.spawn(async move { reply.send(future.await) });
        }
        Some(Handler::By(function)) => {
            let future = function(Arc::clone(call.daemon), call.caller.clone(), call.params.map(ToOwned::to_owned));
            call.daemon.tasks.spawn(async move { reply.send(future.await) });
        }
        Some(Handler::Connected(function)) => match connection {
            Some(connection) => function(&call, connection, reply),
            None => {
                let error = RpcError::new(
                    ErrorKind::FailedPrecondition,
                    format!("`{}` needs a lasting connection", call.method),
                )
                .with_hint("use the Unix socket or the WebSocket /ws");
                reply.queue(Err(error), touched);
            }
        },
        None if call.method == session::ATTACH => {
            let error = RpcError::new(ErrorKind::FailedPrecondition, "`session.attach` needs the Unix socket")
                .with_hint("attach with `orxctl attach`; `session.screen` shows the screen over any door");
            reply.queue(Err(error), touched);
        }
        None => call.daemon.dispatcher.dispatch(call.method, call.params, reply, touched),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_is_in_the_protocols_page_and_has_a_name_of_its_own() {
        let page = include_str!("../../../docs/protocol.md");
        let mut names: Vec<&str> = methods().iter().map(|method| method.name).collect();
        for name in names.iter().copied().chain([session::ATTACH]) {
            assert!(page.contains(&format!("`{name}`")), "docs/protocol.md does not tell of {name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), methods().len());
    }
}
