//! The conversations that a server of Codex has loaded, for whoever lists them and goes again.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::connection::Connection;
use super::translate::PEER;
use crate::channel::Connection as _;
use crate::error::ChannelError;
use crate::frames::{self, Frame};
use crate::text::{list, owned, text};

/// How long the server may take to tell all of it.
const LIMIT: Duration = Duration::from_secs(10);
/// Most threads that are asked about.
const MOST: usize = 256;

/// A conversation that a server has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedThread {
    /// Its name for the engine.
    pub id: String,
    /// Its working directory.
    pub cwd: String,
    /// What it is called, or how it begins; empty where it has not begun.
    pub title: String,
    /// What the server says it does, such as `active` or `idle`.
    pub status: String,
}

/// Asks the server at `socket` for the conversations that it has loaded; `version` is told as this program's own. Those that
/// belong to another (helpers, titles) are left out.
///
/// # Errors
/// When nobody answers there, or says what is not understood.
pub async fn loaded_threads(socket: &Path, version: &str) -> Result<Vec<LoadedThread>, ChannelError> {
    let asked = tokio::time::timeout(LIMIT, ask(socket, version)).await;
    asked.unwrap_or(Err(ChannelError::Late { peer: PEER, what: "name its threads", limit: LIMIT }))
}

async fn ask(socket: &Path, version: &str) -> Result<Vec<LoadedThread>, ChannelError> {
    let mut connection = Connection::open(socket).await?;
    let about = json!({
        "clientInfo": {"name": "orx", "title": "orx", "version": version},
        "capabilities": {"experimentalApi": true},
    });
    call(&mut connection, 1, "initialize", about).await?;
    connection.send(json!({"method": "initialized"})).await?;
    let loaded = call(&mut connection, 2, "thread/loaded/list", json!({})).await?;
    let names: Vec<String> =
        list(&loaded, "/data").filter_map(|id| id.as_str().map(str::to_owned)).take(MOST).collect();
    let mut threads = Vec::new();
    for (number, id) in (3..).zip(names) {
        // One that was closed meanwhile is none.
        if let Ok(read) =
            call(&mut connection, number, "thread/read", json!({"threadId": id, "includeTurns": false})).await
        {
            threads.extend(understand(&read["thread"]));
        }
    }
    Ok(threads)
}

async fn call(connection: &mut Connection, id: u64, method: &str, params: Value) -> Result<Value, ChannelError> {
    connection.send(frames::request(id, method, params)).await?;
    loop {
        if let Frame::Answer { id: answered, outcome } = frames::sort(connection.next().await?)
            && answered == id
        {
            return outcome.map_err(|failure| ChannelError::Refused { what: method.to_owned(), why: failure.message });
        }
    }
}

fn understand(thread: &Value) -> Option<LoadedThread> {
    let is_own = thread["parentThreadId"].is_null() && thread["attachedToThreadId"].is_null();
    if !is_own || thread["ephemeral"] == Value::Bool(true) {
        return None;
    }
    let title = [text(thread, "/name"), text(thread, "/preview")].into_iter().flatten().find(|title| !title.is_empty());
    Some(LoadedThread {
        id: owned(thread, "/id")?,
        cwd: owned(thread, "/cwd")?,
        title: title.unwrap_or_default().to_owned(),
        status: owned(thread, "/status/type").unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversations_of_their_own_are_told_and_helpers_are_not() {
        let told = |more: Value| {
            let mut thread = json!({"id": "t", "cwd": "/w", "preview": "fix it", "status": {"type": "active"},
                "ephemeral": false, "parentThreadId": null, "attachedToThreadId": null});
            thread.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            understand(&thread)
        };
        let thread = told(json!({})).unwrap();
        assert_eq!((thread.title.as_str(), thread.status.as_str()), ("fix it", "active"));
        assert_eq!(told(json!({"name": "a name"})).unwrap().title, "a name");
        assert_eq!(told(json!({"preview": "", "status": null})).unwrap().title, "");
        for other in
            [json!({"ephemeral": true}), json!({"parentThreadId": "p"}), json!({"id": null}), json!({"cwd": 3})]
        {
            assert_eq!(told(other), None);
        }
    }
}
