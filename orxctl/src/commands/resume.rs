//! `orxctl resume`.

use clap::Args;
use orx_protocol::RunId;
use orx_protocol::SessionId;
use orx_protocol::api::life::{Again, AgainParams};
use orx_protocol::api::run::RunParams;
use orx_protocol::api::session::AttachMode;
use serde_json::Value;

use crate::commands::attach;
use crate::commands::new::variable;
use crate::commands::run::conclude;
use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::names::{self, Target};
use crate::progress::Progress;
use crate::{terminal, text};

/// Arguments of `resume`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl resume 5FAV                 a run: goes on where it stopped; a session: its conversation
  orxctl resume 5FAV --detach
  orxctl resume 5FAV --env API_KEY=… the variables that a session was made with are not kept
  orxctl resume 5FAV --fresh         begin a new conversation where the old one cannot be taken up

For a run: exit code 0 when it is done, 1 otherwise; Ctrl-C leaves it at work. A session is attached to.")]
pub struct Resume {
    /// The run or session: its identifier, or a unique beginning or end of it
    #[arg(value_name = "RUN|SESSION")]
    pub target: String,
    /// Do not wait for a run's end, do not attach to a session
    #[arg(long)]
    pub detach: bool,
    /// A variable that the session was made with; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub env: Vec<(String, String)>,
    /// Begin a new conversation where the old one cannot be taken up
    #[arg(long)]
    pub fresh: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Resume) -> Result<Status, Failure> {
    match names::target(context, &arguments.target).await? {
        Target::Run(run) => resume_run(context, run, arguments.detach).await,
        Target::Session(session) => {
            let params = AgainParams { session, env: arguments.env.iter().cloned().collect(), fresh: arguments.fresh };
            take_up(context, "session.resume", &params, arguments.detach).await
        }
    }
}

async fn resume_run(context: &Context, run: RunId, detach: bool) -> Result<Status, Failure> {
    let result: Value = context.call("run.resume", &RunParams { run }).await?;
    if detach {
        if context.output.json {
            context.output.json(&result)?;
        } else {
            context.output.text(&format!("{run}: resumed; `orxctl status {run} --follow` follows it"))?;
        }
        return Ok(Status::Done);
    }
    conclude(context, run).await
}

/// Takes a session up again, says how, and attaches to it where somebody can look at it.
pub(crate) async fn take_up(
    context: &Context,
    method: &str,
    params: &impl serde::Serialize,
    detach: bool,
) -> Result<Status, Failure> {
    let client = context.connect().await?;
    let progress = Progress::new(context.output, "taking the session up again");
    let again: Again = progress.during(client.call(method, params)).await?;
    if context.output.json {
        context.output.json(&again)?;
        return Ok(Status::Done);
    }
    context.output.text(&said(&again))?;
    if detach || again.pid.is_none() || terminal::require().is_err() {
        return Ok(Status::Done);
    }
    attach::attach(context, again.session, AttachMode::Control, false).await
}

fn said(again: &Again) -> String {
    let session: SessionId = again.session;
    let from =
        again.checkpoint.map_or_else(String::new, |sequence| format!(", its files are those of checkpoint {sequence}"));
    let how = match (&again.conversation, again.pid) {
        (_, None) => "waits for a place",
        (Some(_), _) => "its conversation goes on",
        (None, _) => "started anew",
    };
    let rewound = again.rewound.as_ref().map_or_else(String::new, |rewound| {
        let what = if rewound.done { "its conversation is set back" } else { "its conversation is not set back" };
        format!("\n{session}: {what}: {}", text::clean_line(&rewound.how))
    });
    format!("{session}: {how}{from}; process {} of the session{rewound}", again.generation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::life::Rewound;

    #[test]
    fn it_is_said_what_goes_on_and_from_where() {
        let mut again = Again {
            session: "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            pid: Some(7),
            generation: 2,
            conversation: Some("c".to_owned()),
            checkpoint: Some(3),
            rewound: None,
        };
        assert_eq!(
            said(&again),
            "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV: its conversation goes on, its files are those of checkpoint 3; process 2 of the session"
        );
        again.rewound = Some(Rewound { done: false, how: "it goes on".to_owned() });
        assert!(said(&again).ends_with("5FAV: its conversation is not set back: it goes on"));
        (again.conversation, again.checkpoint, again.rewound) = (None, None, None);
        assert!(said(&again).contains("started anew;"));
        again.pid = None;
        assert!(said(&again).contains("waits for a place;"));
    }
}
