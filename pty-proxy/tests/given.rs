//! A viewer's own terminal in the hands of the holder: what is typed and shown there without the viewer, what is left to it, and
//! how it gets its terminal back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says by a panic that it failed.

mod support;

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::openpty;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use orx_protocol::codec;
use orx_protocol::hold::{TerminalSize, method};
use orx_protocol::terminal::{FromViewer, ToViewer};
use pty_proxy::terminal::emulator::Emulator;
use serde_json::json;
use std::os::fd::AsFd;
use support::{PATIENCE, SIZE, Session, Viewer};

/// The user's side of a terminal that a viewer gives away.
struct User {
    master: File,
    model: Emulator,
}

/// A terminal in raw mode that is not waited for, and its user.
fn terminal() -> (OwnedFd, User) {
    let pair = openpty(None, None).unwrap();
    let mut raw = tcgetattr(&pair.slave).unwrap();
    cfmakeraw(&mut raw);
    tcsetattr(&pair.slave, SetArg::TCSANOW, &raw).unwrap();
    fcntl(&pair.slave, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK)).unwrap();
    (pair.slave, User { master: pair.master.into(), model: Emulator::new(SIZE) })
}

impl User {
    fn types(&mut self, keys: &[u8]) {
        self.master.write_all(keys).unwrap();
    }

    /// Reads until the terminal shows `text`; gives how many bytes that took.
    fn until_shown(&mut self, text: &str) -> usize {
        self.until(text, |model, _| model.text().lines.iter().any(|line| line.contains(text)))
    }

    /// Reads until `text` was written to the terminal, whether it shows it or not.
    fn until_written(&mut self, text: &str) {
        self.until(text, |_, written| String::from_utf8_lossy(written).contains(text));
    }

    /// Reads until `found`, by the screen and by the last bytes that were written; gives how many bytes that took.
    fn until(&mut self, what: &str, mut found: impl FnMut(&Emulator, &[u8]) -> bool) -> usize {
        const LAST: usize = 64;
        let deadline = Instant::now() + PATIENCE;
        let mut count = 0;
        let mut written = Vec::new();
        while !found(&self.model, &written) {
            assert!(Instant::now() < deadline, "{what:?} is not on {:#?}", self.model.text().lines);
            let ready = poll(&mut [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)], PollTimeout::from(50u8));
            if matches!(ready, Ok(1..)) {
                let mut buffer = [0; 65536];
                let read = self.master.read(&mut buffer).unwrap();
                self.model.accept(&buffer[..read], Instant::now());
                written.drain(..written.len().saturating_sub(LAST));
                written.extend_from_slice(&buffer[..read]);
                count += read;
            }
        }
        count
    }
}

/// Offers a descriptor as the viewer's terminal.
fn offer(viewer: &Viewer, descriptor: i32) {
    let body = codec::encode(&FromViewer::Terminal { keyboard: true }).unwrap();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let parts = [IoSlice::new(&length), IoSlice::new(&body)];
    let control = [ControlMessage::ScmRights(&[descriptor])];
    sendmsg::<()>(viewer.client.stream.as_raw_fd(), &parts, &control, MsgFlags::empty(), None).unwrap();
}

/// Gives the viewer's terminal to the holder, with all on it that came before.
fn give(viewer: &mut Viewer, size: TerminalSize) -> User {
    let (slave, mut user) = terminal();
    offer(viewer, slave.as_raw_fd());
    user.model = Emulator::new(size);
    viewer.until(|frame| {
        if let ToViewer::Screen(bytes) | ToViewer::Output(bytes) = frame {
            user.model.accept(bytes, Instant::now());
        }
        matches!(frame, ToViewer::Taken).then_some(())
    });
    viewer.send(&FromViewer::Ready);
    user
}

#[test]
fn keys_and_output_pass_without_the_viewer_and_its_own_keys_are_left_to_it() {
    let session = Session::shell("stty -echo raw; printf 'ready\\r\\n'; exec cat");
    session.shows("ready");
    let mut viewer = session.connect().attach(SIZE, "control");
    let mut user = give(&mut viewer, SIZE);
    user.until_shown("ready");
    user.types(b"plain");
    user.until_shown("plain");
    user.types(b"\x02");
    user.types(b"d");
    let mut left = Vec::new();
    viewer.until(|frame| {
        if let ToViewer::Typed(keys) = frame {
            left.extend_from_slice(keys);
        }
        (left.len() >= 2).then_some(())
    });
    assert_eq!(left, b"\x02d");
    // The viewer judged it to be for the program after all; what follows is the program's at once again.
    viewer.send(&FromViewer::Input(b" judged".to_vec()));
    viewer.send(&FromViewer::Understood { bytes: 2 });
    user.until_shown("plain judged");
    viewer.send(&FromViewer::Show(b"\x1b[5;1Ha remark".to_vec()));
    user.until_shown("a remark");
    viewer.send(&FromViewer::Redraw);
    user.types(b" after");
    user.until_shown("plain judged after");
    session.shows("plain judged after");
    assert!(!user.model.text().lines.iter().any(|line| line.contains("a remark")), "the screen was not drawn anew");
}

#[test]
fn of_a_flood_pictures_are_shown_and_the_last_one_is_right() {
    let session = Session::shell(
        "stty -echo; echo ready; read go; head -c 20000000 /dev/zero | tr '\\0' 'a'; printf '\\033[2J\\033[Hthe end'; read go",
    );
    session.shows("ready");
    let mut viewer = session.connect().attach(SIZE, "control");
    let mut user = give(&mut viewer, SIZE);
    user.types(b"\r");
    let shown = user.until_shown("the end");
    assert!(shown < 10_000_000, "{shown} bytes were shown");
    assert_eq!(user.model.text().lines, session.screen().lines);
}

#[test]
fn a_notice_reaches_a_viewer_that_is_shown_pictures() {
    let session =
        Session::shell("stty -echo; echo ready; read go; while :; do echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa; done");
    session.shows("ready");
    let mut viewer = session.connect().attach(SIZE, "control");
    let mut user = give(&mut viewer, SIZE);
    user.types(b"\r");
    user.until_shown("aaaa");
    let mut daemon = session.connect();
    for number in 0..20 {
        let title = format!("notice-{number:02}");
        let told = daemon.call(method::NOTICE, json!({"form": "osc9", "title": title, "body": "b"})).unwrap();
        assert_eq!(told["viewers"], 1);
        user.until_written(&title);
    }
}

#[test]
fn a_notice_has_the_form_that_its_terminal_knows_and_no_text_ends_or_splits_it() {
    let session = Session::shell("echo ready; read go");
    session.shows("ready");
    let mut viewer = session.connect().attach(SIZE, "control");
    let mut user = give(&mut viewer, SIZE);
    user.until_shown("ready");
    let mut daemon = session.connect();
    for (form, whole) in
        [("osc777", "\x1b]777;notify;a title;and[2J a body\\\x07"), ("osc9", "\x1b]9;a title: and[2J a body\\\x07")]
    {
        let notice = json!({"form": form, "title": "a; title\x07", "body": "and\x1b[2J a; body\x1b\\"});
        let told = daemon.call(method::NOTICE, notice).unwrap();
        assert_eq!(told["viewers"], 1);
        user.until_written(whole);
    }
    assert!(user.model.text().lines.iter().any(|line| line.contains("ready")), "nothing of it is drawn");
}

#[test]
fn the_end_comes_after_the_last_words_and_gives_the_terminal_back() {
    let session = Session::shell("stty -echo; echo ready; read go; echo last words; exit 9");
    session.shows("ready");
    let mut viewer = session.connect().attach(SIZE, "control");
    let mut user = give(&mut viewer, SIZE);
    user.types(b"\r");
    let mut returned = false;
    let end = viewer.until(|frame| match frame {
        ToViewer::Output(bytes) => {
            user.model.accept(bytes, Instant::now());
            None
        }
        ToViewer::Returned => {
            returned = true;
            None
        }
        ToViewer::Ended { code, .. } => Some(*code),
        _ => None,
    });
    assert_eq!((returned, end), (true, Some(9)));
    user.until_shown("last words");
}

#[test]
fn another_version_gives_the_terminal_back_and_takes_it_again() {
    let session = Session::shell("stty -echo raw; printf 'ready\\r\\n\\033[?1h'; exec cat");
    session.shows("ready");
    let mut viewer = session.connect().attach(SIZE, "control");
    let mut user = give(&mut viewer, SIZE);
    user.until_shown("ready");
    session.call(method::UPGRADE, json!({}));
    let mut modes = None;
    viewer.until(|frame| {
        if let ToViewer::Modes(set) = frame {
            modes = Some(String::from_utf8(set.leave()).unwrap());
        }
        matches!(frame, ToViewer::Returned).then_some(())
    });
    assert!(modes.unwrap().contains("\u{1b}[?1l"), "what is set on the terminal was not said");
    let mut user = give(&mut viewer, SIZE);
    user.types(b"once more");
    user.until_shown("once more");
}

#[test]
fn what_cannot_be_taken_is_left_to_the_viewer_and_nothing_stays_open() {
    let session = Session::shell("stty -echo raw; printf 'ready\\r\\n'; exec cat");
    session.shows("ready");
    let before = session.descriptors();
    let mut viewer = session.connect().attach(SIZE, "control");
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    offer(&viewer, null.as_raw_fd());
    viewer.until(|frame| matches!(frame, ToViewer::Returned).then_some(()));
    viewer.types("by frames");
    viewer.output_until("by frames");
    // A viewer that is gone takes its terminal along.
    let user = give(&mut viewer, SIZE);
    drop(viewer);
    support::eventually("the descriptors of before", || (session.descriptors() <= before).then_some(()));
    drop(user);
    // So does a terminal that is gone, which its viewer learns.
    let mut viewer = session.connect().attach(SIZE, "control");
    drop(give(&mut viewer, SIZE));
    viewer.until(|frame| matches!(frame, ToViewer::Returned).then_some(()));
    viewer.types("still here");
    session.shows("still here");
}
