//! A server of opencode that a person started: joined where it had got to, followed, asked and answered, and left alive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orx_engines::EngineKind;
use orx_tests::harness::{binary, engines, eventually};
use orx_tests::lives::engines::opencode;
use orx_tests::lives::{Bed, KEY, PATIENCE, rule, write};
use orx_tests::model::{Scenario, Step};
use orx_tests::terminal::Terminal;
use serde_json::{Value, json};

const PASSWORD: &str = "a-person-s-own-password";

fn scenario() -> Scenario {
    Scenario {
        rules: vec![
            rule("write the first", vec![write("first.txt")]),
            rule("write the second", vec![write("second.txt")]),
            rule("hand this over", vec![]),
            rule("who else is here", vec![]),
            rule("are you still there", vec![]),
            rule("now I am alone", vec![]),
        ],
        otherwise: Some(Step { text: "Hello there.".to_owned(), ..Step::default() }),
        ..Scenario::default()
    }
}

/// opencode with a person's own settings, in which the scripted model is their provider.
struct Person {
    environment: BTreeMap<String, String>,
    program: String,
    work: PathBuf,
}

impl Person {
    fn new(home: &Path, work: &Path, model: &str) -> Self {
        let settings = json!({
            "provider": {"scripted": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "scripted",
                "options": {"baseURL": format!("{model}/v1"), "apiKey": KEY},
                "models": {"default": {}},
            }},
            "model": "scripted/default",
            "small_model": "scripted/default",
            "autoupdate": false,
            "share": "disabled",
        });
        let directory = home.join(".config/opencode");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("opencode.json"), settings.to_string()).unwrap();
        let variables = [
            ("HOME", home.to_str().unwrap()),
            ("PATH", &binary::search_path()),
            ("TERM", "xterm-256color"),
            ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
            ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
            ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
        ];
        let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let program = engines::program(EngineKind::Opencode).to_string_lossy().into_owned();
        Self { environment, program, work: work.to_owned() }
    }

    fn run(&self, password: &str, arguments: &[&str]) -> Terminal {
        let mut environment = self.environment.clone();
        environment.insert("OPENCODE_SERVER_PASSWORD".to_owned(), password.to_owned());
        let argv: Vec<String> =
            std::iter::once(self.program.as_str()).chain(arguments.iter().copied()).map(str::to_owned).collect();
        Terminal::with_size(&argv, &environment, &self.work, 100, 30).unwrap()
    }

    /// A server, and its address.
    fn serve(&self, password: &str) -> (Terminal, String) {
        let server = self.run(password, &["serve", "--port", "0"]);
        let address = eventually("opencode's server", PATIENCE, || {
            let text = server.text();
            let (_, said) = text.split_once("listening on ")?;
            Some(said.split_whitespace().next()?.to_owned())
        });
        (server, address)
    }

    /// opencode's own interface of a server, as a person uses it without orx.
    fn attach(&self, address: &str) -> Terminal {
        let own = self.run(PASSWORD, &["attach", address, "--dir", self.work.to_str().unwrap()]);
        eventually("the interface", PATIENCE, || own.text().contains("╹▀▀").then_some(()));
        own
    }
}

/// Types a prompt, and waits for the answer.
fn prompt(own: &Terminal, text: &str) {
    own.write(text.as_bytes()).unwrap();
    eventually("what is typed", PATIENCE, || own.text().contains(text).then_some(()));
    own.write(b"\r").unwrap();
    let words = format!("Finished: {text}.");
    eventually("the server's answer", PATIENCE, || own.text().contains(&words).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_opencode_is_joined_and_outlives_its_session() {
    let mut home = None;
    let mut bed = Bed::new(scenario(), |settings| {
        engines::install(settings, EngineKind::Opencode);
        settings.variable("OPENCODE_SERVER_PASSWORD", PASSWORD);
        home = Some(settings.user_home.clone());
    })
    .await;
    opencode::asks(&bed.work);
    let person = Person::new(&home.unwrap(), &bed.work, &bed.model.url);
    let (_server, address) = person.serve(PASSWORD);
    let own = person.attach(&address);
    prompt(&own, "hand this over");

    // It is joined where it works and where it had got to, wherever its user is.
    bed.session = bed.orxctl(&["adopt", "server", &address, "--detach", "--title", "mine"]).trim().to_owned();
    let session = bed.get();
    assert_eq!(
        (&session["cwd"], &session["channel"], &session["title"]),
        (&json!(bed.work), &json!("serve"), &json!("mine"))
    );
    assert_eq!(session["sandbox"]["mechanism"], "none", "what it does it does in its server: {session}");
    let conversation = session["conversation"].as_str().expect("the server's last conversation").to_owned();
    bed.until_shown("Finished: hand this over.");
    bed.until_state("idle");
    bed.daemon
        .orxctl(&bed.work, &["adopt", "server", &format!("{address}/"), "--detach"])
        .refused(1, &["looks after", &bed.session]);

    // What its user does there without orx is followed here.
    prompt(&own, "who else is here");
    bed.until_shown("Finished: who else is here.");

    // Prompted and answered over orx; the daemon may die meanwhile.
    bed.prompt("write the first");
    let asked = bed.until_asked();
    assert_eq!((asked["road"].as_str(), asked["kind"].as_str()), (Some("protocol"), Some("file_change")), "{asked}");
    bed.until_state("blocked");
    bed.daemon.kill9();
    bed.daemon.restart();
    let again = bed.until_asked();
    assert_eq!(again["approval"], asked["approval"]);
    bed.answer(&again, "allow", &[]);
    bed.until_written("first.txt");
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until_shown("Finished: write the first.");
    bed.until_state("idle");
    assert_eq!(bed.get()["conversation"], json!(conversation));
    assert!(
        !std::fs::read_to_string(Path::new(bed.get()["directory"].as_str().unwrap()).join("channel.json"))
            .unwrap()
            .contains(PASSWORD)
    );

    // The client ends, the server does not; and it can be joined again under the same name.
    bed.stop();
    prompt(&own, "are you still there");
    bed.orxctl(&["resume", &bed.session, "--detach"]);
    bed.until_shown("Finished: are you still there.");
    bed.prompt("write the second");
    let asked = bed.until_asked();
    bed.answer(&asked, "deny", &[]);
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until_state("idle");
    assert!(!bed.made("second.txt"));
    let session = bed.get();
    assert_eq!((&session["conversation"], &session["sandbox"]["mechanism"]), (&json!(conversation), &json!("none")));
    bed.stop();
    prompt(&own, "now I am alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_joined_is_said_to_be_so() {
    let mut home = None;
    let bed = Bed::new(scenario(), |settings| {
        engines::install(settings, EngineKind::Opencode);
        home = Some(settings.user_home.clone());
    })
    .await;
    let person = Person::new(&home.unwrap(), &bed.work, &bed.model.url);
    let (_server, address) = person.serve(PASSWORD);
    let adopt = |address: &str, words: &[&str]| {
        bed.daemon.orxctl(&bed.work, &["adopt", "server", address, "--detach"]).refused(1, words);
    };
    adopt(&address, &["has a password", "OPENCODE_SERVER_PASSWORD"]);
    adopt("http://127.0.0.1:1", &["cannot be reached", "opencode serve"]);
    let sessions = bed.daemon.call("session.list", &json!({"all": true}));
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(0), "{sessions}");
    let refused: Value = bed
        .daemon
        .wire()
        .call("session.adopt", &json!({"origin": "server", "target": "https://example.com"}))
        .unwrap_err();
    assert_eq!(refused["data"]["kind"], "invalid_params", "{refused}");
}
