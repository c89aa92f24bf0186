//! `orxctl providers`.

use std::time::Duration;

use clap::Args;
use orx_protocol::api::Empty;
use orx_protocol::api::llm::{Mark, MarkParams, Providers as List};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{figures, render};

/// Arguments of `providers`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl providers
  orxctl providers --models
  orxctl providers --down openai --for 30m --reason 'incident 4711'
  orxctl providers --up openai
  orxctl providers --reset anthropic --model claude-opus-5-5

Keys come from the environment in which orchestratord is started. providers.yaml beside orchestratord.yaml adds providers
and models, or changes what is built in, field by field.")]
pub struct Providers {
    /// List the models, too
    #[arg(long)]
    pub models: bool,
    /// Close the breakers of a provider; sessions that it had parked go on
    #[arg(long, value_name = "PROVIDER", group = "mark")]
    pub reset: Option<String>,
    /// Ask a provider no more
    #[arg(long, value_name = "PROVIDER", group = "mark")]
    pub down: Option<String>,
    /// Ask a provider again
    #[arg(long, value_name = "PROVIDER", group = "mark")]
    pub up: Option<String>,
    /// One of the provider's models alone
    #[arg(long, requires = "mark")]
    pub model: Option<String>,
    /// For how long it is down, such as 30m [default: until it is marked up]
    #[arg(long = "for", value_name = "DURATION", requires = "down", value_parser = figures::parse_duration)]
    pub for_time: Option<Duration>,
    /// Why it is down
    #[arg(long, value_name = "TEXT", requires = "down")]
    pub reason: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: &Providers) -> Result<Status, Failure> {
    let marks = [(&arguments.reset, Mark::Reset), (&arguments.down, Mark::Down), (&arguments.up, Mark::Up)];
    let mark = marks.into_iter().find_map(|(provider, mark)| Some((provider.clone()?, mark)));
    let list: List = match mark {
        Some((provider, mark)) => {
            let params = MarkParams {
                provider,
                model: arguments.model.clone(),
                mark,
                for_ms: arguments.for_time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
                reason: arguments.reason.clone(),
            };
            context.call("llm.mark", &params).await?
        }
        None => context.call("llm.providers", &Empty {}).await?,
    };
    if context.output.json {
        context.output.json(&list)?;
        return Ok(Status::Done);
    }
    context.output.text(&render::money::providers(&list, context.output))?;
    for reason in render::money::reasons(&list) {
        context.output.note(&reason);
    }
    if arguments.models {
        context.output.text(&format!("\n{}", render::money::models(&list, context.output)))?;
    }
    Ok(Status::Done)
}
