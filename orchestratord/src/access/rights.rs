//! Which methods a session may call. What is not named here is a person's: a new method is closed to agents until somebody
//! thinks about it. Who calls is found out in [`super::standing`].

use orx_protocol::places::variable;
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_sandbox::descent;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::tcp::{self, Ends, Owner};
use super::{Caller, Door, standing};
use crate::daemon::Daemon;

/// Who may call a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Whoever reaches the daemon.
    Anyone,
    /// A person, and a session about itself: its parameters name it in `session`.
    OfItself,
    /// A person.
    Person,
}

/// Methods that report, ask, or tell nothing of others.
const ANYONE: [&str; 5] = ["health", "hello", "config.template", "hook.report", "hook.delivered"];
/// Roles of workers that answer questions about code and names.
const ROLES: [&str; 4] = ["naming.", "structure.", "semantic.", "lock."];
/// Methods that a session may use about itself.
const OF_ITSELF: [&str; 5] = ["session.get", "session.screen", "session.log", "session.wait", "approval.list"];
/// The names of holders and keepers, from which every process of a session descends.
const HOLDERS: [&str; 2] = ["pty-proxy", "orx-keeper"];

/// Who may call `method`.
#[must_use]
pub fn of(method: &str) -> Right {
    if ANYONE.contains(&method) || ROLES.iter().any(|role| method.starts_with(role)) {
        Right::Anyone
    } else if OF_ITSELF.contains(&method) {
        Right::OfItself
    } else {
        Right::Person
    }
}

/// Whether a caller has to be looked at before it is let do this: never wrong about an agent, and right about nearly every
/// person. Cheap on the Unix socket; blocks for the first such call of a connection over TCP, where the token stands for the
/// person unless one of the session's processes is found at its other end.
#[must_use]
pub fn is_in_question(caller: &Caller, method: &str) -> bool {
    if of(method) == Right::Anyone {
        return false;
    }
    match caller.door {
        Door::Unix => caller.process.is_none_or(|process| may_be_an_agent(process.pid)),
        Door::Http | Door::WebSocket => *caller.in_question.get_or_init(|| leads_to_an_agent(caller.ends)),
    }
}

fn leads_to_an_agent(ends: Option<Ends>) -> bool {
    match ends.map(tcp::owner) {
        Some(Owner::Processes(pids) | Owner::Closed(pids)) => pids.into_iter().any(may_be_an_agent),
        Some(Owner::OtherUser(_) | Owner::Elsewhere) => false,
        Some(Owner::Gone) | None => true,
    }
}

fn may_be_an_agent(pid: i32) -> bool {
    let chain = descent::chain(pid);
    // A process that is gone cannot be told from one that hid itself.
    chain.is_empty()
        || chain.iter().any(|ancestor| {
            descent::name(ancestor.pid).is_some_and(|name| HOLDERS.contains(&name.as_str()))
                || descent::variable(ancestor.pid, variable::SESSION).is_some()
        })
}

/// Lets a caller do this, or refuses it.
///
/// # Errors
/// `PermissionDenied` for a session that may not.
async fn allow(daemon: &Daemon, caller: &Caller, method: &str, params: Option<&RawValue>) -> Result<(), RpcError> {
    let subject = subject(params);
    if of(method) == Right::OfItself
        && let Some(own) = standing::session_of(daemon, caller).await?
        && subject == Some(own)
    {
        return Ok(());
    }
    standing::person(daemon, caller, method).await
}

/// As `allow`, for a method whose caller may not be in question at all.
///
/// # Errors
/// As `allow`.
pub async fn check(daemon: &Daemon, caller: &Caller, method: &str, params: Option<&RawValue>) -> Result<(), RpcError> {
    let asked = (caller.clone(), method.to_owned());
    let looking = tokio::task::spawn_blocking(move || is_in_question(&asked.0, &asked.1)).await;
    let in_question = looking
        .map_err(|error| RpcError::new(ErrorKind::Internal, format!("the caller could not be looked at: {error}")))?;
    if in_question { allow(daemon, caller, method, params).await } else { Ok(()) }
}

/// The session that the parameters name.
fn subject(params: Option<&RawValue>) -> Option<SessionId> {
    #[derive(Deserialize)]
    struct Subject {
        session: SessionId,
    }
    serde_json::from_str::<Subject>(params?.get()).ok().map(|subject| subject.session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_is_a_person_s() {
        for method in ["health", "hook.report", "naming.assign", "semantic.search"] {
            assert_eq!(of(method), Right::Anyone, "{method}");
        }
        for method in [
            "approval.decide",
            "rule.add",
            "key.add",
            "key.list",
            "key.revoke",
            "session.create",
            "session.send",
            "session.keys",
            "session.stop",
            "session.attach",
            "session.list",
            "event.subscribe",
            "run.start",
            "record.get",
            "worker.register",
            "status",
            "something.new",
        ] {
            assert_eq!(of(method), Right::Person, "{method}");
        }
        assert_eq!(of("session.get"), Right::OfItself);
    }

    #[test]
    fn every_method_with_a_right_is_there() {
        let known: Vec<&str> = crate::api::methods().iter().map(|method| method.name).collect();
        for method in ANYONE.iter().chain(&OF_ITSELF) {
            assert!(known.contains(method), "{method} is no method");
        }
    }

    #[test]
    fn the_subject_is_the_session_of_the_parameters() {
        let id = SessionId::generate();
        let raw = |text: String| RawValue::from_string(text).unwrap();
        assert_eq!(subject(Some(&raw(format!("{{\"session\":\"{id}\",\"x\":1}}")))), Some(id));
        for text in ["{}", "[]", "{\"session\":7}"] {
            assert_eq!(subject(Some(&raw(text.to_owned()))), None);
        }
        assert_eq!(subject(None), None);
    }
}
