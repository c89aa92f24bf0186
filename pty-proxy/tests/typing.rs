//! Typing into a program, its queries, and the recording of what it shows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says by a panic that it failed.

mod support;

use std::time::Instant;

use orx_protocol::hold::{ScreenText, TerminalSize, file, method};
use orx_protocol::{ErrorKind, RpcError};
use pty_proxy::terminal::emulator::Emulator;
use serde_json::{Value, json};
use support::{SIZE, Session, eventually};

/// A program in raw mode that wants bracketed pastes and keeps `count` bytes of what is typed.
fn pasted(count: usize) -> Session {
    let session = Session::shell(&format!(
        "stty raw -echo; printf '\\033[?2004hready'; head -c {count} > typed; printf done; sleep 600"
    ));
    session.shows("ready");
    session
}

fn typed(session: &Session) -> Vec<u8> {
    session.shows("done");
    std::fs::read(session.file("typed")).unwrap()
}

#[test]
fn a_text_arrives_as_one_paste_and_enter_apart() {
    let text = "first line\n\tsecond \u{65e5}\u{672c}\nthird";
    let expected = format!("\u{1b}[200~{text}\u{1b}[201~\r");
    let session = pasted(expected.len());
    session.call(method::SEND, json!({"text": text, "submit": true}));
    assert_eq!(typed(&session), expected.as_bytes());
}

#[test]
fn large_texts_arrive_whole_one_after_the_other_also_while_a_viewer_types() {
    let texts: Vec<String> = (0..6).map(|number| format!("{number}{}", "x".repeat(64 * 1024))).collect();
    let expected: usize = texts.iter().map(|text| text.len() + 13).sum::<usize>() + 300;
    let session = pasted(expected);
    let mut viewer = session.connect().attach(SIZE, "control");
    let mut client = session.connect();
    for text in &texts {
        client.request(method::SEND, json!({"text": text, "submit": true}));
    }
    for _ in 0..100 {
        viewer.types("abc");
    }
    for _ in &texts {
        client.answer().unwrap().1.unwrap();
    }
    let typed = String::from_utf8(typed(&session)).unwrap();
    for text in &texts {
        assert!(typed.contains(&format!("\u{1b}[200~{text}\u{1b}[201~\r")), "a paste was torn");
    }
    assert_eq!(typed.matches('a').count(), 100);
}

#[test]
fn a_text_cannot_end_its_own_paste() {
    let expected = b"\x1b[200~a[201~evil\x1b[201~";
    let session = pasted(expected.len());
    session.call(method::SEND, json!({"text": "a\u{1b}[201~\u{3}evil", "submit": false}));
    assert_eq!(typed(&session), expected);
}

#[test]
fn keys_follow_the_modes_and_unknown_names_type_nothing() {
    let session = Session::shell("stty raw -echo; printf '\\033[?1hready'; head -c 10 > typed; printf done; sleep 600");
    session.shows("ready");
    let mut client = session.connect();
    let error: RpcError = client.call(method::KEYS, json!({"keys": ["a", "entre"]})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidParams);
    assert!(error.message.contains("`entre`") && error.message.contains("page-down"), "{}", error.message);
    client.call(method::KEYS, json!({"keys": ["up", "ctrl-c", "Enter", "é", "f1"]})).unwrap();
    assert_eq!(typed(&session), b"\x1bOA\x03\r\xc3\xa9\x1bOP");
}

/// What a program that asks gets, with nobody attached.
fn asked(query: &str) -> String {
    let session =
        Session::shell(&format!("stty raw -echo min 0 time 3; printf '{query}'; cat > answer; printf done; sleep 600"));
    session.shows("done");
    let answer = String::from_utf8(std::fs::read(session.file("answer")).unwrap()).unwrap();
    assert_eq!(session.screen().lines[0].trim(), "done", "the query left something on the screen");
    answer
}

#[test]
fn queries_are_answered_with_nobody_attached() {
    for (query, answer) in [
        ("\\033[c", "\u{1b}[?62;22c"),
        ("\\033[>c", "\u{1b}[>0;276;0c"),
        ("\\033[5n", "\u{1b}[0n"),
        ("\\033[6n", "\u{1b}[1;1R"),
        ("\\033[>0q", concat!("\u{1b}P>|orx ", env!("CARGO_PKG_VERSION"), "\u{1b}\\")),
        ("\\033[18t", "\u{1b}[8;24;80t"),
        ("\\033[14t\\033[16t", "\u{1b}[4;480;800t\u{1b}[6;20;10t"),
        ("\\033[?2026$p\\033[?2004$p", "\u{1b}[?2026;2$y\u{1b}[?2004;2$y"),
        ("\\033[?2027$p\\033[?2031$p\\033[?1016$p", "\u{1b}[?2027;0$y\u{1b}[?2031;2$y\u{1b}[?1016;0$y"),
        ("\\033[?u", "\u{1b}[?0u"),
        ("\\033[>5u\\033[?u", "\u{1b}[?5u"),
        ("\\033]11;?\\007\\033]10;?\\033\\\\", "\u{1b}]11;rgb:1e1e/1e1e/1e1e\u{7}\u{1b}]10;rgb:d4d4/d4d4/d4d4\u{1b}\\"),
        ("\\033]4;1;?\\007", "\u{1b}]4;1;rgb:cdcd/0000/0000\u{7}"),
        ("\\033P+q544e;4d73\\033\\\\", "\u{1b}P1+r544E=787465726D2D323536636F6C6F72\u{1b}\\\u{1b}P0+r4d73\u{1b}\\"),
        ("\\033P$qm\\033\\\\\\033P$qr\\033\\\\", "\u{1b}P1$r0m\u{1b}\\\u{1b}P1$r1;24r\u{1b}\\"),
        ("\\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\\033\\\\\\033[c", "\u{1b}[?62;22c"),
        ("\\033[?4m\\033[>4;2m\\033[?4m", "\u{1b}[>4;0m\u{1b}[>4;2m"),
    ] {
        assert_eq!(asked(query), answer, "{query}");
    }
}

#[test]
fn queries_do_not_reach_viewers_nor_the_recording() {
    let session = Session::shell(
        "while [ ! -e go ]; do sleep 0.01; done; stty raw -echo; printf 'a\\033[6n\\033]11;?\\007\\033[cb\\033P+q544e\\033\\\\end'; sleep 600",
    );
    let mut viewer = session.connect().attach(SIZE, "control");
    std::fs::write(session.file("go"), "").unwrap();
    assert_eq!(viewer.output_until("end"), b"abend");
    session.stop(0);
    let recording = std::fs::read_to_string(session.file(file::RECORDING)).unwrap();
    assert!(recording.contains("abend") && !recording.contains("[6n") && !recording.contains("]11;?"), "{recording}");
    assert!(session.output().windows(4).any(|window| window == b"\x1b[6n"));
}

#[test]
fn a_recording_replays_to_the_last_screen() {
    let script = "printf '\\033[?1049h\\033[2J'; i=0; while [ $i -lt 400 ]; do printf '\\033[%d;%dH\\033[3%dm\\346\\227\\245%d' $((i%30)) $((i*7%90)) $((i%8)) $i; i=$((i+1)); done; sleep 0.05; printf '\\033[5;5H\\xff\\xfeend'; while [ ! -e go ]; do sleep 0.01; done; printf '\\033[10;10Hlast'";
    let session = Session::shell(script);
    session.shows("end");
    session.call(method::RESIZE, json!({"cols": 100, "rows": 30}));
    eventually("the size", || (session.screen().cols == 100).then_some(()));
    std::fs::write(session.file("go"), "").unwrap();
    session.wait();
    let last: ScreenText = serde_json::from_slice(&std::fs::read(session.file(file::SCREEN)).unwrap()).unwrap();
    let text = std::fs::read_to_string(session.file(file::RECORDING)).unwrap();
    let mut lines = text.lines();
    let header: Value = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!((&header["version"], &header["term"]["cols"]), (&json!(3), &json!(80)));
    let mut replay = Emulator::new(SIZE);
    let mut kinds = Vec::new();
    for line in lines {
        let (_, kind, data): (f64, String, String) = serde_json::from_str(line).unwrap();
        match kind.as_str() {
            "o" => drop(replay.accept(data.as_bytes(), Instant::now())),
            "r" => {
                let (cols, rows) = data.split_once('x').unwrap();
                replay.resize(TerminalSize { cols: cols.parse().unwrap(), rows: rows.parse().unwrap() });
            }
            _ => {}
        }
        kinds.push(kind);
    }
    assert_eq!(replay.text(), last);
    assert_eq!(kinds.last().unwrap(), "x");
}

#[test]
fn the_screen_is_asked_for_while_it_is_drawn_and_given_when_it_is_done() {
    let session = Session::shell(
        "printf 'ready'; while [ ! -e go ]; do sleep 0.01; done; printf '\\033[?2026h\\033[2J\\033[Hhalf'; touch half; sleep 0.05; printf ' and whole\\033[?2026l'; sleep 600",
    );
    session.shows("ready");
    std::fs::write(session.file("go"), "").unwrap();
    eventually("half a picture", || session.file("half").exists().then_some(()));
    eventually("the whole picture", || {
        let first = session.screen().lines[0].clone();
        assert_ne!(first, "half");
        (first == "half and whole").then_some(())
    });
}

#[test]
fn garbage_and_endless_lines_do_no_harm() {
    let session = Session::shell(
        "head -c 1000000 /dev/urandom; head -c 6000000 /dev/zero | tr '\\0' 'x'; printf '\\033\\\\\\033c\\033[2J\\033[Hsurvived'; sleep 600",
    );
    session.shows("survived");
    let status = std::fs::read_to_string(format!("/proc/{}/status", session.holder().holder.pid)).unwrap();
    let resident: u64 = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    assert!(resident < 64 * 1024, "{resident} KiB");
}

#[test]
fn hostile_frames_close_their_own_connection_alone() {
    use std::io::{Read, Write};
    let session = Session::shell("echo ready; sleep 600");
    session.shows("ready");
    for bytes in [&[0, 0, 0, 0][..], &[0xff, 0xff, 0xff, 0xff, 1], &[0, 0x20, 0, 0]] {
        let mut client = session.connect();
        client.stream.write_all(bytes).unwrap();
        let (id, result) = client.answer().unwrap();
        assert_eq!((id, result.unwrap_err().kind()), (Value::Null, ErrorKind::TooLarge));
        assert_eq!(client.stream.read(&mut [0; 8]).unwrap(), 0);
    }
    let mut client = session.connect();
    for (body, kind) in [
        (&b"\xff\xfe"[..], ErrorKind::Parse),
        (b"{", ErrorKind::Parse),
        (b"[1]", ErrorKind::InvalidRequest),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold.nothing\"}", ErrorKind::MethodNotFound),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold.send\",\"params\":{\"txt\":1}}", ErrorKind::InvalidParams),
        (b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hold.stop\",\"params\":{}}", ErrorKind::InvalidParams),
    ] {
        client.send_body(body);
        assert_eq!(client.answer().unwrap().1.unwrap_err().kind(), kind, "{}", String::from_utf8_lossy(body));
    }
    client.call(method::STATUS, json!({})).unwrap();
    client.request(method::STATUS, json!({}));
    client.request(method::SCREEN, json!({}));
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(client.answer().is_some() && client.answer().is_some(), "answers after a half-close");
}

#[test]
fn a_session_cannot_type_into_its_own_terminal() {
    let script = "import socket,sys\ns=socket.socket(socket.AF_UNIX)\ns.connect('socket')\nprint('closed' if s.recv(1)==b'' else 'open')";
    let session = Session::shell(&format!(
        "echo ready; if command -v python3 >/dev/null; then python3 -c \"{script}\"; else echo closed; fi; sleep 600"
    ));
    session.shows("closed");
    session.call(method::STATUS, json!({}));
}

#[test]
fn keys_are_pressed_only_while_the_screen_shows_what_was_seen() {
    let session = Session::shell("printf 'Proceed? [y/n] '; read answer; echo \"said <$answer>\"; sleep 600");
    session.shows("Proceed? [y/n]");
    let mut client = session.connect();
    let press = |text: &str| json!({"keys": ["y", "enter"], "while_rows": [{"row": 0, "text": text}]});
    let error: RpcError = client.call(method::KEYS, press("Delete? [y/n]")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
    assert!(error.message.contains("row 0"), "{}", error.message);
    client.call(method::KEYS, press("Proceed? [y/n]")).unwrap();
    session.shows("said <y>");
    assert!(client.call(method::KEYS, press("Proceed? [y/n]")).is_err(), "the question is answered by now");
}
