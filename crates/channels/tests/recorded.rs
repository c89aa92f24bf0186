//! The translations, fed with what the real programs said.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are tests too.

use orx_channels::{ChannelCommand, ChannelEvent, PromptOutcome, Protocol, Step, acp, app_server, opencode};
use orx_protocol::activity::AgentState;
use orx_protocol::api::approval::{ApprovalKind, Decision};
use serde_json::{Value, json};

fn lines(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What was told, and what was sent.
struct Seen<M> {
    told: Vec<ChannelEvent>,
    sent: Vec<M>,
}

impl<M> Seen<M> {
    fn new() -> Self {
        Self { told: Vec::new(), sent: Vec::new() }
    }

    fn add(&mut self, steps: Vec<Step<M>>) {
        for step in steps {
            match step {
                Step::Send(message) => self.sent.push(message),
                Step::Tell(event) => self.told.push(event),
                Step::Close(error) => panic!("closed: {error}"),
            }
        }
    }

    fn states(&self) -> Vec<AgentState> {
        let mut states: Vec<AgentState> = self
            .told
            .iter()
            .filter_map(|event| match event {
                ChannelEvent::Observed(observation) => Some(observation.state),
                _ => None,
            })
            .collect();
        states.dedup();
        states
    }

    fn asked(&self) -> Vec<&orx_channels::Ask> {
        self.told
            .iter()
            .filter_map(|event| match event {
                ChannelEvent::Asked(ask) => Some(&**ask),
                _ => None,
            })
            .collect()
    }
}

/// Answers what the translation asks of Codex's server, as the server does for a session without threads.
fn serve(protocol: &mut app_server::Translator, seen: &mut Seen<Value>, from: usize) -> usize {
    let mut at = from;
    while at < seen.sent.len() {
        let request = seen.sent[at].clone();
        at += 1;
        let (Some(method), Some(id)) = (request["method"].as_str(), request.get("id")) else { continue };
        let result = match method {
            "thread/loaded/list" | "thread/turns/list" => json!({"data": [], "nextCursor": null}),
            "turn/start" => json!({"turn": {"id": "turn", "status": "inProgress"}}),
            _ => json!({}),
        };
        seen.add(protocol.received(json!({"id": id, "result": result}), 0));
    }
    at
}

#[test]
fn codex_is_followed_from_its_first_thread_to_an_approval_and_its_end() {
    let mut protocol = app_server::Translator::new("0", None);
    let mut seen = Seen::new();
    seen.add(protocol.connected(0));
    let mut served = serve(&mut protocol, &mut seen, 0);
    seen.add(protocol.command(ChannelCommand::Prompt { id: 7, text: "early".to_owned() }, 0));
    for message in lines("app_server.jsonl") {
        seen.add(protocol.received(message, 5));
        served = serve(&mut protocol, &mut seen, served);
    }
    use AgentState::{Blocked, Idle, Working};
    assert_eq!(seen.states(), [Idle, Working, Idle, Working, Blocked, Working, Idle]);
    let [ask] = seen.asked()[..] else { panic!("{:?}", seen.told) };
    assert_eq!(ask.kind, ApprovalKind::FileChange);
    assert_eq!(ask.subject.paths, ["/home/dev/repo/written.txt"]);
    assert!(ask.subject.diff.as_ref().unwrap().contains("+hello"));
    // It was answered by another client: the engine told so.
    assert!(seen.told.contains(&ChannelEvent::Answered { key: ask.key.clone() }));
    assert!(seen.told.contains(&ChannelEvent::PromptAccepted { id: 7 }));
    assert!(seen.told.contains(&ChannelEvent::PromptEnded { id: 7, outcome: PromptOutcome::Done }));
    let conversations = seen.told.iter().filter(|event| matches!(event, ChannelEvent::Conversation(_))).count();
    assert_eq!(conversations, 1, "side conversations are nobody's");
    let start = seen.sent.iter().find(|message| message["method"] == "turn/start").unwrap();
    assert_eq!(start["params"]["clientUserMessageId"], "orx-7");
}

/// Codex tells its other clients of threads that begin, and not of one that its interface takes up.
#[test]
fn a_conversation_that_codexs_interface_takes_up_is_found_among_those_that_are_loaded() {
    let mut protocol = app_server::Translator::new("0", Some("t".to_owned()));
    let mut seen = Seen::new();
    seen.add(protocol.connected(0));
    serve(&mut protocol, &mut seen, 0);
    seen.add(protocol.command(ChannelCommand::Prompt { id: 7, text: "go on".to_owned() }, 0));
    let started = |seen: &Seen<Value>| seen.sent.iter().any(|message| message["method"] == "turn/start");
    assert!(!started(&seen), "nothing can be started that is not loaded: {:?}", seen.sent);
    // The interface takes its time.
    for _ in 0..3 {
        let (at, from) = (protocol.wakes_at_ms().unwrap(), seen.sent.len());
        seen.add(protocol.tick(at));
        serve(&mut protocol, &mut seen, from);
    }
    assert!(!started(&seen));
    let looks = seen.sent.iter().filter(|message| message["method"] == "thread/loaded/list").count();
    assert!(looks >= 3, "{:?}", seen.sent);
    let (at, from) = (protocol.wakes_at_ms().unwrap(), seen.sent.len());
    seen.add(protocol.tick(at));
    let answer = |seen: &Seen<Value>, method: &str, result: Value| {
        let request = seen.sent[from..].iter().find(|message| message["method"] == method).unwrap();
        json!({"id": request["id"], "result": result})
    };
    let loaded = answer(&seen, "thread/loaded/list", json!({"data": ["t"], "nextCursor": null}));
    seen.add(protocol.received(loaded, at));
    let read = answer(&seen, "thread/read", json!({"thread": {"id": "t", "status": {"type": "idle"}}}));
    seen.add(protocol.received(read, at));
    assert!(started(&seen), "{:?}", seen.sent);
    let settled = seen.told.iter().filter(|event| matches!(event, ChannelEvent::InStep)).count();
    assert_eq!(settled, 1, "{:?}", seen.told);
    assert!(protocol.wakes_at_ms().is_some_and(|wakes| wakes > at + 1_000), "it looks no more");
}

#[test]
fn codex_hears_a_decision_again_after_a_connection_that_broke() {
    let mut protocol = app_server::Translator::new("0", None);
    let mut seen = Seen::new();
    seen.add(protocol.connected(0));
    let thread = json!({"method": "thread/started", "params": {"thread": {"id": "t", "status": {"type": "idle"}}}});
    let question = json!({"id": 0, "method": "item/commandExecution/requestApproval",
        "params": {"threadId": "t", "turnId": "u", "itemId": "i", "command": "make"}});
    seen.add(protocol.received(thread.clone(), 0));
    seen.add(protocol.received(question.clone(), 0));
    let key = seen.asked()[0].key.clone();
    let decide = |decision| ChannelCommand::Decide { key: key.clone(), decision, answer: None, reason: None };
    seen.add(protocol.command(decide(Decision::Allow), 0));
    assert_eq!(seen.sent.last().unwrap(), &json!({"id": 0, "result": {"decision": "accept"}}));
    seen.add(protocol.connected(10));
    seen.add(protocol.received(thread, 10));
    let before = seen.sent.len();
    seen.add(protocol.received(question, 10));
    assert_eq!(seen.sent[before..], [json!({"id": 0, "result": {"decision": "accept"}})]);
    assert_eq!(seen.asked().len(), 1);
    seen.add(
        protocol.received(json!({"method": "serverRequest/resolved", "params": {"threadId": "t", "requestId": 0}}), 11),
    );
    assert!(seen.told.contains(&ChannelEvent::Delivered { key: key.clone(), outcome: Ok(()) }));
    seen.add(protocol.command(decide(Decision::Deny), 12));
    assert!(matches!(seen.told.last(), Some(ChannelEvent::Delivered { outcome: Err(_), .. })));
}

#[test]
fn what_codex_asks_of_its_interface_is_left_to_it() {
    let mut protocol = app_server::Translator::new("0", None);
    let mut seen = Seen::new();
    seen.add(protocol.received(json!({"id": 9, "method": "attestation/generate", "params": {}}), 0));
    for garbage in [json!(7), json!({"method": "thread/status/changed"}), json!({"id": 77, "result": 1}), json!({})] {
        seen.add(protocol.received(garbage, 0));
    }
    assert!(seen.sent.is_empty() && seen.told.is_empty());
}

#[test]
fn opencode_is_followed_over_permissions_a_stop_and_an_answer_at_the_terminal() {
    let mut protocol = opencode::Translator::new(None);
    let mut seen = Seen::new();
    seen.add(protocol.connected(0));
    for purpose in [opencode::Purpose::Permissions, opencode::Purpose::Questions, opencode::Purpose::Statuses] {
        let body = if purpose == opencode::Purpose::Statuses { json!({}) } else { json!([]) };
        seen.add(protocol.received(opencode::Input::Reply { purpose, status: 200, body }, 0));
    }
    assert!(seen.told.contains(&ChannelEvent::InStep));
    let mut allowed = None;
    for event in lines("opencode.jsonl") {
        let asked = event["type"] == "permission.asked";
        seen.add(protocol.received(opencode::Input::Event(event), 5));
        if asked && allowed.is_none() {
            let key = seen.asked()[0].key.clone();
            let decide =
                ChannelCommand::Decide { key: key.clone(), decision: Decision::Allow, answer: None, reason: None };
            seen.add(protocol.command(decide, 6));
            allowed = Some(key);
        }
    }
    use AgentState::{Blocked, Idle, Working};
    assert_eq!(seen.states(), [Idle, Working, Blocked, Working, Idle, Working, Idle, Working, Blocked, Working, Idle]);
    let [first, second] = seen.asked()[..] else { panic!("{:?}", seen.asked()) };
    assert_eq!((first.kind, first.subject.command.as_deref()), (ApprovalKind::Command, Some("echo made > made.txt")));
    assert_eq!(
        (second.kind, second.subject.paths.as_slice()),
        (ApprovalKind::FileChange, ["/home/dev/repo/written.txt".to_owned()].as_slice())
    );
    assert!(second.subject.diff.as_ref().unwrap().contains("+hello"));
    assert!(seen.told.contains(&ChannelEvent::Delivered { key: first.key.clone(), outcome: Ok(()) }));
    assert!(seen.told.contains(&ChannelEvent::Answered { key: second.key.clone() }));
    let reply = seen.sent.iter().find(|call| call.path.ends_with("/reply")).unwrap();
    assert_eq!(
        (reply.path.as_str(), reply.body.as_ref().unwrap()),
        (format!("/permission/{}/reply", first.key).as_str(), &json!({"reply": "once"}))
    );
}

#[test]
fn a_prompt_for_opencode_gets_a_conversation_that_the_interface_shows() {
    let mut protocol = opencode::Translator::new(None);
    let mut seen = Seen::new();
    seen.add(protocol.command(ChannelCommand::Prompt { id: 3, text: "go".to_owned() }, 1_795_186_247_338));
    let created = json!({"id": "ses_1"});
    seen.add(protocol.received(
        opencode::Input::Reply { purpose: opencode::Purpose::Create, status: 200, body: created },
        1_795_186_247_338,
    ));
    let paths: Vec<&str> = seen.sent.iter().map(|call| call.path.as_str()).collect();
    assert_eq!(paths, ["/session", "/tui/select-session", "/session/ses_1/prompt_async"]);
    let message = seen.sent[2].body.as_ref().unwrap()["messageID"].as_str().unwrap().to_owned();
    assert!(message.starts_with("msg_1f97046aa"), "{message}: names begin with the time, as the server's own do");
    seen.add(protocol.command(ChannelCommand::Prompt { id: 4, text: "on".to_owned() }, 1_795_186_247_338));
    let next = seen.sent[3].body.as_ref().unwrap()["messageID"].as_str().unwrap().to_owned();
    assert!(next > message, "later messages sort later");
    let event = json!({"type": "message.updated", "properties": {"sessionID": "ses_1", "info": {"id": message, "role": "user"}}});
    seen.add(protocol.received(opencode::Input::Event(event), 2));
    assert!(seen.told.contains(&ChannelEvent::PromptAccepted { id: 3 }));
    let failed =
        opencode::Input::Reply { purpose: opencode::Purpose::Prompt(4), status: 400, body: json!({"message": "bad"}) };
    seen.add(protocol.received(failed, 3));
    let Some(ChannelEvent::PromptEnded { id: 4, outcome: PromptOutcome::Refused(why) }) = seen.told.last() else {
        panic!("{:?}", seen.told)
    };
    assert!(why.contains("400") && why.contains("bad"), "{why}");
}

fn record(line: &Value) -> acp::Input {
    acp::Input::Record(serde_json::from_value(line.clone()).unwrap())
}

/// Feeds a recorded exchange as it happened: live from its first line.
fn live(name: &str) -> Seen<acp::Line> {
    let mut protocol = acp::Translator::new("0", "/home/dev/repo", None);
    let mut seen = Seen::new();
    seen.add(protocol.connected(0));
    seen.add(protocol.received(acp::Input::Read, 0));
    for line in lines(name) {
        seen.add(protocol.received(record(&line), 1));
    }
    seen
}

#[test]
fn every_agent_is_followed_through_acp() {
    use AgentState::{Blocked, Idle, Starting, Working};
    for (name, kind, outcome) in [
        ("acp-gemini.jsonl", Some(ApprovalKind::FileChange), PromptOutcome::Done),
        ("acp-opencode.jsonl", Some(ApprovalKind::FileChange), PromptOutcome::Done),
        ("acp-claude.jsonl", Some(ApprovalKind::Command), PromptOutcome::Done),
        ("acp-qwen.jsonl", Some(ApprovalKind::FileChange), PromptOutcome::Done),
        ("acp-copilot.jsonl", Some(ApprovalKind::FileChange), PromptOutcome::Done),
        ("acp-codex.jsonl", None, PromptOutcome::Done),
        ("acp-cancelled.jsonl", None, PromptOutcome::Interrupted),
    ] {
        let seen = live(name);
        let expected: &[AgentState] = match kind {
            Some(_) => &[Starting, Idle, Working, Blocked, Working, Idle],
            None => &[Starting, Idle, Working, Idle],
        };
        assert_eq!(seen.states(), expected, "{name}");
        assert_eq!(
            seen.asked().iter().map(|ask| ask.kind).collect::<Vec<_>>(),
            kind.into_iter().collect::<Vec<_>>(),
            "{name}"
        );
        assert!(seen.told.iter().any(|event| matches!(event, ChannelEvent::Conversation(_))), "{name}");
        assert!(seen.told.iter().any(|event| matches!(event, ChannelEvent::PromptAccepted { .. })), "{name}");
        let ended = seen.told.iter().find_map(|event| match event {
            ChannelEvent::PromptEnded { outcome, .. } => Some(outcome.clone()),
            _ => None,
        });
        assert_eq!(ended, Some(outcome), "{name}");
        for ask in seen.asked() {
            match ask.kind {
                ApprovalKind::FileChange => {
                    assert!(ask.subject.diff.as_ref().unwrap().contains("+hello"), "{name}: {ask:?}")
                }
                _ => assert_eq!(ask.subject.command.as_deref(), Some("echo made > made.txt"), "{name}"),
            }
        }
    }
}

/// OpenHands asks for all that its model wished for at once, names none of it, and may do so before it has told all calls.
#[test]
fn a_question_that_names_no_call_waits_until_all_calls_are_told() {
    let all = lines("acp-openhands.jsonl");
    let asks = all.iter().position(|line| line["message"]["method"] == "session/request_permission").unwrap();
    assert!(all[asks + 1..].iter().any(|line| line["message"]["params"]["update"]["sessionUpdate"] == "tool_call"));
    let at_ms = all[asks]["at_ms"].as_u64().unwrap();
    let mut protocol = acp::Translator::new("0", "/home/dev/repo", None);
    let mut seen = Seen::new();
    seen.add(protocol.connected(0));
    seen.add(protocol.received(acp::Input::Read, 0));
    for line in &all {
        seen.add(protocol.received(record(line), at_ms));
    }
    assert_eq!((seen.states().last(), seen.asked().len()), (Some(&AgentState::Blocked), 0));
    let due = protocol.wakes_at_ms().unwrap();
    assert!((at_ms + 1..at_ms + 2000).contains(&due), "{due}");
    seen.add(protocol.tick(due));
    let [ask] = &seen.asked()[..] else { panic!("{:?}", seen.told) };
    // The newer call was told first; a call that is no command keeps rules for commands from covering the whole.
    let command = ask.subject.command.as_deref().unwrap();
    assert!(command.contains("touch a1 # one\ntouch a2") && command.contains("# file_editor:"), "{command}");
    assert_eq!(
        (ask.kind, ask.subject.paths.as_slice()),
        (ApprovalKind::Command, ["/home/dev/repo/w2.txt".to_owned()].as_slice())
    );
    assert_eq!(protocol.wakes_at_ms(), None);
    let decide = ChannelCommand::Decide { key: ask.key.clone(), decision: Decision::Allow, answer: None, reason: None };
    seen.add(protocol.command(decide, due));
    let Some(acp::Line::Message(answer)) = seen.sent.last() else { panic!("{:?}", seen.sent) };
    assert_eq!(answer["result"]["outcome"]["optionId"], "accept");

    // Whoever comes back later is told at once.
    let mut protocol = acp::Translator::new("0", "/home/dev/repo", None);
    let mut seen = Seen::new();
    seen.add(protocol.connected(due));
    for line in &all {
        seen.add(protocol.received(record(line), due));
    }
    seen.add(protocol.received(acp::Input::Read, due));
    assert_eq!((seen.asked().len(), seen.told.last()), (1, Some(&ChannelEvent::InStep)));
}

#[test]
fn a_request_that_is_not_offered_is_refused_and_the_agent_goes_on() {
    let seen = live("acp-opencode.jsonl");
    let refusals: Vec<&Value> = seen
        .sent
        .iter()
        .filter_map(|line| match line {
            acp::Line::Message(message) if message.get("error").is_some() => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0]["error"]["code"], -32601);
    assert!(refusals[0]["error"]["message"].as_str().unwrap().contains("fs/write_text_file"));
}

#[test]
fn a_client_that_comes_back_reads_what_is_asked_runs_and_waits() {
    let all = lines("acp-gemini.jsonl");
    let asks = all.iter().position(|line| line["message"]["method"] == "session/request_permission").unwrap();
    let mut protocol = acp::Translator::new("0", "/home/dev/repo", None);
    let mut seen = Seen::new();
    seen.add(protocol.connected(0));
    for line in &all[..=asks] {
        seen.add(protocol.received(record(line), 0));
    }
    let waiting = json!({"at_ms": 1, "by": "client", "note": {"queued": {"id": 42, "text": "and then this"}}});
    seen.add(protocol.received(record(&waiting), 0));
    assert!(seen.told.is_empty() && seen.sent.is_empty(), "what is read again is no news");
    seen.add(protocol.received(acp::Input::Read, 0));
    assert!(matches!(seen.told.first(), Some(ChannelEvent::Conversation(_))));
    assert_eq!(seen.states(), [AgentState::Blocked]);
    assert_eq!(seen.asked().len(), 1);
    assert_eq!(seen.told.last(), Some(&ChannelEvent::InStep));
    let key = seen.asked()[0].key.clone();
    let decide = ChannelCommand::Decide { key: key.clone(), decision: Decision::Allow, answer: None, reason: None };
    seen.add(protocol.command(decide.clone(), 0));
    let [acp::Line::Message(answer)] = &seen.sent[..] else { panic!("{:?}", seen.sent) };
    assert_eq!(answer["result"]["outcome"]["optionId"], "proceed_once");
    seen.add(protocol.command(decide, 0));
    assert_eq!(seen.sent.len(), 1, "it is answered once");
    for line in &all[asks + 1..] {
        seen.add(protocol.received(record(line), 0));
    }
    assert!(seen.told.contains(&ChannelEvent::Delivered { key, outcome: Ok(()) }));
    let Some(acp::Line::Message(prompt)) = seen.sent.last() else { panic!("{:?}", seen.sent) };
    assert_eq!(prompt["params"]["prompt"][0]["text"], "and then this", "what waited is sent when its turn comes");
}

/// What a conversation is opened, prompted, answered and stopped with.
fn own_messages() -> Vec<Value> {
    let mut protocol = acp::Translator::new("0", "/home/dev/repo", None);
    let mut seen = Seen::new();
    seen.add(protocol.connected(0));
    seen.add(protocol.received(acp::Input::Read, 0));
    seen.add(protocol.command(ChannelCommand::Prompt { id: 1, text: "do it".to_owned() }, 0));
    let question = json!({"jsonrpc": "2.0", "id": 0, "method": "session/request_permission", "params": {"sessionId": "s",
        "toolCall": {"toolCallId": "c"}, "options": [{"optionId": "y", "name": "Yes", "kind": "allow_once"}]}});
    let mut at = 0;
    let mut messages = Vec::new();
    while at < seen.sent.len() {
        let line = match &seen.sent[at] {
            acp::Line::Note(note) => json!({"at_ms": 1, "by": "client", "note": note}),
            acp::Line::Message(message) => {
                messages.push(message.clone());
                json!({"at_ms": 1, "by": "client", "message": message})
            }
        };
        at += 1;
        seen.add(protocol.received(record(&line), 0));
        let reply = match line["message"]["method"].as_str() {
            Some("initialize") => Some(json!({"protocolVersion": 1, "agentCapabilities": {}})),
            Some("session/new") => Some(json!({"sessionId": "s"})),
            _ => None,
        };
        if let Some(result) = reply {
            let message = json!({"jsonrpc": "2.0", "id": line["message"]["id"], "result": result});
            seen.add(protocol.received(record(&json!({"at_ms": 1, "by": "agent", "message": message})), 0));
        }
        if line["message"]["method"] == "session/prompt" {
            seen.add(protocol.received(record(&json!({"at_ms": 1, "by": "agent", "message": question})), 0));
            seen.add(protocol.command(ChannelCommand::Interrupt, 0));
        }
    }
    messages
}

#[test]
fn what_is_sent_is_of_the_protocol() {
    // Held once to the types of version 1 of the protocol's own schema, and kept since.
    insta::assert_json_snapshot!(own_messages());
}
