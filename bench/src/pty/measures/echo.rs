//! From a key to its echo on the screen of the one who pressed it: alone, with three viewers, and while twenty other
//! sessions write as fast as they can.

use anyhow::Result;
use std::time::{Duration, Instant};

use super::{Drained, SETTLED, start};
use crate::pty::peers::{self, Peer};
use crate::pty::results::Results;
use crate::pty::viewer::Viewer;
use crate::report::median;
use crate::wire::percentile;

pub const NAME: &str = "keystroke echo";

/// Keys a round, and how long they may take.
const KEYS: usize = 600;
const LIMIT: Duration = Duration::from_secs(4);
/// Keys until the line is cleared.
const LINE: usize = 60;
/// Letters that end no usual sequence.
const LETTERS: &[u8] = b"QVYO";
const NOISY: usize = 20;

/// Presses keys; gives microseconds each, sorted.
fn press(viewer: &mut dyn Viewer) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    let mut out = Vec::new();
    let end = Instant::now() + LIMIT;
    for key in 0..KEYS {
        if Instant::now() > end {
            break;
        }
        if key % LINE == 0 {
            viewer.write(b"\r")?;
            viewer.read_quiet(Duration::from_millis(30))?;
        }
        let letter = LETTERS.get(key % LETTERS.len()).copied().unwrap_or(b'Q');
        out.clear();
        let began = Instant::now();
        viewer.write(&[letter])?;
        while !out.contains(&letter) {
            if viewer.read(&mut out, Duration::from_secs(5))? == 0 {
                anyhow::bail!("no echo within 5 s");
            }
        }
        latencies.push(began.elapsed().as_secs_f64() * 1e6);
    }
    latencies.sort_by(f64::total_cmp);
    Ok(latencies)
}

#[derive(Default)]
struct Percentiles {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Percentiles {
    fn take(&mut self, sorted: &[f64]) {
        self.p50.push(percentile(sorted, 50.0));
        self.p99.push(percentile(sorted, 99.0));
    }

    fn take_or_tell(&mut self, latencies: Result<Vec<f64>>, results: &mut Results, peer: &str, company: &'static str) {
        match latencies {
            Ok(sorted) => self.take(&sorted),
            Err(error) => results.lack(NAME, peer, company, format!("{error:#}")),
        }
    }

    fn tell(self, results: &mut Results, peer: &str, p50: &'static str, p99: &'static str) {
        if !self.p50.is_empty() {
            results.add(NAME, peer, p50, median(self.p50), "us");
            results.add(NAME, peer, p99, median(self.p99), "us");
        }
    }
}

fn among_noisy(peer: &mut dyn Peer, viewer: &mut dyn Viewer) -> Result<Vec<f64>> {
    let mut programs = Vec::new();
    for number in 0..NOISY {
        let mut program = start(peer, &format!("noise{number}"))?;
        program.tell("noise")?;
        programs.push(program);
    }
    std::thread::sleep(Duration::from_millis(500));
    press(viewer)
}

fn among_viewers(peer: &mut dyn Peer, viewer: &mut dyn Viewer) -> Result<Vec<f64>> {
    let others = [peer.attach("echo")?, peer.attach("echo")?];
    let others = others.map(|other| Drained::begin(other, None));
    viewer.read_quiet(SETTLED)?;
    let latencies = press(viewer);
    for other in others {
        other.finish(Duration::ZERO)?;
    }
    viewer.read_quiet(SETTLED)?;
    latencies
}

/// Measures a peer.
pub fn measure(name: &str, rounds: usize, results: &mut Results) -> Result<()> {
    let (mut quiet, mut three, mut among) = (Percentiles::default(), Percentiles::default(), Percentiles::default());
    for round in 0..rounds {
        let mut peer = peers::open(name)?;
        let mut program = start(peer.as_mut(), "echo")?;
        program.ask("echo", Duration::from_secs(5))?;
        let mut viewer = peer.attach("echo")?;
        viewer.read_quiet(SETTLED)?;
        quiet.take(&press(viewer.as_mut())?);
        // What fails in company must not take the figures of before along.
        if peer.takes_many() {
            let watched = among_viewers(peer.as_mut(), viewer.as_mut());
            three.take_or_tell(watched, results, name, "3 viewers");
        }
        // Once is enough for what burdens the machine most.
        if round == 0 && peer.detaches() && name != "zellij" {
            let burdened = among_noisy(peer.as_mut(), viewer.as_mut());
            among.take_or_tell(burdened, results, name, "20 noisy");
        }
    }
    quiet.tell(results, name, "p50", "p99");
    three.tell(results, name, "p50, 3 viewers", "p99, 3 viewers");
    among.tell(results, name, "p50, 20 noisy", "p99, 20 noisy");
    if name == "zellij" {
        results.lack(NAME, name, "20 noisy", "not measured: its echo waits for its own timer of 12 ms anyway");
    }
    Ok(())
}
