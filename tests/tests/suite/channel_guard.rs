//! The agent of a Codex session cannot speak with its own server, which cannot tell its clients apart, and so not answer its
//! own questions; the session's interface and the daemon can.

use std::path::Path;

use orx_engines::EngineKind;
use orx_tests::harness::engines;
use orx_tests::lives::{Bed, rule, write};
use orx_tests::model::{Action, Scenario, Step};
use serde_json::{Value, json};

/// What the agent runs. Root's own rights would look into everything: what any user's process has is what is left without
/// them.
const PROBE: &str =
    "setpriv --bounding-set=-all --inh-caps=-all --securebits=+noroot python3 probe.py || python3 probe.py";

/// Connects to whatever could be the server, from the command itself and from a process that left all its parents; looks for
/// the way in the descriptors of other processes; and tries to take those over.
const PROBING: &str = r#"
import ctypes, glob, os, socket
HANDSHAKE = (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
             b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
SEIZE, DETACH = 0x4206, 17
libc = ctypes.CDLL(None)
def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    try:
        s.connect(path)
        s.sendall(HANDSHAKE)
        return "ANSWERED" if b"101" in s.recv(4096) else "closed"
    except OSError as error:
        return "refused (%s)" % error
def places():
    found = set(glob.glob("/tmp/codex-daemon-*/*")) | set(glob.glob(CHANNEL + "/*"))
    found |= {line.split()[-1] for line in open("/proc/net/unix") if "codex" in line or CHANNEL in line}
    return sorted(place for place in found if not place.endswith((".json", ".log", ".lock")))
def others():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/%s/cmdline" % pid).read().split("\0")
        except OSError:
            continue
        if any(CHANNEL in word for word in words):
            kind = "guard" if "guard" in words else "interface" if "--remote" in words else None
            if kind: yield int(pid), kind
def probe(who, out):
    for place in places():
        print(who, "socket", place, connect(place), file=out)
    for pid, kind in others():
        taken = libc.ptrace(SEIZE, pid, None, None) == 0
        if taken: libc.ptrace(DETACH, pid, None, None)
        print(who, kind, "taken" if taken else "closed", file=out)
        try:
            for number in os.listdir("/proc/%d/fd" % pid):
                path = "/proc/%d/fd/%s" % (pid, number)
                if "codex-daemon" in os.readlink(path):
                    print(who, "descriptor", connect(path), file=out)
        except OSError:
            pass
    out.flush()
out = open("probe.tmp", "w")
probe("command", out)
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(write)
        os.read(read, 1)
        probe("orphan", out)
        os.rename("probe.tmp", "probe.txt")
    os._exit(0)
os.wait()
"#;

fn scenario() -> Scenario {
    Scenario {
        rules: vec![
            rule("hand this over", vec![]),
            rule("answer yourself", vec![Action::Run { command: PROBE.to_owned() }]),
            rule("write the first", vec![write("first.txt")]),
        ],
        otherwise: Some(Step { text: "Hello there.".to_owned(), ..Step::default() }),
        ..Scenario::default()
    }
}

async fn codex_cannot_answer_itself(sandbox: Value) {
    let is_off = sandbox["mode"] == "off";
    let mut bed = Bed::new(scenario(), |settings| {
        settings.set("sandbox", sandbox);
        engines::install(settings, EngineKind::Codex);
    })
    .await;
    let argv = ["--sandbox", "danger-full-access", "--ask-for-approval", "never"];
    bed.begin(&json!({"engine": "codex", "argv": argv, "prompt": "hand this over"}));
    let channel = Path::new(bed.get()["directory"].as_str().unwrap()).join("channel");
    std::fs::write(bed.work.join("probe.py"), format!("CHANNEL = {:?}\n{PROBING}", channel.to_str().unwrap())).unwrap();
    bed.until_shown("Finished: hand this over.");
    bed.until_state("idle");
    assert_eq!((&bed.get()["channel"], &bed.get()["channel_lost"]), (&json!("app-server"), &Value::Null));

    bed.prompt("answer yourself");
    let report = bed.until("the report of the probe", || std::fs::read_to_string(bed.work.join("probe.txt")).ok());
    for who in ["command", "orphan"] {
        let guarded = format!("{who} socket {} ", channel.join("s").display());
        assert!(report.contains(&guarded), "the one socket that there is was tried: {report}");
        assert!(report.contains(&format!("{who} guard closed")), "{report}");
        // Without a sandbox nothing but the kernel's own settings keeps a user's processes from each other.
        assert!(is_off || report.contains(&format!("{who} interface closed")), "{report}");
    }
    assert!(!report.contains("ANSWERED") && (is_off || !report.contains("taken")), "{report}");
    bed.until_shown("Finished: answer yourself.");

    // The interface and the daemon are not kept out, nor is the next daemon.
    bed.daemon.kill9();
    bed.daemon.restart();
    bed.until_state("idle");
    bed.prompt("write the first");
    bed.until_written("first.txt");
    bed.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn d_codex_cannot_answer_itself() {
    codex_cannot_answer_itself(json!({"mechanism": "bubblewrap"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d_codex_cannot_answer_itself_within_landlock() {
    codex_cannot_answer_itself(json!({"mechanism": "landlock"})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d_codex_cannot_answer_itself_without_a_sandbox() {
    codex_cannot_answer_itself(json!({"mode": "off"})).await;
}
