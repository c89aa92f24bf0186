//! What the inbox is asked beside commands and files, with the real Claude Code: plans, tools of MCP servers, several questions
//! at once; decided together, and watched on a real terminal.

use std::time::Duration;

use orx_engines::EngineKind;
use orx_protocol::places::variable;
use orx_tests::harness::{binary, engines};
use orx_tests::lives::{Bed, rule, run, short};
use orx_tests::model::{Action, Rule, Scenario, Step};
use orx_tests::terminal::Terminal;
use serde_json::{Value, json};

const SERVER: &str = include_str!("../../data/mcp/server.py");
/// How long a line may take to be shown to who watches.
const SHOWN: Duration = Duration::from_secs(20);

fn call(tool: &str, arguments: Value) -> Action {
    Action::Call { tool: tool.to_owned(), arguments }
}

async fn claude(rules: Vec<Rule>, argv: &[&str]) -> Bed {
    let otherwise = Some(Step { text: "Never mind.".to_owned(), ..Step::default() });
    let mut bed = Bed::new(Scenario { rules, otherwise, ..Scenario::default() }, |settings| {
        engines::install(settings, EngineKind::Claude);
    })
    .await;
    bed.begin(&json!({"engine": "claude", "argv": argv, "title": "a session to ask"}));
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_waits_is_sent_back_with_a_reason_and_is_confirmed() {
    let plan = |text: &str| call("ExitPlanMode", json!({ "plan": text }));
    let rules = vec![
        rule("plan it", vec![plan("# Rewrite it\n\n1. Delete everything\n2. Begin again")]),
        rule("plan better", vec![plan("# Mend it\n\n1. Find the bug\n2. Write its test")]),
    ];
    let bed = claude(rules, &["--permission-mode", "plan"]).await;
    bed.send("plan it");
    let asked = bed.until_asked();
    assert_eq!((&asked["kind"], &asked["road"]), (&json!("plan"), &json!("hook")), "{asked}");
    assert_eq!(asked["title"], "a plan to be confirmed: Rewrite it");
    let shown = bed.orxctl(&["inbox"]);
    for words in ["its plan confirmed (ExitPlanMode)", "│ # Rewrite it", "│ 1. Delete everything"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    bed.daemon
        .orxctl(bed.daemon.directory(), &["allow", &short(&asked), "--answer", "yes"])
        .refused(1, &["is no question"]);
    bed.answer(&asked, "deny", &["--reason", "keep what works"]);
    bed.until("the model to hear why", || bed.model_heard("keep what works").then_some(()));
    bed.until_approval(&asked, "delivery", "delivered");
    bed.until_state("idle");

    bed.send("plan better");
    let asked = bed.until_asked();
    bed.answer(&asked, "allow", &[]);
    bed.until_shown("Finished: plan better.");
    bed.until_approval(&asked, "delivery", "delivered");
    bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_of_an_mcp_server_waits_with_its_arguments() {
    let rules = vec![
        rule("deploy it", vec![call("mcp__operations__deploy", json!({"target": "staging"}))]),
        rule("deploy for real", vec![call("mcp__operations__deploy", json!({"target": "production"}))]),
    ];
    let server = json!({"mcpServers": {"operations": {"command": "python3", "args": ["-c", SERVER]}}}).to_string();
    let bed = claude(rules, &["--mcp-config", &server, "--strict-mcp-config"]).await;
    bed.send("deploy it");
    let asked = bed.until_asked();
    assert_eq!((&asked["kind"], &asked["subject"]["tool"]), (&json!("tool"), &json!("mcp__operations__deploy")));
    let shown = bed.orxctl(&["inbox"]);
    assert!(shown.contains("to use a tool (mcp__operations__deploy)") && shown.contains("\"staging\""), "{shown}");
    assert!(!bed.made("deployed.txt"));
    bed.answer(&asked, "allow", &[]);
    bed.until_shown("Finished: deploy it.");
    assert_eq!(std::fs::read_to_string(bed.work.join("deployed.txt")).unwrap(), "staging");
    bed.until_state("idle");

    bed.send("deploy for real");
    let asked = bed.until_asked();
    bed.answer(&asked, "deny", &["--reason", "not on a Friday"]);
    bed.until_shown("Finished: deploy for real.");
    assert!(bed.model_heard("not on a Friday"));
    assert_eq!(std::fs::read_to_string(bed.work.join("deployed.txt")).unwrap(), "staging");
    bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn several_questions_are_answered_together_and_what_does_not_fit_is_refused() {
    let option = |label: &str, description: &str| json!({"label": label, "description": description});
    let questions = json!({"questions": [
        {"question": "Which colour?", "header": "Colour", "multiSelect": false,
            "options": [option("Red", "like a rose"), option("Blue", "like the sea")]},
        {"question": "Which parts?", "header": "Parts", "multiSelect": true,
            "options": [option("Doors", "two of them"), option("Windows", "all of them"), option("Roof", "the top")]},
    ]});
    let bed = claude(vec![rule("ask me", vec![call("AskUserQuestion", questions)])], &[]).await;
    bed.send("ask me");
    let asked = bed.until_asked();
    assert_eq!(
        (&asked["kind"], &asked["title"]),
        (&json!("question"), &json!("Which colour? (and 1 more)")),
        "{asked}"
    );
    let shown = bed.orxctl(&["inbox"]);
    for words in [
        "question 1 of 2\n",
        "│ Which colour?\n",
        "│ 1. Red: like a rose\n",
        "question 2 of 2 (several may be named)\n",
        "│ 3. Roof: the top\n",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let id = short(&asked);
    let refused = |answers: &[&str], code: i32, words: &[&str]| {
        let mut arguments = vec!["allow", id.as_str()];
        arguments.extend(answers.iter().flat_map(|answer| ["--answer", answer]));
        bed.daemon.orxctl(bed.daemon.directory(), &arguments).refused(code, words);
    };
    refused(&["1"], 2, &["it has 2 questions, and 1 answers were given"]);
    refused(&["Green", "1"], 1, &["the answer to part 1 is `Green`", "`Red`, `Blue`"]);
    refused(&["1", "1,7"], 1, &["the answer to part 2 is `Doors, 7`", "separated by commas"]);
    let over_socket = json!({"approvals": [asked["approval"]], "decision": "allow", "answer": "Red"});
    let error = bed.daemon.wire().call("approval.decide", &over_socket).unwrap_err();
    assert_eq!(error["data"]["kind"], "invalid_params", "{error}");
    assert!(error["message"].as_str().unwrap().contains("it has 2 parts, and the answer has 1 lines"), "{error}");
    assert_eq!(bed.approval(&asked)["state"], "pending");

    bed.answer(&asked, "allow", &["--answer", "2", "--answer", "1,3"]);
    bed.until_shown("Finished: ask me.");
    assert_eq!(bed.approval(&asked)["answer"], "Blue\nDoors, Roof");
    for words in ["\"Which colour?\"=\"Blue\"", "\"Which parts?\"=\"Doors, Roof\""] {
        assert!(bed.model_heard(words), "{words}: {}", bed.model.requests().last().unwrap().text);
    }
    bed.stop();
}

/// Two agents ask at once; somebody watches on a terminal of 80 columns.
#[tokio::test(flavor = "multi_thread")]
async fn who_watches_sees_what_comes_and_what_becomes_of_it() {
    let rules = vec![
        rule("touch one", vec![run("touch one.txt")]),
        rule("touch two", vec![run("touch two.txt")]),
        rule("touch three", vec![run("touch three.txt")]),
    ];
    let mut bed = claude(rules, &[]).await;
    let first = bed.session.clone();
    bed.begin(&json!({"engine": "claude", "title": "another"}));
    let second = bed.session.clone();

    let places = bed.daemon.places();
    let environment = [
        ("PATH".to_owned(), std::env::var("PATH").unwrap()),
        ("TERM".to_owned(), "xterm-256color".to_owned()),
        (variable::HOME.to_owned(), places.home.to_string_lossy().into_owned()),
        (variable::SOCKET.to_owned(), places.socket.to_string_lossy().into_owned()),
    ];
    let argv = [binary("orxctl").to_string_lossy().into_owned(), "inbox".to_owned(), "--watch".to_owned()];
    let watch = Terminal::with_size(&argv, &environment.into(), bed.daemon.directory(), 80, 40).unwrap();
    watch.wait_for("nobody waits", SHOWN).await.unwrap();

    bed.send("touch two");
    bed.session.clone_from(&first);
    bed.send("touch one");
    bed.until("both questions", || (bed.approvals(false).len() == 2).then_some(()));
    for words in ["(a session to ask)", "(another)", "│ touch one.txt", "│ touch two.txt"] {
        watch.wait_for(words, SHOWN).await.unwrap();
    }
    // All or none: one that is none of them decides nothing.
    let waiting = bed.approvals(false);
    let (one, two) = (short(&waiting[0]), short(&waiting[1]));
    bed.daemon.orxctl(bed.daemon.directory(), &["allow", &one, "nobody"]).refused(1, &["nobody"]);
    assert_eq!(bed.approvals(false).len(), 2);
    let said = bed.orxctl(&["allow", &one, &two]);
    assert_eq!(said.lines().filter(|line| line.contains(": allowed by")).count(), 2, "{said}");
    bed.until("both files", || (bed.made("one.txt") && bed.made("two.txt")).then_some(()));
    watch.wait_for("run touch one.txt: allowed by", SHOWN).await.unwrap();
    watch.wait_for("run touch two.txt: allowed by", SHOWN).await.unwrap();
    // What was told once is not told again where nothing is new in it.
    bed.until("the deliveries", || {
        bed.approvals(true).iter().all(|approval| approval["delivery"] == "delivered").then_some(())
    });
    bed.until_state("idle");
    bed.send("touch three");
    let asked = bed.until_asked();
    watch.wait_for("│ touch three.txt", SHOWN).await.unwrap();
    bed.orxctl(&["deny", "--all", "--reason", "two are enough"]);
    watch.wait_for("two are enough", SHOWN).await.unwrap();
    bed.until_approval(&asked, "state", "denied");
    let text = watch.text();
    assert_eq!(text.matches("run touch one.txt: allowed by").count(), 1, "{text}");
    watch.write(b"\x03").unwrap();
    bed.stop();
    bed.session = second;
    bed.stop();
}
