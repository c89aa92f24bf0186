//! `orxctl checkpoint` and `orxctl restore`.

use clap::Args;
use orx_protocol::api::life::{Checkpoint as Taken, CheckpointParams, Checkpoints, RestoreParams};
use orx_protocol::api::session::SessionParams;
use orx_protocol::clock;

use crate::commands::new::variable;
use crate::commands::resume::take_up;
use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::figures;
use crate::names;
use crate::table::{Cell, Table};

/// Arguments of `checkpoint`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl checkpoint 5FAV --label \"before the migration\"
  orxctl checkpoint 5FAV --list

The files of a session's worktree are kept, and the name of its conversation. Files of your own checkout are not: orx
never writes to it. The last 100 are kept.")]
pub struct Checkpoint {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// A line that says what it is for
    #[arg(short, long)]
    pub label: Option<String>,
    /// List those that are kept
    #[arg(long, conflicts_with = "label")]
    pub list: bool,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl restore 5FAV
  orxctl restore 5FAV 3
  orxctl restore 5FAV 3 --rewind    the conversation too, where the engine allows it

What the session had is kept as a checkpoint first. One that runs is stopped, and taken up again afterwards.")]
pub struct Restore {
    /// The session: its identifier, or a unique beginning or end of it
    pub session: String,
    /// The checkpoint's number [default: the last]
    pub checkpoint: Option<u64>,
    /// Set the conversation back too; refused where the engine cannot
    #[arg(long)]
    pub rewind: bool,
    /// Do not attach
    #[arg(long)]
    pub detach: bool,
    /// A variable that the session was made with; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
}

pub(crate) async fn take(context: &Context, arguments: &Checkpoint) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    if arguments.list {
        let kept: Checkpoints = context.call("session.checkpoints", &SessionParams { session }).await?;
        if context.output.json {
            context.output.json(&kept)?;
        } else if kept.checkpoints.is_empty() {
            context.output.text("no checkpoints")?;
        } else {
            context.output.text(table(&kept, clock::now_ms(), context).trim_end())?;
        }
        return Ok(Status::Done);
    }
    let params = CheckpointParams { session, label: arguments.label.clone(), data: None };
    let taken: Taken = context.call("session.checkpoint", &params).await?;
    if context.output.json {
        context.output.json(&taken)?;
    } else {
        let files = if taken.commit.is_some() {
            "files and conversation"
        } else {
            "the conversation alone: it has no worktree"
        };
        context.output.text(&format!("{session}: checkpoint {}, {files}", taken.sequence))?;
    }
    Ok(Status::Done)
}

fn table(kept: &Checkpoints, now_ms: u64, context: &Context) -> String {
    let mut table = Table::new(&["CHECKPOINT", "AGE", "FILES", "CONVERSATION", "LABEL"]);
    for checkpoint in &kept.checkpoints {
        table.row(vec![
            Cell::new(checkpoint.sequence.to_string()),
            Cell::new(figures::age(checkpoint.at_ms, now_ms)),
            Cell::new(checkpoint.commit.as_deref().map_or("-", |commit| commit.get(..10).unwrap_or(commit))),
            Cell::new(checkpoint.conversation.as_deref().unwrap_or("-")),
            Cell::new(checkpoint.label.as_deref().unwrap_or("-")),
        ]);
    }
    table.render(context.output)
}

pub(crate) async fn restore(context: &Context, arguments: &Restore) -> Result<Status, Failure> {
    let session = names::session(context, &arguments.session).await?;
    let params = RestoreParams {
        session,
        sequence: arguments.checkpoint,
        rewind: arguments.rewind,
        env: arguments.env.iter().cloned().collect(),
    };
    take_up(context, "session.restore", &params, arguments.detach).await
}
