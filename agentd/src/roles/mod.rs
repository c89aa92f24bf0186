//! The roles and their actions. A role is a function from a request to an answer; how requests come is the link's.

mod manager;
mod naming;
mod semantic;
mod structure;

use std::path::PathBuf;

use orx_client::{Answer, ClientError, Request};
use orx_protocol::api::worker::Capability;
use orx_protocol::error::{ErrorKind, RpcError};

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Allocates and checks names.
    Naming,
    /// Reads the structure of repositories.
    Structure,
    /// Searches code.
    Semantic,
    /// Tells which workers there are.
    Manager,
}

impl Role {
    /// The noun of its methods.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Naming => "naming",
            Self::Structure => "structure",
            Self::Semantic => "semantic",
            Self::Manager => "manager",
        }
    }

    /// Its actions.
    #[must_use]
    pub const fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Naming => naming::ACTIONS,
            Self::Structure => structure::ACTIONS,
            Self::Semantic => semantic::ACTIONS,
            Self::Manager => manager::ACTIONS,
        }
    }

    /// Its actions as they are registered: all may be dispatched again, because they change nothing or carry a key.
    #[must_use]
    pub fn capabilities(self) -> Vec<Capability> {
        let capability = |action: &&str| Capability::Action { action: (*action).to_owned(), idempotent: true };
        self.actions().iter().map(capability).collect()
    }

    /// Requests that it works on at once unless told otherwise: many where it waits for the daemon, few where it reads
    /// repositories.
    #[must_use]
    pub const fn capacity(self) -> u32 {
        match self {
            Self::Naming => 256,
            Self::Manager => 64,
            Self::Structure | Self::Semantic => 4,
        }
    }
}

/// A role with what it keeps while it runs.
#[derive(Debug)]
pub struct Service {
    role: Role,
    semantic: semantic::Semantic,
}

impl Service {
    /// A service of `role`; `cache` is the directory for what can be rebuilt.
    #[must_use]
    pub fn new(role: Role, cache: PathBuf) -> Self {
        Self { role, semantic: semantic::Semantic::new(cache) }
    }

    /// Its role.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Works on one request.
    ///
    /// # Errors
    /// What the caller is answered.
    pub async fn handle(&self, request: Request) -> Answer {
        if !self.role.actions().contains(&request.action.as_str()) {
            return Err(unknown_action(self.role, &request.action));
        }
        match self.role {
            Role::Naming => naming::handle(&request).await,
            Role::Structure => structure::handle(&request).await,
            Role::Semantic => self.semantic.handle(&request).await,
            Role::Manager => manager::handle(&request).await,
        }
    }
}

fn unknown_action(role: Role, action: &str) -> RpcError {
    let shown: String = action.chars().take(100).collect();
    RpcError::new(ErrorKind::MethodNotFound, format!("Unknown action: {shown}")).with_hint(format!(
        "the role `{}` has {}",
        role.name(),
        role.actions().join(", ")
    ))
}

/// The answer to a caller when the daemon did not answer the worker.
fn passed_on(error: ClientError) -> RpcError {
    match error {
        ClientError::Rpc(error) => error,
        other => RpcError::new(ErrorKind::Unavailable, format!("the daemon did not answer its worker: {other}")),
    }
}

/// An `InvalidParams` error with what to do about it.
fn invalid(message: impl Into<String>, hint: impl Into<String>) -> RpcError {
    RpcError::new(ErrorKind::InvalidParams, message).with_hint(hint)
}

/// Runs work that blocks away from the thread that serves the link.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(RpcError::new(ErrorKind::Internal, format!("the work broke off: {error}"))))
}

/// The directory that a caller names: absolute, since a worker's own directory means nothing to a caller.
fn root(path: &str) -> Result<PathBuf, RpcError> {
    let path = PathBuf::from(path);
    if !path.is_absolute() {
        let hint = "give the absolute path of a directory on the daemon's machine";
        return Err(invalid(format!("`path` is not absolute: {}", path.display()), hint));
    }
    Ok(path)
}

/// How a failed look at a repository is told.
fn index_error(error: &orx_index::IndexError) -> RpcError {
    use orx_index::IndexError;
    match error {
        IndexError::Root { .. } => {
            RpcError::new(ErrorKind::NotFound, error.to_string()).with_hint("give the path of an existing directory")
        }
        IndexError::Busy => RpcError::new(ErrorKind::Unavailable, error.to_string()).with_hint("try again in a moment"),
        IndexError::Place { .. } | IndexError::Foreign { .. } => {
            RpcError::new(ErrorKind::Configuration, error.to_string())
                .with_hint("start the semantic worker with another directory: `agentd --cache DIR`")
        }
        IndexError::Database(_) => RpcError::new(ErrorKind::Internal, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_action_is_answered_with_those_that_there_are() {
        let error = unknown_action(Role::Manager, "dance");
        assert_eq!((error.kind(), error.message.as_str()), (ErrorKind::MethodNotFound, "Unknown action: dance"));
        assert_eq!(error.data.hint, "the role `manager` has list, list_agents");
    }

    #[test]
    fn every_action_may_be_dispatched_again() {
        for role in [Role::Naming, Role::Structure, Role::Semantic, Role::Manager] {
            assert!(role.capabilities().iter().all(Capability::idempotent));
            assert!(!role.capabilities().is_empty());
        }
    }
}
