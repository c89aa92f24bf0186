//! The bars of issue 3, each judged by what was measured in the same run.

use super::measures::{attach, echo, memory, modes, queries, recording, stuck, survival, throughput, upgrade};
use super::results::{Results, Verdict, number};

/// One bar in the making: what was measured over what it is held against.
struct Judge<'a> {
    results: &'a Results,
    verdicts: Vec<Verdict>,
}

impl Judge<'_> {
    fn push(&mut self, bar: &'static str, measured: String, reached: Option<bool>) {
        self.verdicts.push(Verdict { bar, measured, reached });
    }

    /// A figure against another one of the same run; the bar is about the ratio.
    fn ratio(&mut self, bar: &'static str, ours: Option<f64>, theirs: Option<f64>, holds: impl Fn(f64) -> bool) {
        match (ours, theirs) {
            (Some(ours), Some(theirs)) if theirs > 0.0 => {
                let ratio = ours / theirs;
                self.push(bar, format!("{ratio:.2} ({} to {})", number(ours), number(theirs)), Some(holds(ratio)));
            }
            _ => self.push(bar, "not measured".to_owned(), None),
        }
    }

    /// A figure by itself.
    fn plain(&mut self, bar: &'static str, value: Option<f64>, holds: impl Fn(f64) -> bool) {
        let reached = value.map(holds);
        self.push(bar, value.map_or("not measured".to_owned(), number), reached);
    }

    fn of(&self, measure: &str, peer: &str, name: &str) -> Option<f64> {
        self.results.value(measure, peer, name)
    }
}

/// The smaller of what is there.
fn faster(first: Option<f64>, second: Option<f64>) -> Option<f64> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}

/// Judges all bars.
pub fn judge(results: &Results) -> Vec<Verdict> {
    let mut judge = Judge { results, verdicts: Vec::new() };
    speed(&mut judge);
    keys(&mut judge);
    screens(&mut judge);
    lives(&mut judge);
    judge.verdicts
}

fn speed(judge: &mut Judge<'_>) {
    let rate = |judge: &Judge<'_>, peer: &str| judge.of(throughput::NAME, peer, "rate");
    let (client, socket) = (rate(judge, "orx"), rate(judge, "orx socket"));
    let (direct, tmux, zellij) = (rate(judge, "direct"), rate(judge, "tmux"), rate(judge, "zellij"));
    judge.ratio("throughput, orxctl attach: >= 0.5 of direct", client, direct, |ratio| ratio >= 0.5);
    judge.ratio("throughput, a front end at the socket: >= 0.5 of direct", socket, direct, |ratio| ratio >= 0.5);
    judge.ratio("throughput, orxctl attach: >= 3 x tmux", client, tmux, |ratio| ratio >= 3.0);
    judge.ratio("throughput, orxctl attach: >= 1.3 x zellij", client, zellij, |ratio| ratio >= 1.3);
    let cost = judge.of(throughput::NAME, "orx socket", "CPU");
    judge.plain("CPU of holder and daemon: <= 25 ms/MiB", cost, |cost| cost <= 25.0);
    let share = judge.of(recording::NAME, "orx", "share");
    judge.plain("recording: <= 10 % of that", share, |percent| percent <= 10.0);
}

fn keys(judge: &mut Judge<'_>) {
    const BARS: [(&str, &str, &str, &str); 3] = [
        ("p50", "p99", "echo p50: <= the faster of screen and tmux", "echo p99: <= tmux"),
        (
            "p50, 3 viewers",
            "p99, 3 viewers",
            "echo p50 with 3 viewers: <= the faster of screen and tmux",
            "echo p99 with 3 viewers: <= tmux",
        ),
        (
            "p50, 20 noisy",
            "p99, 20 noisy",
            "echo p50 among 20 noisy sessions: <= the faster of screen and tmux",
            "echo p99 among 20 noisy sessions: <= tmux",
        ),
    ];
    for (p50, p99, first, second) in BARS {
        let of = |judge: &Judge<'_>, peer: &str, name: &str| judge.of(echo::NAME, peer, name);
        let fastest = faster(of(judge, "tmux", p50), of(judge, "screen", p50));
        judge.ratio(first, of(judge, "orx", p50), fastest, |ratio| ratio <= 1.0);
        judge.ratio(second, of(judge, "orx", p99), of(judge, "tmux", p99), |ratio| ratio <= 1.0);
    }
}

fn screens(judge: &mut Judge<'_>) {
    let of = |judge: &Judge<'_>, peer: &str, name: &str| judge.of(attach::NAME, peer, name);
    let (ours, theirs) = (of(judge, "orx", "p50"), of(judge, "tmux", "p50"));
    judge.ratio("attach, 10,000 lines: p50 <= 1.2 x tmux", ours, theirs, |ratio| ratio <= 1.2);
    let (ours, theirs) = (of(judge, "orx", "bytes"), of(judge, "tmux", "bytes"));
    judge.ratio("attach, 10,000 lines: bytes <= tmux", ours, theirs, |ratio| ratio <= 1.0);
    judge.plain("memory of an idle session: <= 2 MiB", judge.of(memory::NAME, "orx", "idle"), |mib| mib <= 2.0);
    let many = judge.of(memory::NAME, "orx", "50 x 10,000 lines");
    judge.plain("memory of 50 sessions x 10,000 lines: <= 150 MiB", many, |mib| mib <= 150.0);
    judge.plain("queries answered detached: 15 of 15", judge.of(queries::NAME, "orx", "answered"), |count| {
        count >= 15.0
    });
    judge.plain("modes restored: 19 of 19", judge.of(modes::NAME, "orx", "restored"), |count| count >= 19.0);
}

fn lives(judge: &mut Judge<'_>) {
    for (name, bar) in [
        ("daemon: alive", "alive after kill -9 of the daemon: 50 of 50"),
        ("daemon: attachable", "attachable after kill -9 of the daemon: 50 of 50"),
        ("holder: alive", "alive after kill -9 of the holder: 50 of 50"),
        ("holder: attachable", "attachable after kill -9 of the holder: 50 of 50"),
    ] {
        judge.plain(bar, judge.of(survival::NAME, "orx", name), |count| count >= 50.0);
    }
    let lost = judge.of(upgrade::NAME, "orx", "bytes lost");
    judge.plain("bytes of 100 MiB lost over 20 upgrades: 0", lost, |bytes| bytes == 0.0);
    let kept = judge.of(stuck::NAME, "orx", "rate kept");
    judge.plain("rate kept with a stuck viewer: >= 90 %", kept, |percent| percent >= 90.0);
    let right = judge.of(stuck::NAME, "orx", "right again");
    judge.plain("a stuck viewer that reads on is right again: <= 20 ms", right, |time| time <= 20.0);
}
