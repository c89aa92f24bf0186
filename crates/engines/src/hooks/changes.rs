//! What a tool would change in a file, as a person reads it.

use similar::TextDiff;

/// Longest text of which a change is shown line by line, in bytes.
const DIFFED: usize = 512 * 1024;

/// Replacements in one file as a unified diff: each is what is there and what is to be there.
pub(super) fn unified(path: &str, edits: &[(String, String)]) -> String {
    let mut whole = format!("--- {path}\n+++ {path}\n");
    for (old, new) in edits {
        if old.len() + new.len() > DIFFED {
            whole.push_str(&format!("@@ {} bytes become {} bytes @@\n", old.len(), new.len()));
            continue;
        }
        let changes = TextDiff::from_lines(old, new);
        whole.push_str(&changes.unified_diff().context_radius(3).to_string());
        if !whole.ends_with('\n') {
            whole.push('\n');
        }
    }
    whole
}
