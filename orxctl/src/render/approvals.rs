//! Approvals and rules for whoever decides.

use orx_protocol::api::approval::{Approval, ApprovalKind, ApprovalState, Delivery, Rule};
use orx_protocol::api::session::Session;

use crate::figures;
use crate::output::{Colour, Output};
use crate::table::{Cell, Table};
use crate::visible::{self, Fold};

/// Lines of a command, question or plan, and of a diff, that are shown unless all is wanted.
const TEXT: Fold = Fold::Ends(16, 4);
const DIFF: Fold = Fold::Ends(30, 6);
/// Columns before a text of an agent: two blanks, the bar and another.
const BAR: usize = 4;
/// Columns before a field's value.
const FIELD: usize = 11;
/// Files that are named unless all is wanted.
const FILES: Fold = Fold::Ends(8, 1);

/// One approval, with everything that is needed to decide; folded unless `whole`.
pub(crate) fn detail(
    approval: &Approval,
    session: Option<&Session>,
    now_ms: u64,
    whole: bool,
    output: Output,
) -> String {
    let colour = |colour: Colour, text: &str| colour.paint(text, output.colour);
    let fold = |fold: Fold| if whole { Fold::None } else { fold };
    let mut out = String::new();
    let age = figures::age(approval.created_at_ms, now_ms);
    out.push_str(&format!(
        "{}  {}, {age} ago\n",
        colour(Colour::Bold, &approval.approval.to_string()),
        visible::line(&approval.engine),
    ));
    if approval.state != ApprovalState::Pending {
        out.push_str(&format!("  {}\n", state(approval)));
    }
    let mut field = |name: &str, value: &str| {
        let value = visible::line(value);
        let rows = output
            .columns
            .map_or_else(|| vec![value.clone()], |width| visible::rows(&value, width.saturating_sub(FIELD)));
        for (row, name) in rows.iter().zip(std::iter::once(name).chain(std::iter::repeat(""))) {
            out.push_str(&format!("  {} {row}\n", colour(Colour::Dim, &format!("{name:<8}"))));
        }
    };
    let title = session.and_then(|session| session.title.as_deref()).map_or_else(String::new, |t| format!(" ({t})"));
    field("session", &format!("{}{title}", approval.session));
    let subject = &approval.subject;
    let tool = subject.tool.as_ref().map_or_else(String::new, |tool| format!(" ({tool})"));
    field("wants", &format!("{}{tool}", wants(approval.kind)));
    if let Some(cwd) = &subject.cwd {
        field("in", cwd);
    }
    if let Some(why) = &subject.why {
        field("why", why);
    }
    if let Some(expires) = approval.expires_at_ms.filter(|_| approval.state == ApprovalState::Pending) {
        field("expires", &format!("in {}", figures::duration_ms(expires.saturating_sub(now_ms))));
    }
    if let Some(message) = approval.message.as_deref().filter(|_| approval.state == ApprovalState::Pending) {
        field("note", message);
    }
    let mut block = |name: &str, lines: Vec<String>, paint: &dyn Fn(&str) -> Colour| {
        out.push_str(&format!("  {}\n", colour(Colour::Dim, name)));
        for line in lines {
            let paint = paint(&line);
            let rows = output
                .columns
                .map_or_else(|| vec![line.clone()], |width| visible::rows(&line, width.saturating_sub(BAR)));
            for row in rows {
                // The bar stands before every row, so that no text of an agent can look like one of ours.
                out.push_str(&format!("  {} {}\n", colour(Colour::Dim, "│"), colour(paint, &row)));
            }
        }
    };
    if let Some(command) = &subject.command {
        block("command", visible::block(command, fold(TEXT)), &|_| Colour::Bold);
    }
    if !subject.paths.is_empty() {
        block("files", visible::block(&subject.paths.join("\n"), fold(FILES)), &|_| Colour::Plain);
    }
    if let Some(diff) = &subject.diff {
        block("change", visible::block(diff, fold(DIFF)), &of_diff);
    }
    for (number, part) in (1..).zip(&subject.parts) {
        let how = if part.several { " (several may be named)" } else { "" };
        let name = match subject.parts.len() {
            1 => format!("question{how}"),
            count => format!("question {number} of {count}{how}"),
        };
        let mut lines = visible::block(&part.question, fold(TEXT));
        lines.extend((1..).zip(&part.choices).map(|(number, choice)| {
            let means = choice.description.as_deref().map_or_else(String::new, |words| format!(": {words}"));
            visible::line(&format!("{number}. {}{means}", choice.label))
        }));
        block(&name, lines, &|_| Colour::Plain);
    }
    if let Some(question) = subject.question.as_ref().filter(|_| subject.parts.is_empty()) {
        let name = match approval.kind {
            ApprovalKind::Question => "question",
            ApprovalKind::Plan => "plan",
            _ => "with",
        };
        block(name, visible::block(question, fold(TEXT)), &|_| Colour::Plain);
    }
    if !subject.choices.is_empty() && subject.parts.is_empty() {
        let choices = subject
            .choices
            .iter()
            .enumerate()
            .map(|(index, choice)| format!("{}. {}", index + 1, visible::line(choice)));
        block("choices", choices.collect(), &|_| Colour::Plain);
    }
    out
}

const fn wants(kind: ApprovalKind) -> &'static str {
    match kind {
        ApprovalKind::Command => "to run a command",
        ApprovalKind::FileChange => "to change files",
        ApprovalKind::Tool => "to use a tool",
        ApprovalKind::Access => "wider access",
        ApprovalKind::Plan => "its plan confirmed",
        ApprovalKind::Question => "an answer",
    }
}

fn of_diff(line: &str) -> Colour {
    match line.chars().next() {
        Some('+') => Colour::Green,
        Some('-') => Colour::Red,
        Some('@') => Colour::Dim,
        _ => Colour::Plain,
    }
}

/// Where a decided approval stands, with who decided and whether the engine heard it.
fn state(approval: &Approval) -> String {
    let by = approval.decided_by.as_deref().map_or_else(String::new, |by| format!(" by {}", visible::line(by)));
    let reason = approval.reason.as_deref().map_or_else(String::new, |reason| format!(": {}", visible::line(reason)));
    let message = approval.message.as_deref().map_or_else(String::new, |why| format!(" ({})", visible::line(why)));
    let heard = match (approval.state, approval.delivery) {
        (ApprovalState::Pending | ApprovalState::Withdrawn, _) | (_, Delivery::Delivered) => "",
        (_, Delivery::Pending) => ", on its way",
        (_, Delivery::Failed) => ", and the engine was not told",
    };
    format!("{}{by}{reason}{heard}{message}", approval.state.as_str())
}

/// Characters of an identifier's end by which it is named here.
const SHORT: usize = 6;

/// How the first of these that waits is decided; `None` when none waits.
pub(crate) fn next_step(approvals: &[Approval]) -> Option<String> {
    let waiting = approvals.iter().find(|approval| approval.state == ApprovalState::Pending)?;
    let name = waiting.approval.to_string();
    let name = name.get(name.len().saturating_sub(SHORT)..).unwrap_or(&name);
    Some(match waiting.kind {
        ApprovalKind::Question => format!("`orxctl allow {name} --answer …` answers it, `orxctl deny {name}` does not"),
        _ => format!(
            "`orxctl allow {name}` allows it once, with `--always` what is like it too; `orxctl deny {name}` denies it"
        ),
    })
}

/// One line about an approval: what became of it.
pub(crate) fn line(approval: &Approval) -> String {
    format!("{}: {}: {}", approval.approval, visible::line(&approval.title), state(approval))
}

/// What a rule covers, in words.
pub(crate) fn rule(rule: &Rule) -> String {
    let mut parts = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            parts.push(format!("{name} {}", visible::line(&value)));
        }
    };
    add("kind", rule.kind.map(|kind| kind.as_str().to_owned()));
    add("engine", rule.engine.clone());
    add("tool", rule.tool.clone());
    add("command", rule.command.clone());
    add("path", rule.path.clone());
    add("in", rule.cwd.clone());
    add("session", rule.session.map(|session| session.to_string()));
    if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
}

/// A table of rules.
pub(crate) fn rules(rules: &[Rule], now_ms: u64, output: Output) -> String {
    let mut table = Table::new(&["RULE", "EFFECT", "AGE", "ENDS", "COVERS"]).wrapping();
    for each in rules {
        let ends = match each.expires_at_ms {
            None => "-".to_owned(),
            Some(at) if at <= now_ms => "ended".to_owned(),
            Some(at) => format!("in {}", figures::duration_ms(at - now_ms)),
        };
        table.row(vec![
            Cell::new(each.rule.to_string()),
            Cell::word(each.effect.as_str()),
            Cell::new(figures::age(each.created_at_ms, now_ms)),
            Cell::new(ends),
            Cell::new(rule(each)),
        ]);
    }
    table.render(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::approval::{Choice, Effect, Part, Road, Subject};

    fn approval(kind: ApprovalKind, subject: Subject) -> Approval {
        Approval {
            title: "run\u{1b}[2K touch x\ny".to_owned(),
            subject,
            ..Approval::pending(
                "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
                "ses_01ARZ3NDEKTSV4RRFFQ69G5XYZ".parse().unwrap(),
                "claude",
                kind,
                Road::Hook,
                1_700_000_000_000,
            )
        }
    }

    #[test]
    fn a_command_is_shown_with_everything_that_could_hide_in_it() {
        let subject = Subject {
            tool: Some("Bash".to_owned()),
            command: Some("echo ok\u{1b}[1A\u{1b}[2K\nrm -rf \u{202e}x".to_owned()),
            cwd: Some("/w".to_owned()),
            why: Some("to look\n  expires never".to_owned()),
            ..Subject::default()
        };
        let shown =
            detail(&approval(ApprovalKind::Command, subject), None, 1_700_000_060_000, false, Output::plain(None));
        insta::assert_snapshot!(shown, @r"
        apr_01ARZ3NDEKTSV4RRFFQ69G5FAV  claude, 1m ago
          session  ses_01ARZ3NDEKTSV4RRFFQ69G5XYZ
          wants    to run a command (Bash)
          in       /w
          why      to look⏎  expires never
          command
          │ echo ok\u{1b}[1A\u{1b}[2K
          │ rm -rf \u{202e}x
        ");
    }

    #[test]
    fn questions_have_numbered_choices_and_diffs_are_folded_with_a_count() {
        let subject = Subject {
            question: Some("Which?".to_owned()),
            choices: vec!["A".to_owned(), "B".to_owned()],
            diff: Some((0..100).map(|number| format!("+line {number}\n")).collect()),
            paths: vec!["/w/a".to_owned()],
            ..Subject::default()
        };
        let asked = approval(ApprovalKind::Question, subject);
        let shown = detail(&asked, None, 1_700_000_000_000, false, Output::plain(None));
        assert!(shown.contains("│ 2. B") && shown.contains("│ … 64 lines are folded …"), "{shown}");
        let whole = detail(&asked, None, 1_700_000_000_000, true, Output::plain(None));
        assert!(whole.contains("+line 50") && !whole.contains("folded"), "{whole}");
    }

    #[test]
    fn on_a_narrow_terminal_every_row_of_an_agents_text_has_its_bar() {
        let part = |several, labels: &[&str]| Part {
            question: "Which database should the new service use for its primary storage?".to_owned(),
            choices: labels
                .iter()
                .map(|label| Choice { label: (*label).to_owned(), description: Some("what others use".to_owned()) })
                .collect(),
            several,
        };
        let subject = Subject {
            question: Some("not shown beside its parts".to_owned()),
            parts: vec![part(false, &["PostgreSQL", "SQLite"]), part(true, &["A"])],
            why: Some("because the one that is there now loses what it was told when the power fails".to_owned()),
            ..Subject::default()
        };
        let asked = approval(ApprovalKind::Question, subject);
        let shown = detail(&asked, None, 1_700_000_000_000, false, Output::plain(Some(50)));
        insta::assert_snapshot!(shown, @r"
        apr_01ARZ3NDEKTSV4RRFFQ69G5FAV  claude, 0s ago
          session  ses_01ARZ3NDEKTSV4RRFFQ69G5XYZ
          wants    an answer
          why      because the one that is there now
                   loses what it was told when the power
                   fails
          question 1 of 2
          │ Which database should the new service use for
          │ its primary storage?
          │ 1. PostgreSQL: what others use
          │ 2. SQLite: what others use
          question 2 of 2 (several may be named)
          │ Which database should the new service use for
          │ its primary storage?
          │ 1. A: what others use
        ");
    }

    #[test]
    fn the_next_step_is_what_decides_the_first_that_waits() {
        let command = approval(ApprovalKind::Command, Subject::default());
        let step = next_step(std::slice::from_ref(&command)).unwrap();
        let name = command.approval.to_string();
        assert!(step.contains(&format!("orxctl allow {}`", &name[name.len() - SHORT..])), "{step}");
        let question = approval(ApprovalKind::Question, Subject::default());
        let decided = Approval { state: ApprovalState::Denied, ..command };
        assert!(next_step(&[decided.clone(), question]).unwrap().contains("--answer"));
        assert_eq!(next_step(&[decided]), None);
    }

    #[test]
    fn what_became_of_it_is_one_line() {
        let mut asked = approval(ApprovalKind::Command, Subject::default());
        asked.state = ApprovalState::Denied;
        asked.decided_by = Some("unix socket, process 7 (orxctl), user 0".to_owned());
        asked.reason = Some("not\nnow".to_owned());
        asked.delivery = Delivery::Failed;
        assert_eq!(
            line(&asked),
            "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV: run\\u{1b}[2K touch x⏎y: denied by unix socket, process 7 (orxctl), user 0: not⏎now, and the engine was not told"
        );
    }

    #[test]
    fn rules_say_what_they_cover() {
        let open = Rule {
            rule: "rul_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            effect: Effect::Deny,
            engine: None,
            kind: None,
            tool: None,
            command: Some("git push *".to_owned()),
            path: None,
            cwd: Some("/w".to_owned()),
            session: None,
            expires_at_ms: Some(1_700_000_120_000),
            created_at_ms: 1_700_000_000_000,
            created_by: "x".to_owned(),
            reason: None,
        };
        insta::assert_snapshot!(rules(&[open], 1_700_000_060_000, Output::plain(None)), @r"
        RULE                            EFFECT  AGE  ENDS       COVERS
        rul_01ARZ3NDEKTSV4RRFFQ69G5FAV  deny    1m   in 1m 00s  command git push *, in /w
        ");
    }
}
