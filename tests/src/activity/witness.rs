//! Keeps what an engine writes into the files of a conversation while it is recorded, and when.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use orx_engines::transcript::{find_records, record_count};
use orx_engines::{Context, EngineKind};
use orx_protocol::clock::now_ms;
use serde_json::Value;

use super::corpus::Word;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(20);
/// Longest text that is kept.
const TEXT: usize = 64;
/// Members that say something about the state, or hold others that do.
const KEPT: &[&str] = &[
    "content",
    "call_id",
    "codex_error_info",
    "data",
    "error",
    "function",
    "functionCall",
    "functionResponse",
    "history",
    "id",
    "isApiErrorMessage",
    "isMeta",
    "isSidechain",
    "message",
    "name",
    "parts",
    "payload",
    "pendingBackgroundAgentCount",
    "rate_limits",
    "requestId",
    "response",
    "role",
    "status",
    "stopReason",
    "stop_reason",
    "subtype",
    "text",
    "toolCall",
    "toolCallStates",
    "toolCalls",
    "toolName",
    "toolRequests",
    "tool_use_id",
    "type",
    "waitingFor",
];

/// A file, and how much of it was seen: of lines the length, of another the text.
struct Seen {
    path: PathBuf,
    whole: bool,
    text: String,
}

/// Whoever looks.
pub(super) struct Witness {
    stop: Sender<()>,
    thread: JoinHandle<Vec<(u64, Word)>>,
}

impl Witness {
    /// Looks from now on, in a thread.
    pub(super) fn begin(
        kind: EngineKind,
        context: Context,
        cwd: String,
        conversation: impl Fn() -> Option<String> + Send + 'static,
    ) -> Self {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let (mut seen, mut kept): (Vec<Seen>, Vec<(u64, Word)>) = (Vec::new(), Vec::new());
            let mut name = None;
            while stopped.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                name = name.or_else(&conversation);
                if let Some(name) = name.as_ref().filter(|_| seen.len() < record_count(kind)) {
                    for file in find_records(kind, &context, &cwd, name).unwrap_or_default() {
                        if seen.iter().all(|seen| seen.path != file.path) {
                            seen.push(Seen { path: file.path, whole: file.whole, text: String::new() });
                        }
                    }
                }
                for file in &mut seen {
                    file.look(Path::new(&cwd), &mut kept);
                }
            }
            kept
        });
        Self { stop, thread }
    }

    /// What was seen, with its time on the wall clock.
    pub(super) fn end(self) -> Vec<(u64, Word)> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

impl Seen {
    fn look(&mut self, cwd: &Path, kept: &mut Vec<(u64, Word)>) {
        let at = now_ms();
        let Ok(text) = std::fs::read_to_string(&self.path) else { return };
        if text == self.text {
            return;
        }
        if self.whole {
            let Ok(value) = serde_json::from_str(&text) else { return };
            kept.push((at, Word::Document(reduced(&value, cwd))));
            self.text = text;
            return;
        }
        let end = text.rfind('\n').map_or(0, |end| end + 1);
        for line in text.get(self.text.len()..end).unwrap_or_default().lines() {
            if let Ok(value) = serde_json::from_str(line) {
                kept.push((at, Word::Line(reduced(&value, cwd))));
            }
        }
        self.text = text.get(..end).unwrap_or_default().to_owned();
    }
}

/// A value without what is particular to the machine, and without what says nothing of the state.
fn reduced(value: &Value, cwd: &Path) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(name, _)| KEPT.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), reduced(value, cwd)))
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(|item| reduced(item, cwd)).collect()),
        Value::String(text) => {
            let text = text.replace(&*cwd.to_string_lossy(), "/work");
            Value::String(text.chars().take(TEXT).collect())
        }
        other => other.clone(),
    }
}
