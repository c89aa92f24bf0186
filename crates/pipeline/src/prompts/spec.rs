//! The specification.

use super::{Material, READ_ONLY, earlier, push, repository, section, task, verification};
use crate::settings::StageKey;

pub(super) fn render(prompt: &mut String, material: &Material<'_>) {
    push(
        prompt,
        "You specify a planned change of the repository in the current directory, so that it can be implemented without guessing.\n\n",
    );
    push(prompt, READ_ONLY);
    task(prompt, material);
    earlier(prompt, material, StageKey::Plan, "Plan");
    repository(prompt, material);
    verification(prompt, material);
    section(prompt, "Answer");
    push(
        prompt,
        "Write the specification in Markdown: behaviour with inputs, outputs and errors; interfaces with their exact names\n\
         and types; files to add or change; edge cases; tests to write; acceptance criteria that can be checked one by one.\n\
         Keep to the task: nothing that it does not need.\n",
    );
}
