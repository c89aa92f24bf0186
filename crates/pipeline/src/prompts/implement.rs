//! Attempts at an item: the first, and those with evidence of what was wrong.

use super::{Material, earlier, fenced, list, push, section, task, verification};
use crate::machine::{Evidence, ItemStatus};
use crate::settings::StageKey;

/// Longest log in a prompt, in bytes.
const LOG: usize = 10_000;
/// Longest change in a prompt, in bytes.
const DIFF: usize = 20_000;

const RULES: &str = "Change the files of the current directory. Do exactly this item: nothing that belongs to another one, and nothing that\n\
    is not asked for. Write or adapt the tests that belong to it. Do not commit, do not switch branches, do not touch\n\
    anything outside the current directory, and do not write secrets into files. Do not weaken or remove tests or the\n\
    settings of the verification to make it pass.\n";

pub(super) fn first(prompt: &mut String, material: &Material<'_>) {
    push(prompt, "You implement one item of a change of the repository in the current directory.\n\n");
    push(prompt, RULES);
    item(prompt, material);
    around(prompt, material);
    verification(prompt, material);
}

pub(super) fn again(prompt: &mut String, material: &Material<'_>) {
    push(
        prompt,
        "You implement one item of a change of the repository in the current directory. An attempt at it was made, and it is\n\
         not done. What it changed is still in the files. Find out why, and finish the item.\n\n",
    );
    push(prompt, RULES);
    item(prompt, material);
    if let Some(found) = &material.machine.evidence {
        evidence(prompt, found);
    }
    around(prompt, material);
    verification(prompt, material);
}

fn item(prompt: &mut String, material: &Material<'_>) {
    let Some(item) = material.machine.item() else { return };
    section(prompt, &format!("Item {}", item.work.id));
    push(prompt, &format!("{}\n\n", item.work.title));
    if !item.work.objective.is_empty() {
        fenced(prompt, &item.work.objective, usize::MAX);
        prompt.push('\n');
    }
    push(prompt, "It is done when:\n\n");
    list(prompt, &item.work.acceptance);
    if !item.work.files_hint.is_empty() {
        push(prompt, "\nFiles that are likely to change:\n\n");
        list(prompt, &item.work.files_hint);
    }
}

fn evidence(prompt: &mut String, found: &Evidence) {
    section(prompt, "What was wrong with the last attempt");
    if let Some(message) = &found.engine {
        push(prompt, "The attempt did not come to its end:\n\n");
        fenced(prompt, message, LOG);
        prompt.push('\n');
    }
    if found.empty {
        push(prompt, "- nothing was changed: no file differs from the last commit\n");
    }
    list(prompt, &found.violations);
    if !found.violations.is_empty() {
        push(prompt, "\nSuch a change is never committed: take it back and reach the item in another way.\n");
    }
    for gate in &found.gates {
        let message = gate.message.as_deref().map(|message| format!(" ({message})")).unwrap_or_default();
        push(
            prompt,
            &format!("\nThe gate `{}` {}{message}. The end of its log:\n\n", gate.gate, gate.verdict.as_str()),
        );
        fenced(prompt, &gate.tail, LOG);
    }
    if !found.diff.is_empty() {
        push(prompt, "\nThe change so far:\n\n");
        fenced(prompt, &found.diff, DIFF);
    }
}

/// What the item belongs to.
fn around(prompt: &mut String, material: &Material<'_>) {
    let machine = material.machine;
    // Where the task is the item, it was given already.
    if machine.item().is_some_and(|item| item.work.objective != machine.task) {
        task(prompt, material);
    }
    earlier(prompt, material, StageKey::Plan, "Plan");
    earlier(prompt, material, StageKey::Spec, "Specification");
    let others: Vec<String> = machine
        .items
        .iter()
        .filter(|item| Some(&item.work.id) != machine.current.as_ref())
        .map(|item| {
            let state = if item.status == ItemStatus::Done { "committed" } else { item.status.as_str() };
            format!("{} ({state}): {}", item.work.id, item.work.title)
        })
        .collect();
    if !others.is_empty() {
        section(prompt, "Other items");
        list(prompt, &others);
    }
}
