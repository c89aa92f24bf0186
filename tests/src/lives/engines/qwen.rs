//! Qwen Code.

use orx_engines::EngineKind;

use crate::harness::engines;
use crate::lives::{Bed, Road, Turn};

/// It writes its conversation down a while after it said it.
fn kept(bed: &Bed, turn: Turn) -> bool {
    let files = engines::files(&bed.daemon.places().home.join("engines/qwen"));
    let chats = files.iter().filter(|(path, _)| path.components().any(|part| part.as_os_str() == "chats"));
    chats.into_iter().any(|(_, text)| String::from_utf8_lossy(text).contains(&turn.last_words()))
}

/// It asks a person, and no model, whether what it wants to do is safe.
const BASE: Road = Road { argv: &["--approval-mode", "default"], kept, ..Road::of(EngineKind::Qwen, "auto") };

/// On its terminal, with hooks.
pub const HOOKS: Road = Road { shown: Some("hooks"), asked_by: Some("hook"), ..BASE };
/// On pipes.
pub const ACP: Road = Road { channel: "acp", shown: Some("acp"), asked_by: Some("protocol"), ..BASE };
/// On its terminal without hooks.
pub const KEYS: Road = Road { argv: &["--approval-mode", "default", "--safe-mode"], asked_by: Some("screen"), ..BASE };
