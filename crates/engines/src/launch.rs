//! The common part of every launch; what differs is in the file of each CLI.

use std::collections::BTreeMap;
use std::path::Path;

use crate::request::PROMPT_ARGUMENT_MAX;
use crate::{
    Context, EngineError, EngineKind, HeadlessRequest, InteractiveRequest, Launch, Mode, claude, codex, command,
    environment, gemini, home, locate, opencode,
};

/// The launch of a headless call. Call [`prepare`] before it is started.
///
/// # Errors
/// [`EngineError`] when the program is not installed or the request cannot be handed over.
pub fn headless(kind: EngineKind, context: &Context, request: &HeadlessRequest) -> Result<Launch, EngineError> {
    check_cwd(&request.cwd)?;
    check_extra(kind, request)?;
    let mut environment = surroundings(kind, context, &request.cwd);
    environment::for_pipes(&mut environment);
    if kind == EngineKind::Command {
        return checked(command::headless(environment, request)?);
    }
    let program = locate(kind, context)?;
    let launch = Launch { argv: vec![text(&program)], environment, input: Some(request.prompt.clone()) };
    checked(match kind {
        EngineKind::Claude => claude::headless(launch, context, request),
        EngineKind::Codex => codex::headless(launch, context, request),
        EngineKind::Gemini => gemini::headless(launch, context, request),
        EngineKind::Opencode => opencode::headless(launch, context, request),
        EngineKind::Command => launch,
    })
}

/// The launch of a session in a terminal. Call [`prepare`] before it is started.
///
/// # Errors
/// As [`headless`]; [`EngineError::PromptTooLong`] for a prompt beyond [`PROMPT_ARGUMENT_MAX`].
pub fn interactive(kind: EngineKind, context: &Context, request: &InteractiveRequest) -> Result<Launch, EngineError> {
    check_cwd(&request.cwd)?;
    if let Some(prompt) = &request.prompt
        && prompt.len() > PROMPT_ARGUMENT_MAX
    {
        return Err(EngineError::PromptTooLong { size: prompt.len(), limit: PROMPT_ARGUMENT_MAX });
    }
    let mut environment = surroundings(kind, context, &request.cwd);
    environment::for_a_terminal(&mut environment, &context.environment);
    if kind == EngineKind::Command {
        return checked(command::interactive(environment, request)?);
    }
    let program = locate(kind, context)?;
    let launch = Launch { argv: vec![text(&program)], environment, input: None };
    checked(match kind {
        EngineKind::Claude => claude::interactive(launch, context, request),
        EngineKind::Codex => codex::interactive(launch, context, request),
        EngineKind::Gemini => gemini::interactive(launch, context, request),
        EngineKind::Opencode => opencode::interactive(launch, context, request),
        EngineKind::Command => launch,
    })
}

/// Makes ready what the launches of an engine in this working directory rely on: files of orx's own, and with an endpoint
/// a private home in which no first-run, trust or key dialog is left to show. It may be called any number of times, at
/// the same moment too.
///
/// # Errors
/// [`EngineError::Prepare`] or [`EngineError::PrivateFile`] when the home cannot be written.
pub fn prepare(kind: EngineKind, context: &Context, cwd: &str) -> Result<(), EngineError> {
    check_cwd(cwd)?;
    if kind == EngineKind::Gemini {
        gemini::prepare_policy(context)?;
    }
    let Some(endpoint) = &context.endpoint else { return Ok(()) };
    let private = home::of(kind, context, cwd);
    home::directory(kind, &private)?;
    match kind {
        EngineKind::Claude => claude::prepare(&private, endpoint, cwd),
        EngineKind::Codex => codex::prepare(&private, endpoint, cwd),
        EngineKind::Gemini => gemini::prepare(&private),
        EngineKind::Opencode | EngineKind::Command => Ok(()),
    }
}

fn surroundings(kind: EngineKind, context: &Context, cwd: &str) -> BTreeMap<String, String> {
    let mut environment = environment::inherited(kind, context);
    // An unknown program is the operator's own, it has no login that an endpoint could replace.
    if context.endpoint.is_some() && kind != EngineKind::Command {
        home::enter(&mut environment, &home::of(kind, context, cwd));
    }
    environment
}

fn check_cwd(cwd: &str) -> Result<(), EngineError> {
    if Path::new(cwd).is_absolute() {
        Ok(())
    } else {
        Err(EngineError::RelativePath { what: "the working directory", path: cwd.to_owned() })
    }
}

/// Arguments with which a stage that may not write would be let write after all.
fn widening(kind: EngineKind) -> &'static [&'static str] {
    match kind {
        EngineKind::Claude => &[
            "--add-dir",
            "--agents",
            "--allow-dangerously-skip-permissions",
            "--allowed-tools",
            "--allowedTools",
            "--bg",
            "--background",
            "--dangerously-skip-permissions",
            "--mcp-config",
            "--permission-mode",
            "--plugin-dir",
            "--plugin-url",
            "--settings",
            "--tools",
        ],
        EngineKind::Codex => &[
            "-c",
            "--config",
            "-p",
            "--profile",
            "-s",
            "--sandbox",
            "--add-dir",
            "--approve-for-me",
            "--dangerously-bypass-approvals-and-sandbox",
            "--dangerously-bypass-hook-trust",
            "--full-auto",
            "--worktree",
            "--yolo",
        ],
        EngineKind::Gemini => &[
            "-y",
            "--yolo",
            "--acp",
            "--admin-policy",
            "--allowed-tools",
            "--approval-mode",
            "--experimental-acp",
            "--policy",
        ],
        EngineKind::Opencode => &["--agent", "--attach", "--auto", "--command", "--dangerously-skip-permissions"],
        EngineKind::Command => &[],
    }
}

fn check_extra(kind: EngineKind, request: &HeadlessRequest) -> Result<(), EngineError> {
    let refused =
        |argument: &str, why| Err(EngineError::ExtraArgument { engine: kind, argument: argument.to_owned(), why });
    for argument in &request.extra_args {
        if argument == "--" && kind != EngineKind::Command {
            return refused(argument, "the arguments of orx that follow it would be taken for a prompt");
        }
        let name = argument.split('=').next().unwrap_or_default();
        if request.mode == Mode::Text && widening(kind).iter().any(|guarded| is_option(name, guarded)) {
            return refused(argument, "in a stage that may not write, what the engine may do is set by orx");
        }
    }
    Ok(())
}

/// Whether an argument is the option: a short one may carry its value without a space.
fn is_option(argument: &str, option: &str) -> bool {
    argument == option || (!option.starts_with("--") && !argument.starts_with("--") && argument.starts_with(option))
}

/// What no operating system can hand over is refused here, with a name.
fn checked(launch: Launch) -> Result<Launch, EngineError> {
    if launch.argv.iter().any(|argument| argument.contains('\0')) {
        return Err(EngineError::Nul { what: "an argument of the engine" });
    }
    if launch.environment.values().any(|value| value.contains('\0')) {
        return Err(EngineError::Nul { what: "a variable of the engine" });
    }
    Ok(launch)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(kind: EngineKind, mode: Mode, extra: &str) -> Result<Launch, EngineError> {
        let mut context = Context::default();
        for kind in EngineKind::ALL {
            context.binaries.insert(kind.name().to_owned(), "/bin/sh".to_owned());
        }
        let request = HeadlessRequest {
            prompt: "p".to_owned(),
            mode,
            cwd: "/".to_owned(),
            model: None,
            reasoning_effort: None,
            extra_args: extra.split(' ').map(str::to_owned).collect(),
            command: None,
        };
        headless(kind, &context, &request)
    }

    #[test]
    fn no_extra_argument_lets_a_reading_stage_write() {
        for (kind, extra) in [
            (EngineKind::Claude, "--dangerously-skip-permissions"),
            (EngineKind::Claude, "--permission-mode=bypassPermissions"),
            (EngineKind::Claude, "--max-turns 3 --tools Bash"),
            (EngineKind::Codex, "-sdanger-full-access"),
            (EngineKind::Codex, "-c sandbox_mode=danger-full-access"),
            (EngineKind::Codex, "-csandbox_mode=danger-full-access"),
            (EngineKind::Gemini, "-y"),
            (EngineKind::Gemini, "--policy=x.toml"),
            (EngineKind::Opencode, "--agent build"),
        ] {
            let refused = with(kind, Mode::Text, extra);
            assert!(matches!(refused, Err(EngineError::ExtraArgument { .. })), "{kind} {extra}");
            assert!(with(kind, Mode::Apply, extra).is_ok(), "{kind} {extra}");
        }
        assert!(with(EngineKind::Claude, Mode::Text, "--max-turns 3").is_ok());
        assert!(with(EngineKind::Claude, Mode::Apply, "--").is_err());
    }

    #[test]
    fn what_cannot_be_handed_over_is_refused_with_its_name() {
        assert!(matches!(with(EngineKind::Codex, Mode::Apply, "a\0b"), Err(EngineError::Nul { .. })));
        assert!(matches!(with(EngineKind::Command, Mode::Apply, "a"), Err(EngineError::NoCommand { .. })));
        let mut request = InteractiveRequest { cwd: "here".to_owned(), prompt: None, argv: Vec::new() };
        let context = Context::default();
        assert!(matches!(interactive(EngineKind::Claude, &context, &request), Err(EngineError::RelativePath { .. })));
        request.cwd = "/".to_owned();
        request.prompt = Some("x".repeat(PROMPT_ARGUMENT_MAX + 1));
        assert!(matches!(interactive(EngineKind::Claude, &context, &request), Err(EngineError::PromptTooLong { .. })));
    }
}
