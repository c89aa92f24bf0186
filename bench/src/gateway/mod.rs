//! The gateway beside a direct call of the same provider and nginx as a relay, in one run: what a call costs more, in time and in
//! processor, with caps, ledger, breakers and routing on.

mod caller;
mod peers;
pub mod provider;
mod relay;

use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::daemon::{self, Daemon};
use crate::pty::usage;
use crate::report::{Report, median};
use caller::{Caller, Timing};

/// Calls of one measure at one connection.
const CALLS: usize = 2_000;
/// The same of gateways that take milliseconds.
const CALLS_OF_PEERS: usize = 300;
/// Connections of the measure of rates.
const CONNECTIONS: usize = 32;
/// Calls of that measure.
const MANY: usize = 60_000;
/// The same of gateways that take milliseconds.
const MANY_OF_PEERS: usize = 3_200;
/// Calls after which memory is looked at, twice.
const LONG: usize = 500_000;
/// Streams that are held at once.
const STREAMS: usize = 1_000;

/// What is asked: a name, a path, a body, whether the answer is a stream.
struct Ask {
    name: &'static str,
    path: &'static str,
    body: String,
}

fn asks() -> Vec<Ask> {
    let chat =
        |stream: bool| format!(r#"{{"model":"talk","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#);
    let messages = |model: &str, stream: bool, filler: usize| {
        let tools: String = (0..24)
            .map(|number| {
                format!(
                    r#"{{"name":"tool{number}","description":"{}","input_schema":{{"type":"object","properties":{{"path":{{"type":"string"}}}}}}}}"#,
                    "what it does, in words. ".repeat(filler / 24 / 24)
                )
            })
            .collect::<Vec<_>>()
            .join(",");
        let tools = if filler > 0 { format!(r#""tools":[{tools}],"#) } else { String::new() };
        format!(
            r#"{{"model":"{model}","max_tokens":1000,"stream":{stream},{tools}"system":[{{"type":"text","text":"You are an agent.","cache_control":{{"type":"ephemeral"}}}}],"messages":[{{"role":"user","content":"hi"}}]}}"#
        )
    };
    vec![
        Ask { name: "small chat", path: "/v1/chat/completions", body: chat(false) },
        Ask { name: "agent request of 110 KB", path: "/v1/messages", body: messages("think", false, 107_000) },
        Ask { name: "stream of 64 pieces", path: "/v1/messages", body: messages("think", true, 0) },
        Ask { name: "translated, whole", path: "/v1/messages", body: messages("talk", false, 0) },
        Ask { name: "translated, streamed", path: "/v1/messages", body: messages("talk", true, 0) },
    ]
}

/// Measures, `rounds` times, of which the median counts.
pub fn measure(report: &mut Report, rounds: usize) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let provider = Started::start("provider", scratch.path())?;
    let nginx = relay::start(scratch.path(), provider.address)?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let daemon = gateway(provider.address, port)?;
    let token = std::fs::read_to_string(daemon.home.path().join("token"))?;
    let headers = format!("authorization: Bearer {}\r\n", token.trim());
    let pid = i32::try_from(daemon.pid())?;
    for ask in asks() {
        one(report, &ask, rounds, &provider, nginx.as_ref().map(|nginx| nginx.address), port, &headers, pid)?;
    }
    rate(report, &asks()[0], provider.address, nginx.as_ref().map(|nginx| nginx.address), port, &headers, pid)?;
    fallback(report, &asks()[0], port, &headers)?;
    memory(report, &asks()[0], port, &headers, pid)?;
    held(report, port, &headers)?;
    beside(report, &asks()[0], scratch.path(), provider.address)?;
    if nginx.is_none() {
        eprintln!("nginx is not installed: its figures are missing");
    }
    Ok(())
}

/// What the gateways of others add to the same call, and how many they carry.
fn beside(report: &mut Report, ask: &Ask, directory: &Path, provider: SocketAddr) -> Result<()> {
    for (name, peer) in peers::start(directory, provider) {
        let Some(peer) = peer else {
            eprintln!("{name} is not installed: its figures are missing; `cargo xtask bench --setup-peers` brings it");
            continue;
        };
        let peer = peer?;
        let base = timed(provider, ask, "", CALLS_OF_PEERS)?;
        let theirs = timed(peer.address, ask, &peer.headers, CALLS_OF_PEERS)?;
        report.plain(&format!("{name}, small chat: added p50"), theirs.total.0 - base.total.0, "us", None);
        report.plain(&format!("{name}, small chat: added p99"), theirs.total.1 - base.total.1, "us", None);
        let rate = caller::many(peer.address, ask.path, &ask.body, &peer.headers, CONNECTIONS, MANY_OF_PEERS)?;
        report.plain(&format!("{name}, 32 connections: rate"), rate, "/s", None);
        let resident = usage::memory(i32::try_from(peer.process.0.id())?, "Rss:")?;
        report.plain(&format!("{}: memory after that", peer.name), resident, "MiB", None);
    }
    Ok(())
}

/// A floor of this program on a port of its own.
struct Started {
    address: SocketAddr,
    _process: daemon::Process,
}

impl Started {
    fn start(kind: &str, directory: &Path) -> Result<Self> {
        let file = directory.join(kind);
        let process = daemon::floor(kind, &file, None)?;
        let began = Instant::now();
        loop {
            if let Some(address) = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok()) {
                return Ok(Self { address, _process: process });
            }
            anyhow::ensure!(began.elapsed() < Duration::from_secs(10), "the floor `{kind}` does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn gateway(provider: SocketAddr, port: SocketAddr) -> Result<Daemon> {
    let home = daemon::home()?;
    let price = "price: {input: 1000000, output: 5000000, cache_read: 100000, cache_write_5m: 1250000}";
    let providers = format!(
        "providers:\n  one: {{dialect: anthropic, base_url: 'http://{provider}', models: {{think: {{context: 1000000, {price}}}}}}}\n  \
         two: {{dialect: openai, base_url: 'http://{provider}/v1', models: {{talk: {{context: 1000000, {price}}}}}}}\n  \
         dead: {{dialect: openai, base_url: 'http://127.0.0.1:9/v1', models: {{gone: {{context: 1000000, {price}}}}}}}\n"
    );
    std::fs::write(home.path().join("providers.yaml"), providers)?;
    let settings = "workers: {naming: 0, structure: 0, semantic: 0, manager: 0}\n\
                    gateway: {caps: [{name: day, of: all, micro_dollars: 1000000000000}], fallbacks: {after: {gone: [talk]}}}\n";
    std::fs::write(home.path().join("settings.yaml"), settings)?;
    Daemon::start_at(home, &port.to_string())
}

/// Microseconds that the gateway's process was on a processor.
fn processor(pid: i32) -> f64 {
    usage::on_cpu(pid) as f64 / 1000.0
}

/// One kind of call at one connection.
#[allow(clippy::too_many_arguments)] // Where it is asked, and by whom: each is another place.
fn one(
    report: &mut Report,
    ask: &Ask,
    rounds: usize,
    provider: &Started,
    nginx: Option<SocketAddr>,
    gateway: SocketAddr,
    headers: &str,
    pid: i32,
) -> Result<()> {
    // A provider of the translated model is asked in its own dialect, which is what a direct call would be.
    let direct = match ask.name {
        "translated, whole" => asks().swap_remove(0),
        "translated, streamed" => {
            let small = asks().swap_remove(0);
            Ask { body: small.body.replace("\"stream\":false", "\"stream\":true"), ..small }
        }
        _ => Ask { name: ask.name, path: ask.path, body: ask.body.clone() },
    };
    let mut added: [Vec<f64>; 6] = Default::default();
    for _ in 0..rounds {
        let base = timed(provider.address, &direct, headers, CALLS)?;
        let before = processor(pid);
        let ours = timed(gateway, ask, headers, CALLS)?;
        let spent = (processor(pid) - before) / CALLS as f64;
        let relayed = nginx.map(|nginx| timed(nginx, &direct, headers, CALLS)).transpose()?;
        added[0].push(ours.total.0 - base.total.0);
        added[1].push(ours.total.1 - base.total.1);
        added[2].push(ours.first.0 - base.first.0);
        added[3].push(spent);
        if let Some(relayed) = relayed {
            added[4].push(relayed.total.0 - base.total.0);
            added[5].push(relayed.first.0 - base.first.0);
        }
    }
    let [total, tail, first, spent, relayed, relayed_first] = added.map(median);
    let name = |what: &str| format!("{}: {what}", ask.name);
    let is_stream = ask.body.contains("\"stream\":true");
    let goal = |most: f64, words: &'static str, value: f64| Some((words, value <= most));
    let (total_goal, spent_goal) = match ask.name {
        "small chat" => (goal(60.0, "<= 60 us", total), None),
        "agent request of 110 KB" => (goal(150.0, "<= 150 us", total), goal(180.0, "<= 180 us", spent)),
        "stream of 64 pieces" => (goal(60.0, "<= 60 us", total), goal(250.0, "<= 250 us", spent)),
        "translated, whole" => (goal(120.0, "<= 120 us", total), goal(120.0, "<= 120 us", spent)),
        _ => (goal(250.0, "<= 250 us", total), goal(400.0, "<= 400 us", spent)),
    };
    report.plain(&name("added p50"), total, "us", total_goal);
    let tail_goal = if ask.name == "small chat" { goal(160.0, "<= 160 us", tail) } else { None };
    report.plain(&name("added p99"), tail, "us", tail_goal);
    if is_stream {
        let first_goal = if ask.name == "stream of 64 pieces" { goal(120.0, "<= 120 us", first) } else { None };
        report.plain(&name("added to the first byte, p50"), first, "us", first_goal);
    }
    report.plain(&name("processor"), spent, "us", spent_goal);
    if is_stream && relayed_first > 0.0 {
        report.against(&name("added to the first byte, p50, to nginx's"), first, relayed_first, "us", None);
    }
    if relayed > 0.0 {
        report.against(&name("added p50, to nginx's"), total, relayed, "us", None);
    }
    Ok(())
}

/// Median and 99th percentile.
struct Timed {
    total: (f64, f64),
    first: (f64, f64),
}

fn timed(address: SocketAddr, ask: &Ask, headers: &str, calls: usize) -> Result<Timed> {
    let mut caller = Caller::connect(address, ask.path, &ask.body, headers)?;
    for _ in 0..calls / 10 {
        caller.call()?;
    }
    let timings = (0..calls).map(|_| caller.call()).collect::<Result<Vec<Timing>>>()?;
    let of = |value: fn(&Timing) -> Duration| {
        let mut values: Vec<f64> = timings.iter().map(|timing| value(timing).as_secs_f64() * 1e6).collect();
        values.sort_by(f64::total_cmp);
        (values[values.len() / 2], values[values.len() * 99 / 100])
    };
    Ok(Timed { total: of(|timing| timing.total), first: of(|timing| timing.first) })
}

/// Many connections at once.
fn rate(
    report: &mut Report,
    ask: &Ask,
    provider: SocketAddr,
    nginx: Option<SocketAddr>,
    gateway: SocketAddr,
    headers: &str,
    pid: i32,
) -> Result<()> {
    let direct = caller::many(provider, ask.path, &ask.body, headers, CONNECTIONS, MANY)?;
    let before = processor(pid);
    let ours = caller::many(gateway, ask.path, &ask.body, headers, CONNECTIONS, MANY)?;
    let spent = (processor(pid) - before) / MANY as f64;
    report.against(
        "32 connections: rate, to direct",
        ours,
        direct,
        "/s",
        Some((">= 0.20 of direct", |ratio| ratio >= 0.20)),
    );
    report.plain("32 connections: rate", ours, "/s", Some((">= 25,000/s", ours >= 25_000.0)));
    report.plain("32 connections: processor a call", spent, "us", Some(("<= 40 us", spent <= 40.0)));
    if let Some(nginx) = nginx {
        let relayed = caller::many(nginx, ask.path, &ask.body, headers, CONNECTIONS, MANY)?;
        report.against("32 connections: rate, to nginx's", ours, relayed, "/s", None);
    }
    Ok(())
}

/// What it costs that the first of a chain is dead, once its breaker knows.
fn fallback(report: &mut Report, ask: &Ask, gateway: SocketAddr, headers: &str) -> Result<()> {
    let dead = Ask { body: ask.body.replace("\"talk\"", "\"gone\""), ..*ask };
    let alive = timed(gateway, ask, headers, CALLS)?;
    let carried = timed(gateway, &dead, headers, CALLS)?;
    let added = carried.total.0 - alive.total.0;
    report.plain("past a dead provider: added p50", added, "us", Some(("<= 1,000 us", added <= 1_000.0)));
    Ok(())
}

/// What is kept of many calls.
fn memory(report: &mut Report, ask: &Ask, gateway: SocketAddr, headers: &str, pid: i32) -> Result<()> {
    let fresh = Daemon::start("workers: {naming: 0, structure: 0, semantic: 0, manager: 0}\n")?;
    std::thread::sleep(Duration::from_secs(1));
    let idle = usage::memory(i32::try_from(fresh.pid())?, "Rss:")?;
    drop(fresh);
    let resident = || usage::memory(pid, "Rss:");
    caller::many(gateway, ask.path, &ask.body, headers, CONNECTIONS, LONG)?;
    let half = resident()?;
    caller::many(gateway, ask.path, &ask.body, headers, CONNECTIONS, LONG)?;
    let whole = resident()?;
    report.plain(
        "memory after 1,000,000 calls, above idle",
        whole - idle,
        "MiB",
        Some(("<= 20 MiB", whole - idle <= 20.0)),
    );
    report.plain("growth over their second half", whole - half, "MiB", Some(("< 1 MiB", whole - half < 1.0)));
    Ok(())
}

/// Streams that are all under way at once.
fn held(report: &mut Report, gateway: SocketAddr, headers: &str) -> Result<()> {
    let body =
        r#"{"model":"think","max_tokens":9,"stream":true,"hold":true,"messages":[{"role":"user","content":"hi"}]}"#;
    let held = caller::hold(gateway, "/v1/messages", body, headers, STREAMS).context("streams that are held")?;
    report.plain("streams held at once", held as f64, "", Some(("1,000", held == STREAMS)));
    Ok(())
}
