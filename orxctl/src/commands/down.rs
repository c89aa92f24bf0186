//! `orxctl down`.

use std::time::{Duration, Instant};

use clap::Args;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use orx_client::Client;
use orx_protocol::api::{Empty, daemon};
use orx_protocol::process::ProcessIdentity;
use orx_sandbox::identity;
use serde_json::json;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::figures;
use crate::progress::Progress;

/// How often the daemon's process is looked at.
const POLL: Duration = Duration::from_millis(20);
/// How long the kernel may take after force.
const FORCE: Duration = Duration::from_secs(5);

/// Arguments of `down`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl down
  orxctl down --grace 2s

Sessions are not the daemon's children: they go on, and `orxctl up` finds them again.")]
pub struct Down {
    /// How long the daemon may take to finish what it has in hand before force is used
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = figures::parse_duration)]
    pub grace: Duration,
}

pub(crate) async fn run(context: &Context, arguments: &Down) -> Result<Status, Failure> {
    let client = match context.connect().await {
        Ok(client) => client,
        Err(failure) if failure.status == Status::NotReachable => {
            if context.output.json {
                context.output.json(&json!({"stopped": false, "was_running": false}))?;
            } else {
                context.output.text("the daemon does not run")?;
            }
            return Ok(Status::Done);
        }
        Err(failure) => return Err(failure),
    };
    let (process, status) = identify(&client).await?;
    end(context, process, arguments.grace).await?;
    if context.output.json {
        context.output.json(&json!({
            "stopped": true, "was_running": true, "pid": status.pid, "sessions": status.sessions, "runs": status.runs
        }))?;
        return Ok(Status::Done);
    }
    context.output.text(&format!("the daemon (pid {}) ended", status.pid))?;
    if status.sessions > 0 {
        let verb = if status.sessions == 1 { "lives" } else { "live" };
        let sessions = figures::plural(u64::from(status.sessions), "session");
        context.output.text(&format!("{sessions} {verb} on; `orxctl up` finds them again"))?;
    }
    if status.runs > 0 {
        let runs = figures::plural(u64::from(status.runs), "run");
        context.output.text(&format!("{runs} under way; taken up again by the next daemon"))?;
    }
    Ok(Status::Done)
}

/// Ends the daemon that runs, to make place for another.
pub(crate) async fn end_running(context: &Context, grace: Duration) -> Result<(), Failure> {
    let client = context.connect().await?;
    let (process, _) = identify(&client).await?;
    drop(client);
    end(context, process, grace).await
}

/// The daemon's process. It answers both before and after the look at it, so that the identity is the daemon's and not
/// that of a later process with its pid.
async fn identify(client: &Client) -> Result<(ProcessIdentity, daemon::Status), Failure> {
    let status: daemon::Status = client.call("status", &Empty {}).await?;
    let found = i32::try_from(status.pid).ok().filter(|pid| *pid > 1).and_then(identity::of);
    let again: daemon::Status = client.call("status", &Empty {}).await?;
    match found {
        Some(process) if again.pid == status.pid => Ok((process, again)),
        _ => Err(Failure::failed(format!(
            "the daemon says that its pid is {}, and there is no such process here",
            status.pid
        ))
        .with_hint("it may run in a container or under another user: end it there")),
    }
}

async fn end(context: &Context, process: ProcessIdentity, grace: Duration) -> Result<(), Failure> {
    send(process, Signal::SIGTERM)?;
    let progress = Progress::new(context.output, "the daemon finishes what it has in hand");
    if progress.during(gone_within(process, grace)).await {
        return Ok(());
    }
    context.output.warning(&format!(
        "the daemon had not ended after {}; it is ended by force, which loses nothing that was acknowledged",
        figures::duration_ms(figures::milliseconds(grace))
    ));
    send(process, Signal::SIGKILL)?;
    if gone_within(process, FORCE).await {
        return Ok(());
    }
    Err(Failure::failed(format!("the daemon (pid {}) does not end", process.pid))
        .with_hint("it hangs in the kernel, as on a disk that does not answer"))
}

fn send(process: ProcessIdentity, signal: Signal) -> Result<(), Failure> {
    if !identity::is_alive(process) {
        return Ok(());
    }
    match kill(Pid::from_raw(process.pid), signal) {
        Ok(()) | Err(Errno::ESRCH) => Ok(()),
        Err(Errno::EPERM) => {
            Err(Failure::not_allowed(format!("the daemon (pid {}) belongs to another user", process.pid)))
        }
        Err(error) => Err(Failure::failed(format!("the daemon (pid {}) could not be signalled: {error}", process.pid))),
    }
}

async fn gone_within(process: ProcessIdentity, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while identity::is_alive(process) {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
    true
}
