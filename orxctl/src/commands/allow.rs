//! `orxctl allow`.

use clap::Args;
use orx_protocol::ApprovalId;
use orx_protocol::api::approval::{
    Approval, ApprovalKind, ApprovalParams, Approvals, DecideParams, Decided, Decision, ListParams, Part, Subject,
};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{names, render, words};

/// Arguments of `allow`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl allow 5FAV
  orxctl allow 5FAV 5XYZ --always
  orxctl allow --all
  orxctl allow 5FAV --answer \"the second one\"
  orxctl allow 5FAV --answer 2          the second of its choices
  orxctl allow 5FAV --answer 1 --answer 2,3
                                        two questions, in their order; of the second two choices

--always makes the narrowest rule that covers it the next time, and prints it; `orxctl rule` shows and removes rules.")]
pub struct Allow {
    /// The approvals: identifiers, or unique beginnings or ends of them
    #[arg(value_name = "APPROVAL", required_unless_present = "all")]
    pub approvals: Vec<String>,
    /// Everything that waits and is no question
    #[arg(long, conflicts_with = "approvals")]
    pub all: bool,
    /// Also what is like it, from now on
    #[arg(long, conflicts_with = "answer")]
    pub always: bool,
    /// The answer to a question: text, the number of a choice, @file, or - for standard input; once for each where several
    /// questions are asked together
    #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true, conflicts_with = "all")]
    pub answer: Vec<String>,
}

pub(crate) async fn run(context: &Context, arguments: &Allow) -> Result<Status, Failure> {
    let approvals =
        if arguments.all { waiting(context).await? } else { names::approvals(context, &arguments.approvals).await? };
    let given: Vec<String> =
        arguments.answer.iter().map(|given| words::read(given, "answer")).collect::<Result<_, _>>()?;
    let answer = if given.is_empty() { None } else { Some(chosen(context, &approvals, &given).await?) };
    let decision = if arguments.always { Decision::AllowAlways } else { Decision::Allow };
    decide(context, &DecideParams { approvals, decision, reason: None, answer }).await
}

/// What waits, questions aside: they are answered one by one.
async fn waiting(context: &Context) -> Result<Vec<ApprovalId>, Failure> {
    let list: Approvals = context.call("approval.list", &ListParams::default()).await?;
    let (questions, others): (Vec<Approval>, Vec<Approval>) =
        list.approvals.into_iter().partition(|approval| approval.kind == ApprovalKind::Question);
    if !questions.is_empty() {
        context
            .output
            .note(&format!("{} left: answer with `orxctl allow <approval> --answer`", count(questions.len())));
    }
    if others.is_empty() {
        return Err(Failure::failed("nothing waits that could be allowed"));
    }
    Ok(others.into_iter().map(|approval| approval.approval).collect())
}

fn count(questions: usize) -> String {
    if questions == 1 { "1 question is".to_owned() } else { format!("{questions} questions are") }
}

/// The answer, with the choices that are meant by their numbers.
async fn chosen(context: &Context, approvals: &[ApprovalId], given: &[String]) -> Result<String, Failure> {
    let [approval] = approvals else {
        return Err(Failure::usage("an answer is for one question: name one approval"));
    };
    let asked: Approval = context.call("approval.get", &ApprovalParams { approval: *approval }).await?;
    answer(&asked.subject, given).map_err(Failure::usage)
}

/// One answer as it is sent: a line for each part of the question, where it has parts.
fn answer(subject: &Subject, given: &[String]) -> Result<String, String> {
    if subject.parts.is_empty() || !subject.choices.is_empty() {
        let [only] = given else {
            return Err(format!("it is one question, and {} answers were given", given.len()));
        };
        return Ok(by_number(&subject.choices, only).unwrap_or_else(|| only.clone()));
    }
    // One text may hold all lines, as it is read from a file.
    let whole = given.join("\n");
    let lines: Vec<&str> = whole.lines().collect();
    if lines.len() != subject.parts.len() {
        let wanted = subject.parts.len();
        return Err(format!(
            "it has {wanted} questions, and {} answers were given: one for each, in their order",
            lines.len()
        ));
    }
    Ok(subject.parts.iter().zip(lines).map(|(part, line)| of_part(part, line)).collect::<Vec<_>>().join("\n"))
}

/// A line with the numbers of choices replaced by what they stand for.
fn of_part(part: &Part, line: &str) -> String {
    let labels: Vec<String> = part.choices.iter().map(|choice| choice.label.clone()).collect();
    if part.chosen(line).is_some() {
        return line.to_owned();
    }
    let named = |text: &str| by_number(&labels, text).unwrap_or_else(|| text.trim().to_owned());
    if part.several { line.split(',').map(named).collect::<Vec<_>>().join(", ") } else { named(line) }
}

/// The choice of this number, unless a choice is called so.
fn by_number(choices: &[String], text: &str) -> Option<String> {
    if choices.iter().any(|choice| choice == text.trim()) {
        return None;
    }
    choices.get(text.trim().parse::<usize>().ok()?.checked_sub(1)?).cloned()
}

/// Decides and says what became of it.
pub(crate) async fn decide(context: &Context, params: &DecideParams) -> Result<Status, Failure> {
    let decided: Decided = context.call("approval.decide", params).await?;
    if context.output.json {
        context.output.json(&decided)?;
        return Ok(Status::Done);
    }
    for approval in &decided.approvals {
        context.output.text(&render::approvals::line(approval))?;
    }
    for rule in &decided.rules {
        let covers = render::approvals::rule(rule);
        context.output.text(&format!("{}: always allowed from now on: {covers}", rule.rule))?;
    }
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::approval::Choice;

    fn part(choices: &[&str], several: bool) -> Part {
        let choices = choices.iter().map(|label| Choice { label: (*label).to_owned(), description: None }).collect();
        Part { question: "?".to_owned(), choices, several }
    }

    #[test]
    fn numbers_stand_for_choices_in_every_part() {
        let several =
            Subject { parts: vec![part(&["A", "B"], false), part(&["C", "D", "2"], true)], ..Subject::default() };
        let told = |subject: &Subject, given: &[&str]| {
            answer(subject, &given.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(told(&several, &["2", "1, 2"]).unwrap(), "B\nC, 2");
        assert_eq!(told(&several, &["A\nC, D"]).unwrap(), "A\nC, D");
        assert_eq!(told(&several, &["9", "none"]).unwrap(), "9\nnone", "the daemon says what would fit");
        assert!(told(&several, &["1"]).unwrap_err().contains("2 questions, and 1 answers"));
        let one = Subject { choices: vec!["Red".to_owned()], ..Subject::default() };
        assert_eq!(told(&one, &["1"]).unwrap(), "Red");
        assert!(told(&one, &["1", "1"]).unwrap_err().contains("one question"));
    }
}
