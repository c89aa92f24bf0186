//! `orxctl deny`.

use clap::Args;
use orx_protocol::api::approval::{Approvals, DecideParams, Decision, ListParams};

use crate::commands::allow;
use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{names, words};

/// Arguments of `deny`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl deny 5FAV --reason \"use the staging database\"
  orxctl deny --all

The agent is told the reason where its engine has a place for that.")]
pub struct Deny {
    /// The approvals: identifiers, or unique beginnings or ends of them
    #[arg(value_name = "APPROVAL", required_unless_present = "all")]
    pub approvals: Vec<String>,
    /// Everything that waits
    #[arg(long, conflicts_with = "approvals")]
    pub all: bool,
    /// Why: text, @file, or - for standard input
    #[arg(short, long, value_name = "TEXT|@FILE|-", allow_hyphen_values = true)]
    pub reason: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: &Deny) -> Result<Status, Failure> {
    let approvals = if arguments.all {
        let list: Approvals = context.call("approval.list", &ListParams::default()).await?;
        if list.approvals.is_empty() {
            return Err(Failure::failed("nothing waits that could be denied"));
        }
        list.approvals.into_iter().map(|approval| approval.approval).collect()
    } else {
        names::approvals(context, &arguments.approvals).await?
    };
    let reason = arguments.reason.as_deref().map(|given| words::read(given, "reason")).transpose()?;
    allow::decide(context, &DecideParams { approvals, decision: Decision::Deny, reason, answer: None }).await
}
