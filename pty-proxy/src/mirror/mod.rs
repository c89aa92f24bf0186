//! A pane of tmux, shown in this terminal and typed into from here, by tmux's control mode: the pane stays tmux's, its
//! size and its window are left alone, and the end of the mirror ends nothing there.
//!
//! It is the process of an adopted session; the holder around it keeps its screen and its recording like any other's.

mod control;
mod typed;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, ExitCode, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{self, SetArg};
use orx_sandbox::{NotFound, SpawnError, environment, find_program, spawn};

use control::{Reader, Said};
use typed::{Splitter, Typed, keys};

/// Longest line of tmux's that is kept.
const LINE: usize = 8 * 1024 * 1024;
/// How long Escape is waited on for what would make it the begin of a paste, in milliseconds.
const ESCAPE_MS: u16 = 20;
/// Bytes read at once.
const READ: usize = 64 * 1024;
/// What is asked of a pane: its size, its cursor, and how it shows.
const ASKED: &str = "#{pane_width} #{pane_height} #{cursor_x} #{cursor_y} #{alternate_on} #{cursor_flag} #{keypad_cursor_flag} #{pane_dead}";

/// Why the mirror ends badly.
#[derive(Debug, thiserror::Error)]
enum MirrorError {
    #[error(transparent)]
    NotFound(#[from] NotFound),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    #[error("tmux: {0}")]
    Tmux(String),
    #[error("{what}: {source}")]
    System { what: &'static str, source: io::Error },
}

/// What an answer of tmux belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// How the pane shows, for the first time.
    First,
    /// What it shows.
    Content,
    /// Whether it is still there.
    Again,
    /// Something was typed.
    Typing,
    /// A paste was read from its file.
    Loaded,
}

/// Mirrors a pane to the end of either. Gives 0 when the pane closed or tmux ended the connection.
#[must_use]
pub fn mirror(socket: Option<&str>, pane: &str) -> ExitCode {
    match run(socket, pane) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The terminal is raw by then.
            let _ = write!(io::stdout(), "\r\n{error}\r\n");
            crate::journal::note(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn system(what: &'static str) -> impl Fn(io::Error) -> MirrorError {
    move |source| MirrorError::System { what, source }
}

fn run(socket: Option<&str>, pane: &str) -> Result<(), MirrorError> {
    let own = environment::own();
    let tmux = find_program("tmux", own.get("PATH").map(String::as_str))?.to_string_lossy().into_owned();
    let mut argv = vec![tmux];
    argv.extend(socket.iter().flat_map(|socket| ["-S".to_owned(), (*socket).to_owned()]));
    let session = session_of(&argv, pane)?;
    argv.extend(["-C", "attach-session", "-f", "ignore-size", "-t"].map(str::to_owned));
    argv.push(session);
    let cwd = Path::new("/");
    let streams = [Stdio::piped(), Stdio::piped(), Stdio::null()];
    // Inside tmux it would refuse to start in itself.
    let outside = own.into_iter().filter(|(name, _)| name != "TMUX" && name != "TMUX_PANE").collect();
    let mut child = spawn::on_streams(&argv, cwd, &outside, streams)?;
    raw_terminal();
    let result = Mirror::new(&mut child, pane).and_then(Mirror::run);
    // Its standard input is closed by now, on which it leaves; a slow one is not waited for.
    let _ = child.kill();
    let _ = child.wait();
    result
}

/// The session that a pane is in: attaching to the pane itself would change what its person sees.
fn session_of(tmux: &[String], pane: &str) -> Result<String, MirrorError> {
    let mut argv = tmux.to_vec();
    argv.extend(["display-message", "-p", "-t", pane, "#{session_id}"].map(str::to_owned));
    let streams = [Stdio::null(), Stdio::piped(), Stdio::piped()];
    let child = spawn::on_streams(&argv, Path::new("/"), &environment::own(), streams)?;
    let output = child.wait_with_output().map_err(system("asking tmux"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() && said.starts_with('$') {
        return Ok(said);
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(MirrorError::Tmux(if why.is_empty() { format!("there is no pane {pane}") } else { why }))
}

/// What is typed goes on as it is: no echo, no lines, no signals.
fn raw_terminal() {
    let input = io::stdin();
    if let Ok(mut settings) = termios::tcgetattr(input.as_fd()) {
        termios::cfmakeraw(&mut settings);
        // Without a terminal there is nothing to set.
        let _ = termios::tcsetattr(input.as_fd(), SetArg::TCSANOW, &settings);
    }
}

struct Mirror<'a> {
    pane: &'a str,
    commands: ChildStdin,
    lines: ChildStdout,
    reader: Reader,
    line: Vec<u8>,
    asked: VecDeque<Asked>,
    splitter: Splitter,
    is_shown: bool,
    first: Vec<u8>,
    /// Files of pastes that tmux has not read yet, oldest first.
    pastes: VecDeque<PathBuf>,
    /// Pastes so far, for the names of their files.
    pasted: u64,
}

impl<'a> Mirror<'a> {
    fn new(child: &mut Child, pane: &'a str) -> Result<Self, MirrorError> {
        let missing = |what| MirrorError::System { what, source: io::ErrorKind::NotConnected.into() };
        let commands = child.stdin.take().ok_or_else(|| missing("tmux's standard input"))?;
        let lines = child.stdout.take().ok_or_else(|| missing("tmux's standard output"))?;
        let mut mirror = Self {
            pane,
            commands,
            lines,
            reader: Reader::default(),
            line: Vec::new(),
            asked: VecDeque::new(),
            splitter: Splitter::default(),
            is_shown: false,
            first: Vec::new(),
            pastes: VecDeque::new(),
            pasted: 0,
        };
        mirror.ask(Asked::First, &format!("display-message -p -t {pane} '{ASKED}'"))?;
        mirror.ask(Asked::Content, &format!("capture-pane -p -e -t {pane}"))?;
        Ok(mirror)
    }

    fn ask(&mut self, asked: Asked, command: &str) -> Result<(), MirrorError> {
        self.asked.push_back(asked);
        self.commands.write_all(format!("{command}\n").as_bytes()).map_err(system("telling tmux"))
    }

    fn run(mut self) -> Result<(), MirrorError> {
        let mut buffer = vec![0; READ];
        loop {
            let (typed, said) = self.wait()?;
            if !typed
                && !said
                && let Some(held) = self.splitter.let_go()
            {
                self.hand_on(held)?;
            }
            if said {
                let count = self.lines.read(&mut buffer).map_err(system("reading from tmux"))?;
                if count == 0 || !self.hear(buffer.get(..count).unwrap_or_default())? {
                    return Ok(());
                }
            }
            if typed {
                match io::stdin().lock().read(&mut buffer) {
                    // The session is being ended.
                    Ok(0) => return Ok(()),
                    Ok(count) => self.type_in(buffer.get(..count).unwrap_or_default())?,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => return Ok(()),
                }
            }
        }
    }

    /// Waits until something was typed or tmux said something.
    fn wait(&self) -> Result<(bool, bool), MirrorError> {
        let input = io::stdin();
        let mut descriptors =
            [PollFd::new(input.as_fd(), PollFlags::POLLIN), PollFd::new(self.lines.as_fd(), PollFlags::POLLIN)];
        let patience = if self.splitter.holds_keys() { PollTimeout::from(ESCAPE_MS) } else { PollTimeout::NONE };
        match poll(&mut descriptors, patience) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(system("waiting")(errno.into())),
        }
        let is_ready = |descriptor: &PollFd<'_>| descriptor.any().unwrap_or(false);
        let [typed, said] = &descriptors;
        Ok((is_ready(typed), is_ready(said)))
    }

    /// Takes bytes of tmux; gives whether the mirror goes on.
    fn hear(&mut self, bytes: &[u8]) -> Result<bool, MirrorError> {
        for byte in bytes {
            if *byte != b'\n' {
                if self.line.len() < LINE {
                    self.line.push(*byte);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            let Some(said) = self.reader.line(line) else { continue };
            if !self.deal_with(said)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn deal_with(&mut self, said: Said) -> Result<bool, MirrorError> {
        match said {
            // What came before the picture is in it.
            Said::Output { pane, bytes } if self.is_shown && pane == self.pane => show(&bytes)?,
            Said::Output { .. } => {}
            Said::Changed => self.ask(Asked::Again, &format!("display-message -p -t {} '{ASKED}'", self.pane))?,
            Said::Exit => return Ok(false),
            Said::Answer { lines } => match (self.asked.pop_front(), lines) {
                (Some(Asked::Loaded), loaded) => {
                    if let Some(path) = self.pastes.pop_front() {
                        // It is in a private directory that goes with the session.
                        let _ = std::fs::remove_file(path);
                    }
                    return Ok(loaded.is_ok());
                }
                (Some(Asked::First), Ok(lines)) => self.first = lines.concat(),
                (Some(Asked::Content), Ok(lines)) => {
                    show(&picture(&String::from_utf8_lossy(&self.first), &lines))?;
                    self.is_shown = true;
                }
                // A pane that is gone is named by tmux in an error, or is an empty answer.
                (Some(Asked::Again), Ok(lines)) => {
                    let lines = lines.concat();
                    return Ok(!lines.is_empty() && !lines.ends_with(b" 1"));
                }
                (Some(Asked::Again | Asked::Typing), Err(_)) => return Ok(false),
                (Some(Asked::Typing), Ok(_)) | (None, Ok(_)) => {}
                (Some(Asked::First | Asked::Content) | None, Err(why)) => return Err(MirrorError::Tmux(why)),
            },
        }
        Ok(true)
    }

    fn type_in(&mut self, bytes: &[u8]) -> Result<(), MirrorError> {
        self.splitter.take(bytes).into_iter().try_for_each(|typed| self.hand_on(typed))
    }

    fn hand_on(&mut self, typed: Typed) -> Result<(), MirrorError> {
        match typed {
            Typed::Bytes(bytes) => {
                keys(self.pane, &bytes).iter().try_for_each(|command| self.ask(Asked::Typing, command))
            }
            Typed::Paste(text) => self.paste(&text),
        }
    }

    /// Pastes by a buffer of tmux, which knows whether the program behind the pane wants pastes marked.
    fn paste(&mut self, text: &[u8]) -> Result<(), MirrorError> {
        self.pasted += 1;
        let path = std::env::temp_dir().join(format!("orx-paste-{}-{}", std::process::id(), self.pasted));
        orx_sandbox::file::replace(&path, text).map_err(system("the file of a paste"))?;
        let name = format!("orx-{}", std::process::id());
        let quoted = path.to_string_lossy().replace('\'', "'\\''");
        self.pastes.push_back(path);
        self.ask(Asked::Loaded, &format!("load-buffer -b {name} '{quoted}'"))?;
        self.ask(Asked::Typing, &format!("paste-buffer -p -d -b {name} -t {}", self.pane))
    }
}

/// What the pane shows now, for a terminal of its size. Pastes are asked for: tmux hands them on as the program wants them.
fn picture(asked: &str, lines: &[Vec<u8>]) -> Vec<u8> {
    let numbers: Vec<u32> = asked.split(' ').map(|number| number.parse().unwrap_or(0)).collect();
    let number = |index: usize| numbers.get(index).copied().unwrap_or(0);
    let (column, row) = (number(2).saturating_add(1), number(3).saturating_add(1));
    let mut picture = Vec::new();
    if number(4) == 1 {
        picture.extend_from_slice(b"\x1b[?1049h");
    }
    picture.extend_from_slice(b"\x1b[?2004h\x1b[2J\x1b[H");
    picture.extend_from_slice(&lines.join(b"\r\n".as_slice()));
    picture.extend_from_slice(format!("\x1b[0m\x1b[{row};{column}H").as_bytes());
    picture.extend_from_slice(if number(5) == 0 { b"\x1b[?25l" } else { b"\x1b[?25h" });
    if number(6) == 1 {
        picture.extend_from_slice(b"\x1b[?1h");
    }
    picture
}

fn show(bytes: &[u8]) -> Result<(), MirrorError> {
    let mut output = io::stdout().lock();
    output.write_all(bytes).and_then(|()| output.flush()).map_err(system("showing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_has_text_cursor_and_modes() {
        let lines = [b"one".to_vec(), b"\x1b[31mtwo".to_vec()];
        assert_eq!(
            picture("80 24 3 1 1 0 1 0", &lines),
            b"\x1b[?1049h\x1b[?2004h\x1b[2J\x1b[Hone\r\n\x1b[31mtwo\x1b[0m\x1b[2;4H\x1b[?25l\x1b[?1h"
        );
        assert!(picture("80 24 0 0 0 1 0 0", &[]).ends_with(b"\x1b[1;1H\x1b[?25h"));
    }
}
