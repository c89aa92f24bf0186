//! `orxctl cost`.

use std::time::Duration;

use clap::Args;
use orx_protocol::api::llm::{Usage, UsageParams};
use orx_protocol::clock::now_ms;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{figures, render};

/// Arguments of `cost`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl cost
  orxctl cost --by session --since 7d
  orxctl cost --by stage --run run_01M8NRJYGG2DSNXHK42MQNAKHV
  orxctl cost --against claude-opus-5-5

It counts calls that went through the gateway. `~` marks lines with estimates, because a provider did not say what a call
used; `?` marks lines with calls whose price is not known, which are not in the sum.")]
pub struct Cost {
    /// What calls are put together by: provider, model, session, run, stage, project, user, key, kind or day
    #[arg(long, default_value = "model", value_parser = ["provider", "model", "session", "run", "stage", "project", "user", "key", "kind", "day"])]
    pub by: String,
    /// Since how long ago, such as 12h or 7d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = figures::parse_duration)]
    pub since: Duration,
    /// Calls of one session
    #[arg(long)]
    pub session: Option<String>,
    /// Calls of one run
    #[arg(long)]
    pub run: Option<String>,
    /// A model to hold the calls against: what they would have cost there
    #[arg(long, value_name = "MODEL")]
    pub against: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: &Cost) -> Result<Status, Failure> {
    let since = u64::try_from(arguments.since.as_millis()).unwrap_or(u64::MAX);
    let params = UsageParams {
        by: Some(arguments.by.clone()),
        since_ms: Some(now_ms().saturating_sub(since)),
        session: arguments.session.clone(),
        run: arguments.run.clone(),
        against: arguments.against.clone(),
    };
    let usage: Usage = context.call("llm.usage", &params).await?;
    if context.output.json {
        context.output.json(&usage)?;
        return Ok(Status::Done);
    }
    if usage.lines.is_empty() {
        context.output.note("no call of a model went through the gateway in this time");
        context.output.note("`gateway: {sessions: routed}` in orchestratord.yaml leads sessions through it");
        return Ok(Status::Done);
    }
    context.output.text(&render::money::usage(&usage, context.output))?;
    if usage.is_partial {
        context
            .output
            .note("there were more calls than are counted at once: the newest are missing; ask for a shorter time");
    }
    if usage.from_cache > 0 {
        let saved = figures::money(Some(usage.saved_by_cache_microusd));
        context.output.note(&format!("{} of these came out of the cache, which saved {saved}", usage.from_cache));
    }
    for line in usage.savings.iter().chain(&usage.advice) {
        context.output.note(line);
    }
    Ok(Status::Done)
}
