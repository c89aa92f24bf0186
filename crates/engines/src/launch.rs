//! The common part of every launch; what differs is in the file of each CLI.

use std::collections::BTreeMap;
use std::path::Path;

use crate::request::PROMPT_ARGUMENT_MAX;
use crate::{
    Context, EngineError, EngineKind, HeadlessRequest, InteractiveRequest, Launch, Mode, ResumeRequest, environment,
    home, locate, resumption,
};

/// The launch of a headless call. Call [`prepare`] before it is started.
///
/// # Errors
/// [`EngineError`] when the program is not installed or the request cannot be handed over.
pub fn headless(kind: EngineKind, context: &Context, request: &HeadlessRequest) -> Result<Launch, EngineError> {
    check_cwd(&request.cwd)?;
    check_stage(kind, request.mode)?;
    check_extra(kind, request)?;
    let mut environment = surroundings(kind, context, &request.cwd)?;
    environment::for_pipes(&mut environment);
    let mut launch =
        Launch { argv: program(kind, context)?, confined_argv: None, environment, input: Some(request.prompt.clone()) };
    kind.driver().headless(&mut launch, context, request)?;
    checked(launch)
}

/// The launch of a session in a terminal. Call [`prepare`] before it is started.
///
/// # Errors
/// As [`headless`]; [`EngineError::PromptTooLong`] for a prompt beyond [`PROMPT_ARGUMENT_MAX`];
/// [`EngineError::Conversation`] for a name where the engine takes none, or one that it cannot have.
pub fn interactive(kind: EngineKind, context: &Context, request: &InteractiveRequest) -> Result<Launch, EngineError> {
    let named =
        request.conversation.as_deref().map(|name| resumption::arguments(kind, context, name, false)).transpose()?;
    let terminal = &kind.descriptor().terminal;
    let mut prompt = Vec::new();
    if let Some(text) = &request.prompt {
        check_prompt(text)?;
        if kind == EngineKind::Command {
            prompt.push(text.clone());
        } else if terminal.prompt.is_empty() {
            let why = "takes no first prompt; start it without one and send the text".to_owned();
            return Err(EngineError::Unsuited { engine: kind, why });
        }
        prompt.extend(terminal.prompt.iter().map(|argument| argument.replace("{prompt}", text)));
    }
    in_a_terminal(kind, context, &request.cwd, named.unwrap_or_default(), &request.argv, prompt)
}

/// The launch that takes a conversation up again in a terminal, where it ended. Call [`prepare`] before it is started.
///
/// # Errors
/// As [`interactive`]; [`EngineError::Conversation`] where the engine cannot, or not with that name.
pub fn resume(kind: EngineKind, context: &Context, request: &ResumeRequest) -> Result<Launch, EngineError> {
    let named = resumption::arguments(kind, context, &request.conversation, true)?;
    in_a_terminal(kind, context, &request.cwd, named, &request.argv, Vec::new())
}

fn in_a_terminal(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
    named: Vec<String>,
    further: &[String],
    prompt: Vec<String>,
) -> Result<Launch, EngineError> {
    check_cwd(cwd)?;
    let known = &kind.descriptor().terminal;
    if let Some(why) = &known.none {
        return Err(EngineError::Unsuited { engine: kind, why: why.clone() });
    }
    if kind == EngineKind::Command && further.is_empty() {
        return Err(EngineError::NoCommand { missing: "give them as `argv`" });
    }
    let mut environment = surroundings(kind, context, cwd)?;
    environment::for_a_terminal(&mut environment, &context.environment);
    let mut argv = program(kind, context)?;
    argv.extend(named);
    argv.extend(known.arguments.iter().cloned());
    if context.endpoint.is_some() {
        let private = text(&home::of(kind, context, cwd));
        argv.extend(known.endpoint_arguments.iter().map(|argument| argument.replace("{home}", &private)));
    }
    argv.extend(further.iter().cloned());
    argv.extend(prompt);
    let mut launch = Launch { argv, confined_argv: None, environment, input: None };
    kind.driver().terminal(&mut launch, context, cwd);
    checked(launch)
}

/// Makes ready what the launches of an engine in this working directory rely on: files of orx's own, and with an endpoint
/// a private home in which no first-run, trust or key dialog is left to show. It may be called any number of times, at
/// the same moment too.
///
/// # Errors
/// [`EngineError::Prepare`] or [`EngineError::PrivateFile`] when the home cannot be written.
pub fn prepare(kind: EngineKind, context: &Context, cwd: &str) -> Result<(), EngineError> {
    check_cwd(cwd)?;
    kind.driver().prepare(context, cwd)?;
    let Some(endpoint) = &context.endpoint else { return Ok(()) };
    let private = home::of(kind, context, cwd);
    home::directory(kind, &private)?;
    kind.driver().prepare_home(&private, endpoint, cwd)
}

/// The program as the start of an argument list; empty for the engine `command`, whose request names it.
fn program(kind: EngineKind, context: &Context) -> Result<Vec<String>, EngineError> {
    if kind == EngineKind::Command { Ok(Vec::new()) } else { Ok(vec![text(&locate(kind, context)?)]) }
}

pub(crate) fn surroundings(
    kind: EngineKind,
    context: &Context,
    cwd: &str,
) -> Result<BTreeMap<String, String>, EngineError> {
    let mut environment = environment::inherited(kind, context);
    // An unknown program is the operator's own, it has no login that an endpoint could replace.
    if let Some(endpoint) = context.endpoint.as_ref().filter(|_| kind != EngineKind::Command) {
        let Some(known) = &kind.descriptor().endpoint else {
            let why =
                "speaks to its vendor alone, and the daemon's settings name an endpoint of the operator's".to_owned();
            return Err(EngineError::Unsuited { engine: kind, why });
        };
        home::enter(&mut environment, &home::of(kind, context, cwd));
        let fill = |text: &String| {
            text.replace("{url}", &endpoint.url).replace("{v1}", &endpoint.v1()).replace("{key}", &endpoint.key)
        };
        environment.extend(known.environment.iter().map(|(name, value)| (name.clone(), fill(value))));
    }
    Ok(environment)
}

fn check_cwd(cwd: &str) -> Result<(), EngineError> {
    if Path::new(cwd).is_absolute() {
        Ok(())
    } else {
        Err(EngineError::RelativePath { what: "the working directory", path: cwd.to_owned() })
    }
}

fn check_prompt(prompt: &str) -> Result<(), EngineError> {
    if prompt.len() > PROMPT_ARGUMENT_MAX {
        return Err(EngineError::PromptTooLong { size: prompt.len(), limit: PROMPT_ARGUMENT_MAX });
    }
    Ok(())
}

/// An engine may have no headless calls, or none that can be kept from writing.
fn check_stage(kind: EngineKind, mode: Mode) -> Result<(), EngineError> {
    let known = &kind.descriptor().headless;
    let refused = |why: String| Err(EngineError::Unsuited { engine: kind, why });
    match (&known.none, &known.always_writes) {
        (Some(why), _) => refused(format!("serves no stage of a run: {why}")),
        (None, Some(why)) if mode == Mode::Text => refused(format!("serves no stage that may not write: {why}")),
        _ => Ok(()),
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
        if request.mode == Mode::Text
            && kind.descriptor().headless.guarded.iter().any(|guarded| is_option(name, guarded))
        {
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
pub(crate) fn checked(launch: Launch) -> Result<Launch, EngineError> {
    if launch.argv.iter().chain(launch.confined_argv.iter().flatten()).any(|argument| argument.contains('\0')) {
        return Err(EngineError::Nul { what: "an argument of the engine" });
    }
    if launch.environment.values().any(|value| value.contains('\0')) {
        return Err(EngineError::Nul { what: "a variable of the engine" });
    }
    Ok(launch)
}

pub(crate) fn text(path: &Path) -> String {
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
        let mut request =
            InteractiveRequest { cwd: "here".to_owned(), prompt: None, argv: Vec::new(), conversation: None };
        let context = Context::default();
        assert!(matches!(interactive(EngineKind::Claude, &context, &request), Err(EngineError::RelativePath { .. })));
        request.cwd = "/".to_owned();
        request.prompt = Some("x".repeat(PROMPT_ARGUMENT_MAX + 1));
        assert!(matches!(interactive(EngineKind::Claude, &context, &request), Err(EngineError::PromptTooLong { .. })));
    }
}
