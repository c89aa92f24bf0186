//! The loop of an attached terminal: keys to the session, its output to the terminal, until one of them ends.

use std::path::Path;
use std::time::Duration;

use orx_client::ClientError;
use orx_protocol::api::session::AttachMode;
use orx_protocol::hold::TerminalSize;
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_protocol::{ErrorKind, SessionId};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::terminal::keys::{Action, Keys};
use crate::terminal::link::{Link, NotSent};
use crate::terminal::modes::Modes;
use crate::terminal::raw::Raw;
use crate::terminal::screen::Screen;
use crate::terminal::tty::Keyboard;
use crate::terminal::{Left, size};

/// In this time a terminal sends the whole of a sequence.
const SEQUENCE: Duration = Duration::from_millis(25);
/// How long a remark stands on the last row.
const REMARK: Duration = Duration::from_secs(5);
/// How long another holder, or the daemon that knows of it, is waited for.
const AGAIN_LIMIT: Duration = Duration::from_secs(20);
/// So many connections that end without a word within that time are followed by another one.
const LOSSES: u32 = 8;
/// How often it is asked for.
const AGAIN: Duration = Duration::from_millis(50);
/// The size where the terminal does not say its own.
const USUAL: TerminalSize = TerminalSize { cols: 80, rows: 24 };
const HELP: &str = "Ctrl+B, then: d leave, w take control, r redraw, Ctrl+B send it | Ctrl+Q leave";

/// Shows a session on this terminal.
///
/// # Errors
/// When it cannot be attached to; the terminal is then as it was.
pub(crate) async fn view(path: &Path, session: SessionId, mode: AttachMode, everything: bool) -> Result<Left, Failure> {
    let own = size().unwrap_or(USUAL);
    let link = Link::open(path, session, own, mode, everything).await?;
    let failed = |error: std::io::Error| Failure::failed(format!("the terminal cannot be used: {error}"));
    let signals = Signals::new().map_err(failed)?;
    let raw = Raw::enter()?;
    let mut input = Keyboard::open().map_err(failed)?;
    let screen = Screen::open().map_err(failed)?;
    let mut viewer = Viewer {
        path,
        session,
        mode,
        everything,
        size: own,
        screen,
        modes: Modes::default(),
        raw,
        keys: Keys::default(),
        held: None,
        regaining: false,
        losses: None,
        remark: None,
    };
    viewer.screen.remark(&enter(own));
    let left = viewer.run(link, &mut input, signals).await;
    drop(input);
    let Viewer { screen, modes, raw, .. } = viewer;
    let mut last = modes.leave();
    last.extend(TITLE_BACK);
    screen.finish(&last).await;
    drop(raw);
    Ok(left)
}

/// Puts the window's title back.
const TITLE_BACK: &[u8] = b"\x1b[23;0t";
/// Keeps the window's title, and whether the wheel turns into arrow keys: terminals differ in that at rest.
const KEEP: &[u8] = b"\x1b[22;0t\x1b[?1007s";

/// Keeps what is put back at the end, and moves what the shell shows up into the scroll-back, where it is found again.
fn enter(size: TerminalSize) -> Vec<u8> {
    let mut out = KEEP.to_vec();
    out.extend(b"\x1b[999;1H");
    out.extend(std::iter::repeat_n(b'\n', usize::from(size.rows)));
    out.extend(b"\x1b[H");
    out
}

struct Signals {
    resized: Signal,
    continued: Signal,
    fatal: Fatal,
}

/// The signals that end this program.
struct Fatal {
    ended: Signal,
    hung_up: Signal,
    interrupted: Signal,
    quit: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            continued: signal(SignalKind::from_raw(nix::libc::SIGCONT))?,
            fatal: Fatal {
                ended: signal(SignalKind::terminate())?,
                hung_up: signal(SignalKind::hangup())?,
                interrupted: signal(SignalKind::interrupt())?,
                quit: signal(SignalKind::quit())?,
            },
        })
    }
}

impl Fatal {
    /// Waits for one of them.
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.ended.recv() => {}
            _ = self.hung_up.recv() => {}
            _ = self.interrupted.recv() => {}
            _ = self.quit.recv() => {}
        }
    }
}

struct Viewer<'a> {
    path: &'a Path,
    session: SessionId,
    mode: AttachMode,
    /// Also what reaches beyond the screen.
    everything: bool,
    size: TerminalSize,
    screen: Screen,
    modes: Modes,
    raw: Raw,
    keys: Keys,
    /// Whether this viewer types; `None` until the holder said so.
    held: Option<bool>,
    /// Whether the control is on its way from an older connection of this viewer to the present one.
    regaining: bool,
    /// Connections that ended without a word: since when, and how many.
    losses: Option<(Instant, u32)>,
    /// When the remark on the last row goes.
    remark: Option<Instant>,
}

/// What the loop goes on with.
enum Next {
    Go,
    Redraw,
    /// The connection ended without a word: the session's holder was killed, and another one takes its place.
    Again,
    Leave(Left),
}

impl Viewer<'_> {
    async fn run(&mut self, mut link: Link, input: &mut Keyboard, mut signals: Signals) -> Left {
        let mut flush_at: Option<Instant> = None;
        loop {
            let next = tokio::select! {
                frame = link.reader.next(), if self.screen.has_room() => match frame {
                    Ok(Some(frame)) => self.frame(frame),
                    Ok(None) => Next::Again,
                    Err(error) => Next::Leave(Left::Lost(error.to_string())),
                },
                written = self.screen.catch_up(), if self.screen.is_behind() => match written {
                    Ok(()) => Next::Go,
                    Err(_) => Next::Leave(Left::Signalled),
                },
                bytes = input.read() => match bytes {
                    Ok(bytes) if bytes.is_empty() => Next::Leave(Left::Signalled),
                    Ok(bytes) => {
                        let actions = self.keys.feed(&bytes);
                        flush_at = self.keys.is_holding().then(|| Instant::now() + SEQUENCE);
                        self.act(&link, actions)
                    }
                    Err(_) => Next::Leave(Left::Signalled),
                },
                () = at(flush_at), if flush_at.is_some() => {
                    flush_at = None;
                    let actions = self.keys.flush();
                    self.act(&link, actions)
                }
                () = at(self.remark), if self.remark.is_some() => Next::Redraw,
                _ = signals.resized.recv() => self.resize(&link),
                _ = signals.continued.recv() => match self.raw.apply() {
                    Ok(()) => Next::Redraw,
                    Err(_) => Next::Leave(Left::Signalled),
                },
                () = signals.fatal.recv() => Next::Leave(Left::Signalled),
            };
            match next {
                Next::Go => {}
                Next::Leave(left) => {
                    link.close().await;
                    return left;
                }
                Next::Again => match self.find_again(&mut signals.fatal).await {
                    Ok(fresh) => std::mem::replace(&mut link, fresh).close().await,
                    Err(left) => return left,
                },
                Next::Redraw => {
                    self.remark = None;
                    if let Some(fresh) = self.attach_anew().await {
                        std::mem::replace(&mut link, fresh).close().await;
                    }
                }
            }
        }
    }

    /// A second connection, which begins with the whole screen. While the daemon is away there is none, and the one that
    /// is there is kept: it needs no daemon.
    async fn attach_anew(&mut self) -> Option<Link> {
        let fresh = Link::open(self.path, self.session, self.size, self.mode, self.everything).await.ok()?;
        if self.held == Some(true) {
            // The older connection still holds it.
            self.regaining = fresh.send(FromViewer::TakeControl).is_ok();
        }
        Some(fresh)
    }

    /// A connection to the holder that takes the place of the one that was killed.
    async fn find_again(&mut self, fatal: &mut Fatal) -> Result<Link, Left> {
        self.remark("the session's holder has left; looking for the next one");
        let now = Instant::now();
        let (since, count) = self.losses.filter(|(since, _)| now < *since + AGAIN_LIMIT).unwrap_or((now, 0));
        self.losses = Some((since, count + 1));
        if count >= LOSSES {
            return Err(Left::Lost("the session's holders close it again and again".to_owned()));
        }
        let give_up = now + AGAIN_LIMIT;
        loop {
            let refused = match Link::open(self.path, self.session, self.size, self.mode, self.everything).await {
                Ok(fresh) => {
                    // Whether this viewer types is decided anew, and said by the new holder.
                    self.remark = None;
                    return Ok(fresh);
                }
                Err(error) => error,
            };
            let ended = matches!(&refused, ClientError::Rpc(error)
                if matches!(error.kind(), ErrorKind::FailedPrecondition | ErrorKind::NotFound));
            if ended || Instant::now() >= give_up {
                return Err(Left::Lost(format!("the session's holder closed it, and no other answers: {refused}")));
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = fatal.recv() => return Err(Left::Signalled),
            }
        }
    }

    fn frame(&mut self, frame: ToViewer) -> Next {
        match frame {
            ToViewer::Screen(bytes) | ToViewer::Output(bytes) => {
                self.modes.watch(&bytes);
                if self.screen.write(&bytes).is_err() {
                    return Next::Leave(Left::Signalled);
                }
            }
            ToViewer::Size { cols, rows } if cols > self.size.cols || rows > self.size.rows => {
                self.remark(&format!("the session's screen has {cols}x{rows}, more than this terminal shows"));
            }
            ToViewer::Size { .. } => {}
            ToViewer::Control { held: false } if self.regaining => {}
            ToViewer::Control { held } => {
                self.regaining = false;
                let before = self.held.replace(held);
                if self.mode == AttachMode::Control && before != Some(held) {
                    match (before, held) {
                        (_, false) => self.remark("somebody else types here; Ctrl+B w takes control"),
                        (Some(_), true) => self.remark("you type here now"),
                        (None, true) => {}
                    }
                }
            }
            ToViewer::Ended { code, signal } => return Next::Leave(Left::Ended { code, signal }),
        }
        Next::Go
    }

    fn act(&mut self, link: &Link, actions: Vec<Action>) -> Next {
        for action in actions {
            let sent = match action {
                Action::Detach => return Next::Leave(Left::Detached),
                Action::Redraw => return Next::Redraw,
                Action::Help => {
                    self.remark(HELP);
                    Ok(())
                }
                Action::TakeControl | Action::Send(_) if self.mode == AttachMode::View => {
                    self.remark("you only look here (--view); Ctrl+Q leaves");
                    Ok(())
                }
                Action::TakeControl => link.send(FromViewer::TakeControl),
                Action::Send(bytes) => link.send(FromViewer::Input(bytes)),
            };
            match sent {
                Ok(()) => {}
                Err(NotSent::Closed) => {
                    // What the holder said last (an end, as a rule) is still to be read, and says why.
                }
                Err(NotSent::Full) => self.remark("the program does not read: what you typed was not sent"),
            }
        }
        Next::Go
    }

    fn resize(&mut self, link: &Link) -> Next {
        let now = size().unwrap_or(self.size);
        if now != self.size {
            self.size = now;
            if link.send(FromViewer::Resize { cols: now.cols, rows: now.rows }) == Err(NotSent::Full) {
                return Next::Redraw;
            }
        }
        Next::Go
    }

    /// Shows a line on the last row until it is drawn over.
    fn remark(&mut self, text: &str) {
        let text = crate::text::shorten(text, usize::from(self.size.cols).saturating_sub(1));
        let shown = format!("\u{1b}7\u{1b}[{};1H\u{1b}[0;7m\u{1b}[2K{text}\u{1b}[0m\u{1b}8", self.size.rows);
        self.screen.remark(shown.as_bytes());
        self.remark = Some(Instant::now() + REMARK);
    }
}

/// Waits until a moment; for ever where there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
