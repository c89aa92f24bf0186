//! Interactive sessions of the real coding CLIs through the real daemon, a scripted model behind them: what each draws
//! with nobody attached, how prompts reach it, what viewers see, and that nothing of it is left after its end.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use alacritty_terminal::term::TermMode;
use orx_client::{Terminal, TerminalWriter};
use orx_engines::{EngineKind, shows_composer};
use orx_protocol::SessionId;
use orx_protocol::api::session::{AttachMode, AttachParams};
use orx_protocol::hold::{TerminalSize, file};
use orx_protocol::places::variable;
use orx_protocol::process::ProcessIdentity;
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_sandbox::identity;
use orx_tests::harness::{Daemon, Repository, engines, eventually, eventually_or, process, search_path};
use orx_tests::lives::{Bed, GONE, KEY, PATIENCE};
use orx_tests::model::{Rule, Scenario, Step, When};
use orx_tests::terminal::{Screen, Terminal as Pty};
use pty_proxy::terminal::emulator::Emulator;
use serde_json::{Value, json};

/// What a person writes: several lines, quotes of each kind, what a shell would change.
const FIRST: &str =
    "Explain \"this\" and 'that', it's $HOME & <so>;\n\n  a second line with `ticks` and \\n\nthe last é 漢字";
const FIRST_ANSWER: &str = "That is the first answer.";
const SECOND: &str = "And after the restart?";
const SECOND_ANSWER: &str = "That is the second answer.";
/// A first prompt that looks like an option.
const HANDED: &str = "--not-an-option \"is this?\"\nit's the second line: $(id) `id`";
const HANDED_ANSWER: &str = "That is the answer to the handed prompt.";

/// What a first run asks, in the words of the CLIs.
const DIALOGS: [&str; 11] = [
    "trust",
    "theme",
    "text style",
    "sign in",
    "log in",
    "login",
    "select auth",
    "how would you like",
    "custom api key",
    "do you want",
    "enter to continue",
];

/// A person with files and keys of their own, and a bed in which their CLI lies.
struct Person {
    kind: EngineKind,
    bed: Bed,
    files_before: BTreeMap<PathBuf, Vec<u8>>,
}

impl Person {
    async fn new(kind: EngineKind) -> Self {
        let answered = |prompt: &str, text: &str| Rule {
            name: text.to_owned(),
            when: When { prompt: vec![prompt.to_owned()], ..When::default() },
            steps: vec![Step { text: text.to_owned(), ..Step::default() }],
        };
        let rules = vec![
            answered("Explain", FIRST_ANSWER),
            answered(SECOND, SECOND_ANSWER),
            answered("--not-an-option", HANDED_ANSWER),
        ];
        let otherwise = Some(Step { text: "Never mind.".to_owned(), ..Step::default() });
        let mut files_before = BTreeMap::new();
        let bed = Bed::new(Scenario { rules, otherwise, ..Scenario::default() }, |settings| {
            engines::install(settings, kind);
            for name in engines::KEYS {
                settings.variable(name, "the-persons-own");
            }
            files_before = engines::person(&settings.user_home);
        })
        .await;
        Self { kind, bed, files_before }
    }

    fn begin(&mut self, more: &Value) {
        let mut params = json!({"engine": self.kind.name()});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.bed.begin(&params);
    }

    /// Waits until the session's screen is as wanted.
    #[track_caller]
    fn until(&self, what: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        self.bed.until(&format!("{}: {what}", self.kind), || Some(self.bed.lines()).filter(|lines| wanted(lines)))
    }

    #[track_caller]
    fn until_composer(&self, cols: usize, rows: usize) -> Vec<String> {
        self.until(&format!("the composer at {cols}x{rows}"), |lines| {
            lines.len() == rows && has_composer(self.kind, lines, cols)
        })
    }

    /// The requests with which the CLI asked for the prompt's answer: those that offer tools.
    fn asked(&self, prompt: &str) -> usize {
        let requests = self.bed.model.requests();
        requests.iter().filter(|request| request.prompt.trim() == prompt && !request.tools.is_empty()).count()
    }

    /// What the model was asked, for messages.
    fn prompts(&self) -> Vec<(String, bool)> {
        let requests = self.bed.model.requests();
        requests.into_iter().map(|request| (request.prompt, !request.tools.is_empty())).collect()
    }

    /// The person's own files are as they were, and the model heard the endpoint's key alone.
    fn nothing_of_theirs_was_used(&self) {
        let files = engines::files(&self.bed.daemon.path("user"));
        assert_eq!(files, self.files_before, "the user's home was written to");
        for request in self.bed.model.requests().iter().filter(|request| request.api.is_some()) {
            assert_eq!(request.key.as_deref(), Some(KEY), "{}", request.path);
        }
    }

    /// A shell on a terminal, as a person has it.
    fn shell(&self, cols: u16, rows: u16) -> Pty {
        let places = self.bed.daemon.places();
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let environment = BTreeMap::from([
            ("PATH".to_owned(), search_path()),
            ("HOME".to_owned(), text(&self.bed.daemon.path("user"))),
            ("TERM".to_owned(), "xterm-256color".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("PS1".to_owned(), "shell$ ".to_owned()),
            (variable::HOME.to_owned(), text(&places.home)),
            (variable::SOCKET.to_owned(), text(&places.socket)),
            (variable::CONFIG.to_owned(), text(&places.config)),
        ]);
        let argv = ["/bin/sh".to_owned()];
        let shell = Pty::with_size(&argv, &environment, self.bed.daemon.directory(), cols, rows).unwrap();
        eventually("the shell's prompt", PATIENCE, || shell.text().contains("shell$").then_some(()));
        shell
    }

    /// Waits until a terminal shows what the session's screen shows.
    #[track_caller]
    fn until_same(&self, who: &str, lines: impl Fn() -> Vec<String>) {
        let what = format!("{}: {who} shows what the session's screen is", self.kind);
        let same = eventually_or(&what, PATIENCE, || (lines() == self.bed.lines()).then_some(()));
        if let Err(late) = same {
            let (shown, screen) = (lines().join("\n"), self.bed.screen());
            panic!("{late}: it shows\n{shown}\n--- but the session's screen is\n{screen}");
        }
    }
}

/// Whether the place where a prompt is written is drawn, as wide as the terminal.
fn has_composer(kind: EngineKind, lines: &[String], cols: usize) -> bool {
    let full = |character: char| {
        lines.iter().filter(|line| line.chars().count() == cols && line.chars().all(|c| c == character)).count()
    };
    let shows = |text: &str| lines.iter().any(|line| line.contains(text));
    match kind {
        EngineKind::Claude => full('─') == 2 && lines.iter().any(|line| line.starts_with('❯')),
        // Its lower edge is the terminal's.
        EngineKind::Codex => {
            shows("Ask Codex to do anything") && lines.last().is_some_and(|line| line.contains("for shortcuts"))
        }
        EngineKind::Gemini => shows("Type your message") && full('▄') >= 1 && full('▀') >= 1,
        EngineKind::Opencode => {
            let ends = |text: &str| lines.iter().any(|l| l.ends_with(text) && l.chars().count() == cols - 2);
            shows("Ask anything") || ends("ctrl+p commands")
        }
        EngineKind::Qwen | EngineKind::Pi => full('─') >= 2 && shows_composer(kind, lines),
        _ => shows_composer(kind, lines),
    }
}

/// An attached viewer and what its terminal shows.
struct Viewer {
    writer: TerminalWriter,
    shown: Arc<Mutex<Shown>>,
    reading: tokio::task::JoinHandle<()>,
}

struct Shown {
    screen: Screen,
    ended: bool,
}

impl Viewer {
    async fn attach(daemon: &Daemon, session: &str, size: (u16, u16), mode: AttachMode) -> Self {
        let session: SessionId = session.parse().unwrap();
        let (cols, rows) = size;
        let params = AttachParams { session, cols, rows, mode, raw: false };
        let (mut reader, writer) = Terminal::attach(daemon.socket(), params).await.unwrap().split();
        let shown = Arc::new(Mutex::new(Shown { screen: Screen::new(cols, rows), ended: false }));
        let sink = Arc::clone(&shown);
        let reading = tokio::spawn(async move {
            while let Ok(Some(frame)) = reader.next().await {
                let mut shown = sink.lock().unwrap();
                match frame {
                    ToViewer::Screen(bytes) | ToViewer::Output(bytes) => shown.screen.feed(&bytes),
                    ToViewer::Ended { .. } => shown.ended = true,
                    ToViewer::Size { .. } | ToViewer::Control { .. } => {}
                    // Told only to those who give their terminal away.
                    ToViewer::Taken | ToViewer::Typed(_) | ToViewer::Modes(_) | ToViewer::Returned => {}
                }
            }
        });
        Self { writer, shown, reading }
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap()
    }

    fn lines(&self) -> Vec<String> {
        self.shown().screen.lines()
    }
}

/// The bytes that a terminal in these modes sends for Ctrl and a letter.
fn control(letter: char, modes: TermMode) -> Vec<u8> {
    if !modes.contains(TermMode::DISAMBIGUATE_ESC_CODES) {
        return vec![letter as u8 & 0x1f];
    }
    let release = if modes.contains(TermMode::REPORT_EVENT_TYPES) {
        format!("\x1b[{};5:3u", letter as u32)
    } else {
        String::new()
    };
    format!("\x1b[{};5u{release}", letter as u32).into_bytes()
}

/// Attaches from a shell, looks, resizes, leaves in both ways; the terminal must be as it was before.
fn a_person_attaches_and_leaves(person: &Person) {
    let session = &person.bed.session;
    let shell = person.shell(90, 26);
    let type_line = |line: &str| shell.write(format!("{line}\n").as_bytes()).unwrap();
    type_line("stty -a > before; echo at-the-$((1+1))nd-prompt");
    eventually("the shell's answer", PATIENCE, || shell.text().contains("at-the-2nd-prompt").then_some(()));
    let modes = shell.modes();
    for (turn, size) in [(97, 31), (104, 33)].into_iter().enumerate() {
        type_line(&format!("orxctl attach {session}"));
        eventually("the CLI on the person's terminal", PATIENCE, || {
            has_composer(person.kind, &shell.lines(), if turn == 0 { 90 } else { 97 }).then_some(())
        });
        person.until_same("an attached terminal", || shell.lines());
        shell.resize(size.0, size.1).unwrap();
        person.until_composer(usize::from(size.0), usize::from(size.1));
        person.until_same("a resized terminal", || shell.lines());
        if turn == 0 {
            shell.write(&control('b', shell.modes())).unwrap();
            shell.write(b"d").unwrap();
        } else {
            shell.write(&control('q', shell.modes())).unwrap();
        }
        let farewell = format!("[detached from {session}]");
        eventually("the shell's prompt after leaving", PATIENCE, || {
            let lines = shell.lines();
            let last = lines.iter().rposition(|line| line.contains(&farewell))?;
            lines.get(last + 1..)?.iter().any(|line| line.starts_with("shell$")).then_some(())
        });
        assert_eq!(shell.modes(), modes, "{}: modes are left behind", person.kind);
        let (after, done) = (format!("after-{turn}"), format!("sane-{}", turn + 41));
        type_line(&format!("stty -a > {after}; echo sane-$((40+1+{turn}))"));
        eventually("the shell's answer", PATIENCE, || shell.text().contains(&done).then_some(()));
        let stty = |name: &str| std::fs::read_to_string(person.bed.daemon.path(name)).unwrap();
        let settings = |text: String| text.split_once(';').map(|_| text.split_once("line = ").unwrap().1.to_owned());
        assert_eq!(settings(stty(&after)), settings(stty("before")));
    }
}

async fn lives_from_its_composer_to_its_end(kind: EngineKind) {
    let mut person = Person::new(kind).await;
    let work = person.bed.daemon.path("it's \"work\"");
    std::fs::create_dir_all(&work).unwrap();
    person.begin(&json!({ "cwd": work }));
    let session = person.bed.session.clone();

    // At once: what is typed before the composer is drawn is lost, so the daemon waits for it.
    let receipt = person.bed.send(FIRST);
    let drawn = person.until_composer(100, 30).join("\n").to_lowercase();
    for words in DIALOGS {
        assert!(!drawn.contains(words), "{kind}: a dialog (`{words}`) is on the screen\n{drawn}");
    }
    assert!(["submitted", "accepted"].contains(&receipt.as_str()), "{receipt}");
    person.bed.until_shown(FIRST_ANSWER);
    assert_eq!(person.asked(FIRST), 1, "{kind}: {:?}", person.prompts());

    person.bed.keys(&["x", "y", "z", "z", "y"]);
    person.bed.until_shown("xyzzy");
    person.bed.keys(&["backspace"; 5]);
    person.until("an empty composer", |lines| !lines.iter().any(|line| line.contains("xyzzy")));

    person.bed.call("session.resize", &json!({"cols": 76, "rows": 24}));
    person.until_composer(76, 24);
    let listed = person.bed.get();
    assert_eq!((&listed["cols"], &listed["rows"]), (&json!(76), &json!(24)));

    a_person_attaches_and_leaves(&person);

    let mut first = Viewer::attach(&person.bed.daemon, &session, (110, 32), AttachMode::Control).await;
    person.until_composer(110, 32);
    person.until_same("the first viewer", || first.lines());
    let second = Viewer::attach(&person.bed.daemon, &session, (110, 32), AttachMode::View).await;
    person.until_same("the second viewer", || second.lines());

    person.bed.daemon.kill9();
    first.writer.send(&FromViewer::Input(b"typed meanwhile".to_vec())).await.unwrap();
    for viewer in [&first, &second] {
        eventually("what is typed while the daemon is away", PATIENCE, || {
            viewer.lines().iter().any(|line| line.contains("typed meanwhile")).then_some(())
        });
    }
    person.bed.daemon.restart();
    let list = person.bed.daemon.call("session.list", &json!({}));
    assert_eq!((&list["sessions"][0]["session"], &list["sessions"][0]["state"]), (&json!(session), &json!("running")));
    person.bed.keys(&["backspace"; "typed meanwhile".len()]);
    person.until("an empty composer", |lines| !lines.iter().any(|line| line.contains("typed mean")));
    person.bed.send(SECOND);
    person.bed.until_shown(SECOND_ANSWER);
    person.until_composer(110, 32);
    person.until_same("the first viewer", || first.lines());
    person.until_same("the second viewer", || second.lines());

    person.bed.stop();
    for viewer in [first, second] {
        viewer.reading.await.unwrap();
        assert!(viewer.shown.lock().unwrap().ended, "a viewer was not told of the end");
    }
    let directory = person.bed.daemon.places().sessions().join(&session);
    assert_eq!(replayed(&directory.join(file::RECORDING)), person.bed.lines(), "{kind}: the recording's last screen");
    person.nothing_of_theirs_was_used();
}

/// What a session's terminal shows at the end of a recording.
fn replayed(recording: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(recording).unwrap();
    let mut lines = text.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    let number = |value: &Value| u16::try_from(value.as_u64().unwrap()).unwrap();
    assert_eq!(header["version"], 3);
    let size = TerminalSize { cols: number(&header["term"]["cols"]), rows: number(&header["term"]["rows"]) };
    let mut screen = Emulator::new(size);
    let mut last = String::new();
    for line in lines {
        let (_, code, data): (f64, String, String) = serde_json::from_str(line).unwrap();
        match code.as_str() {
            "o" => drop(screen.accept(data.as_bytes(), Instant::now())),
            "r" => {
                let (cols, rows) = data.split_once('x').unwrap();
                screen.resize(TerminalSize { cols: cols.parse().unwrap(), rows: rows.parse().unwrap() });
            }
            _ => {}
        }
        last = code;
    }
    assert_eq!(last, "x", "the exit is the last event");
    screen.text().lines
}

async fn a_first_prompt_is_handed_over_in_a_worktree(kind: EngineKind) {
    let mut person = Person::new(kind).await;
    let path = person.bed.daemon.path("repository");
    let repository = Repository::with_files(&path, &[("a.txt", "committed\n"), ("sub/b.txt", "b\n")]);
    repository.write("a.txt", "changed, not committed\n");
    repository.write("new.txt", "staged\n");
    repository.git(&["add", "new.txt"]);
    repository.write("loose.txt", "untracked\n");
    let before = repository.snapshot();
    person.begin(&json!({"cwd": path.join("sub"), "worktree": true, "prompt": HANDED}));
    person.bed.until_shown(HANDED_ANSWER);
    assert_eq!(person.asked(HANDED), 1, "{kind}: {:?}", person.prompts());
    let cwd = person.bed.get()["cwd"].as_str().unwrap().to_owned();
    let worktree = Path::new(&cwd).parent().unwrap().to_owned();
    assert!(worktree.starts_with(path.join(".worktrees")), "{cwd}");
    assert!(cwd.ends_with("/sub"), "{cwd}");
    assert_eq!(std::fs::read_to_string(worktree.join("a.txt")).unwrap(), "committed\n");
    assert!(!worktree.join("new.txt").exists() && !worktree.join("loose.txt").exists());
    let asked_in = person.bed.model.requests().into_iter().filter_map(|request| request.cwd).all(|said| said == cwd);
    assert!(asked_in, "{kind} works elsewhere");
    person.bed.stop();
    assert_eq!(repository.snapshot(), before, "the checkout changed");
    assert!(worktree.join("a.txt").exists(), "work is not thrown away with the session");
    person.nothing_of_theirs_was_used();
}

macro_rules! for_each_engine {
    ($($engine:ident $kind:path),+) => {
        $(mod $engine {
            use super::EngineKind;

            #[tokio::test(flavor = "multi_thread")]
            async fn lives_from_its_composer_to_its_end() {
                super::lives_from_its_composer_to_its_end($kind).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_first_prompt_is_handed_over_in_a_worktree() {
                super::a_first_prompt_is_handed_over_in_a_worktree($kind).await;
            }
        })+
    };
}

for_each_engine!(
    claude EngineKind::Claude,
    codex EngineKind::Codex,
    gemini EngineKind::Gemini,
    opencode EngineKind::Opencode,
    qwen EngineKind::Qwen,
    copilot EngineKind::Copilot,
    pi EngineKind::Pi,
    cline EngineKind::Cline
);

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_a_cli_puts_into_the_background_end_with_its_session() {
    let mut person = Person::new(EngineKind::Codex).await;
    let argv = ["-c", "features.daemon_auto_start=true"];
    person.begin(&json!({"cwd": person.bed.daemon.directory(), "argv": argv}));
    let servers = person.bed.until("a server of Codex in a session of its own", || {
        let servers: Vec<ProcessIdentity> = process::of_session(&person.bed.session)
            .into_iter()
            .filter(|pid| {
                let argv = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                String::from_utf8_lossy(&argv).contains("app-server\0")
            })
            .filter_map(|pid| identity::of(i32::try_from(pid).ok()?))
            .collect();
        (!servers.is_empty()).then_some(servers)
    });
    person.bed.stop();
    // One that has ended and was not collected yet by its new parent is no process any more.
    assert!(!servers.iter().any(|server| identity::is_alive(*server)), "{servers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_with_orxctl_and_a_real_cli() {
    let mut person = Person::new(EngineKind::Claude).await;
    let here = person.bed.daemon.directory();
    let shell = person.shell(100, 30);
    let type_line = |line: &str| shell.write(format!("{line}\n").as_bytes()).unwrap();
    type_line("orxctl new claude --title 'a day'");
    eventually("Claude Code on the terminal", PATIENCE, || {
        has_composer(EngineKind::Claude, &shell.lines(), 100).then_some(())
    });
    shell.write(b"Explain \"this\"").unwrap();
    eventually("what is typed", PATIENCE, || shell.text().contains("Explain \"this\"").then_some(()));
    shell.write(b"\r").unwrap();
    eventually("the answer", PATIENCE, || shell.text().contains(FIRST_ANSWER).then_some(()));
    shell.write(&control('b', shell.modes())).unwrap();
    shell.write(b"d").unwrap();
    eventually("the way back", PATIENCE, || shell.text().contains("[detached from ses_").then_some(()));
    assert!(!shell.modes().intersects(TermMode::ALT_SCREEN | TermMode::MOUSE_MODE));

    let listed = person.bed.daemon.orxctl(here, &["ls"]);
    let row = listed.done().lines().find(|line| line.contains("claude")).unwrap();
    assert!(row.contains("running") && row.contains("a day"), "{row}");
    let session = row.split_whitespace().next().unwrap().to_owned();
    person.bed.session.clone_from(&session);
    let short = &session[session.len() - 6..];
    assert!(person.bed.daemon.orxctl(here, &["send", short, SECOND]).done().contains("submitted"));
    person.bed.until_shown(SECOND_ANSWER);
    let screen = person.bed.daemon.orxctl(here, &["screen", short]);
    assert!(screen.done().contains(FIRST_ANSWER) && screen.done().contains(SECOND_ANSWER), "{screen:?}");
    let log = person.bed.daemon.orxctl(here, &["logs", short]);
    assert!(log.done().contains("first") && !log.stdout.contains('\u{1b}'), "{log:?}");
    person.bed.daemon.orxctl(here, &["wait", short, "--until", "running"]).done();
    person.bed.daemon.orxctl(here, &["wait", short, "--timeout", "100ms"]).refused(1, &["has not ended"]);

    type_line(&format!("clear; orxctl attach {short}"));
    eventually("the same conversation", PATIENCE, || shell.text().contains(SECOND_ANSWER).then_some(()));
    assert!(person.bed.daemon.orxctl(here, &["stop", short]).done().contains("ended"));
    eventually("word of the end", PATIENCE, || shell.text().contains("[session ended: ").then_some(()));
    assert!(!shell.modes().intersects(TermMode::ALT_SCREEN | TermMode::MOUSE_MODE));
    process::until_gone(&session, &[], GONE);
    person.bed.daemon.orxctl(here, &["wait", short]).done();
    assert!(!person.bed.daemon.orxctl(here, &["ls"]).stdout.contains("claude"));
    assert!(person.bed.daemon.orxctl(here, &["ls", "--all"]).done().contains("stopped"));
    assert!(person.bed.daemon.orxctl(here, &["screen", short]).code == Some(0), "its last screen can still be read");
    assert!(
        person.bed.daemon.orxctl(here, &["attach", short]).done().contains(SECOND_ANSWER),
        "its end is shown, not attached to"
    );
    person.bed.daemon.orxctl(here, &["send", short, "more"]).refused(1, &["ended"]);
}

#[test]
fn a_refused_session_leaves_no_worktree() {
    let daemon = Daemon::start(|settings| {
        settings.workers(0);
    });
    let path = daemon.path("repository");
    let repository = Repository::with_files(&path, &[("a.txt", "a\n")]);
    std::fs::create_dir_all(path.join("not/committed")).unwrap();
    let create = |more: Value| {
        let mut params = json!({"engine": "command", "argv": ["/bin/cat"], "cwd": path, "worktree": true});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        daemon.wire().call("session.create", &params)
    };
    for (wish, kind) in [
        (json!({"engine": "nonesuch"}), "invalid_params"),
        (json!({"engine": "codex", "argv": []}), "engine_missing"),
        (json!({"argv": []}), "invalid_params"),
        (json!({"title": "two\nlines"}), "invalid_params"),
        (json!({"env": {"ORX_HOME": "/"}}), "invalid_params"),
        (json!({"cwd": "relative"}), "invalid_params"),
    ] {
        let refused = create(wish.clone()).expect_err("it is refused");
        assert_eq!(refused["data"]["kind"], kind, "{wish}: {refused}");
        assert!(!path.join(".worktrees").exists(), "{wish} left a worktree");
    }
    let outside = daemon.path("no-repository");
    std::fs::create_dir_all(&outside).unwrap();
    let refused = create(json!({ "cwd": outside })).expect_err("it is refused");
    assert!(refused["message"].as_str().unwrap().contains("no-repository"), "{refused}");

    // What no commit holds is not in the worktree; the session starts as near as can be.
    let before = repository.snapshot();
    let session = create(json!({"cwd": path.join("not/committed")})).unwrap()["session"].clone();
    let cwd = daemon.call("session.get", &json!({ "session": session }))["cwd"].as_str().unwrap().to_owned();
    assert_eq!(Path::new(&cwd).parent().unwrap(), path.join(".worktrees"));
    assert_eq!(repository.snapshot(), before);
}
