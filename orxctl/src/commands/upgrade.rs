//! `orxctl upgrade`.

use clap::Args;
use orx_protocol::api::session::{UpgradeParams, Upgrades};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::{figures, names, text};

/// Arguments of `upgrade`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl upgrade
  orxctl upgrade 5FAV
  orxctl up --replace

The processes that hold sessions go on as the version that is installed, with what they hold: programs and attached
viewers notice nothing. `orxctl up --replace` does the same for the daemon, and then for all of them.")]
pub struct Upgrade {
    /// The session: its identifier, or a unique beginning or end of it; all that run when absent
    pub session: Option<String>,
}

pub(crate) async fn run(context: &Context, arguments: &Upgrade) -> Result<Status, Failure> {
    let session = match &arguments.session {
        Some(name) => Some(names::session(context, name).await?),
        None => None,
    };
    let done: Upgrades = context.call("session.upgrade", &UpgradeParams { session }).await?;
    if context.output.json {
        context.output.json(&done)?;
    } else {
        for upgraded in &done.upgraded {
            context.output.text(&format!(
                "{}: held by version {}",
                upgraded.session,
                text::clean_line(&upgraded.version)
            ))?;
        }
        for failed in &done.failed {
            context.output.warning(&format!("{} goes on as it was: {}", failed.session, text::clean_line(&failed.why)));
        }
        let count = |count: usize| figures::plural(u64::try_from(count).unwrap_or(u64::MAX), "session");
        if done.upgraded.is_empty() && done.failed.is_empty() {
            context.output.text(&format!("{} up to date", count(done.current.len())))?;
        }
    }
    Ok(if done.failed.is_empty() { Status::Done } else { Status::Failed })
}
