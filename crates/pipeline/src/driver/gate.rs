//! The effect that runs a gate, held like an engine.

use std::collections::BTreeMap;

use orx_protocol::hold::Ended;
use orx_protocol::process::EndReason;
use orx_protocol::{SessionId, clock};
use orx_sandbox::environment::{self, BUILD_TOOLS};
use orx_workspace::Worktree;

use super::Pipeline;
use super::answer::written;
use super::effects::{Halt, Performed, Tree, commit_id};
use super::tree::{again, remove_residue, write};
use crate::gates::{self, Planned, Situation};
use crate::guardrails::secrets;
use crate::machine::{GateReport, GateStep, Input, Stage, Verdict};
use crate::port::{HeldRequest, HostError, SessionHost};
use crate::record::Record;
use crate::settings::load::FILE;
use crate::{files, settings::Gate};

impl<H: SessionHost> Pipeline<H> {
    /// Runs a gate. After the last one, new files that the gates left are removed: they are no work of the item, and the
    /// next attempt must not take them for it.
    pub(super) async fn gate(
        &self,
        record: &Record,
        tree: &Tree,
        gate: usize,
        step: GateStep,
        full: bool,
        session: SessionId,
    ) -> Result<Performed, Halt> {
        let worktree = self.tree(record, tree).await?;
        let mut performed = self.run_gate(record, worktree, gate, step, full, session).await?;
        if gate + 1 >= record.machine.rules.gates.len() && record.machine.current.is_some() {
            performed.warnings.extend(remove_residue(record, worktree).await?);
        }
        Ok(performed)
    }

    async fn run_gate(
        &self,
        record: &Record,
        worktree: &Worktree,
        gate: usize,
        step: GateStep,
        full: bool,
        session: SessionId,
    ) -> Result<Performed, Halt> {
        let rule = record.machine.rules.gates.get(gate);
        let gates = record.settings.gates.as_deref().unwrap_or_default();
        let own = rule.and_then(|rule| gates.iter().find(|gate| gate.name == rule.name));
        let Some(gate) = own else {
            return Err(Halt::Broke("a gate is asked for that the settings do not have".to_owned()));
        };
        let search_path = self.search_path();
        let situation = Situation {
            worktree: worktree.path(),
            search_path: search_path.as_deref(),
            changed: &record.machine.change.paths,
            run: &record.settings.run,
            full,
        };
        let attempt = attempt(record);
        let blank = |verdict, message| GateReport {
            gate: gate.name.clone(),
            verdict,
            required: gate.required,
            item: record.machine.current.clone(),
            attempt,
            duration_ms: 0,
            log: None,
            message,
            tail: String::new(),
        };
        let (argv, timeout, own) = match gates::plan(gate, step, situation) {
            Planned::Skip(why) => return Ok(Performed::of(Input::GateEnded(blank(Verdict::Skipped, Some(why))))),
            Planned::Cannot(why) => return Ok(Performed::of(Input::GateEnded(blank(Verdict::Error, Some(why))))),
            Planned::Run { argv, timeout, own } => (argv, timeout, own),
        };
        let mut warnings = Vec::new();
        let changed = self.changed_since_base(worktree, record).await?;
        if changed.iter().any(|path| path == FILE) {
            warnings.push(format!("{FILE} was changed in this run: the run keeps to the settings it started with"));
        }
        if let Some(own) = own.filter(|own| changed.contains(own)) {
            let why = format!(
                "its program {own} was changed in this run, so its verdict would say nothing; take that change back, or make it by hand"
            );
            return Ok(Performed { warnings, ..Performed::of(Input::GateEnded(blank(Verdict::Error, Some(why)))) });
        }
        let request = HeldRequest {
            session,
            owner: format!("{}/{}", record.run, Stage::Verify.as_str()),
            engine: "gate".to_owned(),
            title: format!("gate {} of {}", gate.name, record.machine.current.as_deref().unwrap_or("the whole")),
            argv: argv.clone(),
            confined_argv: None,
            writes: true,
            cwd: worktree.path().to_owned(),
            environment: gate_environment(&self.engines().environment),
            input: None,
            deadline_ms: timeout.saturating_mul(1000),
        };
        let begun_ms = clock::now_ms();
        let outcome = match self.held(request).await? {
            Ok(outcome) => outcome,
            Err(why) => {
                return Ok(Performed { warnings, ..Performed::of(Input::GateEnded(blank(Verdict::Error, Some(why)))) });
            }
        };
        let written = written(&outcome).await.map_err(Halt::file(&outcome.directory))?;
        let log = log_text(&argv, &outcome.ended, &written.output, &written.error);
        let path = log_path(record, gate, step, attempt);
        write(record.directory(), path.clone(), log.clone()).await?;
        let (mut verdict, mut message) = gates::verdict(&outcome.ended, timeout);
        if step == GateStep::Repair && verdict == Verdict::Failed {
            // What is left to repair by hand is what the next look will tell.
            (verdict, message) = (Verdict::Passed, None);
        }
        let report = GateReport {
            duration_ms: outcome.ended.ended_at_ms.saturating_sub(written.started_at_ms.unwrap_or(begun_ms)),
            log: Some(path),
            tail: if verdict.is_clear() { String::new() } else { gates::tail(&log) },
            ..blank(verdict, message)
        };
        let input =
            if outcome.ended.reason == EndReason::Lost { Input::GateLost(report) } else { Input::GateEnded(report) };
        Ok(Performed { warnings, ..Performed::of(input) })
    }

    /// The end of a held process, which is found again or started. The inner error is a sentence on why it cannot start.
    async fn held(&self, request: HeldRequest) -> Result<Result<crate::port::HeldOutcome, String>, Halt> {
        let host = &self.parts().host;
        let session = request.session;
        match host.wait(session).await {
            Err(HostError::Unknown(_)) => {}
            found => return Ok(Ok(found?)),
        }
        match host.start(request).await {
            Ok(()) => Ok(Ok(host.wait(session).await?)),
            Err(HostError::Draining) => Err(Halt::Draining),
            Err(error @ (HostError::Failed(_) | HostError::Unknown(_))) => {
                Ok(Err(format!("it could not be started: {error}")))
            }
        }
    }

    async fn changed_since_base(&self, worktree: &Worktree, record: &Record) -> Result<Vec<String>, Halt> {
        let stats = worktree.diff_stats(&commit_id(&record.machine.base)?).await?;
        Ok(stats.files.into_iter().map(|file| file.path.to_string_lossy().into_owned()).collect())
    }
}

/// Which attempt is verified: of the item, or the how many-th verification of the whole.
fn attempt(record: &Record) -> u32 {
    match record.machine.item() {
        Some(item) => item.attempts,
        None => record.machine.stages.last().map_or(1, |stage| stage.attempt),
    }
}

fn log_path(record: &Record, gate: &Gate, step: GateStep, attempt: u32) -> String {
    let name: String = gate
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '_' })
        .collect();
    let of = record.machine.current.as_deref().unwrap_or("whole");
    let step = match step {
        GateStep::Check => "",
        GateStep::Repair => "-repair",
        GateStep::Recheck => "-recheck",
    };
    format!("logs/gates/{name}-{of}-{attempt}{step}{}.log", again(record))
}

fn log_text(argv: &[String], ended: &Ended, output: &[u8], error: &[u8]) -> String {
    let exit = ended.exit.map_or_else(|| "unknown end".to_owned(), |exit| exit.to_string());
    let mut text = gates::plain(&String::from_utf8_lossy(output));
    if !error.is_empty() {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&gates::plain(&String::from_utf8_lossy(error)));
    }
    secrets::redact(&format!("$ {}\n{}\n[{exit}]\n", argv.join(" "), files::log_end(text.trim_end())))
}

/// What a gate sees of the operator's environment: who the user is and where tools are, and no keys.
fn gate_environment(operator: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut found = environment::base(operator);
    for name in BUILD_TOOLS {
        if let Some(value) = operator.get(name) {
            found.insert(name.to_owned(), value.clone());
        }
    }
    for (name, value) in [
        ("TERM", "dumb"),
        ("NO_COLOR", "1"),
        ("CI", "1"),
        ("PYTHONDONTWRITEBYTECODE", "1"),
        // Python takes compiled code for current by the second and the size: a quick edit would be judged by the old code.
        ("PYTHONPYCACHEPREFIX", "/nonexistent"),
    ] {
        found.insert(name.to_owned(), value.to_owned());
    }
    found.remove("COLORTERM");
    found
}
