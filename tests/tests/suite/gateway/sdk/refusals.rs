//! What SDKs make of refusals and faults, each an error of the class that they have for it; and what they are told beside answers.

use serde_json::Value;

use super::{Api, Bed, Language, MODELS};

/// The last of them closes a model's provider for an hour.
pub(super) fn scenarios(api: Api) -> Vec<&'static str> {
    let beside: &[&str] = match api {
        Api::Messages | Api::Gemini => &["models", "count"],
        Api::Chat => &["models"],
        Api::Responses => &[],
    };
    [beside, &["wrong_key", "unknown_model", "bad_request", "cut", "rate_limit"]].concat()
}

pub(super) fn hold(bed: &Bed, model: &str, seen: &Value) {
    for (scenario, class, status, words) in [
        ("wrong_key", "AuthenticationError", 401, "the key is none of orx's"),
        ("unknown_model", "NotFoundError", 404, "did you mean `gamma`"),
        ("bad_request", "BadRequestError", 400, "scripted failure"),
        ("rate_limit", "RateLimitError", 429, "scripted failure"),
    ] {
        let told = &seen[scenario];
        let class = match (bed.api, bed.language) {
            (Api::Gemini, Language::Python) => "ClientError",
            (Api::Gemini, Language::JavaScript) => "ApiError",
            _ => class,
        };
        assert_eq!((told["error"].as_str(), told["status"].as_u64()), (Some(class), Some(status)), "{model}: {told}");
        assert!(told["message"].as_str().is_some_and(|message| message.contains(words)), "{model}: {told}");
    }
    // Google's SDK for JavaScript hands no headers out.
    if (bed.api, bed.language) != (Api::Gemini, Language::JavaScript) {
        assert_eq!(seen["rate_limit"]["retry_after"], "3600", "{model}");
    }
    let cut = &seen["cut"];
    let says_why = cut["message"].as_str().is_some_and(|message| message.contains("was cut before the answer's end"));
    assert!(cut["error"].is_string() && says_why, "{model}: {cut}");
    if matches!(bed.api, Api::Messages | Api::Gemini) {
        assert!(seen["count"].as_u64() > Some(0), "{model}: {}", seen["count"]);
    }
    if bed.api != Api::Responses {
        let told = &seen["models"];
        let listed: Vec<&str> = told["listed"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(MODELS.iter().all(|(name, _)| listed.contains(name)), "{told}");
        assert_eq!(told["found"], model);
    }
}
