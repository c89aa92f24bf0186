//! The update of the project's notes.

use super::{EARLIER, Material, READ_ONLY, fenced, push, section, task};
use crate::knowledge::markers;

/// Longest change in a prompt, in bytes.
const DIFF: usize = 60_000;

pub(super) fn render(prompt: &mut String, material: &Material<'_>) {
    let limits = material.knowledge.limits;
    push(
        prompt,
        "A change of the repository in the current directory is done. You propose what the project's notes for agents should\n\
         say after it: conventions, commands, structure and traps that the next one needs to know and cannot see at once.\n\n",
    );
    push(prompt, READ_ONLY);
    task(prompt, material);
    section(prompt, "Change");
    fenced(prompt, material.diff, DIFF);
    section(prompt, "Notes as they are");
    for (file, text) in material.notes {
        push(prompt, &format!("\n`{file}`:\n\n"));
        fenced(prompt, text, EARLIER);
    }
    section(prompt, "Answer");
    push(
        prompt,
        &format!(
            "For each file that should change, one block: a line `FILE: <name>`, then the whole new text between its markers,\n\
             markers included. Only what is between the markers changes; text outside them stays as it is. At most {} changed\n\
             lines a file, {} in all, {} of them removed. If nothing is worth a note, answer `NOTHING`.\n\n",
            limits.max_changed_lines_per_file, limits.max_total_changed_lines, limits.max_deleted_lines
        ),
    );
    for (file, _) in material.notes {
        let (start, end) = markers(material.knowledge, file);
        push(prompt, &format!("FILE: {file}\n{start}\n...\n{end}\n\n"));
    }
}
