//! Holders of an older version: each goes on as the present one, with its session, where that is possible.

use futures_util::{StreamExt, stream};
use orx_protocol::api::Empty;
use orx_protocol::api::session::{NotUpgraded, SessionState, UpgradeParams, Upgraded, Upgrades};
use orx_protocol::event::kind;
use orx_protocol::hold::{self, method};
use orx_protocol::{ErrorKind, RpcError, SessionId};
use orx_store::{SessionRow, sessions as table};
use std::path::Path;
use std::time::Duration;

use super::{Sessions, holder};

/// Holders that are replaced at a time: each reads its screen again, which takes a processor a moment.
const AT_ONCE: usize = 4;
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a session is asked again into which something is being typed.
const TRIES: u32 = 40;
/// Pause between two.
const AGAIN: Duration = Duration::from_millis(250);

/// What has become of one holder.
enum One {
    Current(SessionId),
    Upgraded(Upgraded),
    Failed(NotUpgraded),
}

impl Sessions {
    /// Lets holders of another version go on as the present one: that of one session, or of every session that runs.
    ///
    /// # Errors
    /// `NotFound`, and `FailedPrecondition` when the one session does not run. That a holder goes on as it was is said in the
    /// result.
    pub async fn upgrade(&self, params: UpgradeParams) -> Result<Upgrades, RpcError> {
        let rows = match params.session {
            Some(session) => vec![self.running(session).await?],
            None => self.store().read(table::unfinished).await?,
        };
        let running = rows.into_iter().filter(|row| row.session.state == SessionState::Running);
        let mut done = Upgrades::default();
        let mut ones = stream::iter(running.map(|row| self.upgrade_one(row))).buffered(AT_ONCE);
        while let Some(one) = ones.next().await {
            match one {
                One::Current(session) => done.current.push(session),
                One::Upgraded(upgraded) => done.upgraded.push(upgraded),
                One::Failed(failed) => done.failed.push(failed),
            }
        }
        Ok(done)
    }

    /// The same for all, after a start of the daemon, as a task of its own.
    pub fn upgrade_older(&self) {
        let sessions = self.clone();
        self.0.tasks.spawn(async move {
            match sessions.upgrade(UpgradeParams::default()).await {
                Ok(done) => {
                    if !done.upgraded.is_empty() {
                        tracing::info!(count = done.upgraded.len(), "Holders went on as this version.");
                    }
                    for failed in done.failed {
                        tracing::warn!(session = %failed.session, why = failed.why, "A holder goes on as it was.");
                    }
                }
                Err(error) => tracing::warn!(%error, "Holders were not brought up to date."),
            }
        });
    }

    async fn upgrade_one(&self, row: SessionRow) -> One {
        let session = row.session.session;
        let socket = Path::new(&row.socket);
        let status: Result<hold::Status, RpcError> = holder::ask_now(socket, method::STATUS, &Empty {}).await;
        let present = orx_sandbox::file::which(&self.0.program).unwrap_or_default();
        if status.is_ok_and(|status| !present.is_empty() && status.program == present) {
            return One::Current(session);
        }
        let program = self.0.program.to_string_lossy().into_owned();
        let params = hold::UpgradeParams { program: Some(program) };
        let mut tries = 0;
        let outcome = loop {
            let asked: Result<hold::Upgraded, RpcError> = holder::ask(socket, method::UPGRADE, &params, LIMIT).await;
            match asked {
                Err(error) if error.kind() == ErrorKind::Unavailable && tries < TRIES => tries += 1,
                outcome => break outcome,
            }
            tokio::time::sleep(AGAIN).await;
        };
        match outcome {
            Ok(now) => {
                let version = now.version.clone();
                self.insist(session, || {
                    let data = serde_json::json!({"version": version, "why": "upgraded"});
                    self.update(session, move |_| Some((kind::SESSION_HOLDER_REPLACED, data)))
                })
                .await;
                One::Upgraded(Upgraded { session, version: now.version })
            }
            Err(error) => One::Failed(NotUpgraded { session, why: error.to_string() }),
        }
    }
}
