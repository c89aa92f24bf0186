//! `orxctl doctor`.

use clap::Args;
use orx_protocol::api::{Empty, daemon};
use orx_sandbox::confine::Abilities;
use orx_sandbox::environment;

use crate::context::Context;
use crate::failure::{Failure, Status};
use crate::progress::Progress;
use crate::render;

mod places;
mod programs;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  orxctl doctor
  orxctl doctor --json

Exit code 1 when a check failed; warnings do not count.")]
pub struct Doctor {}

pub(crate) use render::doctor::{Check, Level};

pub(crate) async fn run(context: &Context, _arguments: &Doctor) -> Result<Status, Failure> {
    let progress = Progress::new(context.output, "checking");
    let checks = progress.during(checks(context)).await;
    if context.output.json {
        context.output.json(&checks)?;
    } else {
        context.output.text(&render::doctor::report(&checks, context.output))?;
    }
    Ok(Status::of_success(checks.iter().all(|check| check.level != Level::Fail)))
}

async fn checks(context: &Context) -> Vec<Check> {
    let mut checks = places::checks(&context.places, context.config_named);
    checks.extend(reachable(context).await);
    checks.push(sandbox().await);
    checks.extend(programs::checks().await);
    checks
}

/// What sessions are confined with.
async fn sandbox() -> Check {
    let own = environment::own();
    let found = Abilities::probe(own.get("PATH").map(String::as_str)).await;
    match (&found.bubblewrap, found.landlock) {
        (Ok(_), _) => Check::ok("sandbox", found.shortcomings()),
        (Err(_), Some(_)) => {
            let install = "apt-get install bubblewrap: with Landlock alone, sockets by path and the network stay open";
            Check::warn("sandbox", found.shortcomings(), install)
        }
        (Err(_), None) => Check::warn(
            "sandbox",
            found.shortcomings(),
            "apt-get install bubblewrap: engines are refused without a sandbox",
        ),
    }
}

async fn reachable(context: &Context) -> Vec<Check> {
    let status: daemon::Status = match context.call("status", &Empty {}).await {
        Ok(status) => status,
        Err(failure) if failure.status == Status::NotReachable => {
            return vec![Check::warn("daemon", "does not run", "orxctl up")];
        }
        Err(failure) => return vec![Check::fail("daemon", failure.message, failure.hint)],
    };
    let mut checks = vec![match status.health.status {
        daemon::HealthStatus::Healthy => Check::ok("daemon", format!("healthy, pid {}", status.pid)),
        daemon::HealthStatus::Degraded => {
            Check::warn("daemon", "runs and is degraded", "orxctl workers shows what is missing")
        }
        daemon::HealthStatus::Draining => Check::warn("daemon", "is ending", "orxctl up starts the next one"),
    }];
    let own = env!("CARGO_PKG_VERSION");
    if status.health.version != own {
        let message = format!("orxctl is {own}, the daemon is {}", status.health.version);
        checks.push(Check::warn(
            "versions",
            message,
            "orxctl up --replace starts the installed daemon; sessions and runs go on",
        ));
    }
    let home = context.places.home.display().to_string();
    if status.home != home {
        let message = format!("the daemon's home is {}, here it is {home}", status.home);
        checks.push(Check::warn("home", message, "set ORX_HOME (or --home) to the daemon's"));
    }
    checks
}
