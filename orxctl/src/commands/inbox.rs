//! `orxctl inbox`.

use std::collections::HashMap;

use clap::Args;
use orx_client::follow_events;
use orx_protocol::api::approval::{Approval, ApprovalParams, ApprovalState, Approvals, Delivery, ListParams};
use orx_protocol::api::session::{self, Session};
use orx_protocol::clock::now_ms;
use orx_protocol::event::{Event, kind};
use orx_protocol::{ApprovalId, SessionId};

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::follow::interrupts;
use crate::{names, render};

/// Arguments of `inbox`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl inbox                    what agents wait for
  orxctl inbox 5FAV               one of them, with nothing folded
  orxctl inbox --all              also what was decided, and by whom
  orxctl inbox --watch            and what comes from now on

What agents wrote is shown with control characters written out. Decide with `orxctl allow` and `orxctl deny`.")]
pub struct Inbox {
    /// These approvals alone, with nothing folded: identifiers, or unique beginnings or ends of them
    #[arg(value_name = "APPROVAL")]
    pub approvals: Vec<String>,
    /// Also those that are decided
    #[arg(short, long, conflicts_with = "approvals")]
    pub all: bool,
    /// Of this session alone
    #[arg(short, long, value_name = "SESSION", conflicts_with = "approvals")]
    pub session: Option<String>,
    /// Go on with what comes
    #[arg(short, long, conflicts_with_all = ["approvals", "all"])]
    pub watch: bool,
}

pub(crate) async fn run(context: &Context, arguments: &Inbox) -> Result<Status, Failure> {
    if !arguments.approvals.is_empty() {
        return some(context, &arguments.approvals).await;
    }
    let session = match &arguments.session {
        Some(given) => Some(names::session(context, given).await?),
        None => None,
    };
    if arguments.watch {
        return watch(context, session).await;
    }
    let list: Approvals = context.call("approval.list", &ListParams { all: arguments.all, session }).await?;
    if context.output.json {
        context.output.json(&list)?;
    } else if list.approvals.is_empty() {
        context.output.note("nobody waits for anything");
    } else {
        let sessions = sessions(context).await?;
        let shown: Vec<String> = list.approvals.iter().map(|approval| shown(context, approval, &sessions)).collect();
        context.output.text(&shown.join("\n"))?;
        say_next_step(context, &list.approvals);
    }
    Ok(Status::Done)
}

fn say_next_step(context: &Context, approvals: &[Approval]) {
    if let Some(step) = render::approvals::next_step(approvals) {
        context.output.note(&step);
    }
}

async fn some(context: &Context, given: &[String]) -> Result<Status, Failure> {
    let sessions = sessions(context).await?;
    let mut found = Approvals::default();
    for approval in names::approvals(context, given).await? {
        found.approvals.push(context.call("approval.get", &ApprovalParams { approval }).await?);
    }
    if context.output.json {
        context.output.json(&found)?;
    } else {
        let shown: Vec<String> = found
            .approvals
            .iter()
            .map(|approval| {
                let session = sessions.get(&approval.session);
                render::approvals::detail(approval, session, now_ms(), true, context.output)
            })
            .collect();
        context.output.text(&shown.join("\n"))?;
        say_next_step(context, &found.approvals);
    }
    Ok(Status::Done)
}

/// Shows what waits, then what comes and what becomes of it, until Ctrl-C.
async fn watch(context: &Context, session: Option<SessionId>) -> Result<Status, Failure> {
    let mut interrupts = interrupts()?;
    // Followed from before the list is read, so that nothing falls between.
    let mut follower = follow_events(&context.places.socket, None, vec!["approval.*".to_owned()], None).await?;
    let list: Approvals = context.call("approval.list", &ListParams { all: false, session }).await?;
    for approval in &list.approvals {
        show_now(context, approval).await?;
    }
    if list.approvals.is_empty() {
        context.output.note("nobody waits for anything; what comes is shown until Ctrl-C");
    }
    // Of some that are decided at once two events are told when both can be seen already.
    let mut told: HashMap<ApprovalId, ApprovalState> =
        list.approvals.iter().map(|approval| (approval.approval, approval.state)).collect();
    loop {
        tokio::select! {
            event = follower.next() => {
                let event = event?;
                if let Some(approval) = changed(context, &event).await?
                    && session.is_none_or(|session| session == approval.session)
                {
                    let is_news = told.insert(approval.approval, approval.state) != Some(approval.state);
                    // That the engine heard a decision is expected; that it did not is news.
                    let went_wrong = event.kind == kind::APPROVAL_DELIVERED && approval.delivery == Delivery::Failed;
                    if is_news || went_wrong {
                        show_now(context, &approval).await?;
                    }
                    if matches!(event.kind.as_str(), kind::APPROVAL_DELIVERED | kind::APPROVAL_WITHDRAWN) {
                        told.remove(&approval.approval);
                    }
                }
            }
            _ = interrupts.recv() => return Ok(Status::Done),
        }
    }
}

/// The approval that an event is about, as it is now.
async fn changed(context: &Context, event: &Event) -> Result<Option<Approval>, Failure> {
    let Ok(approval) = event.subject.parse() else { return Ok(None) };
    context.call("approval.get", &ApprovalParams { approval }).await.map(Some)
}

async fn show_now(context: &Context, approval: &Approval) -> Result<(), Failure> {
    if context.output.json {
        return context.output.json_line(approval);
    }
    if approval.state != ApprovalState::Pending {
        return context.output.text(&render::approvals::line(approval));
    }
    let sessions = sessions(context).await?;
    context.output.text(&shown(context, approval, &sessions))
}

fn shown(context: &Context, approval: &Approval, sessions: &HashMap<SessionId, Session>) -> String {
    render::approvals::detail(approval, sessions.get(&approval.session), now_ms(), false, context.output)
}

/// Sessions by name, for their titles.
async fn sessions(context: &Context) -> Result<HashMap<SessionId, Session>, Failure> {
    let list: session::Sessions = context.call("session.list", &session::ListParams { all: true }).await?;
    Ok(list.sessions.into_iter().map(|session| (session.session, session)).collect())
}
