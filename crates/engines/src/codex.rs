//! Codex CLI.

use std::path::Path;

use orx_protocol::api::run::Tokens;
use serde_json::{Map, Value};

use crate::driver::Driver;
use crate::report::{Outcome, count, events, shown_path, text, told};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, Mode, home};

/// The variable that holds the endpoint's key, as the data says.
const KEY: &str = "ORX_ENDPOINT_KEY";
/// Keeps the CLI from leaving a server behind that no session owns; its sessions in a terminal have it from the data.
const NO_DAEMON: [&str; 2] = ["-c", "features.daemon_auto_start=false"];

/// Where orx's sandbox holds, Codex makes none within it: started by root, or below the temporary directory, it cannot.
const WITHOUT_OWN_SANDBOX: [&str; 2] = ["--sandbox", "danger-full-access"];
/// Stands for the prompt.
const FROM_STANDARD_INPUT: &str = "-";

/// The engine.
pub(crate) struct Codex;

impl Driver for Codex {
    fn headless(&self, launch: &mut Launch, _context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["exec"]);
        launch.add(&NO_DAEMON);
        launch.add(&["--json", "--skip-git-repo-check"]);
        launch.add_option("--model", request.model.as_deref());
        let effort = request.reasoning_effort.as_deref();
        launch
            .add_option("-c", effort.map(|effort| format!("model_reasoning_effort={}", toml_text(effort))).as_deref());
        launch.argv.extend(request.extra_args.iter().cloned());
        let mut confined = launch.argv.clone();
        confined.extend(WITHOUT_OWN_SANDBOX.map(str::to_owned));
        launch.confined_argv = Some(confined);
        launch.add(match request.mode {
            Mode::Text => &["--sandbox", "read-only"],
            // It writes in its directory and in temporary ones alone. Builds fetch what they need, as with the other
            // engines, so the network stays open.
            Mode::Apply => &["--sandbox", "workspace-write", "-c", "sandbox_workspace_write.network_access=true"],
        });
        for argv in [Some(&mut launch.argv), launch.confined_argv.as_mut()].into_iter().flatten() {
            argv.push(FROM_STANDARD_INPUT.to_owned());
        }
        Ok(())
    }

    fn prepare_home(&self, private: &Path, endpoint: &Endpoint, cwd: &str) -> Result<(), EngineError> {
        prepare(private, endpoint, cwd)
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        read(stdout)
    }

    fn progress(&self, event: &Map<String, Value>) -> Option<String> {
        progress(event)
    }
}

/// Writes `config.toml`: the endpoint as the one provider, this directory trusted, nothing in the background.
fn prepare(private: &Path, endpoint: &Endpoint, cwd: &str) -> Result<(), EngineError> {
    let directory = private.join(".codex");
    home::directory(EngineKind::Codex, &directory)?;
    let base_url = toml_text(&endpoint.v1());
    let cwd = toml_text(cwd);
    let config = format!(
        "model_provider = \"orx\"\n\
         check_for_update_on_startup = false\n\
         \n\
         [model_providers.orx]\n\
         name = \"orx\"\n\
         base_url = {base_url}\n\
         env_key = \"{KEY}\"\n\
         wire_api = \"responses\"\n\
         \n\
         [analytics]\n\
         enabled = false\n\
         \n\
         [features]\n\
         daemon_auto_start = false\n\
         \n\
         [projects.{cwd}]\n\
         trust_level = \"trusted\"\n"
    );
    home::write(EngineKind::Codex, &directory.join("config.toml"), &config)
}

/// A TOML basic string.
fn toml_text(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Reads `exec --json`.
fn read(stdout: &[u8]) -> Outcome {
    let mut outcome = Outcome::default();
    for event in events(stdout) {
        let event = Value::Object(event);
        let report = &mut outcome.report;
        match text(&event, "/type") {
            Some("thread.started") => report.engine_session = text(&event, "/thread_id").map(str::to_owned),
            Some("item.completed") => match text(&event, "/item/type") {
                Some("agent_message") => report.text = text(&event, "/item/text").unwrap_or_default().to_owned(),
                Some(
                    "command_execution" | "file_change" | "mcp_tool_call" | "web_search" | "collab_tool_call"
                    | "image_generation",
                ) => report.tool_calls = report.tool_calls.saturating_add(1),
                _ => {}
            },
            Some("turn.completed") => {
                outcome.complete = true;
                // The count is that of the whole thread so far: a later one contains the earlier.
                report.tokens = Tokens {
                    input: count(&event, "/usage/input_tokens"),
                    output: count(&event, "/usage/output_tokens"),
                    cached: count(&event, "/usage/cached_input_tokens"),
                };
                report.failure = None;
            }
            Some("turn.failed") => {
                outcome.complete = true;
                let message = text(&event, "/error/message").unwrap_or("the turn failed");
                report.failure = Some(told(message, None));
            }
            _ => {}
        }
        // Also said of trouble that is then overcome, so it counts only where nothing came after.
        outcome.trouble = match text(&event, "/type") {
            Some("error") => text(&event, "/message").map(str::to_owned),
            _ => None,
        };
    }
    if !outcome.complete
        && let Some(message) = &outcome.trouble
    {
        outcome.report.failure = Some(told(message, None));
    }
    outcome
}

fn progress(event: &Map<String, Value>) -> Option<String> {
    let event = Value::Object(event.clone());
    let at = text(&event, "/type")?;
    match (at, text(&event, "/item/type").unwrap_or_default()) {
        ("item.completed", "agent_message") => text(&event, "/item/text").map(str::to_owned),
        ("item.started", "command_execution") => Some(format!("runs {}", text(&event, "/item/command")?)),
        ("item.completed", "file_change") => {
            let changes = event.pointer("/item/changes")?.as_array()?.iter();
            let files: Vec<String> = changes
                .filter_map(|change| Some(format!("{} {}", text(change, "/kind")?, shown_path(text(change, "/path")?))))
                .collect();
            Some(files.join(", "))
        }
        ("item.started", "mcp_tool_call") => Some(format!("calls {}", text(&event, "/item/tool")?)),
        ("item.started", "web_search") => Some(format!("searches {}", text(&event, "/item/query")?)),
        ("error", _) => text(&event, "/message").map(str::to_owned),
        _ => None,
    }
}
