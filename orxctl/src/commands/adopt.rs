//! `orxctl adopt`.

use std::path::{Path, PathBuf};

use clap::Args;
use orx_protocol::api::adopt::{AdoptParams, Adoptable, AdoptableParams, Candidate, Origin};
use orx_protocol::api::session::{AttachMode, Created};

use crate::commands::attach;
use crate::context::{self, Context};
use crate::failure::{Failure, Status};
use crate::progress::Progress;
use crate::table::{Cell, Table};
use crate::{terminal, text};

/// Arguments of `adopt`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl adopt                                  what there is: panes of tmux, background agents of Claude Code, threads of
                                                Codex's server, conversations and worktrees of this directory
  orxctl adopt tmux %3                          mirror a pane; it stays tmux's and outlives the session
  orxctl adopt agent 1a2b3c4d                   a background agent of Claude Code
  orxctl adopt agent 0199… --engine codex       a thread that Codex's own server has in hand, as another client
  orxctl adopt conversation 0199… --engine codex
  orxctl adopt server http://127.0.0.1:4096     a running server of opencode
  orxctl adopt worktree ../api-fix --engine claude")]
pub struct Adopt {
    /// tmux, agent, conversation, server or worktree; what there is when absent
    #[arg(value_parser = origin, requires = "target")]
    pub origin: Option<Origin>,
    /// Its name there
    pub target: Option<String>,
    /// The engine of a conversation or a background agent, or for a worktree
    #[arg(long)]
    pub engine: Option<String>,
    /// The directory of a conversation [default: this one], or of a server [default: its own]
    #[arg(long, value_name = "PATH")]
    pub cwd: Option<PathBuf>,
    /// A line that says what the session is for
    #[arg(short, long)]
    pub title: Option<String>,
    /// Do not attach; print the session's identifier
    #[arg(short, long)]
    pub detach: bool,
}

fn origin(word: &str) -> Result<Origin, String> {
    serde_json::from_value(serde_json::Value::from(word))
        .map_err(|_| format!("`{word}` is none of tmux, agent, conversation, server, worktree"))
}

pub(crate) async fn run(context: &Context, arguments: &Adopt) -> Result<Status, Failure> {
    let cwd = context::directory(arguments.cwd.as_deref().unwrap_or(Path::new(".")))?;
    let (Some(origin), Some(target)) = (arguments.origin, &arguments.target) else {
        return list(context, cwd).await;
    };
    let detach = arguments.detach || context.output.json;
    if !detach {
        terminal::require()?;
    }
    let target = if origin == Origin::Worktree { context::directory(Path::new(target))? } else { target.clone() };
    // What runs already has a directory of its own.
    let runs_elsewhere = matches!(origin, Origin::Agent | Origin::Server);
    let params = AdoptParams {
        origin,
        target,
        engine: arguments.engine.clone(),
        cwd: (arguments.cwd.is_some() || !runs_elsewhere).then_some(cwd),
        title: arguments.title.clone(),
    };
    let client = context.connect().await?;
    let progress = Progress::new(context.output, "adopting");
    let created: Created = progress.during(client.call("session.adopt", &params)).await?;
    if context.output.json {
        context.output.json(&created)?;
        return Ok(Status::Done);
    }
    if detach {
        context.output.text(&created.session.to_string())?;
        return Ok(Status::Done);
    }
    attach::attach(context, created.session, AttachMode::Control, false).await
}

async fn list(context: &Context, cwd: String) -> Result<Status, Failure> {
    let client = context.connect().await?;
    let progress = Progress::new(context.output, "looking around");
    let found: Adoptable =
        progress.during(client.call("session.adoptable", &AdoptableParams { cwd: Some(cwd) })).await?;
    if context.output.json {
        context.output.json(&found)?;
        return Ok(Status::Done);
    }
    if found.candidates.is_empty() {
        context.output.text("nothing to adopt")?;
    } else {
        context.output.text(table(&found.candidates, context).trim_end())?;
    }
    for note in &found.notes {
        context.output.note(&format!("not looked through: {}", text::clean_line(note)));
    }
    Ok(Status::Done)
}

fn table(candidates: &[Candidate], context: &Context) -> String {
    let mut table = Table::new(&["ORIGIN", "TARGET", "ENGINE", "SESSION", "WHAT", "DIRECTORY"]);
    for candidate in candidates {
        table.row(vec![
            Cell::new(candidate.origin.as_str()),
            Cell::new(text::clean_line(&candidate.target)),
            Cell::new(candidate.engine.as_deref().unwrap_or("-")),
            Cell::new(candidate.session.map_or_else(|| "-".to_owned(), |session| session.to_string())),
            Cell::new(text::clean_line(candidate.title.as_deref().unwrap_or("-"))),
            Cell::new(text::clean_line(&candidate.cwd)),
        ]);
    }
    table.render(context.output)
}
