//! The backlog.

use super::{Material, READ_ONLY, earlier, push, repository, section, task};
use crate::settings::StageKey;

pub(super) fn render(prompt: &mut String, material: &Material<'_>) {
    let most = material.machine.rules.max_items;
    push(prompt, "You divide a specified change of the repository in the current directory into items of work.\n\n");
    push(prompt, READ_ONLY);
    task(prompt, material);
    earlier(prompt, material, StageKey::Plan, "Plan");
    earlier(prompt, material, StageKey::Spec, "Specification");
    repository(prompt, material);
    section(prompt, "Answer");
    push(
        prompt,
        &format!(
            "Answer with one YAML block and nothing else. At most {most} items; one is right where the change is small. Each\n\
             item is implemented, verified and committed by itself, in the order of its dependencies, so each must leave the\n\
             repository in a working state and must change something. `depends_on` names items of this list only.\n\n"
        ),
    );
    push(
        prompt,
        "```yaml\n\
         items:\n\
         \x20 - id: W001\n\
         \x20   title: A short line in the imperative\n\
         \x20   objective: What is to be reached, in full\n\
         \x20   acceptance:\n\
         \x20     - A statement that can be checked\n\
         \x20   files_hint: [path/of/a/file]\n\
         \x20   depends_on: []\n\
         ```\n",
    );
}
