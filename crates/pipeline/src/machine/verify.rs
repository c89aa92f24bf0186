//! Verification: every gate runs, whatever those before it said.

use super::{Evidence, FailureCategory, GateReport, GateStep, Going, Stage, StageStatus, Verdict, Verification, Work};

/// Sessions of one gate that may disappear before that is its verdict.
const LOST: u32 = 3;

impl Going {
    /// Begins a verification within the stage.
    pub(super) fn gates(&mut self, full: bool) {
        let verification = Verification {
            full,
            gate: 0,
            step: GateStep::Check,
            session: self.moment.fresh,
            repaired: false,
            lost: 0,
            reports: Vec::new(),
        };
        self.run_gate(verification);
    }

    /// Runs the gate that is due, or concludes.
    fn run_gate(&mut self, verification: Verification) {
        if verification.gate < self.machine.rules.gates.len() {
            let session = self.moment.fresh;
            return self.go_on(Work::Gates(Verification { session, ..verification }));
        }
        // A repair changed the tree under gates that had passed: they look again, and nothing is repaired any more.
        if verification.repaired && verification.reports.len() > 1 {
            return self.run_gate(Verification {
                gate: 0,
                step: GateStep::Recheck,
                repaired: false,
                reports: Vec::new(),
                ..verification
            });
        }
        self.concluded(verification.reports);
    }

    /// A gate's session disappeared: it runs again, a bounded number of times.
    pub(super) fn gate_lost(&mut self, verification: Verification, report: GateReport) {
        let lost = verification.lost.saturating_add(1);
        if lost >= LOST {
            return self.gate_ended(verification, report);
        }
        self.warn(format!("the session {} of gate {} disappeared; it ran again", verification.session, report.gate));
        self.run_gate(Verification { lost, ..verification });
    }

    pub(super) fn gate_ended(&mut self, mut verification: Verification, report: GateReport) {
        let repairs = self.machine.current.is_some()
            && self.machine.rules.gates.get(verification.gate).is_some_and(|gate| gate.repairs);
        match verification.step {
            GateStep::Check if report.verdict == Verdict::Failed && repairs => {
                verification.step = GateStep::Repair;
            }
            GateStep::Repair => {
                verification.step = GateStep::Recheck;
                verification.repaired = true;
            }
            GateStep::Check | GateStep::Recheck => {
                verification.lost = 0;
                self.keep_verdict(&report);
                verification.reports.push(report);
                verification.gate += 1;
                // In the second round every gate only looks.
                let second = verification.step == GateStep::Recheck && !verification.repaired;
                verification.step = if second { GateStep::Recheck } else { GateStep::Check };
            }
        }
        self.run_gate(verification);
    }

    fn concluded(&mut self, reports: Vec<GateReport>) {
        if self.machine.current.is_none() {
            return self.whole_verified(reports);
        }
        let broken: Vec<GateReport> =
            reports.into_iter().filter(|report| report.required && !report.verdict.is_clear()).collect();
        if broken.is_empty() {
            return self.enter(Stage::Commit, Work::Commit);
        }
        let evidence = Evidence { gates: broken, diff: self.machine.change.diff.clone(), ..Evidence::default() };
        self.leave(StageStatus::Failed, Some((FailureCategory::GateFailure, evidence.summary())));
        self.attempt_failed(evidence);
    }
}
