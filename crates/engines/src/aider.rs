//! Aider. It prints for people, so its answer is cut out of that.

use std::path::Path;

use serde_json::{Map, Value};

use crate::driver::Driver;
use crate::report::{Outcome, first_line, microusd, told};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, Mode, home, resumption};

/// The engine.
pub(crate) struct Aider;

impl Driver for Aider {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        let model = match (&context.endpoint, request.model.as_deref()) {
            (Some(_), Some(model)) if !model.contains('/') => Some(format!("openai/{model}")),
            (_, model) => model.map(str::to_owned),
        };
        launch.add_option("--model", model.as_deref());
        launch.add_option("--reasoning-effort", request.reasoning_effort.as_deref());
        launch.add(&["--no-pretty", "--no-stream", "--no-fancy-input", "--no-check-update", "--no-show-release-notes"]);
        // Commits are orx's, and its own files have no place in the repository.
        launch.add(&["--no-auto-commits", "--no-dirty-commits", "--no-gitignore", "--no-detect-urls", "--yes-always"]);
        // Its map of the repository is kept in the repository, where it would be taken for part of the work.
        launch.add(&["--map-tokens", "0"]);
        launch.add(&["--chat-history-file", "/dev/null", "--input-history-file", "/dev/null"]);
        launch.argv.extend(request.extra_args.iter().cloned());
        if request.mode == Mode::Text {
            launch.add(&["--chat-mode", "ask", "--dry-run", "--no-suggest-shell-commands"]);
        }
        launch.add(&["--message-file", "/dev/stdin"]);
        Ok(())
    }

    fn prepare(&self, context: &Context, _cwd: &str) -> Result<(), EngineError> {
        home::directory(EngineKind::Aider, &resumption::directory(EngineKind::Aider, context))
    }

    /// Answers what it asks about usage statistics.
    fn prepare_home(&self, private: &Path, _endpoint: &Endpoint, _cwd: &str) -> Result<(), EngineError> {
        // Where nobody has a name it would write one into the repository's own settings.
        let identity = private.join(".gitconfig");
        if !identity.exists() {
            home::write(EngineKind::Aider, &identity, "[user]\n\tname = orx\n\temail = orx@localhost\n")?;
        }
        let directory = private.join(".aider");
        home::directory(EngineKind::Aider, &directory)?;
        let path = directory.join("analytics.json");
        if path.exists() {
            return Ok(());
        }
        let answers = "{\"uuid\": \"00000000-0000-4000-8000-000000000000\", \"permanently_disable\": true, \"asked_opt_in\": true}";
        home::write(EngineKind::Aider, &path, answers)
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        let printed = String::from_utf8_lossy(stdout);
        let mut outcome = Outcome::default();
        let mut said = String::new();
        let mut in_header = true;
        for line in printed.lines() {
            if in_header {
                // The header ends with the repository map, or with what is told of its absence.
                in_header = !line.starts_with("Repo-map:");
                continue;
            }
            if let Some(error) = provider_error(line) {
                outcome.report.failure = Some(told(error, None));
            } else if let Some(rest) = line.strip_prefix("Tokens: ") {
                outcome.complete = true;
                outcome.report.failure = None;
                outcome.report.text = std::mem::take(&mut said).trim().to_owned();
                outcome.report.cost_microusd = session_cost(rest).or(outcome.report.cost_microusd);
            } else if line.starts_with("Applied edit to ") {
                outcome.report.tool_calls = outcome.report.tool_calls.saturating_add(1);
            } else {
                said.push_str(line);
                said.push('\n');
            }
        }
        outcome
    }

    fn progress(&self, _event: &Map<String, Value>) -> Option<String> {
        None
    }

    fn plain_progress(&self, line: &str) -> Option<String> {
        let line = first_line(line);
        let tells = line.starts_with("Applied edit to ") || provider_error(&line).is_some();
        tells.then_some(line)
    }
}

/// What a line says of an error of the provider.
fn provider_error(line: &str) -> Option<&str> {
    let (name, _) = line.strip_prefix("litellm.")?.split_once(':')?;
    (name.ends_with("Error") || name.ends_with("Exceeded")).then_some(line)
}

/// The session's cost so far: `1.0k sent, 50 received. Cost: $0.0012 message, $0.0034 session.`
fn session_cost(line: &str) -> Option<u64> {
    let (before, _) = line.split_once(" session")?;
    before.rsplit_once('$')?.1.parse().ok().and_then(microusd)
}
