//! `orxctl keys`.

use clap::Args;
use orx_protocol::api::session::KeysParams;
use serde_json::Value;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names;

/// Arguments of `keys`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl keys 5FAV escape
  orxctl keys 5FAV down down enter
  orxctl keys 5FAV ctrl-c")]
pub struct Keys {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// Keys: enter, escape, tab, up, ctrl-c, f5, alt-x, or single characters
    #[arg(required = true, value_name = "KEY")]
    pub keys: Vec<String>,
}

pub(crate) async fn run(context: &Context, arguments: Keys) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let result: Value = context.call("session.keys", &KeysParams { session, keys: arguments.keys }).await?;
    if context.output.json {
        context.output.json(&result)?;
    }
    Ok(Status::Done)
}
