//! Continue's command line, `cn`. Without a person it prints its answer as plain text: its JSON mode would demand JSON of
//! the model.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{Outcome, plain};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, Mode, home};

/// The settings of the private home.
const SETTINGS: &str = "config.yaml";
/// How the settings name the variable with the endpoint's key, as the data says.
const KEY: &str = "${{ secrets.ORX_ENDPOINT_KEY }}";

/// The engine.
pub(crate) struct Continue;

impl Driver for Continue {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        if context.endpoint.is_none() {
            launch.add_option("--model", request.model.as_deref());
        }
        launch.argv.extend(request.extra_args.iter().cloned());
        launch.add(match request.mode {
            // Its `--readonly` would let it run commands.
            Mode::Text => &["--exclude", "Bash", "--exclude", "Write", "--exclude", "Edit", "--exclude", "MultiEdit"],
            Mode::Apply => &["--auto"],
        });
        // What it reads from a pipe ends where nothing has come in yet, so the prompt is an argument.
        launch.add(&["--print"]);
        launch.prompt_as_arguments(&["--", "{prompt}"])
    }

    /// Writes `config.yaml` where the CLI looks for it: the endpoint as the one model.
    fn prepare_home(&self, private: &Path, endpoint: &Endpoint, _cwd: &str) -> Result<(), EngineError> {
        let directory = private.join(".continue");
        home::directory(EngineKind::Continue, &directory)?;
        // JSON is YAML.
        let settings = json!({
            "name": "orx",
            "version": "1.0.0",
            "schema": "v1",
            "models": [{
                "name": "default",
                "provider": "openai",
                "model": "default",
                "apiBase": endpoint.v1(),
                "apiKey": KEY,
                "roles": ["chat"],
                "capabilities": ["tool_use"],
            }],
        });
        home::write(EngineKind::Continue, &directory.join(SETTINGS), &format!("{settings:#}\n"))
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        plain(stdout)
    }

    fn progress(&self, _event: &Map<String, Value>) -> Option<String> {
        None
    }
}
