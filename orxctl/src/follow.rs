//! Following a run until it stands still, over restarts of the daemon.

use std::time::Duration;

use orx_client::{Client, ClientError, EventFollower, follow_events};
use orx_protocol::RunId;
use orx_protocol::api::run::{Run, RunParams};
use orx_protocol::event::{Event, kind};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::context::Context;
use crate::failure::Failure;
use crate::progress::{Progress, TICK};
use crate::render;

/// How often the run itself is looked at, whatever the events say.
const LOOK: Duration = Duration::from_secs(5);
/// How long one such look may take.
const LOOK_DEADLINE: Duration = Duration::from_secs(3);
/// How long events that were already on their way are waited for after the end.
const DRAIN: Duration = Duration::from_millis(200);

/// How following ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The run is done, failed or cancelled.
    Final(Box<Run>),
    /// The user has seen enough (Ctrl-C).
    Left,
}

/// Shows a run's events from its beginning until it stands still.
///
/// # Errors
/// What does not pass by waiting for the daemon.
pub(crate) async fn run(
    context: &Context,
    run: RunId,
    mut show: impl FnMut(&Event) -> Result<(), Failure>,
) -> Result<Ending, Failure> {
    let mut interrupts = interrupts()?;
    let client = context.connect().await?;
    let now: Run = client.call("run.get", &RunParams { run }).await?;
    let mut follower =
        follow_events(&context.places.socket, Some(0), vec!["run.*".to_owned()], Some(run.to_string())).await?;
    let mut progress = Progress::new(context.output, render::run::headline(&now));
    if now.state.is_final() {
        drain(&mut follower, &mut show).await?;
        return Ok(Ending::Final(Box::new(now)));
    }
    let mut daemon = Watch { client: Some(client), away: false };
    let mut ticks = tokio::time::interval(TICK);
    let mut looks = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            event = follower.next() => {
                let event = event?;
                progress.clear();
                show(&event)?;
                if event.kind == kind::RUN_ENDED {
                    looks.reset_immediately();
                }
            }
            _ = looks.tick() => match daemon.look(context, run).await? {
                // An ended run that was resumed since goes on: the run itself says so, not its events.
                Some(now) if now.state.is_final() => {
                    progress.clear();
                    drain(&mut follower, &mut show).await?;
                    return Ok(Ending::Final(Box::new(now)));
                }
                Some(now) => progress.set(render::run::headline(&now)),
                None => progress.set("the daemon is away; waiting for it to come back"),
            },
            _ = ticks.tick() => progress.tick(),
            _ = interrupts.recv() => return Ok(Ending::Left),
        }
    }
}

/// Ctrl-C, caught from now on.
///
/// # Errors
/// When the process has no descriptors left.
pub(crate) fn interrupts() -> Result<Signal, Failure> {
    signal(SignalKind::interrupt()).map_err(|error| Failure::failed(format!("signals cannot be caught: {error}")))
}

/// Shows the events that are already there.
async fn drain(
    follower: &mut EventFollower,
    show: &mut impl FnMut(&Event) -> Result<(), Failure>,
) -> Result<(), Failure> {
    while let Ok(event) = tokio::time::timeout(DRAIN, follower.next()).await {
        show(&event?)?;
    }
    Ok(())
}

/// A connection that is made anew after the daemon was away.
struct Watch {
    client: Option<Client>,
    away: bool,
}

impl Watch {
    /// The run as it is now; `None` while the daemon is away.
    async fn look(&mut self, context: &Context, run: RunId) -> Result<Option<Run>, Failure> {
        match self.ask(context, run).await {
            Ok(now) => {
                if std::mem::take(&mut self.away) && !context.output.json {
                    context.output.note("the daemon is back");
                }
                Ok(Some(now))
            }
            Err(error) if error.is_repeatable() => {
                self.client = None;
                if !std::mem::replace(&mut self.away, true) && !context.output.json {
                    context.output.note("the daemon is away; the run is followed again when it is back");
                }
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn ask(&mut self, context: &Context, run: RunId) -> Result<Run, ClientError> {
        let client = match self.client.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => Client::connect(&context.places.socket).await?,
        };
        let client = self.client.insert(client);
        client.call_with_deadline("run.get", &RunParams { run }, LOOK_DEADLINE).await
    }
}
