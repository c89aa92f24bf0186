//! Viewers that join a session judged by another terminal: xterm.js, which `cargo xtask setup` installs. Wherever a viewer
//! joins a recorded or a generated stream, its terminal must show what one shows that saw the stream from its beginning,
//! and go on to do so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // A test says by a panic that it failed.

mod corpus;
mod exceptions;

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use corpus::Reach;
use flate2::read::GzDecoder;
use orx_protocol::hold::TerminalSize;
use orx_sandbox::{environment, locate, spawn};
use pty_proxy::terminal::emulator::Emulator;
use serde::Deserialize;
use serde_json::{Value, json};

/// What a viewer's terminal showed before it joined, in every other case.
const BEFORE: &[u8] =
    b"\x1b[?1049h\x1b[2;4r\x1b[?6h\x1b(0\x0e\x1b[4hnoise\x1b[?7l\x1b[7;4:3m\x1b[?1003h\x1b[?1006h\x1b]8;;http://x\x07\x1b[?25l";

/// Generated streams of each reach, each joined about twenty times.
const STREAMS: u64 = 60;

/// About how often recorded sessions are joined.
const CUTS: usize = 1200;

/// What must have been recorded: every coding CLI that installs here and has an interface, and the programs that people use most.
const RECORDED: [&str; 15] = [
    "aider",
    "claude",
    "cline",
    "codex",
    "continue",
    "copilot",
    "gemini",
    "htop",
    "less",
    "opencode",
    "openhands",
    "pi",
    "qwen",
    "tmux",
    "vim",
];

/// A stream, and where viewers join it.
struct Stream {
    name: String,
    size: TerminalSize,
    bytes: Vec<u8>,
    /// Whether a terminal that the program writes to must show what a viewer's shows.
    is_common: bool,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    rest: Option<String>,
    end: Option<String>,
}

#[derive(Deserialize)]
struct Verdicts {
    passing: Option<String>,
    joins: Vec<Verdict>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The judge, one process for a whole test.
struct Judge {
    child: std::process::Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Judge {
    fn start() -> Self {
        let xterm = std::env::var_os("ORX_TEST_ENGINES")
            .map_or_else(|| root().join("target/engines"), PathBuf::from)
            .join("xterm");
        assert!(xterm.exists(), "{} is missing: `cargo xtask setup` installs it", xterm.display());
        let node = locate::find_program("node", std::env::var("PATH").ok().as_deref()).expect("node is installed");
        let argv = [node, root().join("tests/terminal/judge.mjs"), xterm].map(|path| path.display().to_string());
        let streams = [Stdio::piped(), Stdio::piped(), Stdio::inherit()];
        let mut child = spawn::on_streams(&argv, &root(), &environment::own(), streams).expect("node runs");
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { child, answers }
    }

    fn judge(&mut self, stream: &Stream, joins: &[Value], passed: &[u8]) -> Verdicts {
        let size = stream.size;
        let question = json!({"cols": size.cols, "rows": size.rows, "raw": base64(&stream.bytes), "passed": base64(passed), "joins": joins});
        writeln!(self.child.stdin.as_mut().unwrap(), "{question}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line)
            .unwrap_or_else(|error| panic!("{}: the judge failed: {error}: {line:?}", stream.name))
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for chunk in bytes.chunks(3) {
        let value = chunk.iter().chain([&0, &0]).take(3).fold(0u32, |value, byte| value << 8 | u32::from(*byte));
        for place in 0..4 {
            out.push(if place <= chunk.len() {
                char::from(LETTERS[(value >> (18 - 6 * place) & 63) as usize])
            } else {
                '='
            });
        }
    }
    out
}

/// Lets viewers join at `cuts` and asks the judge; gives how many cuts there were, and the differences at rest and later.
fn join(
    judge: &mut Judge,
    stream: &Stream,
    cuts: &[usize],
    continue_for: Option<usize>,
) -> (usize, Vec<String>, Vec<String>) {
    let now = Instant::now();
    let mut session = Emulator::new(stream.size);
    let mut passed = Vec::new();
    let mut joins = Vec::new();
    let mut from = 0;
    // Where output ends that a viewer must have when the program wrote so much: known after every cut.
    let mut places: Vec<(usize, usize)> = vec![(0, 0)];
    for (number, &cut) in cuts.iter().enumerate() {
        passed.extend(session.accept(&stream.bytes[from..cut], now).bytes);
        from = cut;
        places.push((cut, passed.len()));
        let redraw = session.redraw().concat();
        let before = if number % 2 == 1 { base64(BEFORE) } else { String::new() };
        joins.push(json!({"passed": passed.len(), "redraw": base64(&redraw), "before": before}));
    }
    passed.extend(session.accept(&stream.bytes[from..], now).bytes);
    places.push((stream.bytes.len(), passed.len()));
    if let Some(limit) = continue_for {
        for (join, cut) in joins.iter_mut().zip(cuts) {
            let until = places.iter().find(|(raw, _)| *raw >= cut + limit).or(places.last());
            join["until"] = json!(until.unwrap().1);
        }
    }
    let Verdicts { passing, joins: verdicts } = judge.judge(stream, &joins, &passed);
    if stream.is_common {
        assert_eq!(passing, None, "{}: what viewers get shows something else", stream.name);
    }
    assert_eq!(verdicts.len(), cuts.len());
    let mut rest = Vec::new();
    let mut end = Vec::new();
    for (verdict, cut) in verdicts.into_iter().zip(cuts) {
        rest.extend(verdict.rest.map(|difference| {
            format!(
                "{} at {cut}, after {:?}: {difference}",
                stream.name,
                String::from_utf8_lossy(&stream.bytes[cut.saturating_sub(24)..*cut])
            )
        }));
        end.extend(verdict.end.map(|difference| format!("{} joined at {cut}, later: {difference}", stream.name)));
    }
    (cuts.len(), rest, end)
}

/// The recorded sessions, raw as the programs wrote them; the size is in the name.
fn recorded() -> Vec<Stream> {
    let mut streams: Vec<Stream> = std::fs::read_dir(root().join("tests/data/terminal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".bin.gz")?.to_owned();
            let (cols, rows) = name.rsplit_once('-').and_then(|(_, size)| size.split_once('x')).unwrap();
            let size = TerminalSize { cols: cols.parse().unwrap(), rows: rows.parse().unwrap() };
            let mut bytes = Vec::new();
            GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
            Some(Stream { bytes, name, size, is_common: false })
        })
        .collect();
    streams.sort_by(|one, other| one.name.cmp(&other.name));
    streams
}

#[test]
fn a_viewer_that_joins_a_recorded_session_anywhere_sees_what_one_that_never_left_sees() {
    let mut judge = Judge::start();
    let streams = recorded();
    let names: Vec<&str> = streams.iter().filter_map(|stream| stream.name.split('-').next()).collect();
    assert_eq!(names, RECORDED);
    let total: usize = streams.iter().map(|stream| stream.bytes.len()).sum();
    let cuts_wanted = std::env::var("ORX_TEST_CUTS").map_or(CUTS, |count| count.parse().unwrap());
    let (mut count, mut rest, mut end) = (0, Vec::new(), Vec::new());
    for stream in &streams {
        // Spread over all together, and so that they fall within sequences too; some in the shortest as well.
        let step = (total / cuts_wanted).min(stream.bytes.len() / 40).max(1) | 1;
        let mut cuts: Vec<usize> = (step..stream.bytes.len()).step_by(step).collect();
        cuts.push(stream.bytes.len());
        let (cut, at_rest, later) = join(&mut judge, stream, &cuts, Some(16 * 1024));
        println!("{}: {cut} cuts, {} differ at rest, {} later", stream.name, at_rest.len(), later.len());
        for difference in at_rest.iter().chain(&later).take(6) {
            println!("   {difference}");
        }
        count += cut;
        rest.extend(at_rest);
        end.extend(later);
    }
    println!("{count} cuts, {} differ at rest, {} later", rest.len(), end.len());
    assert!(count >= 1000, "{count} cuts");
    assert!(rest.is_empty(), "{} of {count} differ at rest: {:#?}", rest.len(), &rest[..rest.len().min(5)]);
    assert!(end.is_empty(), "{} of {count} differ later: {:#?}", end.len(), &end[..end.len().min(5)]);
}

/// Lets viewers join generated streams, each about twenty times; gives how many differ.
fn join_generated(reach: Reach) -> String {
    let mut judge = Judge::start();
    let (mut count, mut rest, mut end) = (0, Vec::new(), Vec::new());
    let streams = std::env::var("ORX_TEST_STREAMS").map_or(STREAMS, |count| count.parse().unwrap());
    for seed in 0..streams {
        let size = [TerminalSize { cols: 40, rows: 10 }, TerminalSize { cols: 21, rows: 6 }]
            [usize::try_from(seed % 2).unwrap()];
        let bytes = corpus::stream(seed, 1200, usize::from(size.cols), usize::from(size.rows), reach);
        let is_common = reach == Reach::Common;
        let stream = Stream { name: format!("{reach:?} {seed}"), size, bytes, is_common };
        let mut numbers = corpus::Numbers::new(seed + 77);
        let mut cuts: Vec<usize> = (0..20).map(|_| numbers.below(stream.bytes.len()) + 1).collect();
        cuts.sort_unstable();
        cuts.dedup();
        let (cut, at_rest, later) = join(&mut judge, &stream, &cuts, None);
        count += cut;
        rest.extend(at_rest);
        end.extend(later);
    }
    assert!(count >= 1000, "{count} cuts");
    assert!(rest.is_empty(), "{} of {count} differ at rest: {:#?}", rest.len(), &rest[..rest.len().min(8)]);
    assert!(end.is_empty(), "{} of {count} differ later: {:#?}", end.len(), &end[..end.len().min(8)]);
    format!("{count} cuts, {} differ at rest, {} later", rest.len(), end.len())
}

#[test]
fn a_viewer_that_joins_a_generated_stream_anywhere_sees_what_one_that_never_left_sees() {
    println!("{}", join_generated(Reach::Common));
}

#[test]
fn a_viewer_that_joins_where_terminals_disagree_sees_what_one_that_never_left_sees() {
    println!("{}", join_generated(Reach::Everything));
}
