//! Lists of models in each dialect's form: those that can be called, by the names under which they are known.

use http::{Response, StatusCode};
use orx_router::catalogue::Model;
use serde_json::{Value, json};

use crate::answer::{self, Answer, own};
use crate::dialect::Dialect;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::settings::Config;

/// All models whose providers are set up.
#[must_use]
pub fn list(config: &Config, dialect: Dialect) -> Response<Answer> {
    let models: Vec<Value> = config
        .catalogue
        .models()
        .map(|(_, model)| model)
        .filter(|model| config.upstreams.get(&model.route.provider).is_some_and(|upstream| upstream.is_configured()))
        .map(|model| described(model, dialect))
        .collect();
    let body = match dialect {
        Dialect::Anthropic => {
            let name = |model: Option<&Value>| model.map_or(Value::Null, |model| model["id"].clone());
            json!({"first_id": name(models.first()), "last_id": name(models.last()), "has_more": false, "data": models})
        }
        Dialect::Gemini | Dialect::Ollama => json!({"models": models}),
        Dialect::Chat | Dialect::Responses => json!({"object": "list", "data": models}),
    };
    answer::json(StatusCode::OK, body.to_string())
}

/// One model.
///
/// # Errors
/// The error that its caller is told, with names that are near.
pub fn one(config: &Config, dialect: Dialect, name: &str) -> Result<Response<Answer>, ApiError> {
    let found = config.catalogue.find(name).map_err(|unknown| own(ErrorKind::NotFound, &unknown.to_string(), ""))?;
    let model = found.models.first().and_then(|index| config.catalogue.get(*index));
    let missing = || own(ErrorKind::NotFound, &format!("there is no model `{name}`"), "");
    let model = model.ok_or_else(missing)?;
    Ok(answer::json(StatusCode::OK, described(model, dialect).to_string()))
}

fn described(model: &Model, dialect: Dialect) -> Value {
    let id = model.route.model.as_str();
    match dialect {
        Dialect::Anthropic => {
            json!({"type": "model", "id": id, "display_name": model.title, "created_at": "1970-01-01T00:00:00Z"})
        }
        Dialect::Gemini => json!({
            "name": format!("models/{id}"),
            "displayName": model.title,
            "inputTokenLimit": model.context.map(|tokens| tokens.0),
            "outputTokenLimit": model.max_output.map(|tokens| tokens.0),
            "supportedGenerationMethods": if model.writes_nothing() {
                json!(["embedContent", "batchEmbedContents"])
            } else {
                json!(["generateContent", "streamGenerateContent", "countTokens"])
            },
        }),
        Dialect::Ollama => json!({
            "name": id, "model": id, "modified_at": "1970-01-01T00:00:00Z", "size": 0, "digest": "",
            "details": {"family": model.route.provider.as_str()},
        }),
        Dialect::Chat | Dialect::Responses => {
            json!({"id": id, "object": "model", "created": 0, "owned_by": model.route.provider.as_str()})
        }
    }
}
