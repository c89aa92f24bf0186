//! The rules by which the screens of an engine show what it does, as data: `data/<engine>.rules.yaml`. They are read and
//! held against screens by `orx-session`.

use crate::EngineKind;

/// The rules of an engine as text; `None` for a program of which nothing is known.
#[must_use]
pub fn screen_rules(kind: EngineKind) -> Option<&'static str> {
    rules_of(kind.name())
}

fn rules_of(name: &str) -> Option<&'static str> {
    ALL.iter().find(|(engine, _)| *engine == name).map(|(_, text)| *text)
}

/// The rules of every engine that has some, by name.
pub const ALL: &[(&str, &str)] = &[
    ("claude", include_str!("../data/claude.rules.yaml")),
    ("codex", include_str!("../data/codex.rules.yaml")),
    ("gemini", include_str!("../data/gemini.rules.yaml")),
    ("opencode", include_str!("../data/opencode.rules.yaml")),
    ("qwen", include_str!("../data/qwen.rules.yaml")),
    ("copilot", include_str!("../data/copilot.rules.yaml")),
    ("pi", include_str!("../data/pi.rules.yaml")),
    ("continue", include_str!("../data/continue.rules.yaml")),
    ("cline", include_str!("../data/cline.rules.yaml")),
    ("aider", include_str!("../data/aider.rules.yaml")),
    ("mini", include_str!("../data/mini.rules.yaml")),
    ("openhands", include_str!("../data/openhands.rules.yaml")),
    ("cursor", include_str!("../data/cursor.rules.yaml")),
    ("goose", include_str!("../data/goose.rules.yaml")),
    ("amp", include_str!("../data/amp.rules.yaml")),
    ("crush", include_str!("../data/crush.rules.yaml")),
];

/// How dialogs of engines are answered by keys, by name: `data/<engine>.answers.yaml`, read by `orx-session`.
pub const ANSWERS: &[(&str, &str)] = &[
    ("aider", include_str!("../data/aider.answers.yaml")),
    ("claude", include_str!("../data/claude.answers.yaml")),
    ("cline", include_str!("../data/cline.answers.yaml")),
    ("continue", include_str!("../data/continue.answers.yaml")),
    ("codex", include_str!("../data/codex.answers.yaml")),
    ("copilot", include_str!("../data/copilot.answers.yaml")),
    ("gemini", include_str!("../data/gemini.answers.yaml")),
    ("qwen", include_str!("../data/qwen.answers.yaml")),
    ("mini", include_str!("../data/mini.answers.yaml")),
    ("openhands", include_str!("../data/openhands.answers.yaml")),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_answers_is_listed() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        for entry in std::fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(engine) = name.strip_suffix(".answers.yaml") else { continue };
            assert!(ANSWERS.iter().any(|(listed, _)| *listed == engine), "data/{name} is in no program");
        }
    }

    #[test]
    fn every_rule_file_is_listed() {
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        for entry in std::fs::read_dir(directory).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let Some(engine) = name.strip_suffix(".rules.yaml") else { continue };
            assert!(rules_of(engine).is_some(), "data/{name} is in no program: list it in screen.rs");
        }
        assert_eq!(screen_rules(EngineKind::Command), None);
    }
}
