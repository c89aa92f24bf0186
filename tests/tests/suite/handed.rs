//! Engines that show no dialog while a hook of theirs waits for the inbox: a person who looks at the terminal gets the dialog,
//! the question in the inbox stays the one that it was, and is then answered by keys.

use std::path::Path;
use std::time::Duration;

use orx_client::Terminal;
use orx_protocol::api::session::{AttachMode, AttachParams};
use orx_tests::harness::{engines, eventually_or};
use orx_tests::lives::engines::{copilot, gemini, qwen};
use orx_tests::lives::{Bed, Road, rule, run};
use orx_tests::model::{Scenario, Step};
use serde_json::json;
use tokio::task::JoinHandle;

/// How long a key is given before it is pressed again.
const AGAIN: Duration = Duration::from_secs(2);

/// A session on its terminal, ready for prompts that run commands, and a part of its dialog.
struct Hooked {
    bed: Bed,
    dialog: &'static str,
}

impl Hooked {
    async fn start(road: &Road, dialog: &'static str) -> Self {
        let rules =
            ["touch one", "touch two", "touch three"].map(|prompt| rule(prompt, vec![run(&format!("{prompt}.txt"))]));
        let otherwise = Some(Step { text: "Never mind.".to_owned(), ..Step::default() });
        let scenario = Scenario { rules: rules.to_vec(), otherwise, ..Scenario::default() };
        let mut bed = Bed::new(scenario, |settings| engines::install(settings, road.kind)).await;
        (road.prepare)(&bed.work);
        bed.begin(&json!({"engine": road.kind.name(), "argv": road.argv}));
        bed.until_state("idle");
        assert_eq!(bed.get()["channel"], "hooks");
        Self { bed, dialog }
    }

    /// A person attaches and reads on.
    async fn look(&self) -> JoinHandle<()> {
        let params = AttachParams {
            session: self.bed.session.parse().unwrap(),
            cols: 100,
            rows: 30,
            mode: AttachMode::Control,
            raw: false,
        };
        let mut viewer = Terminal::attach(self.bed.daemon.socket(), params).await.unwrap();
        tokio::spawn(async move { while let Ok(Some(_)) = viewer.next().await {} })
    }

    fn shows_dialog(&self) -> bool {
        self.bed.screen().contains(self.dialog)
    }

    /// Waits until a question waits that is answered on this road, and gives it.
    #[track_caller]
    fn until_asked_by(&self, road: &str, command: &str) -> serde_json::Value {
        let asked = self.bed.until_asked();
        let asked = self.bed.until_approval(&asked, "road", road);
        assert_eq!((&asked["kind"], &asked["subject"]["command"]), (&json!("command"), &json!(command)), "{asked:#}");
        self.bed.until_state("blocked");
        asked
    }
}

/// Whoever looks gets the dialog at once; the inbox answers it by keys, with what the hook told of it.
async fn looked_at(road: Road, dialog: &'static str) {
    let life = Hooked::start(&road, dialog).await;
    let bed = &life.bed;
    let viewer = life.look().await;
    bed.send("touch one");
    let asked = life.until_asked_by("screen", "touch one.txt");
    bed.until_shown(dialog);
    bed.answer(&asked, "allow", &[]);
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until("the file", || bed.made("one.txt").then_some(()));
    bed.until_shown("Finished: touch one.");
    bed.until_state("idle");
    // Who did nothing for a minute is not known to look any more.
    viewer.abort();
    let viewer = life.look().await;
    bed.send("touch two");
    let asked = life.until_asked_by("screen", "touch two.txt");
    bed.answer(&asked, "deny", &[]);
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until_state("idle");
    assert!(!bed.made("two.txt"));
    viewer.abort();
    bed.stop();
}

/// A question that is with its hook outlives the daemon, and goes to the terminal when somebody comes; answered there, it
/// waits no more. What a rule covers goes through the hook without anybody.
async fn somebody_comes(road: Road, dialog: &'static str) {
    let mut life = Hooked::start(&road, dialog).await;
    life.bed.send("touch one");
    let asked = life.until_asked_by("hook", "touch one.txt");
    assert!(!life.shows_dialog(), "{}", life.bed.screen());
    life.bed.daemon.kill9();
    life.bed.daemon.restart();
    let again = life.until_asked_by("hook", "touch one.txt");
    assert_eq!(again["approval"], asked["approval"]);

    let viewer = life.look().await;
    let bed = &life.bed;
    bed.until_shown(dialog);
    let moved = bed.until_approval(&asked, "road", "screen");
    assert_eq!(moved["state"], "pending", "{moved:#}");
    bed.until_state("blocked");
    bed.until("an answer at the terminal", || {
        bed.keys(&["enter"]);
        let is_answered = || (bed.approval(&asked)["state"] == "withdrawn").then_some(());
        eventually_or("the answer", AGAIN, is_answered).ok()
    });
    bed.until("the file", || bed.made("one.txt").then_some(()));
    bed.until_state("idle");
    viewer.abort();

    bed.orxctl(&["rule", "add", "allow", "--command", "touch two.txt"]);
    bed.orxctl(&["rule", "add", "deny", "--command", "touch three.txt"]);
    bed.send("touch two");
    bed.until_shown("Finished: touch two.");
    assert!(bed.made("two.txt"));
    bed.until_state("idle");
    bed.send("touch three");
    bed.until_shown("Finished: touch three.");
    assert!(!bed.made("three.txt"));
    assert!(bed.model_heard("standing rule of the operator denies"), "{}", bed.situation());
    bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn qwen_shows_its_dialog_to_whoever_looks_and_the_inbox_answers_it() {
    looked_at(qwen::HOOKS, "Yes, allow once").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copilot_shows_its_dialog_to_whoever_looks_and_the_inbox_answers_it() {
    looked_at(copilot::HOOKS, "Do you want to run this command?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_a_hook_of_qwen_goes_to_the_terminal_when_somebody_comes() {
    somebody_comes(qwen::HOOKS, "Yes, allow once").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_a_hook_of_copilot_goes_to_the_terminal_when_somebody_comes() {
    somebody_comes(copilot::HOOKS, "Do you want to run this command?").await;
}

/// Gemini CLI takes no answer from a hook, and tells by one what its dialog will ask: rules hold for that.
#[tokio::test(flavor = "multi_thread")]
async fn what_gemini_announces_is_asked_whole_and_covered_by_rules() {
    let life = Hooked::start(&gemini::KEYS, "Allow execution").await;
    let bed = &life.bed;
    bed.prompt("touch one");
    let asked = life.until_asked_by("screen", "touch one.txt");
    bed.until_shown(life.dialog);
    bed.answer(&asked, "allow", &["--always"]);
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until_shown("Finished: touch one.");
    bed.until_state("idle");
    assert!(bed.made("one.txt"));
    bed.orxctl(&["rule", "add", "allow", "--command", "touch two.txt"]);
    bed.orxctl(&["rule", "add", "deny", "--command", "touch three.txt"]);
    bed.prompt("touch two");
    bed.until_shown("Finished: touch two.");
    assert!(bed.made("two.txt"));
    bed.until_state("idle");
    bed.prompt("touch three");
    bed.until_shown("Finished: touch three.");
    assert!(!bed.made("three.txt"));
    assert!(bed.model_heard("standing rule of the operator denies"), "{}", bed.situation());
    bed.stop();
}

/// Qwen Code writes what it believes will be said next where prompts are typed.
#[tokio::test(flavor = "multi_thread")]
async fn a_suggestion_of_qwen_is_no_text_of_anybody() {
    let suggests = |work: &Path| {
        std::fs::create_dir(work.join(".qwen")).unwrap();
        let settings = json!({"ui": {"enableFollowupSuggestions": true}});
        std::fs::write(work.join(".qwen/settings.json"), settings.to_string()).unwrap();
    };
    let life = Hooked::start(&Road { prepare: suggests, ..qwen::HOOKS }, "Yes, allow once").await;
    let bed = &life.bed;
    bed.orxctl(&["rule", "add", "allow", "--command", "touch *.txt"]);
    bed.prompt("touch one");
    bed.until_shown("Finished: touch one.");
    bed.until("the suggestion", || bed.lines().iter().any(|line| line.starts_with("> Never mind.")).then_some(()));
    bed.until_state("idle");
    bed.prompt("touch two");
    bed.until_shown("Finished: touch two.");
    assert!(bed.model_heard("touch two") && !bed.model_heard("Never mind.touch"), "{}", bed.situation());
    bed.stop();
}

/// Qwen Code waits for its hook for a minute; what is not decided by then is asked on its screen, and goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_decides_while_the_hook_waits_is_answered_in_the_dialog() {
    let life = Hooked::start(&qwen::HOOKS, "Yes, allow once").await;
    let bed = &life.bed;
    bed.send("touch one");
    let asked = life.until_asked_by("hook", "touch one.txt");
    bed.until_shown(life.dialog);
    let moved = bed.until_approval(&asked, "road", "screen");
    assert_eq!(moved["state"], "pending", "{moved:#}");
    bed.answer(&asked, "allow", &[]);
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until("the file", || bed.made("one.txt").then_some(()));
    bed.stop();
}
