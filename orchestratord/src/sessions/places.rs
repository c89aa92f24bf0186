//! Places for sessions: how many run at once, and who waits for one. The order is decided by
//! `orx_session::life::queue`; sessions of pipelines are not counted, they have a limit of their own.

use orx_engines::Context;
use orx_protocol::api::session::CreateParams;
use orx_protocol::hold::{Ended, Holder};
use orx_protocol::life::Life;
use orx_protocol::process::EndReason;
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use orx_session::life::queue::{Waiting, admitted};
use orx_store::{SessionRow, StoreError, sessions as table};
use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

use super::Sessions;
use super::create::{self, Plan};
use super::outside;
use super::wish::Wish;

/// The places of the daemon.
#[derive(Default)]
pub(super) struct Places {
    /// How many sessions may run at once; 0: any number.
    limit: AtomicUsize,
    /// What those that wait are to be started with. It is in memory alone, since it holds variables.
    plans: Mutex<HashMap<SessionId, Plan>>,
    /// One admission at a time, so that a place is not given twice.
    turn: tokio::sync::Mutex<()>,
}

impl Places {
    fn limit(&self) -> Option<usize> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
    }

    pub(super) fn plans(&self) -> MutexGuard<'_, HashMap<SessionId, Plan>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sessions that wait, and how many have a place.
fn sorted(rows: &[SessionRow]) -> (Vec<Waiting>, usize) {
    let of_people = rows.iter().map(|row| &row.session).filter(|session| session.owner.is_none());
    let (waiting, running): (Vec<_>, Vec<_>) = of_people.partition(|session| session.life == Life::Queued);
    let waiting = waiting.into_iter().map(|session| Waiting {
        session: session.session,
        priority: session.terms.priority,
        since_ms: session.terms.queued_at_ms.unwrap_or(session.created_at_ms),
    });
    (waiting.collect(), running.len())
}

impl Sessions {
    /// Sets how many sessions may run at once; 0: any number. Those that run go on.
    pub fn set_places(&self, limit: usize) {
        self.0.places.limit.store(limit, Ordering::Relaxed);
        self.announce();
    }

    /// Records what a caller wants and starts it, or lets it wait for a place; `None` while it waits.
    ///
    /// # Errors
    /// As the record cannot be written; `Upstream` when the process does not start.
    pub async fn admit(&self, params: &CreateParams, plan: Plan) -> Result<Option<Holder>, RpcError> {
        let directory = self.directory(plan.session);
        let wish = Wish::of(params, plan.outside.clone());
        let saved =
            tokio::task::spawn_blocking(move || wish.save(&directory).map_err(|error| (directory, error))).await;
        saved
            .map_err(|error| RpcError::new(ErrorKind::Internal, format!("keeping a session's wish failed: {error}")))?
            .map_err(|(directory, error)| {
                RpcError::new(ErrorKind::Storage, format!("{} cannot be written: {error}", directory.display()))
            })?;
        let recorded = plan.clone();
        self.admit_as(plan, |life| async move { self.record_new(&recorded, life).await }).await
    }

    /// Records a session with `record`, as `pending` when it starts now and as `queued` when it waits for a place.
    pub(super) async fn admit_as<F>(
        &self,
        plan: Plan,
        record: impl FnOnce(Life) -> F,
    ) -> Result<Option<Holder>, RpcError>
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        let turn = self.0.places.turn.lock().await;
        let is_free = match self.0.places.limit() {
            None => true,
            Some(limit) => {
                let (waiting, running) = sorted(&self.store().read(table::unfinished).await?);
                waiting.is_empty() && running < limit
            }
        };
        if is_free {
            record(Life::Pending).await?;
            drop(turn);
            return self.launch(plan).await.map(Some);
        }
        record(Life::Queued).await?;
        self.0.places.plans().insert(plan.session, plan);
        drop(turn);
        // The place that it waits for may have become free meanwhile.
        self.announce();
        Ok(None)
    }

    /// Starts who waits as places become free, as a task of the daemon, until that begins to end.
    pub fn keep_places(&self, draining: CancellationToken) {
        let sessions = self.clone();
        self.0.tasks.spawn(async move {
            let mut changed = sessions.0.changed.subscribe();
            loop {
                if let Err(error) = sessions.fill_places().await {
                    tracing::error!(%error, "Sessions that wait for a place cannot be looked at.");
                }
                tokio::select! {
                    () = draining.cancelled() => return,
                    change = changed.changed() => if change.is_err() { return },
                }
            }
        });
    }

    async fn fill_places(&self) -> Result<(), StoreError> {
        if self.0.places.plans().is_empty() {
            return Ok(());
        }
        let _turn = self.0.places.turn.lock().await;
        let (mut waiting, running) = sorted(&self.store().read(table::unfinished).await?);
        waiting.retain(|one| self.0.places.plans().contains_key(&one.session));
        for session in admitted(waiting, running, self.0.places.limit(), clock::now_ms()) {
            let Some(plan) = self.0.places.plans().remove(&session) else { continue };
            self.move_on(session, Life::Running, |_| {}).await?;
            let sessions = self.clone();
            // A start that fails is recorded, and whoever waits for the session sees that.
            self.0.tasks.spawn(async move {
                if let Err(error) = sessions.launch(plan).await {
                    tracing::warn!(%session, %error, "A session that had waited for a place did not start.");
                }
            });
        }
        Ok(())
    }

    /// After a start of the daemon: those that waited for a place wait again, with what is known of them.
    ///
    /// # Errors
    /// As the store cannot be read or written.
    pub async fn queue_again(&self, engines: &Context) -> Result<(), StoreError> {
        let rows = self.store().read(table::unfinished).await?;
        for row in rows.into_iter().filter(|row| row.session.life == Life::Queued) {
            let session = row.session.session;
            match self.plan_again(&row, engines) {
                Ok(plan) => {
                    self.0.places.plans().insert(session, plan);
                }
                Err(error) => {
                    let ended = Ended {
                        exit: None,
                        reason: EndReason::SpawnFailed,
                        message: Some(format!(
                            "it waited for a place when the daemon was restarted, and then: {error}"
                        )),
                        ended_at_ms: clock::now_ms(),
                    };
                    self.record_end(session, ended).await?;
                }
            }
        }
        self.announce();
        Ok(())
    }

    /// The plan of a session that waits, from what is kept of it.
    fn plan_again(&self, row: &SessionRow, engines: &Context) -> Result<Plan, RpcError> {
        let session = &row.session;
        let mut wish = Wish::load(&self.directory(session.session))
            .ok_or_else(|| RpcError::new(ErrorKind::Storage, "what it was made with is not kept"))?;
        let outside = wish.outside.take();
        let params = wish.complete(&BTreeMap::new())?;
        if let Some(outside) = outside {
            return outside::plan(session.session, &params, &outside, engines);
        }
        let conversation = session.conversation.clone();
        let (kind, launch) = create::check(&params, engines, conversation.as_deref())?;
        create::complete(session.session, kind, launch, conversation, None, &params, engines)
    }
}
