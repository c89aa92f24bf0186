//! The program on the terminal: it does what the measurement asks of it over its own socket, and ends with it.

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use std::io::{Read, stdin, stdout};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::control::Orders;
use super::corpus::{Corpus, SEED};
use super::{modes, queries};

/// What a flood writes last.
pub const END: &str = "=== the flood has ended ===";

/// Does what is asked until nobody asks any more.
pub fn run(socket: &Path) -> Result<()> {
    let mut orders = Orders::connect(socket)?;
    raw_mode()?;
    while let Some(order) = orders.next() {
        let (name, argument) = order.split_once(' ').unwrap_or((&order, ""));
        match name {
            "ping" => orders.answer("pong")?,
            "say" => {
                show(argument.as_bytes())?;
                orders.answer("said")?;
            }
            "flood" => flood(&mut orders, argument)?,
            "stream" => stream(&mut orders, argument)?,
            "lines" => lines(&mut orders, argument)?,
            "noise" => return noise(&orders),
            "echo" => echo(&mut orders)?,
            "modes" => {
                show(modes::SET.as_bytes())?;
                orders.answer("set")?;
            }
            "queries" => orders.answer(&queries::ask()?)?,
            _ => bail!("there is no order `{name}`"),
        }
    }
    Ok(())
}

fn raw_mode() -> Result<()> {
    let mut modes = tcgetattr(stdin())?;
    cfmakeraw(&mut modes);
    tcsetattr(stdin(), SetArg::TCSANOW, &modes)?;
    Ok(())
}

/// Writes past the buffer of the standard output, which would cut at line ends.
pub fn show(bytes: &[u8]) -> Result<()> {
    let output = stdout();
    let mut rest = bytes;
    while !rest.is_empty() {
        match nix::unistd::write(&output, rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The corpus; the answer is how many microseconds it took until all was taken.
fn flood(orders: &mut Orders, argument: &str) -> Result<()> {
    let bytes = Corpus::bytes(SEED, argument.parse().context("bytes of a flood")?);
    orders.answer("ready")?;
    orders.next().context("the measurement ended")?;
    let began = Instant::now();
    show(&bytes)?;
    let took = began.elapsed();
    show(format!("\x1b[m\r\n{END}").as_bytes())?;
    orders.answer(&took.as_micros().to_string())
}

/// Numbered lines, so many bytes of them.
fn stream(orders: &mut Orders, argument: &str) -> Result<()> {
    let limit: usize = argument.parse().context("bytes of a stream")?;
    orders.answer("begins")?;
    let mut piece = Vec::new();
    let (mut written, mut number) = (0, 0);
    while written < limit {
        piece.clear();
        while piece.len() < 32 * 1024 && written + piece.len() < limit {
            piece.extend_from_slice(stream_line(number).as_bytes());
            number += 1;
        }
        show(&piece)?;
        written += piece.len();
    }
    orders.answer(&number.to_string())
}

/// One line of a stream.
pub fn stream_line(number: u64) -> String {
    format!("{number:012} \x1b[3{}mthe quick brown fox jumps over the lazy dog\x1b[m\r\n", number % 8)
}

/// Coloured lines for the scrollback; the last is `line <n> is the last`.
fn lines(orders: &mut Orders, argument: &str) -> Result<()> {
    let count: usize = argument.parse().context("lines")?;
    let mut text = String::new();
    for number in 1..=count {
        let last = if number == count { " is the last" } else { "" };
        text.push_str(&format!(
            "\x1b[3{}mline {number}{last}\x1b[m \x1b[2mcrates/store/src/writer.rs\x1b[22m \x1b[38;2;90;{};200mthe writer commits what queued in one transaction with one sync\x1b[39m\r\n",
            1 + number % 7,
            number % 256,
        ));
    }
    show(text.as_bytes())?;
    orders.answer("written")
}

/// The corpus over and over, until the measurement is over.
fn noise(orders: &Orders) -> Result<()> {
    let bytes = Corpus::bytes(SEED, 1 << 20);
    loop {
        for piece in bytes.chunks(16 * 1024) {
            if orders.is_waiting() {
                return Ok(());
            }
            show(piece)?;
        }
    }
}

/// Writes back what is typed, until the next order; Return clears the line.
fn echo(orders: &mut Orders) -> Result<()> {
    orders.answer("echoes")?;
    let mut keys = [0; 64];
    loop {
        let input = stdin();
        let mut sources =
            [PollFd::new(orders.as_fd(), PollFlags::POLLIN), PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        poll(&mut sources, PollTimeout::NONE)?;
        let typed = sources[1].any().unwrap_or(false);
        if sources[0].any().unwrap_or(false) {
            return Ok(());
        }
        if typed {
            let count = nix::unistd::read(&input, &mut keys)?;
            match keys.get(..count).unwrap_or_default() {
                [] => return Ok(()),
                [b'\r', ..] => show(b"\r\x1b[K")?,
                bytes => show(bytes)?,
            }
        }
    }
}

/// What can be read from the terminal until `ends` says that it is enough, within `limit`.
pub fn read_answer(limit: Duration, ends: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
    let deadline = Instant::now() + limit;
    let mut answer = Vec::new();
    let mut buffer = [0; 512];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let input = stdin();
        let mut sources = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        if poll(&mut sources, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO))? == 0 {
            return Ok(answer);
        }
        let count = input.lock().read(&mut buffer)?;
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if count == 0 || ends(&answer) {
            return Ok(answer);
        }
    }
}
