//! The plan.

use super::{Material, READ_ONLY, push, repository, section, task, verification};

pub(super) fn render(prompt: &mut String, material: &Material<'_>) {
    push(
        prompt,
        "You plan a change of the repository in the current directory. Others will specify and implement it after you.\n\n",
    );
    push(prompt, READ_ONLY);
    task(prompt, material);
    repository(prompt, material);
    verification(prompt, material);
    section(prompt, "Answer");
    push(
        prompt,
        "Write the plan in Markdown: what the task asks for, what in the repository it concerns, the approach and why it is\n\
         the right one, the steps in order, risks and how to tell that it is done. Name files and functions as they are.\n\
         Say what you assume where the task leaves something open. Do not write code beyond signatures.\n",
    );
}
