//! Background agents of Claude Code, as `claude agents --json` lists them.

use orx_engines::{Context, EngineKind};
use orx_protocol::api::adopt::{Candidate, Origin};
use orx_protocol::api::session::CreateParams;
use serde_json::Value;

use crate::sessions::outside::{self, Outside};

/// The background agents; none where Claude Code is not installed.
pub(super) async fn list(engines: &Context) -> Result<Vec<Candidate>, String> {
    if orx_engines::locate(EngineKind::Claude, engines).is_err() {
        return Ok(Vec::new());
    }
    // A person's agents are in their own home, also where the daemon's sessions have private ones.
    let own = outside::surroundings(engines);
    let listed = orx_engines::question(EngineKind::Claude, &own, &["agents", "--json"]).await;
    let listed = listed.map_err(|error| error.to_string())?;
    if !listed.is_success() {
        let said = listed.stderr_text();
        return Err(said.lines().next().unwrap_or("`claude agents --json` failed").to_owned());
    }
    read(&listed.stdout_text())
}

/// Makes a wish for a session one that joins an agent.
pub(super) fn join(wanted: &mut CreateParams, agent: &Candidate) -> Outside {
    wanted.argv = vec!["attach".to_owned(), agent.target.clone()];
    Outside { conversation: agent.conversation.clone(), address: None }
}

/// Reads the listing. Its members are named differently by different versions.
fn read(text: &str) -> Result<Vec<Candidate>, String> {
    let listed: Vec<Value> = serde_json::from_str(text.trim())
        .map_err(|error| format!("`claude agents --json` printed what is no list: {error}"))?;
    let member = |agent: &Value, names: &[&str]| {
        names.iter().find_map(|name| agent.get(*name).and_then(Value::as_str)).map(str::to_owned)
    };
    Ok(listed
        .iter()
        .filter_map(|agent| {
            let about = ["name", "title", "status", "state"];
            let title: Vec<String> = about.iter().filter_map(|name| member(agent, &[name])).collect();
            Some(Candidate {
                origin: Origin::Agent,
                target: member(agent, &["id", "shortId", "short_id", "sessionId", "session_id"])?,
                engine: Some(EngineKind::Claude.name().to_owned()),
                cwd: member(agent, &["cwd", "directory"]).unwrap_or_default(),
                title: (!title.is_empty()).then(|| title.join(", ")),
                session: None,
                conversation: member(agent, &["sessionId", "session_id"]),
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_read_by_what_each_version_calls_them() {
        let listed = read(r#"[{"id": "a1b2c3d4", "cwd": "/w", "name": "fix", "status": "busy"}, {"sessionId": "s", "state": "blocked"}, {"pid": 3}]"#).unwrap();
        let seen: Vec<_> = listed.iter().map(|one| (one.target.as_str(), one.title.as_deref())).collect();
        assert_eq!(seen, [("a1b2c3d4", Some("fix, busy")), ("s", Some("blocked"))]);
        assert_eq!(read("[]\n").unwrap(), []);
        assert!(read("Usage: claude").unwrap_err().contains("no list"));
    }
}
