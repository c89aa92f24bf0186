//! Arguments of a coding CLI that a repository's file may set. Others could move the CLI's base URL (and its keys with
//! it), load servers or settings, or switch its sandbox off: those are the operator's to give, with the request.

use orx_engines::EngineKind;

use super::{Engine, Settings};

/// An argument and whether a value follows it.
type Allowed = (&'static str, bool);

fn allowed(kind: EngineKind) -> &'static [Allowed] {
    match kind {
        EngineKind::Claude => {
            &[("--verbose", false), ("--max-turns", true), ("--fallback-model", true), ("--max-budget-usd", true)]
        }
        EngineKind::Codex => &[("--verbose", false), ("--color", true)],
        EngineKind::Gemini => &[("--verbose", false), ("--debug", false)],
        EngineKind::Opencode => &[("--verbose", false), ("--print-logs", false), ("--log-level", true)],
        // An unknown program gets no keys, and is as much of the repository as its gates are.
        EngineKind::Command => &[],
        // Of the arguments of the others none is known to be harmless.
        _ => &[],
    }
}

/// The first argument that a repository may not set for this engine.
fn refused(kind: EngineKind, arguments: &[String]) -> Option<&str> {
    if kind == EngineKind::Command {
        return None;
    }
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (name, value) =
            argument.split_once('=').map_or((argument.as_str(), None), |(name, value)| (name, Some(value)));
        let known = allowed(kind).iter().find(|(allowed, _)| *allowed == name);
        let fits = match known {
            None => false,
            Some((_, false)) => value.is_none(),
            Some((_, true)) => value.is_some() || arguments.next().is_some_and(|value| !value.starts_with('-')),
        };
        if !fits {
            return Some(argument);
        }
    }
    None
}

/// Takes arguments out of `settings` that come from the repository's `file` and are not a repository's to set; those
/// that a caller gave stay. A sentence for each list that was taken out.
pub fn withhold(file: &Settings, settings: &mut Settings) -> Vec<String> {
    let mut withheld = Vec::new();
    let mut judge = |member: String, ours: Option<&Engine>, engine: &mut Engine| {
        let from_file = ours.is_some_and(|own| own.extra_args == engine.extra_args);
        let Some(kind) = engine.kind.served().filter(|_| from_file) else { return };
        if let Some(argument) = refused(kind, &engine.extra_args) {
            let known: Vec<&str> = allowed(kind).iter().map(|(name, _)| *name).collect();
            withheld.push(format!(
                "accepted but not in force: `{member}.extra_args`: `{}` is not among the arguments that a repository may set for {kind} ({}); give them in `settings` of the request",
                argument.escape_debug(),
                known.join(", ")
            ));
            engine.extra_args.clear();
        }
    };
    if let Some(engine) = &mut settings.engine {
        judge("engine".to_owned(), file.engine.as_ref(), engine);
    }
    for (stage, engine) in &mut settings.stage_engines {
        judge(format!("stage_engines.{stage}"), file.stage_engines.get(stage), engine);
    }
    if let Some(engine) = &mut settings.fallback_engine {
        judge("fallback_engine".to_owned(), file.fallback_engine.as_ref(), engine);
    }
    withheld
}

#[cfg(test)]
mod tests {
    use super::super::load::{merge, parse};
    use super::*;

    #[test]
    fn a_repository_cannot_move_a_base_url_or_switch_a_sandbox_off() {
        let judged = |kind: &str, arguments: &str| {
            let file = parse(&format!("engine: {{type: {kind}, extra_args: {arguments}}}"), "x").unwrap();
            let mut settings = file.clone();
            let withheld = withhold(&file, &mut settings);
            assert_eq!(settings.engine.unwrap().extra_args.is_empty(), !withheld.is_empty() || arguments == "[]");
            withheld
        };
        for (kind, good) in [
            ("claude", "[--max-turns, '5', --fallback-model=sonnet, --verbose]"),
            ("codex", "[--verbose]"),
            ("command", "[anything, -c]"),
            ("gemini", "[]"),
        ] {
            assert_eq!(judged(kind, good), Vec::<String>::new(), "{kind} {good}");
        }
        for (kind, bad) in [
            ("codex", "[-c, 'openai_base_url=http://example.invalid']"),
            ("codex", "['--config=x=y']"),
            ("codex", "[--dangerously-bypass-approvals-and-sandbox]"),
            ("claude", "[--settings, '{}']"),
            ("claude", "[--max-turns, --settings]"),
            ("claude", "['--verbose=--mcp-config']"),
            ("opencode", "[--attach, 'http://example.invalid']"),
            ("gemini", "[stray]"),
        ] {
            assert!(judged(kind, bad)[0].contains("is not among the arguments"), "{kind} {bad}");
        }
    }

    #[test]
    fn a_caller_may_give_what_a_repository_may_not() {
        let file = parse("engine: {type: codex}", "x").unwrap();
        let over = serde_json::json!({"engine": {"extra_args": ["-c", "x=y"]}});
        let mut settings = merge(&file, &over).unwrap();
        assert_eq!(withhold(&file, &mut settings), Vec::<String>::new());
        assert_eq!(settings.engine.unwrap().extra_args, ["-c", "x=y"]);
    }
}
