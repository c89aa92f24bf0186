//! Launches and private homes as they are, word by word.

use std::fmt::Write as _;
use std::path::Path;

use super::*;

fn context(endpoint: bool, homes: &Path) -> Context {
    let mut context = Context { private_homes: homes.to_path_buf(), ..Context::default() };
    for (name, value) in [
        ("HOME", "/home/ada"),
        ("PATH", "/usr/bin:/bin"),
        ("SSH_AUTH_SOCK", "/run/agent"),
        ("ANTHROPIC_API_KEY", "a"),
        ("OPENAI_API_KEY", "o"),
        ("GEMINI_API_KEY", "g"),
        ("OPENCODE_CONFIG_CONTENT", "{\"theme\":\"mine\"}"),
        ("ORX_TOKEN", "t"),
    ] {
        context.environment.insert(name.to_owned(), value.to_owned());
    }
    for kind in EngineKind::ALL {
        context.binaries.insert(kind.name().to_owned(), "/bin/sh".to_owned());
    }
    if endpoint {
        context.endpoint =
            Some(Endpoint { url: "http://127.0.0.1:4000/".to_owned(), key: "key-0123456789-0123456789".to_owned() });
    }
    context
}

fn request(mode: Mode) -> HeadlessRequest {
    HeadlessRequest {
        prompt: "do it".to_owned(),
        mode,
        cwd: "/project".to_owned(),
        model: Some("a-model".to_owned()),
        reasoning_effort: Some("hi\"gh".to_owned()),
        extra_args: vec!["--more".to_owned()],
        command: Some(CommandSpec {
            argv: vec!["tool".to_owned()],
            text_args: vec!["--read-only".to_owned()],
            apply_args: vec!["--write".to_owned()],
        }),
    }
}

fn shown(launch: &Result<Launch, EngineError>) -> String {
    let launch = match launch {
        Ok(launch) => launch,
        Err(error) => return format!("refused: {error}\n"),
    };
    let mut shown = format!("argv {:#?}\ninput {:?}\n", launch.argv, launch.input);
    if let Some(confined) = &launch.confined_argv {
        writeln!(shown, "confined argv {confined:#?}").unwrap();
    }
    for (name, value) in &launch.environment {
        writeln!(shown, "{name}={value}").unwrap();
    }
    shown
}

#[test]
fn launches() {
    for kind in EngineKind::ALL {
        for (name, mode, endpoint) in
            [("text", Mode::Text, false), ("apply", Mode::Apply, false), ("endpoint", Mode::Text, true)]
        {
            let launch = headless(kind, &context(endpoint, Path::new("/homes")), &request(mode));
            insta::assert_snapshot!(format!("{kind}_{name}"), shown(&launch));
        }
        let asked = InteractiveRequest {
            cwd: "/project".to_owned(),
            prompt: Some("-- say \"hi\"".to_owned()),
            argv: vec!["--more".to_owned()],
            conversation: None,
        };
        for (name, endpoint) in [("interactive", false), ("interactive_endpoint", true)] {
            let launch = interactive(kind, &context(endpoint, Path::new("/homes")), &asked);
            insta::assert_snapshot!(format!("{kind}_{name}"), shown(&launch));
        }
        let conversation = "0190a1b2-c3d4-7e5f-8a6b-0123456789ab".to_owned();
        let context = context(false, Path::new("/homes"));
        if conversation_at_launch(kind) {
            let named = InteractiveRequest { conversation: Some(conversation.clone()), ..asked.clone() };
            insta::assert_snapshot!(format!("{kind}_named"), shown(&interactive(kind, &context, &named)));
        }
        if can_resume(kind) {
            let taken_up = ResumeRequest { cwd: asked.cwd, conversation, argv: asked.argv };
            insta::assert_snapshot!(format!("{kind}_resume"), shown(&resume(kind, &context, &taken_up)));
        }
    }
}

fn tree(directory: &Path, below: &Path, into: &mut String) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut entries: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        writeln!(into, "{mode:o} {}", path.strip_prefix(below).unwrap().display()).unwrap();
        if path.is_dir() {
            tree(&path, below, into);
        } else {
            writeln!(into, "{}", std::fs::read_to_string(&path).unwrap()).unwrap();
        }
    }
}

#[test]
fn private_homes() {
    for kind in EngineKind::ALL {
        let scratch = tempfile::tempdir().unwrap();
        prepare(kind, &context(true, scratch.path()), "/project/my \"repo\"").unwrap();
        let mut first = String::new();
        tree(scratch.path(), scratch.path(), &mut first);
        insta::assert_snapshot!(format!("{kind}_home"), first);
        prepare(kind, &context(true, scratch.path()), "/project/my \"repo\"").unwrap();
        let mut second = String::new();
        tree(scratch.path(), scratch.path(), &mut second);
        assert_eq!(first, second, "{kind}: preparing twice is preparing once");
    }
}

#[test]
fn without_an_endpoint_no_home_is_made() {
    for kind in EngineKind::ALL {
        let scratch = tempfile::tempdir().unwrap();
        prepare(kind, &context(false, scratch.path()), "/project").unwrap();
        assert!(!home::of(kind, &context(false, scratch.path()), "/project").exists(), "{kind}");
    }
}

#[test]
fn homes_of_many_directories_are_prepared_side_by_side() {
    let scratch = tempfile::tempdir().unwrap();
    let context = context(true, scratch.path());
    std::thread::scope(|scope| {
        for round in 0..4 {
            for directory in 0..4 {
                let context = &context;
                scope.spawn(move || {
                    let kind = EngineKind::ALL[(round + directory) % 4];
                    prepare(kind, context, &format!("/project/{directory}")).unwrap();
                });
            }
        }
    });
    for directory in 0..4 {
        let private = home::of(EngineKind::Claude, &context, &format!("/project/{directory}"));
        let text = std::fs::read_to_string(private.join(".claude.json")).unwrap();
        assert!(text.contains(&format!("\"/project/{directory}\":{{\"hasCompletedProjectOnboarding\":true")), "{text}");
    }
    remove_private_home(EngineKind::Claude, &context, "/project/1").unwrap();
    remove_private_home(EngineKind::Claude, &context, "/project/1").unwrap();
    assert!(!home::of(EngineKind::Claude, &context, "/project/1").exists());
}

#[test]
fn what_claude_keeps_in_its_home_is_left_there() {
    let scratch = tempfile::tempdir().unwrap();
    let context = context(true, scratch.path());
    prepare(EngineKind::Claude, &context, "/project").unwrap();
    let path = home::of(EngineKind::Claude, &context, "/project").join(".claude.json");
    std::fs::write(&path, "{\"numStartups\":3,\"projects\":{\"/project\":{\"history\":[1]}}}").unwrap();
    prepare(EngineKind::Claude, &context, "/project").unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"numStartups\":3") && text.contains("\"history\":[1]") && text.contains("Accepted\":true"));
    for damaged in ["[]", "{\"projects\":7}", "{\"projects\":{\"/project\":7}}"] {
        std::fs::write(&path, damaged).unwrap();
        let error = prepare(EngineKind::Claude, &context, "/project").unwrap_err();
        assert!(matches!(error, EngineError::PrivateFile { .. }), "{damaged}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), damaged, "a refused file is not changed");
    }
    // A CLI that is killed while it writes leaves this.
    for cut_off in ["", "{\"numStartups\":3,\"proj"] {
        std::fs::write(&path, cut_off).unwrap();
        prepare(EngineKind::Claude, &context, "/project").unwrap();
        assert!(std::fs::read_to_string(&path).unwrap().contains("Accepted\":true"));
        assert_eq!(std::fs::read_to_string(path.with_extension("json.cut-off")).unwrap(), cut_off);
    }
}
