//! Who may decide what agents ask, and what hooks are believed: with a script in the engine's place that calls its hooks as
//! the engine does.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use orx_tests::harness::WebSocket;
use orx_tests::harness::{Daemon, binary, eventually};
use serde_json::{Value, json};

/// How long a script may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Scripts that one session runs.
const SCRIPTS: usize = 12;

/// A daemon whose `claude` is a script: it runs each `do.<n>` as soon as that is there, and keeps what it wrote.
struct Bed {
    daemon: Daemon,
    work: PathBuf,
    session: String,
}

impl Bed {
    fn new() -> Self {
        let daemon = Daemon::start(|settings| {
            settings.workers(0);
            // What is tested here must hold without any sandbox.
            settings.set("sandbox", json!({"mode": "off"}));
            let engine = settings.user_home.join("claude");
            let script = format!(
                "#!/bin/bash\nfor n in $(seq {SCRIPTS}); do\n  ( until test -e do.$n; do sleep 0.05; done\n    bash do.$n > out.$n 2> err.$n; echo $? > rc.$n.tmp; mv rc.$n.tmp rc.$n ) &\ndone\nwait\nexec sleep 100000\n"
            );
            std::fs::write(&engine, script).unwrap();
            std::fs::set_permissions(&engine, std::fs::Permissions::from_mode(0o755)).unwrap();
            settings.set("engines.binaries.claude", engine.to_string_lossy().into_owned());
        });
        let work = daemon.path("work");
        std::fs::create_dir(&work).unwrap();
        let session = daemon.call("session.create", &json!({"engine": "claude", "cwd": work}));
        let session = session["session"].as_str().unwrap().to_owned();
        Self { daemon, work, session }
    }

    /// Runs a script in the session, at once and without waiting for it.
    fn begin(&self, number: usize, script: &str) {
        let staged = self.work.join("staged");
        std::fs::write(&staged, script).unwrap();
        std::fs::rename(staged, self.work.join(format!("do.{number}"))).unwrap();
    }

    /// What a script that was begun left: its exit code and both outputs.
    #[track_caller]
    fn ended(&self, number: usize) -> (i32, String, String) {
        let read = |name: &str| std::fs::read_to_string(self.work.join(format!("{name}.{number}")));
        let code = eventually("the end of the script", PATIENCE, || read("rc").ok());
        (code.trim().parse().unwrap(), read("out").unwrap(), read("err").unwrap())
    }

    /// A hook's question for a command.
    fn hook(&self, command: &str) -> String {
        let payload = json!({
            "session_id": "8bf0786c-d0bd-4dcb-9402-d8037f53a89a", "cwd": self.work, "hook_event_name": "PermissionRequest",
            "tool_name": "Bash", "tool_input": {"command": command},
        });
        format!("{} hook claude <<'PAYLOAD'\n{payload}\nPAYLOAD\n", binary("orxctl").display())
    }

    /// Lets the session ask, and gives the question.
    #[track_caller]
    fn ask(&self, number: usize, command: &str) -> Value {
        self.begin(number, &self.hook(command));
        eventually("the question", PATIENCE, || {
            self.waiting().into_iter().find(|row| row["subject"]["command"] == command)
        })
    }

    fn waiting(&self) -> Vec<Value> {
        self.daemon.call("approval.list", &json!({}))["approvals"].as_array().unwrap().clone()
    }

    fn state(&self, approval: &Value) -> String {
        let row = self.daemon.call("approval.get", &json!({"approval": approval["approval"]}));
        row["state"].as_str().unwrap().to_owned()
    }
}

#[test]
fn c_a_session_never_approves_itself_by_whatever_road() {
    let bed = Bed::new();
    let asked = bed.ask(1, "echo wanted");
    let id = asked["approval"].as_str().unwrap();
    let places = bed.daemon.places();
    let http = bed.daemon.http();
    let orxctl = format!(
        "env -i PATH=$PATH HOME=/nonexistent ORX_HOME={} ORX_SOCKET={} ORX_CONFIG={} {}",
        places.home.display(),
        places.socket.display(),
        places.config.display(),
        binary("orxctl").display()
    );
    let params = json!({"approvals": [id], "decision": "allow"});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "approval.decide", "params": params}).to_string();
    // The token is stolen from its file; both ways of the request are written by hand.
    let by_http = format!(
        "exec 3<>/dev/tcp/{}/{}\nprintf 'POST /api/v1/approvals/decide HTTP/1.1\\r\\nHost: {}\\r\\nAuthorization: Bearer {}\\r\\nContent-Type: application/json\\r\\nContent-Length: {}\\r\\nConnection: close\\r\\n\\r\\n%s' '{params}' >&3\ncat <&3\n",
        http.address.ip(),
        http.address.port(),
        http.address,
        http.token,
        params.to_string().len()
    );
    let by_socket = format!(
        "python3 - <<'CODE'\nimport socket, struct\nbody = b'''{body}'''\ns = socket.socket(socket.AF_UNIX)\ns.connect('{}')\ns.sendall(struct.pack('>I', len(body)) + body)\nprint(s.recv(65536))\nCODE\n",
        places.socket.display()
    );
    // Keys that would answer the dialog, sent with the stolen token to itself.
    let keys = json!({"session": bed.session, "keys": ["1"]}).to_string();
    let by_keys = format!(
        "exec 3<>/dev/tcp/{}/{}\nprintf 'POST /api/v1/session/keys HTTP/1.1\\r\\nHost: {}\\r\\nX-API-Key: {}\\r\\nContent-Type: application/json\\r\\nContent-Length: {}\\r\\nConnection: close\\r\\n\\r\\n%s' '{keys}' >&3\ncat <&3\n",
        http.address.ip(),
        http.address.port(),
        http.address,
        http.token,
        keys.len()
    );
    // Its own hook cannot be made to answer: what it prints comes from the daemon alone.
    let rule = format!("{orxctl} rule add allow --command '*'");
    let orphan = format!(
        "(setsid bash -c '(sleep 0.3; {orxctl} allow {id}; echo $? > orphan.rc) &' &)\nuntil test -s orphan.rc; do sleep 0.05; done\nexit $(cat orphan.rc)\n"
    );
    let attempts = [
        (2, format!("{orxctl} allow {id}")),
        (3, format!("setsid -w {orxctl} allow {id} --always")),
        (4, orphan),
        (5, rule),
        (6, by_socket),
        (7, by_http),
        (8, by_keys),
    ];
    for (number, script) in &attempts {
        bed.begin(*number, script);
    }
    for (number, _) in &attempts {
        let (code, out, err) = bed.ended(*number);
        let refused = code == 77 || out.contains("permission_denied");
        assert!(refused, "attempt {number} ended with {code}: {out}{err}");
        assert_eq!(bed.state(&asked), "pending", "attempt {number}");
    }
    assert_eq!(bed.daemon.call("rule.list", &json!({}))["rules"], json!([]));
    let noted = bed.daemon.call("event.list", &json!({"kinds": ["access.refused"], "since": 0, "limit": 100}));
    assert!(noted["events"].as_array().unwrap().len() >= attempts.len(), "{noted}");
    // The person decides, and the hook says so to the engine.
    bed.daemon.orxctl(&bed.work, &["allow", id]).done();
    let (code, out, _) = bed.ended(1);
    let output: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &output["hookSpecificOutput"]["decision"]["behavior"]), (0, &json!("allow")));
}

/// A session that stole the token speaks HTTP and WebSocket as itself: what it may do is what a session may do.
#[tokio::test(flavor = "multi_thread")]
async fn c_a_session_with_the_token_is_still_a_session_over_http() {
    let bed = Bed::new();
    let http = bed.daemon.http();
    let other =
        bed.daemon.call("session.create", &json!({"engine": "command", "argv": ["sleep", "1000"], "cwd": bed.work}));
    let other = other["session"].as_str().unwrap();
    let start = json!({"engine": "command", "argv": ["touch", bed.work.join("started")], "cwd": bed.work});
    let calls = [
        ("health", json!({}), true),
        ("session.get", json!({"session": bed.session}), true),
        ("session.get", json!({"session": other}), false),
        ("session.list", json!({}), false),
        ("session.stop", json!({"session": other}), false),
        ("session.stop", json!({"session": bed.session}), false),
        ("session.create", start, false),
        ("session.send", json!({"session": bed.session, "text": "yes"}), false),
        ("session.interrupt", json!({"session": other}), false),
        ("run.start", json!({"repository": bed.work, "task": "x"}), false),
        ("rule.add", json!({"effect": "allow", "command": "*"}), false),
        ("key.add", json!({"name": "mine"}), false),
        ("key.list", json!({}), false),
        ("key.revoke", json!({"name": "ci"}), false),
        ("event.list", json!({"since": 0}), false),
        ("record.put", json!({"kind": "x", "key": "y", "value": 1}), false),
        ("status", json!({}), false),
        ("something.new", json!({}), false),
    ];
    let bodies: Vec<String> = calls
        .iter()
        .enumerate()
        .map(|(id, (method, params, _))| {
            json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
        })
        .collect();
    let program = format!(
        r#"
import http.client, json, os, socket, struct, sys
host, port, token = {host:?}, {port}, {token:?}
bodies = json.loads(sys.stdin.read())
for body in bodies:
    asked = http.client.HTTPConnection(host, port)
    asked.request("POST", "/rpc", body, {{"Authorization": "Bearer " + token, "Content-Type": "application/json"}})
    print(asked.getresponse().read().decode())
s = socket.create_connection((host, port))
s.sendall(("GET /ws HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" % (host, port, token)).encode())
stream = s.makefile("rb")
while stream.readline().strip(): pass
for body in bodies:
    mask, text = os.urandom(4), body.encode()
    s.sendall(b"\x81\xfe" + struct.pack(">H", len(text)) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(text)))
    length = stream.read(2)[1]
    length = struct.unpack(">H", stream.read(2))[0] if length == 126 else length
    print(stream.read(length).decode())
"#,
        host = http.address.ip().to_string(),
        port = http.address.port(),
        token = http.token,
    );
    std::fs::write(bed.work.join("speak.py"), program).unwrap();
    let before = bed.daemon.call("session.list", &json!({"all": true}))["sessions"].as_array().unwrap().len();
    bed.begin(
        1,
        &format!(
            "python3 speak.py <<'BODIES'
{}
BODIES
",
            serde_json::to_string(&bodies).unwrap()
        ),
    );
    let (code, out, err) = bed.ended(1);
    assert_eq!(code, 0, "{err}");
    let answers: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 2 * calls.len(), "{out}");
    for (at, answer) in answers.iter().enumerate() {
        let (method, params, may) = &calls[at % calls.len()];
        if *may {
            assert!(answer.get("result").is_some(), "{method} {params}: {answer}");
        } else {
            assert_eq!(answer["error"]["data"]["kind"], "permission_denied", "{method} {params}: {answer}");
        }
    }
    let after = bed.daemon.call("session.list", &json!({"all": true}))["sessions"].as_array().unwrap().len();
    assert!(before == after && !bed.work.join("started").exists(), "nothing was started");
    assert_eq!(bed.daemon.call("session.get", &json!({"session": other}))["state"], "running");
    // The person who has it is the person.
    let listed = http.send("GET", "/api/v1/sessions", &[], "").await;
    assert_eq!(listed.status.as_u16(), 200, "{}", listed.json());
}

#[test]
fn a_hook_that_is_not_of_its_session_is_refused_and_stops_no_engine() {
    let bed = Bed::new();
    let other =
        bed.daemon.call("session.create", &json!({"engine": "command", "argv": ["sleep", "1000"], "cwd": bed.work}));
    let other = other["session"].as_str().unwrap();
    let run = |session: Option<&str>, input: &str, engine: &str| {
        let mut command = bed.daemon.orxctl_command(&bed.work, &["hook", engine]);
        let input_file = bed.daemon.path("payload");
        std::fs::write(&input_file, input).unwrap();
        command.stdin(std::fs::File::open(input_file).unwrap());
        if let Some(session) = session {
            command.env("ORX_SESSION", session);
        }
        let output = command.output().unwrap();
        assert!(output.stdout.is_empty());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let stop = json!({"hook_event_name": "Stop", "session_id": "x"}).to_string();
    for (session, input, engine, words) in [
        (None, stop.as_str(), "claude", "outside a session of orx"),
        (Some("nonsense"), stop.as_str(), "claude", "names no session"),
        (Some(bed.session.as_str()), stop.as_str(), "claude", "from outside a session"),
        (Some(bed.session.as_str()), "{", "claude", "is not JSON"),
    ] {
        let (code, said) = run(session, input, engine);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(words), "{said}");
    }
    // From inside: another session's name, another engine's hook, a payload that is none.
    let orxctl = binary("orxctl");
    let orxctl = orxctl.display();
    for (number, script, words) in [
        (1, format!("echo '{stop}' | ORX_SESSION={other} {orxctl} hook claude"), "says that it is of session"),
        (2, format!("echo '{stop}' | {orxctl} hook codex"), "runs claude"),
        (3, format!("echo '[]' | {orxctl} hook claude"), "hook_event_name"),
        (4, format!("echo '{stop}' | {orxctl} hook claude"), ""),
    ] {
        bed.begin(number, &script);
        let (code, out, err) = bed.ended(number);
        assert_eq!((code, out.as_str()), (i32::from(!words.is_empty()), ""), "{err}");
        assert!(err.contains(words), "{err}");
    }
    // Without a daemon it says nothing, so that the engine asks its user.
    bed.begin(5, &format!("echo '{stop}' | ORX_SOCKET=/nonexistent {orxctl} hook claude"));
    assert_eq!(bed.ended(5), (0, String::new(), String::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_are_decided_alike_over_every_door_or_none_is() {
    let bed = Bed::new();
    let first = bed.ask(1, "echo 1")["approval"].clone();
    let second = bed.ask(2, "echo 2")["approval"].clone();
    let third = bed.ask(3, "echo 3")["approval"].clone();
    let decide = |ids: Value, decision: &str| json!({"approvals": ids, "decision": decision});
    let mut wire = bed.daemon.wire();
    // One of them is not there: nothing is decided.
    let missing = "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let error = wire.call("approval.decide", &decide(json!([first, missing]), "allow")).unwrap_err();
    assert_eq!(error["data"]["kind"], "not_found");
    assert_eq!(bed.waiting().len(), 3);
    for (params, words) in [
        (decide(json!([]), "allow"), "must be 1 to"),
        (decide(json!([first]), "perhaps"), "perhaps"),
        (json!({"approvals": [first], "decision": "allow", "answer": "x"}), "no question"),
        (json!({"approvals": [first], "decision": "deny", "answer": "x"}), "takes a `reason`"),
        (json!({"approvals": ["nonsense"], "decision": "allow"}), "nonsense"),
    ] {
        let error = wire.call("approval.decide", &params).unwrap_err();
        assert_eq!(error["data"]["kind"], "invalid_params", "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    // HTTP decides one; a batch with it among others is refused whole and names who was first.
    let http = bed.daemon.http();
    let json_type = [("content-type", "application/json")];
    let body = decide(json!([first]), "allow").to_string();
    let reply = http.send("POST", "/api/v1/approvals/decide", &json_type, &body).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["approvals"][0]["state"]), (200, &json!("allowed")));
    let error = wire.call("approval.decide", &decide(json!([first, second]), "deny")).unwrap_err();
    assert_eq!(error["data"]["kind"], "conflict");
    assert!(error["message"].as_str().unwrap().contains("is allowed by http"), "{error}");
    assert_eq!(bed.waiting().len(), 2);
    let listed = http.send("GET", "/api/v1/approvals?all=true", &[], "").await.json();
    assert_eq!(listed["approvals"].as_array().unwrap().len(), 3);
    // WebSocket decides the rest together.
    let mut socket = WebSocket::open(&http, "/ws", &[]).await.unwrap();
    let decided = socket.call("approval.decide", &decide(json!([second, third]), "deny")).await.unwrap();
    assert_eq!(decided["approvals"].as_array().unwrap().len(), 2);
    for (number, behaviour) in [(1, "allow"), (2, "deny"), (3, "deny")] {
        let (code, out, _) = bed.ended(number);
        let output: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, &output["hookSpecificOutput"]["decision"]["behavior"]), (0, &json!(behaviour)));
    }
}

#[test]
fn rules_that_cannot_stand_are_refused_and_change_nothing() {
    let bed = Bed::new();
    let mut wire = bed.daemon.wire();
    for (params, words) in [
        (json!({"effect": "allow"}), "allow everything"),
        (json!({"effect": "allow", "command": "["}), "unclosed"),
        (json!({"effect": "allow", "path": "src/**"}), "absolute"),
        (json!({"effect": "allow", "command": "x", "cwd": "src"}), "absolute"),
        (json!({"effect": "allow", "command": "x", "expires_at_ms": 5}), "past"),
        (json!({"effect": "allow", "command": "x", "engine": "cloude"}), "cloude"),
        (json!({"effect": "maybe", "command": "x"}), "maybe"),
        (json!({"effect": "allow", "comand": "x"}), "comand"),
    ] {
        let error = wire.call("rule.add", &params).unwrap_err();
        assert_eq!(error["data"]["kind"], "invalid_params", "{error}");
        assert!(error["message"].as_str().unwrap().contains(words), "{error}");
    }
    let gone = wire.call("rule.remove", &json!({"rule": "rul_01ARZ3NDEKTSV4RRFFQ69G5FAV"})).unwrap_err();
    assert_eq!(gone["data"]["kind"], "not_found");
    assert_eq!(wire.result("rule.list", &json!({}))["rules"], json!([]));

    // A rule that is added decides what waits and is covered by it, and nothing else.
    let covered = bed.ask(1, "git status && git log");
    let other = bed.ask(2, "git status; $(rm x)");
    let rule = wire.result("rule.add", &json!({"effect": "allow", "command": "git *"}));
    let (_, out, _) = bed.ended(1);
    assert!(out.contains("\"allow\""), "{out}");
    assert_eq!((bed.state(&covered).as_str(), bed.state(&other).as_str()), ("allowed", "pending"));
    wire.result("rule.add", &json!({"effect": "deny", "command": "rm *"}));
    let (_, out, _) = bed.ended(2);
    assert!(out.contains("\"deny\"") && out.contains("standing rule"), "{out}");
    // A removed rule decides nothing any more.
    wire.result("rule.remove", &json!({"rule": rule["rule"]}));
    let third = bed.ask(3, "git status");
    assert_eq!(bed.state(&third), "pending");
}

/// The hook held still over a restart of the daemon: it finds its question again, with the decision taken meanwhile.
#[test]
fn a_decision_that_is_taken_while_the_hook_is_away_is_delivered_when_it_is_back() {
    let mut bed = Bed::new();
    let asked = bed.ask(1, "echo 1");
    // The hook is held still, so that it cannot hear the decision before the daemon dies.
    let hooks = || -> Vec<i32> {
        let processes =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_hook = |pid: &i32| {
            std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
                line.split(|byte| *byte == 0).nth(1) == Some(b"hook")
                    && std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == bed.work)
            })
        };
        processes.filter(is_hook).collect()
    };
    let signal = |signal| {
        for pid in hooks() {
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
        }
    };
    assert_eq!(hooks().len(), 1);
    signal(nix::sys::signal::Signal::SIGSTOP);
    let stopped = hooks();
    bed.daemon.kill9();
    bed.daemon.restart();
    bed.daemon.call("approval.decide", &json!({"approvals": [asked["approval"]], "decision": "deny", "reason": "no"}));
    for pid in stopped {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGCONT).unwrap();
    }
    let (code, out, err) = bed.ended(1);
    assert_eq!(code, 0, "{err}");
    let output: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(output["hookSpecificOutput"]["decision"], json!({"behavior": "deny", "message": "no"}));
    let rows = bed.daemon.call("approval.list", &json!({"all": true}));
    assert_eq!(rows["approvals"].as_array().unwrap().len(), 1, "it was asked once");
}
