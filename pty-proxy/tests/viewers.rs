//! Viewers: what they see, who types, what becomes of slow and killed ones, and of those handed over by the daemon.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says by a panic that it failed.

mod support;

use std::io::{IoSlice, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use bytes::BytesMut;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use orx_protocol::hold::{Status, TerminalSize, file, method};
use orx_protocol::process::Exit;
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_protocol::{ErrorKind, codec, frame};
use pty_proxy::terminal::emulator::Emulator;
use serde_json::{Value, json};
use support::{Client, SIZE, Session, Viewer, eventually};

const LARGE: TerminalSize = TerminalSize { cols: 120, rows: 40 };

/// A script that goes on when a file appears.
fn when(file: &str) -> String {
    format!("while [ ! -e {file} ]; do sleep 0.01; done")
}

fn numbers(count: u32) -> Vec<u8> {
    (1..=count).map(|number| format!("line {number}\r\n")).collect::<String>().into_bytes()
}

#[test]
fn a_viewer_sees_the_screen_and_then_every_byte() {
    let session = Session::shell(&format!(
        "printf 'before \\033[1;31mred\\033[m\\r\\n'; {}; i=1; while [ $i -le 3000 ]; do echo line $i; i=$((i+1)); done; echo end; sleep 600",
        when("go")
    ));
    session.shows("before red");
    let mut viewer = session.connect().attach(SIZE, "control");
    let Some(ToViewer::Screen(screen)) = viewer.next() else { panic!("no screen first") };
    let mut model = Emulator::new(SIZE);
    model.accept(&screen, Instant::now());
    assert_eq!(model.text(), session.screen());
    assert!(String::from_utf8(screen).unwrap().contains("\u{1b}[0;1;31mred"));
    std::fs::write(session.file("go"), "").unwrap();
    let output = viewer.output_until("end");
    assert!(output.starts_with(&numbers(3000)), "bytes were lost or changed");
    viewer.types("x");
    viewer.send(&FromViewer::Detach);
    assert!(viewer.until_end());
    session.shows("x");
}

#[test]
fn control_passes_between_viewers_and_its_size_is_the_sessions() {
    let session = Session::shell("stty -echo; while read line; do echo got $line; stty size; done");
    let mut watching = session.connect().attach(SIZE, "view");
    assert!(!watching.told_control());
    let mut first = session.connect().attach(SIZE, "control");
    assert!(first.told_control());
    let mut second = session.connect().attach(LARGE, "control");
    assert!(!second.told_control());
    watching.types("watched\n");
    second.types("second\n");
    first.types("first\n");
    session.shows("got first");
    session.shows("24 80");
    second.send(&FromViewer::TakeControl);
    assert!(second.told_control());
    assert!(!first.told_control());
    let size =
        watching.until(|frame| if let ToViewer::Size { cols, rows } = frame { Some((*cols, *rows)) } else { None });
    assert!(size == (80, 24) || size == (120, 40));
    second.types("again\n");
    let screen = session.shows("40 120");
    assert_eq!((screen.cols, screen.rows), (120, 40));
    drop(second);
    assert!(first.told_control());
    eventually("the size of the viewer that has control now", || (session.screen().cols == 80).then_some(()));
    first.types("back\n");
    let screen = session.shows("got back");
    assert!(!screen.lines.iter().any(|line| line.contains("got second") || line.contains("got watched")));
    watching.send(&FromViewer::TakeControl);
    assert!(!watching.until(|frame| if let ToViewer::Control { held } = frame { Some(*held) } else { None }));
    drop(first);
    eventually("one viewer", || {
        let status: Status = serde_json::from_value(session.call(method::STATUS, json!({}))).unwrap();
        (status.viewers == 1).then_some(())
    });
}

#[test]
fn a_viewer_that_stops_reading_holds_nobody_up_and_then_skips_to_now() {
    let session = Session::shell(&format!(
        "{}; head -c 20000000 /dev/zero | tr '\\0' 'a'; printf '\\033[2J\\033[Hthe end'; {}; echo more; sleep 600",
        when("go"),
        when("next")
    ));
    let mut stuck = session.connect().attach(SIZE, "control");
    let mut reading = session.connect().attach(SIZE, "view");
    stuck.until(|frame| matches!(frame, ToViewer::Control { .. }).then_some(()));
    std::fs::write(session.file("go"), "").unwrap();
    reading.until_shown("the end", SIZE);
    session.shows("the end");
    std::fs::write(session.file("next"), "").unwrap();
    reading.until_shown("more", SIZE);
    let seen = stuck.until_shown("more", SIZE);
    assert!(seen < 8_000_000, "the stuck viewer was sent {seen} bytes");
    assert_eq!(session.call(method::STATUS, json!({}))["viewers"], 2);
}

#[test]
fn the_end_is_told_to_viewers_after_the_last_byte() {
    let session = Session::shell(&format!("{}; echo last words; exit 9", when("go")));
    let mut viewer = session.connect().attach(SIZE, "control");
    std::fs::write(session.file("go"), "").unwrap();
    let mut output = Vec::new();
    let end = viewer.until(|frame| match frame {
        ToViewer::Output(bytes) => {
            output.extend_from_slice(bytes);
            None
        }
        ToViewer::Ended { code, signal } => Some((*code, *signal)),
        _ => None,
    });
    assert_eq!(end, (Some(9), None));
    assert!(String::from_utf8(output).unwrap().ends_with("last words\r\n"));
    assert!(viewer.next().is_none());
    assert_eq!(session.wait().exit, Some(Exit::Code(9)));
}

#[test]
fn killed_viewers_and_connections_leave_nothing_behind() {
    let session = Session::shell("while :; do echo busy; sleep 0.001; done");
    session.shows("busy");
    let before = session.descriptors();
    for round in 0..200 {
        let client = session.connect();
        if round % 2 == 0 {
            let viewer = client.attach(SIZE, "control");
            drop(viewer);
        }
    }
    eventually("the descriptors of before", || (session.descriptors() <= before).then_some(()));
    assert_eq!(session.call(method::STATUS, json!({}))["viewers"], 0);
}

#[test]
fn sizes_beyond_all_reason_are_clamped_and_a_storm_of_them_ends_at_the_last() {
    let session = Session::shell("stty -echo; while read line; do stty size; done");
    for (asked, given) in [((0, 0), (2, 1)), ((65535, 65535), (1000, 1000)), ((1, 1), (2, 1))] {
        session.call(method::RESIZE, json!({"cols": asked.0, "rows": asked.1}));
        eventually("the clamped size", || {
            let screen = session.screen();
            ((screen.cols, screen.rows) == given).then_some(())
        });
    }
    let mut viewer = session.connect().attach(SIZE, "control");
    for step in 0..1000u16 {
        viewer.send(&FromViewer::Resize { cols: 20 + step % 100, rows: 10 + step % 50 });
    }
    viewer.send(&FromViewer::Resize { cols: 99, rows: 33 });
    eventually("the last size", || (session.screen().cols == 99 && session.screen().rows == 33).then_some(()));
    viewer.types("x\n");
    session.shows("33 99");
    let recording = std::fs::read_to_string(session.file(file::RECORDING)).unwrap();
    assert!(recording.matches("\"r\"").count() < 500, "sizes were not taken together");
}

#[test]
fn a_viewer_that_sends_garbage_is_cut_alone() {
    let session = Session::shell("echo here; sleep 600");
    let mut good = session.connect().attach(SIZE, "control");
    let mut bad = session.connect().attach(SIZE, "control");
    bad.client.send_body(&[0xff; 100]);
    assert!(bad.until_end());
    good.types("still here");
    session.shows("still here");
}

#[test]
fn a_viewer_handed_over_by_the_daemon_is_served_as_if_it_had_come_itself() {
    let session = Session::shell("stty -echo; echo ready; read line; echo got $line; sleep 600");
    session.shows("ready");
    let (theirs, ours) = UnixStream::pair().unwrap();
    let answer = json!({"jsonrpc": "2.0", "id": 5, "result": {"session": "s", "codec": "bincode-2"}}).to_string();
    let typed = codec::encode(&FromViewer::Input(b"handed over\n".to_vec())).unwrap();
    let mut rest = u32::try_from(typed.len()).unwrap().to_be_bytes().to_vec();
    rest.extend_from_slice(&typed);
    let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut daemon = session.connect();
    let before = session.descriptors();
    let params = json!({"attach": {"size": LARGE, "mode": "control"}, "rest": rest, "answer": answer});
    adopt(&mut daemon, &params, &[theirs.as_raw_fd()]);
    drop(theirs);
    assert_eq!(daemon.answer().unwrap().1.unwrap(), json!({}));
    drop(daemon);
    let mut client = Client::new(ours);
    assert_eq!(client.frame().unwrap(), answer.as_bytes());
    let mut viewer = Viewer { client };
    let Some(ToViewer::Screen(_)) = viewer.next() else { panic!("no screen first") };
    viewer.output_until("got handed over");
    assert_eq!(session.screen().cols, 120);
    drop(viewer);
    eventually("the descriptors of before", || (session.descriptors() < before).then_some(()));
}

fn adopt(client: &mut Client, params: &Value, descriptors: &[i32]) {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method::ADOPT, "params": params}).to_string();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let parts = [IoSlice::new(&length), IoSlice::new(body.as_bytes())];
    let control = [ControlMessage::ScmRights(descriptors)];
    sendmsg::<()>(client.stream.as_raw_fd(), &parts, &control, MsgFlags::empty(), None).unwrap();
}

#[test]
fn what_is_handed_over_wrongly_is_refused_and_closed() {
    let session = Session::shell("echo ready; sleep 600");
    session.shows("ready");
    let before = session.descriptors();
    let params = json!({"attach": {"size": SIZE, "mode": "control"}, "rest": "", "answer": "{}"});
    let mut daemon = session.connect();
    adopt(&mut daemon, &params, &[]);
    assert_eq!(daemon.answer().unwrap().1.unwrap_err().kind(), ErrorKind::InvalidParams);
    let null = std::fs::File::open("/dev/null").unwrap();
    adopt(&mut daemon, &params, &[null.as_raw_fd()]);
    let error = daemon.answer().unwrap().1.unwrap_err();
    assert!(error.message.contains("no socket"), "{}", error.message);
    let (one, _other) = UnixStream::pair().unwrap();
    let bad = json!({"attach": {"size": SIZE, "mode": "control"}, "rest": "xyz", "answer": "{}"});
    adopt(&mut daemon, &bad, &[one.as_raw_fd()]);
    assert!(daemon.answer().unwrap().1.unwrap_err().message.contains("base 16"));
    drop(daemon);
    eventually("the descriptors of before", || (session.descriptors() <= before).then_some(()));
}

#[test]
fn a_flood_of_descriptors_leaves_none_open() {
    let session = Session::shell("echo ready; sleep 600");
    session.shows("ready");
    let before = session.descriptors();
    let null = std::fs::File::open("/dev/null").unwrap();
    let flood = [null.as_raw_fd(); 200];
    let mut client = session.connect();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method::STATUS, "params": {}}).to_string();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    for _ in 0..50 {
        let parts = [IoSlice::new(&length), IoSlice::new(body.as_bytes())];
        sendmsg::<()>(client.stream.as_raw_fd(), &parts, &[ControlMessage::ScmRights(&flood)], MsgFlags::empty(), None)
            .unwrap();
        client.answer().unwrap().1.unwrap();
    }
    assert!(session.descriptors() <= before + 2, "{} descriptors, {before} before", session.descriptors());
    let mut viewer = client.attach(SIZE, "control");
    viewer.told_control();
    let mut typed = BytesMut::new();
    frame::encode(&codec::encode(&FromViewer::Input(b"typed\r".to_vec())).unwrap(), &mut typed).unwrap();
    let (part, rest) = typed.split_at(2);
    let stream = &mut viewer.client.stream;
    sendmsg::<()>(
        stream.as_raw_fd(),
        &[IoSlice::new(part)],
        &[ControlMessage::ScmRights(&flood)],
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    stream.write_all(rest).unwrap();
    viewer.until_shown("typed", SIZE);
    assert!(session.descriptors() <= before + 2);
}
