//! The review of the whole.

use super::{Material, READ_ONLY, earlier, fenced, list, push, section, task};
use crate::settings::StageKey;

/// Longest change in a prompt, in bytes.
const DIFF: usize = 120_000;

pub(super) fn render(prompt: &mut String, material: &Material<'_>) {
    push(prompt, "You review a change of the repository in the current directory before it is handed over.\n\n");
    push(prompt, READ_ONLY);
    task(prompt, material);
    earlier(prompt, material, StageKey::Spec, "Specification");
    let machine = material.machine;
    section(prompt, "Items");
    let items: Vec<String> = machine
        .items
        .iter()
        .map(|item| format!("{} ({}): {}", item.work.id, item.status.as_str(), item.work.title))
        .collect();
    list(prompt, &items);
    if !machine.gates.is_empty() {
        section(prompt, "Gates");
        let gates: Vec<String> = machine
            .gates
            .iter()
            .enumerate()
            .filter(|(position, gate)| {
                let later = machine.gates.iter().skip(position + 1);
                !later.into_iter().any(|other| other.gate == gate.gate && other.item == gate.item)
            })
            .map(|(_, gate)| gate)
            .map(|gate| {
                format!("{} on {}: {}", gate.gate, gate.item.as_deref().unwrap_or("the whole"), gate.verdict.as_str())
            })
            .collect();
        list(prompt, &gates);
    }
    section(prompt, "Change");
    push(
        prompt,
        &format!(
            "The whole change, from commit {} to {}. The files are in the current directory.\n\n",
            machine.base, machine.head
        ),
    );
    fenced(prompt, material.diff, DIFF);
    section(prompt, "Answer");
    push(
        prompt,
        "Say in Markdown what is wrong with the change, most important first: what does not do what the task asks, defects,\n\
         missing tests, what endangers data or security. Name file and line. Matters of taste are no reason to ask for changes.\n\
         End with one line by itself, either\n\nVERDICT: APPROVED\n\nor\n\nVERDICT: CHANGES_REQUESTED\n",
    );
}
