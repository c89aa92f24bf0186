//! An attached terminal: the program on a real PTY, the holder played by the test.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Stdio};
use std::time::Duration;

use bytes::BytesMut;
use nix::pty::{OpenptyResult, Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use orx_protocol::codec;
use orx_protocol::frame::{self, FrameDecoder};
use orx_protocol::limits::FRAME_TERMINAL;
use orx_protocol::terminal::{FromViewer, ToViewer};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::fake::{Fake, command};

const SESSION: &str = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV";

/// The program on a terminal of its own.
struct Terminal {
    master: File,
    slave: OwnedFd,
    child: Child,
    shown: Vec<u8>,
}

impl Terminal {
    fn start(fake: &Fake, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        let OpenptyResult { master, slave } = openpty(Some(&size), None).unwrap();
        let stream = || Stdio::from(slave.try_clone().unwrap());
        let streams = [stream(), stream(), stream()];
        let child =
            orx_sandbox::spawn::on_streams(&command(arguments), &std::env::temp_dir(), &fake.environment(), streams)
                .unwrap();
        Self { master: File::from(master), slave, child, shown: Vec::new() }
    }

    fn type_in(&mut self, bytes: &[u8]) {
        self.master.write_all(bytes).unwrap();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(self.slave.as_fd()).unwrap().local_flags.contains(LocalFlags::ICANON)
    }

    /// Waits until the program has ended; gives its exit code and everything it showed.
    async fn end(mut self) -> (i32, String) {
        let task = tokio::task::spawn_blocking(move || {
            let status = self.child.wait().unwrap();
            assert!(!self.is_raw(), "the terminal was left in raw mode");
            drop(self.slave);
            let mut rest = Vec::new();
            // The end of a terminal whose other side is closed is an error on Linux.
            let _ = self.master.read_to_end(&mut rest);
            self.shown.extend(rest);
            (status.code().unwrap(), String::from_utf8_lossy(&self.shown).into_owned())
        });
        tokio::time::timeout(Duration::from_secs(20), task).await.unwrap().unwrap()
    }

    /// Reads until this was shown.
    async fn until(mut self, wanted: &'static str) -> Self {
        let task = tokio::task::spawn_blocking(move || {
            while !String::from_utf8_lossy(&self.shown).contains(wanted) {
                let mut buffer = [0; 4096];
                let count = self.master.read(&mut buffer).unwrap();
                self.shown.extend(&buffer[..count]);
            }
            self
        });
        tokio::time::timeout(Duration::from_secs(20), task).await.unwrap().unwrap()
    }
}

/// The holder's side of the connection.
struct Holder {
    stream: UnixStream,
    decoder: FrameDecoder,
}

impl Holder {
    /// A viewer's connection, with its terminal offered.
    async fn offered(fake: &mut Fake) -> Self {
        Self { stream: fake.switched().await, decoder: FrameDecoder::new(FRAME_TERMINAL) }
    }

    /// A viewer that is left its terminal.
    async fn attached(fake: &mut Fake) -> Self {
        let mut holder = Self::offered(fake).await;
        assert!(matches!(holder.next().await, FromViewer::Terminal { .. }));
        holder.send(ToViewer::Returned).await;
        holder
    }

    /// Takes the terminal that a viewer offers, and whether its keys are offered, too.
    async fn takes(&mut self) -> (File, bool) {
        let mut buffer = [0; 64];
        let (count, mut passed) = loop {
            self.stream.readable().await.unwrap();
            let received = self.stream.try_io(tokio::io::Interest::READABLE, || {
                orx_sandbox::descriptors::receive(self.stream.as_fd(), &mut buffer)
            });
            match received {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                received => break received.unwrap(),
            }
        };
        self.decoder.buffer().extend_from_slice(&buffer[..count]);
        let FromViewer::Terminal { keyboard } = self.next().await else { panic!("no terminal") };
        (File::from(passed.pop().unwrap()), keyboard)
    }

    async fn send(&mut self, message: ToViewer) {
        let mut framed = BytesMut::new();
        frame::encode(&codec::encode(&message).unwrap(), &mut framed).unwrap();
        self.stream.write_all(&framed).await.unwrap();
    }

    async fn next(&mut self) -> FromViewer {
        loop {
            if let Some(body) = self.decoder.next().unwrap() {
                return codec::decode(&body).unwrap();
            }
            let read = self.stream.read_buf(self.decoder.buffer());
            assert_ne!(tokio::time::timeout(Duration::from_secs(20), read).await.unwrap().unwrap(), 0, "closed");
        }
    }

    /// The bytes that were typed, until this many came.
    async fn typed(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            match self.next().await {
                FromViewer::Input(more) => bytes.extend(more),
                other => panic!("{other:?} after {bytes:?}"),
            }
        }
        bytes
    }
}

/// The record of a session whose process runs.
fn running() -> crate::fake::Reply {
    json!({
        "session": SESSION, "engine": "command", "state": "running", "pid": 1, "cwd": "/", "cols": 100, "rows": 30,
        "created_at_ms": 1, "ended_at_ms": null, "exit": null, "reason": null, "message": null, "title": null,
        "argv": ["sh"], "owner": null, "directory": "/d"
    })
    .into()
}

fn fake() -> Fake {
    Fake::start(|method, _| match method {
        "session.get" => running(),
        "session.attach" => crate::fake::Reply::Switch(json!({"session": SESSION, "codec": "bincode-2"})),
        "session.create" => json!({"session": SESSION, "pid": 1}).into(),
        other => panic!("{other}"),
    })
}

#[tokio::test]
async fn keys_reach_the_program_and_leaving_puts_the_terminal_back() {
    let mut fake = fake();
    let mut terminal = Terminal::start(&fake, &["attach", SESSION]);
    let mut holder = Holder::attached(&mut fake).await;
    assert_eq!(
        fake.calls("session.attach"),
        [json!({"session": SESSION, "cols": 100, "rows": 30, "mode": "control", "raw": false})]
    );
    holder.send(ToViewer::Control { held: true }).await;
    holder.send(ToViewer::Screen(b"\x1b[?1049h\x1b[?1003h\x1b[?25lthe screen".to_vec())).await;
    terminal = terminal.until("the screen").await;
    assert!(terminal.is_raw());
    terminal.type_in(b"hi\x03\x1b[A");
    assert_eq!(holder.typed(6).await, b"hi\x03\x1b[A");
    terminal.type_in(b"\x1b[200~\x11\x02d\x1b[201~\x02\x02");
    assert_eq!(holder.typed(16).await, b"\x1b[200~\x11\x02d\x1b[201~\x02");
    terminal.type_in(b"\x02w");
    assert_eq!(holder.next().await, FromViewer::TakeControl);
    terminal.type_in(b"\x1b");
    assert_eq!(holder.typed(1).await, b"\x1b");
    terminal.type_in(b"\x02d");
    assert_eq!(holder.next().await, FromViewer::Detach);
    let (code, shown) = terminal.end().await;
    assert_eq!(code, 0);
    let (_, after) = shown.split_once("the screen").unwrap();
    for wanted in
        ["\u{1b}[?1049l", "\u{1b}[?1003l", "\u{1b}[?25h", "\u{1b}[23;0t", &format!("[detached from {SESSION}]")]
    {
        assert!(after.contains(wanted), "{wanted:?} in {after:?}");
    }
}

#[tokio::test]
async fn the_end_of_the_session_is_told_with_its_exit() {
    let mut fake = fake();
    let terminal = Terminal::start(&fake, &["new", "command", "--", "true"]);
    let mut holder = Holder::attached(&mut fake).await;
    let created = fake.calls("session.create");
    assert_eq!(
        (&created[0]["cols"], &created[0]["rows"], &created[0]["argv"]),
        (&json!(100), &json!(30), &json!(["true"]))
    );
    holder.send(ToViewer::Output(b"bye".to_vec())).await;
    let terminal = terminal.until("bye").await;
    holder.send(ToViewer::Ended { code: Some(3), signal: None }).await;
    let (code, shown) = terminal.end().await;
    assert_eq!(code, 0);
    assert!(shown.contains("[session ended: exit status 3]"), "{shown:?}");
}

#[tokio::test]
async fn a_viewer_that_only_looks_sends_nothing() {
    let mut fake = fake();
    let mut terminal = Terminal::start(&fake, &["attach", "--view", SESSION]);
    let mut holder = Holder::attached(&mut fake).await;
    assert_eq!(fake.calls("session.attach")[0]["mode"], "view");
    holder.send(ToViewer::Screen(b"look".to_vec())).await;
    terminal = terminal.until("look").await;
    terminal.type_in(b"typed");
    terminal = terminal.until("only look here").await;
    terminal.type_in(b"\x1b[113;5u");
    assert_eq!(holder.next().await, FromViewer::Detach);
    assert_eq!(terminal.end().await.0, 0);
}

#[tokio::test]
async fn a_killed_holder_is_followed_by_the_next_one_until_the_session_is_over() {
    let asked = std::sync::atomic::AtomicU32::new(0);
    let mut fake = Fake::start(move |method, _| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        _ if method != "session.attach" => running(),
        // The daemon itself is away for a moment, too.
        2 => crate::fake::Reply::Hang,
        1 | 3 => crate::fake::Reply::Switch(json!({"session": SESSION, "codec": "bincode-2"})),
        _ => crate::fake::refuse(orx_protocol::ErrorKind::FailedPrecondition, "the session is ended (exit status 3)"),
    });
    let terminal = Terminal::start(&fake, &["attach", SESSION]);
    let mut holder = Holder::attached(&mut fake).await;
    holder.send(ToViewer::Screen(b"first".to_vec())).await;
    let terminal = terminal.until("first").await;
    drop(holder);
    let mut holder = Holder::offered(&mut fake).await;
    holder.send(ToViewer::Control { held: true }).await;
    holder.send(ToViewer::Screen(b"second".to_vec())).await;
    let mut terminal = terminal.until("second").await;
    terminal.type_in(b"on");
    assert_eq!(holder.typed(2).await, b"on");
    drop(holder);
    let (code, shown) = terminal.end().await;
    assert_eq!(code, 1);
    assert!(shown.contains("was lost") && shown.contains("exit status 3"), "{shown:?}");
}

#[tokio::test]
async fn holders_that_close_again_and_again_are_given_up() {
    let fake = Fake::start(|method, _| match method {
        "session.attach" => crate::fake::Reply::Cut(json!({"session": SESSION, "codec": "bincode-2"}), Vec::new()),
        _ => running(),
    });
    let (code, shown) = Terminal::start(&fake, &["attach", SESSION]).end().await;
    assert_eq!(code, 1);
    assert!(shown.contains("again and again"), "{shown:?}");
}

#[tokio::test]
async fn a_signal_puts_the_terminal_back() {
    let mut fake = fake();
    let terminal = Terminal::start(&fake, &["attach", SESSION]);
    let mut holder = Holder::attached(&mut fake).await;
    holder.send(ToViewer::Screen(b"here".to_vec())).await;
    let terminal = terminal.until("here").await;
    let pid = nix::unistd::Pid::from_raw(i32::try_from(terminal.child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(terminal.end().await.0, 1);
}

#[tokio::test]
async fn help_is_shown_and_the_screen_drawn_anew() {
    let mut fake = fake();
    let mut terminal = Terminal::start(&fake, &["attach", SESSION]);
    let mut holder = Holder::attached(&mut fake).await;
    holder.send(ToViewer::Control { held: true }).await;
    holder.send(ToViewer::Screen(b"first".to_vec())).await;
    terminal = terminal.until("first").await;
    terminal.type_in(b"\x02?");
    terminal = terminal.until("Ctrl+Q leave").await;
    terminal.type_in(b"\x02r");
    assert_eq!(holder.next().await, FromViewer::Redraw);
    holder.send(ToViewer::Screen(b"second".to_vec())).await;
    terminal = terminal.until("second").await;
    assert!(!String::from_utf8_lossy(&terminal.shown).contains("types here"));
    holder.send(ToViewer::Control { held: false }).await;
    terminal = terminal.until("somebody else types here").await;
    terminal.type_in(b"\x11");
    assert_eq!(holder.next().await, FromViewer::Detach);
    assert_eq!(terminal.end().await.0, 0);
}

#[tokio::test]
async fn a_terminal_that_was_given_is_the_holders_until_it_is_returned() {
    let mut fake = fake();
    let mut terminal = Terminal::start(&fake, &["attach", SESSION]);
    let mut holder = Holder::offered(&mut fake).await;
    let (mut given, keyboard) = holder.takes().await;
    assert!(keyboard);
    holder.send(ToViewer::Screen(b"before".to_vec())).await;
    holder.send(ToViewer::Taken).await;
    assert_eq!(holder.next().await, FromViewer::Ready);
    given.write_all(b" by the holder").unwrap();
    terminal = terminal.until("before by the holder").await;
    // The holder reads the keys, and gives those back that it does not judge.
    terminal.type_in(b"plain");
    let mut keys = [0; 5];
    let mut read = 0;
    while read < keys.len() {
        match given.read(&mut keys[read..]) {
            Ok(count) => read += count,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
    }
    assert_eq!(&keys, b"plain");
    holder.send(ToViewer::Typed(b"\x1b[A\x02".to_vec())).await;
    assert_eq!(holder.typed(3).await, b"\x1b[A");
    holder.send(ToViewer::Typed(b"w".to_vec())).await;
    assert_eq!(holder.next().await, FromViewer::TakeControl);
    assert_eq!(holder.next().await, FromViewer::Understood { bytes: 5 });
    holder.send(ToViewer::Typed(b"\x02?".to_vec())).await;
    let FromViewer::Show(help) = holder.next().await else { panic!("no help") };
    assert!(String::from_utf8(help).unwrap().contains("Ctrl+Q leave"));
    assert_eq!(holder.next().await, FromViewer::Understood { bytes: 7 });
    // What was set there is taken back at the end, though this program never saw it pass.
    let mut modes = orx_protocol::terminal::modes::Modes::default();
    modes.watch(b"\x1b[?1049h\x1b[?1h");
    holder.send(ToViewer::Modes(modes.set().clone())).await;
    holder.send(ToViewer::Output(b" the rest".to_vec())).await;
    holder.send(ToViewer::Returned).await;
    terminal = terminal.until(" the rest").await;
    terminal.type_in(b"own");
    assert_eq!(holder.typed(3).await, b"own");
    terminal.type_in(b"\x11");
    assert_eq!(holder.next().await, FromViewer::Detach);
    drop((holder, given));
    let (code, shown) = terminal.end().await;
    assert_eq!(code, 0);
    let (_, after) = shown.split_once(" the rest").unwrap();
    assert!(after.contains("\u{1b}[?1049l") && after.contains("\u{1b}[?1l"), "{after:?}");
}

#[tokio::test]
async fn a_holder_that_cuts_the_offer_is_attached_to_without_one() {
    let mut fake = fake();
    let terminal = Terminal::start(&fake, &["attach", SESSION]);
    let mut older = Holder::offered(&mut fake).await;
    assert_eq!(older.next().await, FromViewer::Terminal { keyboard: true });
    drop(older);
    let mut holder = Holder::offered(&mut fake).await;
    holder.send(ToViewer::Screen(b"as before".to_vec())).await;
    let mut terminal = terminal.until("as before").await;
    terminal.type_in(b"typed");
    assert_eq!(holder.typed(5).await, b"typed");
    terminal.type_in(b"\x11");
    assert_eq!(holder.next().await, FromViewer::Detach);
    drop(holder);
    assert_eq!(terminal.end().await.0, 0);
}
