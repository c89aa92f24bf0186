//! Crush, written from its documentation and source. Without a person it prints its answer as plain text.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::driver::Driver;
use crate::report::{Outcome, plain};
use crate::{Context, Endpoint, EngineError, EngineKind, HeadlessRequest, Launch, home};

/// How the settings name the variable with the endpoint's key, as the data says.
const KEY: &str = "$ORX_ENDPOINT_KEY";

/// The engine.
pub(crate) struct Crush;

impl Driver for Crush {
    fn headless(&self, launch: &mut Launch, context: &Context, request: &HeadlessRequest) -> Result<(), EngineError> {
        launch.add(&["run", "--quiet"]);
        if context.endpoint.is_none() {
            launch.add_option("--model", request.model.as_deref());
        }
        launch.argv.extend(request.extra_args.iter().cloned());
        Ok(())
    }

    /// Writes `crush.json`: the endpoint as the one provider.
    fn prepare_home(&self, private: &Path, endpoint: &Endpoint, _cwd: &str) -> Result<(), EngineError> {
        let directory = private.join(".config/crush");
        home::directory(EngineKind::Crush, &directory)?;
        let chosen = json!({ "provider": "orx", "model": "default" });
        let settings = json!({
            "providers": { "orx": {
                "type": "openai-compat",
                "base_url": endpoint.v1(),
                "api_key": KEY,
                "models": [{ "id": "default", "name": "default" }],
            } },
            "models": { "large": chosen, "small": chosen },
            "options": { "disable_metrics": true, "disable_provider_auto_update": true },
        });
        home::write(EngineKind::Crush, &directory.join("crush.json"), &format!("{settings:#}\n"))
    }

    fn read(&self, stdout: &[u8]) -> Outcome {
        plain(stdout)
    }

    fn progress(&self, _event: &Map<String, Value>) -> Option<String> {
        None
    }
}
