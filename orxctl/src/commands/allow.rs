//! `orxctl allow`.

use clap::Args;
use orx_protocol::ApprovalId;
use orx_protocol::api::approval::{
    Approval, ApprovalKind, ApprovalParams, Approvals, DecideParams, Decided, Decision, ListParams,
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
    /// The answer to a question: text, the number of a choice, @file, or - for standard input
    #[arg(long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true, conflicts_with = "all")]
    pub answer: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: &Allow) -> Result<Status, Failure> {
    let approvals =
        if arguments.all { waiting(context).await? } else { names::approvals(context, &arguments.approvals).await? };
    let answer = match &arguments.answer {
        Some(given) => Some(chosen(context, &approvals, words::read(given, "answer")?).await?),
        None => None,
    };
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

/// The answer, or the choice that is meant by its number.
async fn chosen(context: &Context, approvals: &[ApprovalId], answer: String) -> Result<String, Failure> {
    let [approval] = approvals else {
        return Err(Failure::usage("an answer is for one question: name one approval"));
    };
    let asked: Approval = context.call("approval.get", &ApprovalParams { approval: *approval }).await?;
    let choices = &asked.subject.choices;
    if choices.contains(&answer) {
        return Ok(answer);
    }
    let by_number = answer.trim().parse::<usize>().ok().and_then(|number| choices.get(number.checked_sub(1)?));
    Ok(by_number.cloned().unwrap_or(answer))
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
