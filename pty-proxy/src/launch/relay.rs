//! An agent on pipes behind a socket. Everything that goes either way is recorded before it is passed on, so that a client
//! which comes back after its own death reads what it missed; the socket tells how long the record is and takes lines for
//! the agent. A client that reads slowly costs nobody anything: it reads the record at its own pace.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ChildStdin, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use orx_protocol::launch::{LINE_MAX, Recorded, Relay, ToRelay, Writer};
use orx_sandbox::{environment, hardening, spawn};
use serde_json::value::RawValue;

use super::exchange::Exchange;
use super::{LaunchError, located};
use crate::journal::note;
use crate::link::socket::{Accepted, Listener};

/// Most clients at a time: the daemon, and one that takes over from it.
const CLIENTS: usize = 4;
/// How long a client may take to read what it is told.
const CLIENT_PATIENCE: Duration = Duration::from_secs(10);
/// Pause before a record that the disk did not take is written again; the agent waits as long.
const AGAIN: Duration = Duration::from_millis(250);

struct Shared {
    exchange: Mutex<Exchange>,
    grown: Condvar,
    agent: Mutex<ChildStdin>,
    clients: AtomicUsize,
}

impl Shared {
    fn exchange(&self) -> MutexGuard<'_, Exchange> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, append: impl FnOnce(&mut Exchange) -> std::io::Result<()>) -> std::io::Result<()> {
        let appended = append(&mut self.exchange());
        self.grown.notify_all();
        appended
    }
}

/// Starts the agent and relays to its end; its exit status becomes this process's.
pub(super) fn relay(directory: &Path, relay: &Relay) -> Result<ExitCode, LaunchError> {
    let system = |what| move |source| LaunchError::System { what, source };
    // The agent must not get at its client's end of the pipes.
    hardening::close_to_others().map_err(system("closing itself to others"))?;
    let argv = located(&relay.agent)?;
    let socket = Path::new(&relay.socket);
    let mut listener = Listener::bind(socket)?;
    // The agent must not answer its own questions; what it leaves behind becomes a child of the holder.
    let own = nix::unistd::getpid().as_raw();
    let mut refused = super::around(own);
    refused.push(own);
    listener.refuse_descendants_of(refused);
    let exchange = Exchange::open(directory).map_err(system("the record of the exchange"))?;
    let cwd = std::env::current_dir().map_err(system("the working directory"))?;
    let streams = [Stdio::piped(), Stdio::piped(), Stdio::inherit()];
    let mut child = spawn::on_streams(&argv, &cwd, &environment::own(), streams)?;
    let missing = |what| LaunchError::System { what, source: std::io::ErrorKind::NotConnected.into() };
    let input = child.stdin.take().ok_or_else(|| missing("the agent's standard input"))?;
    let output = child.stdout.take().ok_or_else(|| missing("the agent's standard output"))?;
    let shared = Arc::new(Shared {
        exchange: Mutex::new(exchange),
        grown: Condvar::new(),
        agent: Mutex::new(input),
        clients: AtomicUsize::new(0),
    });
    let accepting = Arc::clone(&shared);
    thread::Builder::new()
        .name("accept".to_owned())
        .spawn(move || accept(&listener, &accepting))
        .map_err(system("a thread"))?;
    if let Err(error) = read_agent(output, &shared) {
        note(&format!("the agent is ended: {error}"));
        // It may be over already.
        let _ = child.kill();
    }
    let status = child.wait().map_err(system("the agent's end"))?;
    // The thread that owns the socket does not end by itself.
    let _ = std::fs::remove_file(socket);
    let code = status.code().or_else(|| Some(128 + status.signal()?)).and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// One line without its end; `None` at the end of the stream.
///
/// # Errors
/// When the line is too long, or the stream cannot be read.
fn next_line(source: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Option<()>> {
    line.clear();
    let limit = LINE_MAX as u64 + 1;
    let count = source.by_ref().take(limit).read_until(b'\n', line)?;
    if count == 0 {
        return Ok(None);
    }
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.len() > LINE_MAX {
        return Err(std::io::Error::other(format!("a line exceeds {LINE_MAX} bytes")));
    }
    Ok(Some(()))
}

fn read_agent(output: impl Read, shared: &Shared) -> std::io::Result<()> {
    let mut output = BufReader::with_capacity(64 * 1024, output);
    let mut line = Vec::new();
    while next_line(&mut output, &mut line)?.is_some() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let message = message(&line);
        record_patiently(shared, |exchange| match &message {
            Some(message) => exchange.message(Writer::Agent, message.clone()),
            None => exchange.noise(&line),
        })?;
    }
    Ok(())
}

/// Appends, and waits while the disk is full: the agent then waits too, and nothing that it said is lost.
#[allow(clippy::disallowed_methods)] // A disk gives no event when it has room.
fn record_patiently(shared: &Shared, append: impl Fn(&mut Exchange) -> std::io::Result<()>) -> std::io::Result<()> {
    loop {
        match shared.record(&append) {
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                note(&format!("the exchange cannot be recorded, the agent waits: {error}"));
                thread::sleep(AGAIN);
            }
            appended => return appended,
        }
    }
}

fn message(line: &[u8]) -> Option<Box<RawValue>> {
    let message: Box<RawValue> = serde_json::from_slice(line).ok()?;
    message.get().starts_with('{').then_some(message)
}

fn accept(listener: &Listener, shared: &Arc<Shared>) {
    loop {
        let mut descriptors = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        if poll(&mut descriptors, PollTimeout::NONE).is_err() {
            continue;
        }
        match listener.accept() {
            Ok(Accepted::Own(stream)) => {
                if let Err(error) = serve_client(stream, shared) {
                    note(&format!("a client could not be served: {error}"));
                }
            }
            Ok(Accepted::Refused(why)) => note(why),
            Ok(Accepted::None) => {}
            Err(error) => note(&format!("no client could be accepted: {error}")),
        }
    }
}

fn serve_client(stream: UnixStream, shared: &Arc<Shared>) -> std::io::Result<()> {
    if shared.clients.fetch_add(1, Ordering::AcqRel) >= CLIENTS {
        shared.clients.fetch_sub(1, Ordering::AcqRel);
        return Err(std::io::Error::other("there are too many already"));
    }
    stream.set_nonblocking(false)?;
    stream.set_write_timeout(Some(CLIENT_PATIENCE))?;
    let telling = stream.try_clone()?;
    let (reader, teller) = (Arc::clone(shared), Arc::clone(shared));
    thread::Builder::new().name("tell".to_owned()).spawn(move || tell(telling, &teller))?;
    thread::Builder::new().name("client".to_owned()).spawn(move || {
        if let Err(error) = read_client(&stream, &reader) {
            note(&format!("a client was closed: {error}"));
        }
        // The telling thread sees it when it writes next.
        let _ = stream.shutdown(std::net::Shutdown::Both);
        reader.clients.fetch_sub(1, Ordering::AcqRel);
        reader.grown.notify_all();
    })?;
    Ok(())
}

/// Tells a client how long the record is, whenever that changed.
fn tell(mut stream: UnixStream, shared: &Shared) {
    let mut told = None;
    loop {
        let mut exchange = shared.exchange();
        while told == Some(exchange.bytes()) {
            let (again, waited) =
                shared.grown.wait_timeout(exchange, CLIENT_PATIENCE).unwrap_or_else(PoisonError::into_inner);
            exchange = again;
            if waited.timed_out() {
                break;
            }
        }
        let bytes = exchange.bytes();
        drop(exchange);
        // Told again from time to time, by which a client that is gone is noticed.
        let Ok(mut line) = serde_json::to_vec(&Recorded { bytes }) else { return };
        line.push(b'\n');
        if stream.write_all(&line).is_err() {
            return;
        }
        told = Some(bytes);
    }
}

fn read_client(stream: &UnixStream, shared: &Shared) -> std::io::Result<()> {
    let mut source = BufReader::new(stream);
    let mut line = Vec::new();
    while next_line(&mut source, &mut line)?.is_some() {
        let said: ToRelay = serde_json::from_slice(&line)?;
        if let Some(note) = said.note {
            shared.record(|exchange| exchange.note(note))?;
        }
        let Some(message) = said.message else { continue };
        // The record comes first: what the agent may have read is never missing in it.
        let mut agent = shared.agent.lock().unwrap_or_else(PoisonError::into_inner);
        shared.record(|exchange| exchange.message(Writer::Client, message.clone()))?;
        agent.write_all(one_line(message.get()).as_bytes())?;
        agent.write_all(b"\n")?;
        agent.flush()?;
    }
    Ok(())
}

/// JSON without line ends, which stand between its tokens alone.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn lines_are_cut_and_bounded() {
        let mut source = Cursor::new(b"one\n\ntwo".to_vec());
        let mut line = Vec::new();
        let mut lines = Vec::new();
        while next_line(&mut source, &mut line).unwrap().is_some() {
            lines.push(String::from_utf8(line.clone()).unwrap());
        }
        assert_eq!(lines, ["one", "", "two"]);
        let mut endless = BufReader::new(std::io::repeat(b'x'));
        assert!(next_line(&mut endless, &mut line).unwrap_err().to_string().contains("exceeds"));
    }

    #[test]
    fn only_an_object_is_a_message() {
        assert!(message(br#"{"jsonrpc":"2.0"}"#).is_some());
        for noise in ["", "warning: x", "[1]", "{", "\u{1b}[31m"] {
            assert!(message(noise.as_bytes()).is_none(), "{noise}");
        }
    }

    #[test]
    fn what_went_by_is_recorded_in_whole_lines() {
        let scratch = tempfile::tempdir().unwrap();
        let mut exchange = Exchange::open(scratch.path()).unwrap();
        exchange.message(Writer::Agent, message(br#"{"a": "1"}"#).unwrap()).unwrap();
        exchange.note(message(br#"{"b":2}"#).unwrap()).unwrap();
        exchange.noise(b"\xffnoise").unwrap();
        let text = std::fs::read_to_string(scratch.path().join(orx_protocol::launch::file::EXCHANGE)).unwrap();
        assert_eq!(text.len() as u64, exchange.bytes());
        let records: Vec<orx_protocol::launch::Record> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), 3);
        assert_eq!(records[0].message.as_ref().unwrap().get(), r#"{"a": "1"}"#);
        assert_eq!(records[2].noise.as_deref(), Some("\u{fffd}noise"));
    }
}
