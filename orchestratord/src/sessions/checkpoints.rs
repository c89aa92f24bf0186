//! Checkpoints: the files and the conversation of a session at a moment, and the way back to them. Files are kept and set
//! back only in a worktree of orx's own; a person's checkout is never written to.

use orx_protocol::api::life::{Again, AgainParams, Checkpoint, CheckpointParams, Checkpoints, RestoreParams};
use orx_protocol::event::kind;
use orx_protocol::hold::file;
use orx_protocol::life::Life;
use orx_protocol::{ErrorKind, RpcError, SessionId, clock};
use orx_store::{SessionRow, StoreError, checkpoints as table, events};
use orx_workspace::{CommitId, Identity, Worktree};
use std::time::Duration;

use super::{Sessions, rewinding};
use crate::runs::Runs;

/// Longest label, in characters.
const LABEL: usize = 200;
/// Most bytes of a caller's data.
const DATA: usize = 64 * 1024;
/// Grace of a session that is set back while it runs.
const GRACE: Duration = Duration::from_secs(5);

fn check(params: &CheckpointParams) -> Result<(), RpcError> {
    let invalid = |why: String| Err(RpcError::new(ErrorKind::InvalidParams, format!("`session.checkpoint`: {why}")));
    if let Some(label) = &params.label
        && (label.chars().count() > LABEL || label.contains(char::is_control))
    {
        return invalid(format!("`label` has at most {LABEL} characters and no control characters"));
    }
    let size = params.data.as_ref().and_then(|data| serde_json::to_vec(data).ok()).map_or(0, |text| text.len());
    if size > DATA {
        return invalid(format!("`data` has {size} bytes, at most {DATA} are kept"));
    }
    Ok(())
}

impl Sessions {
    /// Takes a checkpoint. A session that runs is held still while its files are looked at; one whose agent is idle, since
    /// `idle_since_ms`, when its engine has written down what was said.
    ///
    /// # Errors
    /// `InvalidParams`; as the files cannot be read or the record cannot be written.
    pub async fn checkpoint(
        &self,
        params: CheckpointParams,
        idle_since_ms: Option<u64>,
        runs: &Runs,
        engines: &orx_engines::Context,
    ) -> Result<Checkpoint, RpcError> {
        check(&params)?;
        let row = self.row(params.session).await?;
        if row.session.life == Life::Queued {
            let why = format!("session {} waits for a place and has nothing to keep yet", params.session);
            return Err(RpcError::new(ErrorKind::FailedPrecondition, why));
        }
        if let Some(since_ms) = idle_since_ms {
            self.until_written_down(&row, since_ms, engines).await;
        }
        let Some(worktree) = runs.worktree_around(&row.session.cwd).await? else {
            return self.keep(&row, None, params, false, engines).await;
        };
        let runs = matches!(row.session.life, Life::Running | Life::Degraded);
        let holds_still = runs && self.pause(params.session).await.is_ok();
        let taken = self.commit(&worktree, &row, params, false, engines).await;
        if holds_still && let Err(error) = self.go_on(row.session.session).await {
            tracing::warn!(session = %row.session.session, %error, "A session that was held still for a checkpoint does not go on.");
        }
        taken
    }

    async fn commit(
        &self,
        worktree: &Worktree,
        row: &SessionRow,
        params: CheckpointParams,
        automatic: bool,
        engines: &orx_engines::Context,
    ) -> Result<Checkpoint, RpcError> {
        let message = format!("Checkpoint of {}\n\n{}", row.session.session, params.label.as_deref().unwrap_or(""));
        let commit = match worktree.commit(message.trim_end(), &Identity::default()).await? {
            Some(commit) => commit,
            None => worktree.tip().await?,
        };
        self.keep(row, Some(commit), params, automatic, engines).await
    }

    async fn keep(
        &self,
        row: &SessionRow,
        commit: Option<CommitId>,
        params: CheckpointParams,
        automatic: bool,
        engines: &orx_engines::Context,
    ) -> Result<Checkpoint, RpcError> {
        let session = row.session.session;
        let output = tokio::fs::metadata(self.directory(session).join(file::OUTPUT)).await;
        let mut checkpoint = Checkpoint {
            sequence: 0,
            at_ms: clock::now_ms(),
            label: params.label,
            data: params.data,
            commit: commit.map(|commit| commit.to_string()),
            conversation: row.session.conversation.clone(),
            conversation_bytes: self.conversation_bytes(row, engines).await,
            output_bytes: output.map_or(0, |output| output.len()),
            automatic,
        };
        let kept = checkpoint.clone();
        checkpoint.sequence = self
            .store()
            .write(move |tx| {
                let sequence = table::add(tx, session, &kept)?;
                let data = serde_json::json!({"sequence": sequence, "label": kept.label, "commit": kept.commit});
                events::append(tx, kind::SESSION_CHECKPOINTED, &session.to_string(), &data)?;
                Ok::<_, StoreError>(sequence)
            })
            .await?;
        Ok(checkpoint)
    }

    /// The checkpoints that are kept of a session.
    ///
    /// # Errors
    /// `NotFound`; as the store cannot be read.
    pub async fn checkpoints(&self, session: SessionId) -> Result<Checkpoints, RpcError> {
        self.row(session).await?;
        Ok(Checkpoints { checkpoints: self.store().read(move |reader| table::list(reader, session)).await? })
    }

    /// Sets a session back to a checkpoint and takes it up again from there. What it had is a checkpoint too by then, so
    /// that nothing is lost. One that runs is stopped first.
    ///
    /// # Errors
    /// `NotFound` without such a checkpoint; as [`Sessions::resume`].
    pub async fn restore(
        &self,
        params: RestoreParams,
        runs: &Runs,
        engines: &orx_engines::Context,
    ) -> Result<Again, RpcError> {
        let session = params.session;
        let row = self.row(session).await?;
        let checkpoint = self.find_checkpoint(session, params.sequence).await?;
        let rewinding = match params.rewind {
            true => Some(self.rewinding(&row, &checkpoint, engines).await?),
            false => None,
        };
        let again = AgainParams { session, env: params.env, fresh: false };
        self.check_again(&row, &again, engines).await?;
        if !row.session.state.is_final() {
            self.stop(session, GRACE).await?;
        }
        self.set_back(session, &checkpoint, runs, engines).await?;
        let rewound = match rewinding {
            Some(rewinding) => self.rewind(session, rewinding, engines).await?,
            None => rewinding::left(
                "it goes on with all that was said since; `rewind` sets it back too, where its engine can",
            ),
        };
        let mut again = self.again(again, engines, false).await?;
        (again.checkpoint, again.rewound) = (Some(checkpoint.sequence), Some(rewound));
        Ok(again)
    }

    async fn find_checkpoint(&self, session: SessionId, sequence: Option<u64>) -> Result<Checkpoint, RpcError> {
        let found = match sequence {
            Some(sequence) => self.store().read(move |reader| table::get(reader, session, sequence)).await?,
            None => self.last_checkpoint(session).await?,
        };
        found.ok_or_else(|| {
            let which =
                sequence.map_or_else(|| "no checkpoint".to_owned(), |sequence| format!("no checkpoint {sequence}"));
            RpcError::new(ErrorKind::NotFound, format!("session {session} has {which}"))
                .with_hint("`session.checkpoints` lists those that are kept")
        })
    }

    /// The last checkpoint that somebody asked for.
    pub(super) async fn last_checkpoint(&self, session: SessionId) -> Result<Option<Checkpoint>, StoreError> {
        let all = self.store().read(move |reader| table::list(reader, session)).await?;
        Ok(all.into_iter().rev().find(|checkpoint| !checkpoint.automatic))
    }

    /// Sets the files of a session that does not run back, after a checkpoint of what they are now.
    pub(super) async fn set_back(
        &self,
        session: SessionId,
        checkpoint: &Checkpoint,
        runs: &Runs,
        engines: &orx_engines::Context,
    ) -> Result<(), RpcError> {
        let row = self.row(session).await?;
        let Some(commit) = &checkpoint.commit else { return Ok(()) };
        let commit: CommitId = commit.parse()?;
        let worktree = runs.worktree_around(&row.session.cwd).await?.ok_or_else(|| {
            RpcError::new(ErrorKind::FailedPrecondition, format!("the worktree of session {session} is gone"))
        })?;
        let before = CheckpointParams {
            session,
            label: Some(format!("before it was set back to {}", checkpoint.sequence)),
            data: None,
        };
        self.commit(&worktree, &row, before, true, engines).await?;
        let message = format!("Back to checkpoint {} of {session}", checkpoint.sequence);
        worktree.restore(&commit, &message, &Identity::default()).await?;
        let data = serde_json::json!({"sequence": checkpoint.sequence, "commit": checkpoint.commit});
        self.store()
            .write(move |tx| events::append(tx, kind::SESSION_RESTORED, &session.to_string(), &data).map(drop))
            .await?;
        Ok(())
    }
}
