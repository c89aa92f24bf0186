//! Gemini CLI.

use orx_engines::EngineKind;

use crate::harness::engines;
use crate::lives::{Bed, Road};

/// It names the file of a conversation by the minute in which that began, and over ACP it begins a new one in the same file
/// when it is to take one up within that minute.
fn ready(bed: &Bed) -> bool {
    let minutes = orx_protocol::clock::now_ms() / 60_000;
    let now = format!("T{:02}-{:02}-", minutes / 60 % 24, minutes % 60);
    let files = engines::files(&bed.daemon.places().home.join("engines/gemini"));
    let mut names = files.keys().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy());
    !names.any(|name| name.starts_with("session-") && name.contains(&now))
}

/// On pipes.
pub const ACP: Road =
    Road { shown: Some("acp"), asked_by: Some("protocol"), ready, ..Road::of(EngineKind::Gemini, "acp") };
/// On its terminal: its hooks tell what it asks, and keys answer it.
pub const KEYS: Road = Road { shown: Some("hooks"), asked_by: Some("screen"), ..Road::of(EngineKind::Gemini, "off") };
