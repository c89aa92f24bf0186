//! Names are given out once and without gaps, whoever asks and whatever dies meanwhile.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use orx_tests::harness::{Daemon, Wire, eventually};
use serde_json::{Value, json};

const CLIENTS: usize = 8;
const EACH: usize = 1250;
const PATIENCE: Duration = Duration::from_secs(120);

/// Asks until it is told; the request's own key makes a repeated question harmless.
fn allocate(wire: &mut Option<Wire>, socket: &Path, key: &str) -> Value {
    let params = json!({"domain": "LOAD", "purpose": "a test", "request_id": key});
    let started = Instant::now();
    loop {
        assert!(started.elapsed() < PATIENCE, "{key} was not answered within {} s", PATIENCE.as_secs());
        if wire.is_none() {
            *wire = Wire::try_connect(socket).ok();
        }
        match wire.as_mut().and_then(|wire| wire.try_call("naming.allocate_capability", &params)) {
            Some(Ok(allocated)) => return allocated,
            Some(Err(error)) => {
                let kind = error["data"]["kind"].as_str().unwrap_or_default();
                let expected =
                    matches!(kind, "unavailable" | "worker_lost" | "draining" | "overloaded" | "deadline_exceeded");
                assert!(expected, "{key}: {error}");
                std::thread::sleep(Duration::from_millis(5));
            }
            None => {
                *wire = None;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

#[test]
fn ten_thousand_names_over_a_killed_daemon_have_no_duplicate_and_no_gap() {
    let mut daemon = Daemon::start(|settings| {
        settings.set("workers", json!({"naming": 2, "structure": 0, "semantic": 0, "manager": 0}));
    });
    daemon.wait_for_workers(2);
    let socket = daemon.socket().to_owned();
    let answered = AtomicUsize::new(0);
    let names: Vec<Value> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (socket, answered) = (&socket, &answered);
                scope.spawn(move || {
                    let mut wire = None;
                    (0..EACH)
                        .map(|number| {
                            let name = allocate(&mut wire, socket, &format!("{client}-{number}"));
                            answered.fetch_add(1, Ordering::Relaxed);
                            name
                        })
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        let reached = |count: usize| {
            eventually(&format!("{count} names"), PATIENCE, || {
                (answered.load(Ordering::Relaxed) >= count).then_some(())
            });
        };
        reached(CLIENTS * EACH / 3);
        daemon.kill9();
        daemon.restart();
        reached(CLIENTS * EACH * 2 / 3);
        // A worker too: its requests are dispatched again.
        let worker = daemon.pids().workers.first().map(|(_, pid)| *pid).unwrap();
        let worker = nix::unistd::Pid::from_raw(i32::try_from(worker).unwrap());
        nix::sys::signal::kill(worker, nix::sys::signal::Signal::SIGKILL).unwrap();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let numbers: BTreeSet<u64> = names.iter().map(|name| name["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), CLIENTS * EACH, "numbers were given out twice");
    assert_eq!(numbers.first(), Some(&1));
    assert_eq!(numbers.last(), Some(&((CLIENTS * EACH) as u64)), "there is a gap");
    let identifiers: BTreeSet<&str> = names.iter().map(|name| name["cid"].as_str().unwrap()).collect();
    assert_eq!(identifiers.len(), CLIENTS * EACH, "identifiers were given out twice");
    for name in &names {
        assert_eq!(name["slug"], format!("CAP-LOAD-{}", name["sequence"]));
        let ulid = name["cid"].as_str().unwrap().rsplit(':').next().unwrap();
        assert_eq!(ulid.len(), 26, "{name}");
        assert!(name["directory"].as_str().unwrap().starts_with(&format!("CAP-LOAD-{}__", name["sequence"])), "{name}");
    }
}
