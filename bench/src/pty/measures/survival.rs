//! Who lives on, and can be attached to, after the server or the holder was killed.

use anyhow::Result;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

use super::start;
use crate::pty::control::Program;
use crate::pty::peers::orx::Orx;
use crate::pty::peers::{self, Peer};
use crate::pty::results::Results;

pub const NAME: &str = "sessions alive and attachable after kill -9";

const SESSIONS: usize = 50;
const OF_PEERS: usize = 5;
/// Within this a session must be there again.
const BACK: Duration = Duration::from_secs(15);

struct Started {
    name: String,
    program: Program,
}

fn start_all(peer: &mut dyn Peer, count: usize) -> Result<Vec<Started>> {
    (0..count)
        .map(|number| {
            let name = format!("s{number}");
            let mut program = start(peer, &name)?;
            program.ask(&format!("say session {number} lives"), Duration::from_secs(10))?;
            Ok(Started { name, program })
        })
        .collect()
}

fn end(pids: &[i32]) {
    for pid in pids {
        // It may have ended with another.
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
}

/// How many programs live, and how many of those show their screen to a viewer.
fn count(peer: &mut dyn Peer, sessions: &mut [Started]) -> (usize, usize) {
    let deadline = Instant::now() + BACK;
    let (mut alive, mut attachable) = (0, 0);
    for (number, session) in sessions.iter_mut().enumerate() {
        if !session.program.lives() {
            continue;
        }
        alive += 1;
        let text = format!("session {number} lives");
        loop {
            let shown =
                peer.attach(&session.name).and_then(|mut viewer| viewer.read_until(&text, Duration::from_secs(1)));
            if shown.is_ok() {
                attachable += 1;
                break;
            }
            if Instant::now() > deadline {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    (alive, attachable)
}

/// Measures orx: the daemon is killed and started again, then every holder is killed.
pub fn measure_orx(results: &mut Results) -> Result<()> {
    let mut orx = Orx::open(false)?;
    let mut sessions = start_all(&mut orx, SESSIONS)?;
    orx.daemon.kill_and_restart()?;
    let (alive, attachable) = count(&mut orx, &mut sessions);
    results.add(NAME, "orx", "daemon: alive", alive as f64, "of 50");
    results.add(NAME, "orx", "daemon: attachable", attachable as f64, "of 50");
    let holders = orx.servers()?.split_off(1);
    end(&holders);
    let (alive, attachable) = count(&mut orx, &mut sessions);
    results.add(NAME, "orx", "holder: alive", alive as f64, "of 50");
    results.add(NAME, "orx", "holder: attachable", attachable as f64, "of 50");
    Ok(())
}

/// Measures a peer, whose one server is both.
pub fn measure(name: &str, results: &mut Results) -> Result<()> {
    let mut peer = peers::open(name)?;
    if !peer.detaches() {
        return Ok(());
    }
    let mut sessions = start_all(peer.as_mut(), OF_PEERS)?;
    end(&peer.servers()?);
    std::thread::sleep(Duration::from_millis(300));
    let alive = sessions.iter_mut().filter_map(|session| session.program.lives().then_some(())).count();
    results.add(NAME, name, "server: alive", alive as f64 / OF_PEERS as f64 * SESSIONS as f64, "of 50");
    results.lack(NAME, name, "server", format!("counted on {OF_PEERS} sessions"));
    Ok(())
}
