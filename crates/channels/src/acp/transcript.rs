//! An exchange as a person reads it: what was asked of the agent, what it said, which tools it used, what it asked for.

use orx_protocol::launch::{Record, Writer};
use serde_json::Value;

use crate::frames::{self, Frame};
use crate::text::{line, list, text};

/// Some lines, and how much of the record they took.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The lines.
    pub lines: Vec<String>,
    /// Bytes of the record that are in them.
    pub used: usize,
}

/// Longest line, in bytes; a longer one is given in pieces.
const LINE: usize = 64 * 1024;

/// Renders whole records from the front of `bytes`, until `limit` lines are there. What the agent is still saying at the
/// end is kept back for the next page; when `ended` it is
/// given too, and all of `bytes` is used.
#[must_use]
pub fn render(bytes: &[u8], limit: usize, ended: bool) -> Page {
    let mut page = Page::default();
    let mut said = String::new();
    let mut at = 0;
    while page.lines.len() < limit {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { break };
        let record = rest.get(..end).and_then(|record| serde_json::from_slice::<Record>(record).ok());
        let next = at + end + 1;
        match record.as_ref().map(shown) {
            Some(Shown::Said(more)) => said.push_str(&more),
            Some(Shown::Lines(lines)) => {
                // A page has at least one record, and no more lines than it may where there are several.
                if !page.lines.is_empty() && page.lines.len() + said.lines().count() + lines.len() > limit {
                    break;
                }
                speak(&mut page, &mut said);
                page.lines.extend(lines);
                page.used = next;
            }
            Some(Shown::Nothing) | None => {}
        }
        at = next;
        // It stays with what is being said: the next page begins before it.
        if said.is_empty() {
            page.used = at;
        } else if said.len() > LINE {
            speak(&mut page, &mut said);
            page.used = at;
        }
    }
    if ended && !bytes.get(at..).is_some_and(|rest| rest.contains(&b'\n')) {
        speak(&mut page, &mut said);
        // Half a record at the end of a dead relay's file is nobody's.
        page.used = bytes.len();
    }
    page
}

fn speak(page: &mut Page, said: &mut String) {
    page.lines.extend(said.lines().map(plain));
    said.clear();
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || *c == '\t').collect()
}

enum Shown {
    /// A piece of what the agent says.
    Said(String),
    /// Lines of their own.
    Lines(Vec<String>),
    Nothing,
}

fn shown(record: &Record) -> Shown {
    if let Some(noise) = &record.noise {
        return Shown::Lines(vec![format!("! {}", line(noise))]);
    }
    let Some(message) = record.message.as_ref().and_then(|message| serde_json::from_str::<Value>(message.get()).ok())
    else {
        return Shown::Nothing;
    };
    match (record.by, frames::sort(message)) {
        (Writer::Client, Frame::Request { method, params, .. }) if method == "session/prompt" => {
            let texts = list(&params, "/prompt").filter_map(|block| text(block, "/text"));
            Shown::Lines(texts.flat_map(str::lines).map(|line| format!("> {}", plain(line))).collect())
        }
        (Writer::Client, Frame::Notification { method, .. }) if method == "session/cancel" => {
            one("× stopped by its user")
        }
        (Writer::Agent, Frame::Request { method, params, .. }) if method == "session/request_permission" => {
            let title = text(&params, "/toolCall/title").unwrap_or("something");
            one(&format!("? {title}"))
        }
        (Writer::Agent, Frame::Notification { method, params }) if method == "session/update" => {
            update(&params["update"])
        }
        (Writer::Agent, Frame::Answer { outcome, .. }) => match outcome {
            Err(failure) => one(&format!("! {}", failure.message)),
            // It ends what the agent was saying.
            Ok(result) => match text(&result, "/stopReason") {
                Some("end_turn") => Shown::Lines(Vec::new()),
                Some(other) => one(&format!("× {other}")),
                None => Shown::Nothing,
            },
        },
        _ => Shown::Nothing,
    }
}

fn one(text: &str) -> Shown {
    Shown::Lines(vec![line(text)])
}

fn update(update: &Value) -> Shown {
    let title = text(update, "/title").filter(|title| !title.is_empty());
    match (text(update, "/sessionUpdate"), text(update, "/status"), title) {
        (Some("agent_message_chunk"), ..) => Shown::Said(text(update, "/content/text").unwrap_or_default().to_owned()),
        // A conversation that is taken up tells what its user said.
        (Some("user_message_chunk"), ..) => {
            let said = text(update, "/content/text").unwrap_or_default();
            Shown::Lines(said.lines().map(|line| format!("> {}", plain(line))).collect())
        }
        (Some("tool_call"), _, Some(title)) => one(&format!("• {title}")),
        (Some("tool_call_update"), Some("completed"), Some(title)) => one(&format!("✓ {title}")),
        (Some("tool_call_update"), Some("failed"), title) => {
            one(&format!("✗ {}", title.unwrap_or("a tool call failed")))
        }
        _ => Shown::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(by: &str, message: Value) -> String {
        format!("{}\n", json!({"at_ms": 1, "by": by, "message": message}))
    }

    fn chunk(text: &str) -> String {
        let update = json!({"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}});
        record("agent", json!({"jsonrpc": "2.0", "method": "session/update", "params": {"update": update}}))
    }

    #[test]
    fn a_conversation_reads_as_one_and_pages_join() {
        let prompt =
            json!({"jsonrpc": "2.0", "id": 3, "method": "session/prompt", "params": {"prompt": [{"text": "do\nit"}]}});
        let tool =
            json!({"method": "session/update", "params": {"update": {"sessionUpdate": "tool_call", "title": "ls -l"}}});
        let asks = json!({"id": 0, "method": "session/request_permission", "params": {"toolCall": {"title": "rm x"}}});
        let end = json!({"id": 3, "result": {"stopReason": "end_turn"}});
        let text = [
            record("client", prompt),
            chunk("I lo"),
            chunk("ok\nfirst\u{1b}"),
            record("agent", tool),
            record("agent", asks),
            chunk("Done."),
            record("agent", end),
        ]
        .concat();
        let expected = ["> do", "> it", "I look", "first", "• ls -l", "? rm x", "Done."];
        let whole = render(text.as_bytes(), 100, false);
        assert_eq!((whole.lines.as_slice(), whole.used), (expected.map(str::to_owned).as_slice(), text.len()));
        let (mut lines, mut at) = (Vec::new(), 0);
        while at < text.len() {
            let page = render(&text.as_bytes()[at..], 1, false);
            assert!(page.used > 0);
            at += page.used;
            lines.extend(page.lines);
        }
        assert_eq!(lines, expected);
    }

    #[test]
    fn what_is_being_said_waits_for_its_end() {
        let text = chunk("half a sen");
        assert_eq!(render(text.as_bytes(), 10, false), Page::default());
        let ended = render(text.as_bytes(), 10, true);
        assert_eq!((ended.lines.as_slice(), ended.used), (["half a sen".to_owned()].as_slice(), text.len()));
        assert_eq!(render(b"{\"half", 10, true).lines, Vec::<String>::new());
    }
}
