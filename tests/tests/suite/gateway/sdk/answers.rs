//! What SDKs say of answers: texts and calls as the model gave them, in pieces where they are streamed, and tokens as the model
//! counted them and the ledger has them.

use orx_tests::harness::eventually_async;
use serde_json::{Value, json};

use super::super::ledger;
use super::{Api, Bed, PATIENCE};

/// Calls of the gateway that the scenarios make: two of one, and two of a call and what follows it.
const CALLS: u64 = 6;
/// What the model says of each of its answers: tokens that were not cached, that were, and that came.
const TOKENS: (u64, u64, u64) = (1000, 200, 30);
/// What that costs, in micro-dollars.
const COST: u64 = 1000 + 20 + 150;

pub(super) const SCENARIOS: [&str; 4] = ["whole", "stream", "tools", "stream_tools"];

pub(super) async fn hold(bed: &Bed, model: &str, name: &str, seen: &Value) {
    let hello = "Hello from a model that says its words in several pieces, so that a stream has some.";
    let (end, asking) = match bed.api {
        Api::Messages => ("end_turn", "tool_use"),
        Api::Chat => ("stop", "tool_calls"),
        Api::Responses => ("completed", "completed"),
        Api::Gemini => ("STOP", "STOP"),
    };
    let lisbon = call("Lisbon", "The traveller wants to know whether to take an umbrella.");
    let porto = call("Porto", "The traveller \"goes on\" from there, and asks for more.");
    assert_told(&seen["whole"], 1, hello, end, model);
    assert_told(&seen["stream"], 1, hello, end, model);
    assert_told(&seen["tools"], 2, "Rain in Lisbon.", asking, model);
    assert_told(&seen["stream_tools"], 2, "Rain in Lisbon and sun in Porto.", asking, model);
    assert_eq!(seen["tools"]["calls"], json!([lisbon]), "{model}");
    assert_eq!(seen["stream_tools"]["calls"], json!([lisbon, porto]), "{model}");
    let texts = pieces(&seen["stream"]);
    assert!(texts.len() > 1 && texts.concat() == hello, "{model}: {texts:?}");
    // Google's API has no pieces of arguments, whether it is the caller's or the provider's.
    if bed.api != Api::Gemini {
        let arguments = pieces(&seen["stream_tools"]);
        let least = if model == "delta" { 2 } else { 4 };
        let whole: Vec<Value> = [&lisbon, &porto].map(|call| call[1].clone()).to_vec();
        let read: Vec<Value> =
            serde_json::Deserializer::from_str(&arguments.concat()).into_iter().map(Result::unwrap).collect();
        assert!(arguments.len() >= least && read == whole, "{model}: {arguments:?}");
    }
    assert_ledger(bed, name).await;
}

fn call(city: &str, reason: &str) -> Value {
    json!(["weather", {"city": city, "reason": reason}])
}

fn pieces(told: &Value) -> Vec<&str> {
    // OpenAI's SDKs tell of the beginning of a call as of an empty piece.
    told["pieces"].as_array().unwrap().iter().filter_map(Value::as_str).filter(|piece| !piece.is_empty()).collect()
}

fn assert_told(told: &Value, answers: u64, text: &str, stop: &str, model: &str) {
    let expected = (Some(text), Some(stop), TOKENS.0 * answers, TOKENS.1 * answers, TOKENS.2 * answers);
    let number = |name: &str| told[name].as_u64().unwrap_or_default();
    let found = (told["text"].as_str(), told["stop"].as_str(), number("input"), number("cached"), number("output"));
    assert_eq!(found, expected, "{model}: {told}");
}

/// The ledger has what the model counted, once.
async fn assert_ledger(bed: &Bed, name: &str) {
    let line = eventually_async("the rows of all calls", PATIENCE, async || {
        let lines = ledger(&bed.daemon);
        lines.into_iter().find(|line| line["name"] == name && line["calls"].as_u64() >= Some(CALLS))
    })
    .await;
    let number = |name: &str| line[name].as_u64().unwrap();
    assert_eq!((number("calls"), number("failed"), number("estimated")), (CALLS, 0, 0), "{line}");
    let tokens = (number("input"), number("cache_read"), number("output"));
    assert_eq!(tokens, (TOKENS.0 * CALLS, TOKENS.1 * CALLS, TOKENS.2 * CALLS), "{line}");
    assert_eq!(number("cost_microusd"), COST * CALLS, "{line}");
}
