//! Makes a call fit a model's context by leaving out old results of tools. Off unless whoever calls it wants it.
//!
//! The body is changed as it is, in its own dialect, so that nothing else in it moves. A result is replaced by a line that says so:
//! every call keeps its result. The oldest go first, after all instructions and tools, which stay the cached prefix; and
//! more goes at once than is needed, in steps, so that the next calls of the conversation leave out the same results and find
//! their prefix in the provider's cache.

use super::Dialect;
use super::count;
use super::json::Json;

/// How much to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// The most tokens of the prompt, estimated.
    pub tokens: u64,
    /// How many of the last messages stay as they are.
    pub keep_recent: usize,
}

/// A result that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Where it stood: `messages[3].content[0]`.
    pub place: String,
    /// Its tokens, estimated.
    pub tokens: u64,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Tokens before, estimated.
    pub before: u64,
    /// Tokens after, estimated.
    pub after: u64,
    /// What was left out, oldest first.
    pub cut: Vec<Cut>,
}

impl Report {
    /// Whether it fits now.
    #[must_use]
    pub const fn fits(&self, budget: &Budget) -> bool {
        self.after <= budget.tokens
    }
}

/// Results smaller than this are not worth a line in their place.
const WORTHWHILE: u64 = 64;

/// Leaves out results until the request fits, or there are none left.
pub fn request(dialect: Dialect, tree: &mut Json<'_>, budget: &Budget) -> Report {
    let before = count::request(dialect, tree).total();
    let mut report = Report { before, after: before, cut: Vec::new() };
    if before <= budget.tokens {
        return report;
    }
    let over = before - budget.tokens;
    let step = (budget.tokens / 8).max(1);
    let wanted = over.div_ceil(step) * step;
    let mut left_out = 0;
    let name = match dialect {
        Dialect::Anthropic | Dialect::Chat | Dialect::Ollama => "messages",
        Dialect::Responses => "input",
        Dialect::Gemini => "contents",
    };
    let Some(messages) = tree.get_mut(name).and_then(Json::as_array_mut) else { return report };
    let old = messages.len().saturating_sub(budget.keep_recent);
    for (index, message) in messages.iter_mut().take(old).enumerate() {
        for (place, result) in results(dialect, message) {
            if left_out >= wanted {
                break;
            }
            let tokens = count::value(result);
            if tokens < WORTHWHILE || is_left_out(result) {
                continue;
            }
            let line = Json::string(format!("{LEFT_OUT}: it had about {tokens} tokens]"));
            let saved = tokens.saturating_sub(count::value(&line));
            *result = if dialect == Dialect::Gemini { Json::Object(vec![("output".into(), line)]) } else { line };
            left_out += saved;
            report.cut.push(Cut { place: format!("{name}[{index}]{place}"), tokens });
        }
    }
    report.after = count::request(dialect, tree).total();
    report
}

const LEFT_OUT: &str = "[An earlier result was left out to fit the context";

fn is_left_out(result: &Json<'_>) -> bool {
    result.as_str().is_some_and(|text| text.starts_with(LEFT_OUT))
}

/// What the results in a message hold, and where.
fn results<'m, 'b>(dialect: Dialect, message: &'m mut Json<'b>) -> Vec<(String, &'m mut Json<'b>)> {
    let is = |value: &Json<'_>, key: &str, words: &[&str]| {
        value.get(key).and_then(Json::as_str).is_some_and(|word| words.contains(&word))
    };
    match dialect {
        Dialect::Chat | Dialect::Ollama if is(message, "role", &["tool"]) => member(message, "content", ".content"),
        Dialect::Responses if is(message, "type", &["function_call_output", "custom_tool_call_output"]) => {
            member(message, "output", ".output")
        }
        Dialect::Anthropic => inner(message, "content", |block, index| {
            if !is(block, "type", &["tool_result"]) {
                return None;
            }
            Some((format!(".content[{index}]"), block.get_mut("content")?))
        }),
        Dialect::Gemini => inner(message, "parts", |part, index| {
            Some((format!(".parts[{index}]"), part.get_mut("functionResponse")?.get_mut("response")?))
        }),
        Dialect::Chat | Dialect::Ollama | Dialect::Responses => Vec::new(),
    }
}

fn member<'m, 'b>(message: &'m mut Json<'b>, key: &str, place: &str) -> Vec<(String, &'m mut Json<'b>)> {
    message.get_mut(key).map(|value| (place.to_owned(), value)).into_iter().collect()
}

fn inner<'m, 'b>(
    message: &'m mut Json<'b>,
    key: &str,
    find: impl Fn(&'m mut Json<'b>, usize) -> Option<(String, &'m mut Json<'b>)>,
) -> Vec<(String, &'m mut Json<'b>)> {
    let Some(blocks) = message.get_mut(key).and_then(Json::as_array_mut) else { return Vec::new() };
    blocks.iter_mut().enumerate().filter_map(|(index, block)| find(block, index)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::json::parse;

    /// A conversation of that many calls with results of about a thousand tokens.
    fn conversation(dialect: Dialect, calls: usize) -> String {
        let output = Json::string("word ".repeat(900)).to_text();
        let mut items = vec![match dialect {
            Dialect::Gemini => r#"{"role":"user","parts":[{"text":"go"}]}"#.to_owned(),
            Dialect::Responses => r#"{"type":"message","role":"user","content":"go"}"#.to_owned(),
            _ => r#"{"role":"user","content":"go"}"#.to_owned(),
        }];
        for index in 0..calls {
            let (call, result) = match dialect {
                Dialect::Anthropic => (
                    format!(
                        r#"{{"role":"assistant","content":[{{"type":"tool_use","id":"t{index}","name":"read","input":{{}}}}]}}"#
                    ),
                    format!(
                        r#"{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t{index}","content":{output}}}]}}"#
                    ),
                ),
                Dialect::Chat => (
                    format!(
                        r#"{{"role":"assistant","tool_calls":[{{"id":"t{index}","type":"function","function":{{"name":"read","arguments":"{{}}"}}}}]}}"#
                    ),
                    format!(r#"{{"role":"tool","tool_call_id":"t{index}","content":{output}}}"#),
                ),
                Dialect::Responses => (
                    format!(r#"{{"type":"function_call","call_id":"t{index}","name":"read","arguments":"{{}}"}}"#),
                    format!(r#"{{"type":"function_call_output","call_id":"t{index}","output":{output}}}"#),
                ),
                Dialect::Gemini => (
                    r#"{"role":"model","parts":[{"functionCall":{"name":"read","args":{}}}]}"#.to_owned(),
                    format!(
                        r#"{{"role":"user","parts":[{{"functionResponse":{{"name":"read","response":{{"output":{output}}}}}}}]}}"#
                    ),
                ),
                Dialect::Ollama => (
                    r#"{"role":"assistant","content":"","tool_calls":[{"function":{"name":"read","arguments":{}}}]}"#
                        .to_owned(),
                    format!(r#"{{"role":"tool","tool_name":"read","content":{output}}}"#),
                ),
            };
            items.push(call);
            items.push(result);
        }
        let key = match dialect {
            Dialect::Responses => "input",
            Dialect::Gemini => "contents",
            _ => "messages",
        };
        format!(r#"{{"model":"m","unknown":1.5,"{key}":[{}]}}"#, items.join(","))
    }

    #[test]
    fn the_oldest_results_go_and_every_call_keeps_one() {
        for dialect in Dialect::ALL {
            let body = conversation(dialect, 20);
            let mut tree = parse(body.as_bytes()).unwrap();
            let budget = Budget { tokens: 15_000, keep_recent: 4 };
            let report = request(dialect, &mut tree, &budget);
            assert!(report.before > 15_000 && report.fits(&budget) && report.after > 10_000, "{dialect}: {report:?}");
            assert!(report.cut[0].place.contains("[2]"), "{dialect}: {:?}", report.cut);
            // What is left is still a conversation, with as many results as calls.
            let text = tree.to_text();
            let tree = parse(text.as_bytes()).unwrap();
            let mut losses = crate::dialect::loss::Losses::default();
            let read = crate::dialect::translate::read_request(dialect, &tree, &mut losses).unwrap();
            let blocks: Vec<_> = read.messages.iter().flat_map(|message| &message.content).collect();
            let calls =
                blocks.iter().filter(|block| matches!(block, crate::dialect::model::Block::ToolCall(_))).count();
            let results =
                blocks.iter().filter(|block| matches!(block, crate::dialect::model::Block::ToolResult(_))).count();
            assert_eq!((calls, results), (20, 20), "{dialect}");
        }
    }

    #[test]
    fn what_fits_is_not_touched() {
        let body = conversation(Dialect::Chat, 2);
        let mut tree = parse(body.as_bytes()).unwrap();
        let report = request(Dialect::Chat, &mut tree, &Budget { tokens: 100_000, keep_recent: 4 });
        assert_eq!((report.cut.len(), tree.to_text()), (0, body));
    }

    #[test]
    fn the_next_calls_leave_out_the_same_so_that_the_cache_lives() {
        let budget = Budget { tokens: 30_000, keep_recent: 4 };
        let mut sets = Vec::new();
        for calls in 40..60 {
            let body = conversation(Dialect::Anthropic, calls);
            let mut tree = parse(body.as_bytes()).unwrap();
            let report = request(Dialect::Anthropic, &mut tree, &budget);
            assert!(report.fits(&budget));
            sets.push(report.cut.len());
        }
        let changes = sets.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(changes <= 7, "{sets:?}");
    }

    #[test]
    fn recent_results_stay_even_where_it_does_not_fit() {
        let body = conversation(Dialect::Anthropic, 2);
        let mut tree = parse(body.as_bytes()).unwrap();
        let budget = Budget { tokens: 100, keep_recent: 4 };
        let report = request(Dialect::Anthropic, &mut tree, &budget);
        assert!(!report.fits(&budget) && report.cut.is_empty(), "{report:?}");
    }
}
