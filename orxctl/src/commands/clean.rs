//! `orxctl clean`.

use clap::Args;
use orx_protocol::RunId;
use orx_protocol::api::run::{CleanParams, Cleaned, ListParams, Runs};
use serde::Serialize;

use crate::context::{self, Context};
use crate::failure::{Failure, Status};
use crate::progress::Progress;
use crate::{names, text};

/// Arguments of `clean`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl clean 5FAV
  orxctl clean all        every ended run of the repository of this directory
  orxctl clean 5FAV -f    also work that is on no branch")]
pub struct Clean {
    /// The run: its identifier, or a unique beginning or end of it; or `all`
    #[arg(value_name = "RUN|all")]
    pub run: String,
    /// Also when the worktree holds work that is on no branch
    #[arg(short, long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Outcome {
    run: RunId,
    #[serde(flatten)]
    cleaned: Cleaned,
}

pub(crate) async fn run(context: &Context, arguments: &Clean) -> Result<Status, Failure> {
    let all = arguments.run == "all";
    let runs = if all {
        let repository = Some(context::repository(".".as_ref())?);
        let list: Runs = context.call("run.list", &ListParams { repository, limit: Some(1000) }).await?;
        list.runs.into_iter().filter(|run| run.state.is_final()).map(|run| run.run).collect()
    } else {
        vec![names::run(context, &arguments.run).await?]
    };
    let client = context.connect().await?;
    let mut outcomes = Vec::new();
    let mut failed = false;
    for run in runs {
        let progress = Progress::new(context.output, format!("cleaning {run}"));
        let params = CleanParams { run, force: arguments.force };
        match progress.during(client.call::<_, Cleaned>("run.clean", &params)).await {
            // Of all runs, those that were cleaned before are passed over.
            Ok(cleaned) if all && cleaned.removed.is_empty() && cleaned.kept.is_empty() => {}
            Ok(cleaned) => outcomes.push(Outcome { run, cleaned }),
            Err(error) if error.is_disconnect() || !all => return Err(error.into()),
            Err(error) => {
                failed = true;
                context.output.failure(&Failure { message: format!("{run}: {error}"), ..Failure::from(error) });
            }
        }
    }
    if context.output.json {
        context.output.json(&outcomes)?;
    } else {
        show(context, &outcomes, arguments.force)?;
    }
    let kept = outcomes.iter().any(|outcome| !outcome.cleaned.kept.is_empty());
    Ok(Status::of_success(!failed && (!kept || all)))
}

fn show(context: &Context, outcomes: &[Outcome], force: bool) -> Result<(), Failure> {
    if outcomes.is_empty() {
        context.output.note("nothing of an ended run is left in this repository");
    }
    for Outcome { run, cleaned } in outcomes {
        if cleaned.removed.is_empty() && cleaned.kept.is_empty() {
            context.output.text(&format!("{run}: nothing to remove"))?;
        }
        for path in &cleaned.removed {
            context.output.text(&format!("{run}: removed {}", text::clean_line(path)))?;
        }
        for why in &cleaned.kept {
            context.output.text(&format!("{run}: kept {}", text::clean_line(why)))?;
        }
        if let Some(branch) = &cleaned.branch {
            context.output.text(&format!("{run}: the branch {branch} stays"))?;
        }
        if !cleaned.kept.is_empty() && !force {
            context.output.note(&format!("`orxctl clean {run} -f` removes also what is on no branch"));
        }
    }
    Ok(())
}
