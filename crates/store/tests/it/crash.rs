//! Death and a failing disk, in a process of their own: this test program runs itself again and kills itself.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::support::{DEADLINE, raw};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use orx_store::{Store, StoreError, events, records, sequences};
use tokio::task::JoinSet;

/// Names the database of a child.
const CHILD: &str = "ORX_STORE_CRASH_CHILD";
/// Sets how many times the writer is killed, for longer hunts than an ordinary test run.
const ROUNDS: &str = "ORX_STORE_CRASH_ROUNDS";
/// Callers in the child that write at the same time.
const CALLERS: usize = 16;

fn spawn(test: &str, database: &Path) -> Child {
    #[allow(clippy::disallowed_methods)] // The test runs itself again, to be killed.
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(CHILD, database)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The numbers that the child said were acknowledged; a line cut off by its death counts as not said.
fn acknowledged(line: &str) -> Option<u64> {
    line.trim_end().strip_suffix(" ack")?.rsplit(' ').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_kill_without_gaps() {
    let rounds = std::env::var(ROUNDS).map_or(25, |text| text.parse::<usize>().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("orx.db");
    let mut told = BTreeSet::new();
    for round in 0..rounds {
        let mut child = spawn("crash::child_writes_until_it_is_killed", &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // Another moment of the commit cycle each time.
        let before_kill = 40 + (round * 37) % 150;
        told.extend(lines.by_ref().filter_map(|line| acknowledged(&line)).take(before_kill));
        child.kill().unwrap();
        told.extend(lines.filter_map(|line| acknowledged(&line)));
        child.wait().unwrap();
        check(&path, &told).await;
    }
    assert!(told.len() >= rounds * 40);
}

async fn check(path: &Path, told: &BTreeSet<u64>) {
    let store = Store::open(path).unwrap();
    let (last, grants, stored, journal, head) = store
        .read(|reader| {
            let count = |sql: &str| reader.query_one(sql, &[], |row| row.unsigned(0)).map(Option::unwrap);
            Ok((
                sequences::last(reader, "kill")?,
                reader.query("SELECT value FROM sequence_grants ORDER BY value", &[], |row| row.unsigned(0))?,
                count("SELECT count(*) FROM records")?,
                count("SELECT count(*) FROM events")?,
                events::head(reader)?,
            ))
        })
        .await
        .unwrap();
    // Number, key, record and both events came together, or not at all.
    assert_eq!(grants, (1..=last).collect::<Vec<_>>());
    assert_eq!(stored, last);
    assert_eq!((journal, head), (last * 2, last * 2));
    assert!(told.iter().all(|number| grants.binary_search(number).is_ok()));
    store.close().await.unwrap();
}

/// Does something only as the child of the test before this one.
#[tokio::test(flavor = "multi_thread")]
async fn child_writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = Store::open(Path::new(&path)).unwrap();
    let mut tasks: JoinSet<()> = JoinSet::new();
    for _ in 0..CALLERS {
        let store = store.clone();
        tasks.spawn(async move {
            loop {
                let given = store
                    .write(|tx| {
                        let key = orx_protocol::id::ulid_text();
                        let given = sequences::next(tx, "kill", Some(&key))?.value;
                        records::put(tx, "kill", &given.to_string(), &raw("{}"))?;
                        Ok(given)
                    })
                    .await
                    .unwrap();
                let mut out = std::io::stdout().lock();
                out.write_all(format!("{given} ack\n").as_bytes()).unwrap();
                out.flush().unwrap();
            }
        });
    }
    tasks.join_next().await;
}

#[test]
fn a_disk_that_takes_no_more_loses_nothing_and_is_used_again_once_it_does() {
    let directory = tempfile::tempdir().unwrap();
    let child = spawn("crash::child_writes_against_a_full_disk", &directory.path().join("orx.db"));
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("refused and recovered"), "{text}");
}

/// Does something only as the child of the test before this one: a limit on the size of files stands for the full disk,
/// so that the write fails where a full disk would fail it, within the commit.
#[tokio::test(flavor = "multi_thread")]
async fn child_writes_against_a_full_disk() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = Store::open(Path::new(&path)).unwrap();
    // With a handler for the signal, the write itself fails.
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::new(AtomicBool::new(false))).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, 400_000, hard).unwrap();
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for _ in 0..2000 {
        let mut tasks = JoinSet::new();
        for _ in 0..CALLERS {
            let store = store.clone();
            tasks.spawn(async move { store.write(|tx| sequences::next(tx, "full", None)).await });
        }
        for outcome in tasks.join_all().await {
            match outcome {
                Ok(given) => acknowledged.push(given.value),
                Err(StoreError::Io { .. } | StoreError::Full { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
            }
        }
        if refused >= 40 {
            break;
        }
    }
    assert!(refused >= 40, "{refused} writes were refused and {} acknowledged", acknowledged.len());
    acknowledged.sort_unstable();
    let last = acknowledged.last().copied().unwrap();
    assert_eq!(acknowledged, (1..=last).collect::<Vec<_>>());
    assert_eq!(store.read(|reader| sequences::last(reader, "full")).await.unwrap(), last);
    assert_eq!(store.statistics().unwrap().head, last);

    setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    let recovered = tokio::time::timeout(DEADLINE, store.write(|tx| sequences::next(tx, "full", None))).await.unwrap();
    assert_eq!(recovered.unwrap().value, last + 1);
    store.close().await.unwrap();
    let store = Store::open(Path::new(&path)).unwrap();
    assert_eq!(store.read(events::head).await.unwrap(), last + 1);
    println!("refused and recovered");
}
