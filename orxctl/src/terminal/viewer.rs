//! The loop of an attached terminal: keys to the session, its output to the terminal, until one of them ends. Where it can, the
//! session's holder does both by itself on this terminal, and what is left here is to judge keys that may be for this program.

use std::path::Path;
use std::time::Duration;

use orx_client::ClientError;
use orx_protocol::api::session::AttachMode;
use orx_protocol::hold::TerminalSize;
use orx_protocol::terminal::modes::Modes;
use orx_protocol::terminal::{FromViewer, ToViewer};
use orx_protocol::{ErrorKind, SessionId};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use crate::failure::Failure;
use crate::terminal::keys::{Action, Keys};
use crate::terminal::link::{Link, NotSent};
use crate::terminal::raw::Raw;
use crate::terminal::screen::Screen;
use crate::terminal::tty::{self, Keyboard};
use crate::terminal::{Left, size};

/// In this time a terminal sends the whole of a sequence.
const SEQUENCE: Duration = Duration::from_millis(25);
/// How long a remark stands on the last row.
const REMARK: Duration = Duration::from_secs(5);
/// How long another holder, or the daemon that knows of it, is waited for.
const AGAIN_LIMIT: Duration = Duration::from_secs(20);
/// So many connections that end without a word within that time are followed by another one.
const LOSSES: u32 = 8;
/// A terminal that the holder had for less time than this is not offered once more.
const KEPT: Duration = Duration::from_millis(200);
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
        wanted: own,
        screen,
        modes: Modes::default(),
        raw,
        keys: Keys::default(),
        held: None,
        hand: Hand::Own,
        offers: true,
        judged: 0,
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
    /// The size that the holder knows.
    size: TerminalSize,
    /// The size of the terminal.
    wanted: TerminalSize,
    screen: Screen,
    modes: Modes,
    raw: Raw,
    keys: Keys,
    /// Whether this viewer types; `None` until the holder said so.
    held: Option<bool>,
    /// Who has the terminal.
    hand: Hand,
    /// Whether the holder is offered the terminal.
    offers: bool,
    /// Bytes of keys that the holder left to this program to judge, since it has the terminal.
    judged: u64,
    /// Connections that ended without a word: since when, and how many.
    losses: Option<(Instant, u32)>,
    /// When the remark on the last row goes.
    remark: Option<Instant>,
}

/// Who reads the terminal's keys and writes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hand {
    /// This program.
    Own,
    /// The holder, if it knows how: until it says so, this program still writes, and nobody reads.
    Offered,
    /// The holder, as soon as all is written that it had sent before.
    Giving,
    /// The holder.
    Given(Instant),
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
            self.give_terminal(&link);
            let next = tokio::select! {
                frame = link.reader.next(), if self.screen.has_room() => match frame {
                    Ok(Some(ToViewer::Typed(keys))) => {
                        self.judged += keys.len() as u64;
                        self.type_keys(&link, &keys, &mut flush_at)
                    }
                    Ok(Some(frame)) => self.frame(&link, frame),
                    Ok(None) => Next::Again,
                    Err(error) => Next::Leave(Left::Lost(error.to_string())),
                },
                written = self.screen.catch_up(), if self.screen.is_behind() => match written {
                    Ok(()) => Next::Go,
                    Err(_) => Next::Leave(Left::Signalled),
                },
                bytes = input.read(), if self.hand == Hand::Own || self.mode == AttachMode::View => match bytes {
                    Ok(bytes) if bytes.is_empty() => Next::Leave(Left::Signalled),
                    Ok(bytes) => self.type_keys(&link, &bytes, &mut flush_at),
                    Err(_) => Next::Leave(Left::Signalled),
                },
                () = at(flush_at), if flush_at.is_some() => {
                    flush_at = None;
                    let actions = self.keys.flush();
                    self.act(&link, actions)
                }
                () = at(self.remark), if self.remark.is_some() => Next::Redraw,
                _ = signals.resized.recv() => {
                    self.wanted = size().unwrap_or(self.size);
                    Next::Go
                }
                _ = signals.continued.recv() => match self.raw.apply() {
                    Ok(()) => Next::Redraw,
                    Err(_) => Next::Leave(Left::Signalled),
                },
                () = signals.fatal.recv() => Next::Leave(Left::Signalled),
            };
            match next {
                Next::Go => {}
                Next::Leave(left) => {
                    if let Some(set) = link.close().await {
                        self.modes = Modes::from(set);
                    }
                    return left;
                }
                Next::Again => match self.find_again(&mut signals.fatal).await {
                    Ok(fresh) => link = fresh,
                    Err(left) => return left,
                },
                Next::Redraw => {
                    self.remark = None;
                    // A full queue moves with the program, and so does the screen.
                    let _ = link.send(FromViewer::Redraw);
                }
            }
        }
    }

    /// Gives the terminal to the holder, step by step, when that can be; and tells it a size that it does not know.
    fn give_terminal(&mut self, link: &Link) {
        if self.wanted != self.size
            && link.send(FromViewer::Resize { cols: self.wanted.cols, rows: self.wanted.rows }).is_ok()
        {
            self.size = self.wanted;
        }
        match self.hand {
            Hand::Own if self.offers && self.keys.is_at_rest() => {
                let offered = tty::shared().map(|terminal| link.hand_over(terminal, self.mode == AttachMode::Control));
                match offered {
                    Some(Ok(())) => {
                        self.hand = Hand::Offered;
                        self.judged = 0;
                    }
                    Some(Err(_)) => {}
                    None => self.offers = false,
                }
            }
            Hand::Giving if !self.screen.is_behind() && link.send(FromViewer::Ready).is_ok() => {
                self.hand = Hand::Given(Instant::now());
            }
            Hand::Own | Hand::Offered | Hand::Giving | Hand::Given(_) => {}
        }
    }

    /// Keys that this program reads or is to judge.
    fn type_keys(&mut self, link: &Link, bytes: &[u8], flush_at: &mut Option<Instant>) -> Next {
        let actions = self.keys.feed(bytes);
        *flush_at = self.keys.is_holding().then(|| Instant::now() + SEQUENCE);
        self.act(link, actions)
    }

    /// A connection to the holder that takes the place of the one that was killed.
    async fn find_again(&mut self, fatal: &mut Fatal) -> Result<Link, Left> {
        // One that is cut by its offer stands before a holder that does not know what that is.
        self.offers &= self.hand != Hand::Offered;
        self.hand = Hand::Own;
        self.show_remark("the session's holder has left; looking for the next one");
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

    fn frame(&mut self, link: &Link, frame: ToViewer) -> Next {
        match frame {
            ToViewer::Screen(bytes) | ToViewer::Output(bytes) => {
                self.modes.watch(&bytes);
                if self.screen.write(&bytes).is_err() {
                    return Next::Leave(Left::Signalled);
                }
            }
            ToViewer::Size { cols, rows } if cols > self.size.cols || rows > self.size.rows => {
                self.remark(link, &format!("the session's screen has {cols}x{rows}, more than this terminal shows"));
            }
            ToViewer::Size { .. } => {}
            ToViewer::Control { held } => {
                let before = self.held.replace(held);
                if self.mode == AttachMode::Control && before != Some(held) {
                    match (before, held) {
                        (_, false) => self.remark(link, "somebody else types here; Ctrl+B w takes control"),
                        (Some(_), true) => self.remark(link, "you type here now"),
                        (None, true) => {}
                    }
                }
            }
            ToViewer::Ended { code, signal } => return Next::Leave(Left::Ended { code, signal }),
            ToViewer::Taken => self.hand = Hand::Giving,
            ToViewer::Modes(set) => self.modes = Modes::from(set),
            ToViewer::Returned => {
                // One that was refused, or given back at once, is not offered again.
                self.offers = matches!(self.hand, Hand::Given(since) if since.elapsed() > KEPT);
                self.hand = Hand::Own;
            }
            // Judged by the loop.
            ToViewer::Typed(_) => {}
        }
        Next::Go
    }

    fn act(&mut self, link: &Link, actions: Vec<Action>) -> Next {
        for action in actions {
            let sent = match action {
                Action::Detach => return Next::Leave(Left::Detached),
                Action::Redraw => return Next::Redraw,
                Action::Help => {
                    self.remark(link, HELP);
                    Ok(())
                }
                Action::TakeControl | Action::Send(_) if self.mode == AttachMode::View => {
                    self.remark(link, "you only look here (--view); Ctrl+Q leaves");
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
                Err(NotSent::Full) => self.remark(link, "the program does not read: what you typed was not sent"),
            }
        }
        if matches!(self.hand, Hand::Given(_)) && self.keys.is_at_rest() {
            // Said again with the next key, should there be no room for it.
            let _ = link.send(FromViewer::Understood { bytes: self.judged });
        }
        Next::Go
    }

    /// Shows a line on the last row until it is drawn over.
    fn remark(&mut self, link: &Link, text: &str) {
        if matches!(self.hand, Hand::Given(_)) {
            // A program that takes nothing more is no reason to wait.
            let _ = link.send(FromViewer::Show(self.remark_bytes(text)));
            self.remark = Some(Instant::now() + REMARK);
        } else {
            self.show_remark(text);
        }
    }

    /// Shows it by itself.
    fn show_remark(&mut self, text: &str) {
        let shown = self.remark_bytes(text);
        self.screen.remark(&shown);
        self.remark = Some(Instant::now() + REMARK);
    }

    fn remark_bytes(&self, text: &str) -> Vec<u8> {
        let text = crate::text::shorten(text, usize::from(self.size.cols).saturating_sub(1));
        format!("\u{1b}7\u{1b}[{};1H\u{1b}[0;7m\u{1b}[2K{text}\u{1b}[0m\u{1b}8", self.size.rows).into_bytes()
    }
}

/// Waits until a moment; for ever where there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
