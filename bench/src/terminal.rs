//! Terminals: how fast a program's output reaches a viewer, and how soon a key's echo does, against a terminal without
//! anything between.

use anyhow::{Context, Result, bail};
use orx_client::{Client, Terminal};
use orx_protocol::api::session::{AttachMode, AttachParams, CreateParams, Created, SessionParams};
use orx_protocol::terminal::{FromViewer, ToViewer};
use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::report::{Report, median};
use crate::wire::percentile;

const BYTES: u64 = 16 << 20;
const KEYS: usize = 600;
/// What the flood writes last.
const END: &[u8] = b"=== the flood has ended ===";

/// The program on the terminal.
pub fn child(kind: &str, bytes: u64) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match kind {
        "flood" => {
            // Nothing is written before the reader is there: it presses a key.
            let mut key = [0];
            raw_mode()?;
            std::io::stdin().read_exact(&mut key)?;
            let line = "\x1b[32m  building\x1b[0m crates/store/src/writer.rs \x1b[1m[=======>      ]\x1b[0m 57% of the work is done\r\n".repeat(64);
            let mut written = 0;
            while written < bytes {
                out.write_all(line.as_bytes())?;
                written += line.len() as u64;
            }
            out.write_all(END)?;
            out.flush()?;
            std::io::stdin().read_exact(&mut key)?;
        }
        "echo" => {
            raw_mode()?;
            out.write_all(b"ready")?;
            out.flush()?;
            let mut input = std::io::stdin().lock();
            let mut key = [0; 64];
            loop {
                let count = input.read(&mut key)?;
                if count == 0 || key[..count].contains(&b'q') {
                    break;
                }
                out.write_all(&key[..count])?;
                out.flush()?;
            }
        }
        _ => bail!("there is no child `{kind}`"),
    }
    Ok(())
}

fn raw_mode() -> Result<()> {
    let stdin = std::io::stdin();
    let mut modes = nix::sys::termios::tcgetattr(&stdin)?;
    nix::sys::termios::cfmakeraw(&mut modes);
    nix::sys::termios::tcsetattr(&stdin, nix::sys::termios::SetArg::TCSANOW, &modes)?;
    Ok(())
}

fn arguments(kind: &str) -> Result<Vec<String>> {
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    Ok(vec![own, "child".to_owned(), kind.to_owned(), BYTES.to_string()])
}

/// Looks for the end mark in what arrives piece by piece.
#[derive(Default)]
struct EndFinder(Vec<u8>);

impl EndFinder {
    fn sees(&mut self, bytes: &[u8]) -> bool {
        self.0.extend_from_slice(bytes);
        let seen = self.0.windows(END.len()).any(|window| window == END);
        let keep = self.0.len().saturating_sub(END.len());
        self.0.drain(..keep);
        seen
    }
}

struct Direct {
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn portable_pty::Child + Send + Sync>,
    _master: Box<dyn portable_pty::MasterPty + Send>,
}

fn direct(kind: &str) -> Result<Direct> {
    let pair = native_pty_system().openpty(PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 })?;
    let argv = arguments(kind)?;
    let mut command = CommandBuilder::new(&argv[0]);
    command.args(&argv[1..]);
    let child = pair.slave.spawn_command(command)?;
    drop(pair.slave);
    Ok(Direct {
        reader: pair.master.try_clone_reader()?,
        writer: pair.master.take_writer()?,
        child,
        _master: pair.master,
    })
}

impl Drop for Direct {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn direct_throughput() -> Result<f64> {
    let mut direct = direct("flood")?;
    let mut buffer = vec![0; 64 * 1024];
    let mut end = EndFinder::default();
    direct.writer.write_all(b"g")?;
    let started = Instant::now();
    loop {
        let count = direct.reader.read(&mut buffer)?;
        if end.sees(&buffer[..count]) {
            return Ok(BYTES as f64 / (1 << 20) as f64 / started.elapsed().as_secs_f64());
        }
    }
}

fn direct_echo() -> Result<Vec<f64>> {
    let mut direct = direct("echo")?;
    let mut buffer = [0; 64];
    let mut greeting = 0;
    while greeting < 5 {
        greeting += direct.reader.read(&mut buffer)?;
    }
    let mut latencies = Vec::new();
    for _ in 0..KEYS {
        let began = Instant::now();
        direct.writer.write_all(b"x")?;
        let _ = direct.reader.read(&mut buffer)?;
        latencies.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(latencies)
}

async fn held(daemon: &Daemon, client: &Client, kind: &str) -> Result<(Created, Terminal)> {
    let params = CreateParams {
        engine: "command".to_owned(),
        argv: arguments(kind)?,
        cwd: "/".to_owned(),
        cols: Some(120),
        rows: Some(40),
        ..CreateParams::default()
    };
    let created: Created = client.call("session.create", &params).await?;
    let attach = AttachParams { session: created.session, cols: 120, rows: 40, mode: AttachMode::Control, raw: false };
    let terminal = Terminal::attach(&daemon.socket(), attach).await?;
    Ok((created, terminal))
}

async fn held_throughput(daemon: &Daemon, client: &Client) -> Result<(f64, f64)> {
    let (created, mut terminal) = held(daemon, client, "flood").await?;
    while !matches!(terminal.next().await?, Some(ToViewer::Screen(_))) {}
    terminal.send(&FromViewer::Input(b"g".to_vec())).await?;
    let started = Instant::now();
    let mut end = EndFinder::default();
    let mut received = 0;
    loop {
        match terminal.next().await?.context("the session ended early")? {
            ToViewer::Output(bytes) | ToViewer::Screen(bytes) => {
                received += bytes.len();
                if end.sees(&bytes) {
                    break;
                }
            }
            _ => {}
        }
    }
    let rate = BYTES as f64 / (1 << 20) as f64 / started.elapsed().as_secs_f64();
    let _: serde_json::Value = client.call("session.stop", &SessionParams { session: created.session }).await?;
    Ok((rate, received as f64 / BYTES as f64))
}

async fn held_echo(daemon: &Daemon, client: &Client) -> Result<Vec<f64>> {
    let (created, mut terminal) = held(daemon, client, "echo").await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut greeting = Vec::new();
    while !String::from_utf8_lossy(&greeting).contains("ready") && Instant::now() < deadline {
        if let Some(ToViewer::Screen(bytes) | ToViewer::Output(bytes)) = terminal.next().await? {
            greeting.extend(bytes);
        }
    }
    let mut latencies = Vec::new();
    for _ in 0..KEYS {
        let began = Instant::now();
        terminal.send(&FromViewer::Input(b"x".to_vec())).await?;
        while !matches!(terminal.next().await?, Some(ToViewer::Output(_)) | None) {}
        latencies.push(began.elapsed().as_secs_f64() * 1e6);
    }
    let _: serde_json::Value = client.call("session.stop", &SessionParams { session: created.session }).await?;
    Ok(latencies)
}

/// Measures throughput and echo.
pub fn measure(report: &mut Report, rounds: usize) -> Result<()> {
    let daemon = Daemon::start("workers: {naming: 0, structure: 0, semantic: 0, manager: 0}\n")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut floors, mut rates, mut shares) = (vec![], vec![], vec![]);
    let (mut direct_p50, mut direct_p99, mut held_p50, mut held_p99) = (vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        floors.push(direct_throughput()?);
        let mut sorted = direct_echo()?;
        sorted.sort_by(f64::total_cmp);
        direct_p50.push(percentile(&sorted, 50.0));
        direct_p99.push(percentile(&sorted, 99.0));
        runtime.block_on(async {
            let client = Client::connect(&daemon.socket()).await?;
            let (rate, share) = held_throughput(&daemon, &client).await?;
            rates.push(rate);
            shares.push(share);
            let mut sorted = held_echo(&daemon, &client).await?;
            sorted.sort_by(f64::total_cmp);
            held_p50.push(percentile(&sorted, 50.0));
            held_p99.push(percentile(&sorted, 99.0));
            anyhow::Ok(())
        })?;
    }
    report.against(
        "terminal throughput, one viewer",
        median(rates),
        median(floors),
        "MiB/s",
        Some((">= 0.4 of direct", |ratio| ratio >= 0.4)),
    );
    report.plain("share of the output that the viewer was sent", median(shares) * 100.0, "%", None);
    report.against("keystroke echo, one viewer: p50", median(held_p50), median(direct_p50), "us", None);
    report.against("keystroke echo, one viewer: p99", median(held_p99), median(direct_p99), "us", None);
    Ok(())
}
