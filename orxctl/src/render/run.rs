//! A run: its headline, its particulars, its summary, and what one would be.

use orx_protocol::api::run::{Gate, Run, RunState, StartParams, Tokens};

use crate::figures;
use crate::output::{Colour, Output};
use crate::table::{self, Cell, Table};
use crate::text;

/// Where a run is, in one line.
pub(crate) fn headline(run: &Run) -> String {
    let stage = run.stages.iter().rev().find(|stage| stage.ended_at_ms.is_none());
    let item = stage.and_then(|stage| stage.item.as_deref()).map_or_else(String::new, |item| format!(" {item}"));
    text::clean_line(&format!("{}: {}{item}", run.state.as_str(), run.stage))
}

/// What `orxctl status <run>` shows.
pub(crate) fn details(run: &Run, now_ms: u64, output: Output) -> String {
    let mut out = heading(run, output);
    out.push_str(&facts(run, now_ms, output));
    section(&mut out, stages(run, now_ms, output));
    section(&mut out, items(run, output));
    section(&mut out, gates(&run.gates.iter().collect::<Vec<_>>(), output));
    closing(&mut out, run, output);
    out
}

/// What is shown when a run that was followed stands still.
pub(crate) fn summary(run: &Run, now_ms: u64, output: Output) -> String {
    let mut out = String::from("\n");
    out.push_str(&heading(run, output));
    out.push_str(&facts(run, now_ms, output));
    section(&mut out, items(run, output));
    section(&mut out, gates(&newest(&run.gates), output));
    closing(&mut out, run, output);
    out
}

fn section(out: &mut String, section: String) {
    if !section.is_empty() {
        out.push('\n');
        out.push_str(&section);
    }
}

fn heading(run: &Run, output: Output) -> String {
    let word = run.state.as_str();
    let state = Colour::of_word(word).paint(word, output.colour);
    let task = text::shorten(&text::clean_line(&run.task), output.columns.unwrap_or(100).saturating_sub(2));
    format!("{}  {state}  {}\n  {task}\n", run.run, text::clean_line(&run.stage))
}

fn facts(run: &Run, now_ms: u64, output: Output) -> String {
    let clean = text::clean_line;
    let until = run.ended_at_ms.unwrap_or(now_ms);
    let mut facts = vec![
        ("engine", format!("{}, pipeline {}", clean(&run.engine), clean(&run.pipeline))),
        ("time", figures::duration_ms(until.saturating_sub(run.created_at_ms))),
        ("tokens", figures::tokens(run.tokens)),
        ("cost", figures::money(run.cost_microusd)),
        ("base", format!("{} ({})", clean(&run.base_branch), short(&run.base_commit))),
        ("branch", run.branch.as_deref().map_or_else(|| "none yet".to_owned(), clean)),
    ];
    if let Some(worktree) = &run.worktree {
        facts.push(("worktree", clean(worktree)));
    }
    facts.push(("files", clean(&run.directory)));
    table::pairs(&facts, output)
}

fn short(commit: &str) -> String {
    text::clean_line(commit).chars().take(10).collect()
}

fn stages(run: &Run, now_ms: u64, output: Output) -> String {
    let mut table = Table::new(&["STAGE", "STATUS", "ITEM", "TRY", "TIME", "TOKENS", "COST", "SESSION"]);
    for stage in &run.stages {
        let until = stage.ended_at_ms.unwrap_or(now_ms);
        let tokens = match stage.tokens {
            Tokens { input: None, output: None, .. } => "-".to_owned(),
            Tokens { input, output, .. } => {
                let known = |figure: Option<u64>| figure.map_or_else(|| "?".to_owned(), figures::count);
                format!("{}/{}", known(input), known(output))
            }
        };
        table.row(vec![
            Cell::new(&stage.stage),
            Cell::word(&stage.status),
            Cell::new(stage.item.as_deref().unwrap_or("-")),
            Cell::new(stage.attempt.to_string()),
            Cell::new(figures::duration_ms(until.saturating_sub(stage.started_at_ms))),
            Cell::new(tokens),
            Cell::new(stage.cost_microusd.map_or_else(|| "-".to_owned(), |cost| figures::money(Some(cost)))),
            Cell::new(stage.session.map_or_else(|| "-".to_owned(), |session| session.to_string())),
        ]);
    }
    let mut out = if table.is_empty() { String::new() } else { table.render(output) };
    for stage in &run.stages {
        if let Some(error) = &stage.error {
            out.push_str(&format!("  {}: {}\n", text::clean_line(&stage.stage), text::clean_line(error)));
        }
    }
    out
}

fn items(run: &Run, output: Output) -> String {
    let mut table = Table::new(&["ITEM", "STATUS", "TRIES", "COMMIT", "TITLE"]);
    for item in &run.items {
        let title = match &item.note {
            Some(note) => format!("{} ({note})", item.title),
            None => item.title.clone(),
        };
        table.row(vec![
            Cell::new(&item.id),
            Cell::word(&item.status),
            Cell::new(item.attempts.to_string()),
            Cell::new(item.commit.as_deref().map_or_else(|| "-".to_owned(), short)),
            Cell::new(title),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render(output) }
}

/// The newest verdict of each gate on each item, in the order of their first.
fn newest(gates: &[Gate]) -> Vec<&Gate> {
    let mut found: Vec<&Gate> = Vec::new();
    for gate in gates {
        match found.iter_mut().find(|other| other.gate == gate.gate && other.item == gate.item) {
            Some(older) => *older = gate,
            None => found.push(gate),
        }
    }
    found
}

fn gates(gates: &[&Gate], output: Output) -> String {
    let mut table = Table::new(&["GATE", "VERDICT", "NEEDED", "ITEM", "TRY", "TIME", "MESSAGE"]);
    for gate in gates {
        table.row(vec![
            Cell::new(&gate.gate),
            Cell::word(&gate.verdict),
            Cell::new(if gate.required { "yes" } else { "no" }),
            Cell::new(gate.item.as_deref().unwrap_or("all")),
            Cell::new(gate.attempt.to_string()),
            Cell::new(figures::duration_ms(gate.duration_ms)),
            Cell::new(gate.message.as_deref().or(gate.log.as_deref()).unwrap_or("-")),
        ]);
    }
    if table.is_empty() { String::new() } else { table.render(output) }
}

/// Commits, warnings, the reason of a failure, and what to do next.
fn closing(out: &mut String, run: &Run, output: Output) {
    let clean = text::clean_line;
    if !run.commits.is_empty() {
        out.push('\n');
    }
    for commit in &run.commits {
        let name = Colour::Yellow.paint(&short(&commit.commit), output.colour);
        let item = commit.item.as_deref().map_or_else(String::new, |item| format!(" ({})", clean(item)));
        out.push_str(&format!("  {name}  {}{item}\n", clean(&commit.subject)));
    }
    if !run.warnings.is_empty() {
        out.push('\n');
    }
    for warning in &run.warnings {
        out.push_str(&format!("  {} {}\n", Colour::Yellow.paint("warning:", output.colour), clean(warning)));
    }
    if let Some(error) = &run.error {
        out.push_str(&format!("\n  {} {}\n", Colour::Red.paint("error:", output.colour), clean(error)));
    }
    out.push('\n');
    for step in next_steps(run) {
        out.push_str(&format!("next: {step}\n"));
    }
}

fn next_steps(run: &Run) -> Vec<String> {
    let id = run.run;
    let diff = run.branch.as_deref().filter(|_| !run.commits.is_empty()).map(|branch| {
        let repository = text::clean_line(&run.repository);
        format!(
            "git -C {} diff --stat {}..{}",
            quoted(&repository),
            quoted(&short(&run.base_commit)),
            quoted(&text::clean_line(branch))
        )
    });
    match run.state {
        RunState::Running => vec![format!("orxctl status {id} --follow"), format!("orxctl cancel {id}")],
        RunState::Done => diff.into_iter().chain([format!("orxctl clean {id}")]).collect(),
        RunState::Failed | RunState::Cancelled => {
            diff.into_iter().chain([format!("orxctl resume {id}"), format!("orxctl clean {id}")]).collect()
        }
    }
}

/// A word for a shell line that a person may copy.
fn quoted(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// What `orxctl run --dry-run` shows.
pub(crate) fn plan(params: &StartParams, output: Output) -> String {
    let chosen =
        |value: &Option<String>, default: &str| value.as_deref().map_or_else(|| default.to_owned(), text::clean_line);
    let mut facts = vec![
        ("repository", text::clean_line(&params.repository)),
        ("pipeline", chosen(&params.pipeline, "standard")),
        ("engine", chosen(&params.engine, "as orx.yaml says")),
    ];
    if let Some(settings) = &params.settings {
        facts.push(("settings", text::clean_json(&settings.to_string())));
    }
    let task: String = text::clean(&params.task).lines().map(|line| format!("    {line}\n")).collect();
    format!("{}  task\n{task}", table::pairs(&facts, output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::run::{Commit, Item, Stage};

    fn sample() -> Run {
        let stage = |name: &str, status: &str, ended: Option<u64>| Stage {
            stage: name.into(),
            status: status.into(),
            item: (name == "implement").then(|| "W001".into()),
            attempt: 1,
            session: Some("ses_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap()),
            started_at_ms: 1_700_000_010_000,
            ended_at_ms: ended,
            tokens: Tokens { input: Some(12_345), output: Some(678), cached: Some(1_000) },
            cost_microusd: Some(45_600),
            error: None,
        };
        let gate = |name: &str, verdict: &str, attempt| Gate {
            gate: name.into(),
            verdict: verdict.into(),
            required: true,
            item: Some("W001".into()),
            attempt,
            duration_ms: 4_200,
            log: Some("logs/pytest.log".into()),
            message: None,
        };
        Run {
            run: "run_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            state: RunState::Running,
            stage: "implement".into(),
            stages: vec![stage("plan", "completed", Some(1_700_000_050_000)), stage("implement", "running", None)],
            branch: Some("orx/01arz3".into()),
            worktree: Some("/home/ann/my repo/.worktrees/x".into()),
            items: vec![Item {
                id: "W001".into(),
                title: "add \u{1b}[31mthe\u{1b}[0m flag".into(),
                status: "in_progress".into(),
                attempts: 1,
                commit: None,
                note: None,
            }],
            gates: vec![gate("pytest", "failed", 1), gate("pytest", "passed", 2)],
            tokens: Tokens { input: Some(24_690), output: Some(1_356), cached: None },
            cost_microusd: None,
            error: None,
            repository: "/home/ann/my repo".into(),
            task: "add a --version flag\nand test it".into(),
            engine: "claude".into(),
            pipeline: "standard".into(),
            directory: "/home/ann/my repo/runs/x".into(),
            base_branch: "main".into(),
            base_commit: "0123456789abcdef0123456789abcdef01234567".into(),
            commits: Vec::new(),
            warnings: vec!["uncommitted work is not taken along".into()],
            created_at_ms: 1_700_000_000_000,
            ended_at_ms: None,
        }
    }

    #[test]
    fn a_run_under_way_is_shown_with_all_its_parts() {
        insta::assert_snapshot!("details", details(&sample(), 1_700_000_120_000, Output::plain(Some(100))));
        insta::assert_snapshot!("details_json", serde_json::to_string_pretty(&sample()).unwrap());
        assert_eq!(headline(&sample()), "running: implement W001");
    }

    #[test]
    fn a_summary_says_what_came_out_and_what_to_do_next() {
        let mut run = sample();
        run.state = RunState::Done;
        run.stage = "done".into();
        run.ended_at_ms = Some(1_700_000_180_000);
        run.items[0].status = "done".into();
        run.commits =
            vec![Commit { commit: "fedcba9876543210".into(), subject: "feat: flag".into(), item: Some("W001".into()) }];
        insta::assert_snapshot!("summary_done", summary(&run, 0, Output::plain(Some(100))));
        run.state = RunState::Failed;
        run.commits.clear();
        run.error = Some("gate pytest failed\u{7} three times".into());
        insta::assert_snapshot!("summary_failed", summary(&run, 0, Output::plain(Some(100))));
    }

    #[test]
    fn a_plan_shows_what_would_be_started() {
        let params = StartParams {
            repository: "/home/ann/repo".into(),
            task: "do\u{1b}[2J this\nand that".into(),
            pipeline: None,
            engine: Some("codex".into()),
            settings: Some(serde_json::json!({"git": {"base_branch": "main"}})),
        };
        insta::assert_snapshot!("plan", plan(&params, Output::plain(None)));
    }
}
