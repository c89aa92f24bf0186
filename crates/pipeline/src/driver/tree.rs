//! Effects on the worktree: made, set back, read, committed.

use std::collections::BTreeSet;
use std::path::Path;

use orx_workspace::{Change as FileChange, ChangeKind, WorkspaceError, Worktree};

use super::Pipeline;
use super::effects::{Halt, Performed, Tree, Update, commit_id};
use crate::files;
use crate::guardrails::{Guard, added_lines, secrets};
use crate::machine::{Change, CommitRecord, Input};
use crate::port::SessionHost;
use crate::record::Record;

/// Bytes of a change that evidence carries.
const EVIDENCE: usize = 5000;
/// Bytes of a change that is read to know its lines.
const WHOLE: usize = 32 * 1024 * 1024;
/// Bytes of a file that are searched for secrets.
const SEARCHED: usize = 4 * 1024 * 1024;
/// Left-over files that one sentence names.
const NAMED: usize = 10;
/// Longest first line of a commit, in characters.
const SUBJECT: usize = 72;
/// Trailer that names the run.
pub(super) const RUN_TRAILER: &str = "Orx-Run";
/// Trailer that names the item.
pub(super) const ITEM_TRAILER: &str = "Orx-Item";

impl<H: SessionHost> Pipeline<H> {
    pub(super) async fn prepare(&self, record: &Record) -> Result<Performed, Halt> {
        let repository = self.open_repository(record).await?;
        repository.exclude(&["/runs/", "/.worktrees/"]).await?;
        let base = commit_id(&record.machine.base)?;
        let path = record.worktree();
        Worktree::create(&self.parts().git, &repository, &base, &path, &self.git_directory(record)).await?;
        let gates = record.settings.gates.clone().unwrap_or_default();
        let facts = tokio::task::spawn_blocking(move || crate::look::look(&path, &gates))
            .await
            .map_err(|error| Halt::Broke(format!("the repository could not be looked at: {error}")))?;
        Ok(Performed { updates: vec![Update::Prepared(facts)], ..Performed::of(Input::Prepared) })
    }

    pub(super) async fn open_repository(&self, record: &Record) -> Result<orx_workspace::Repository, Halt> {
        Ok(orx_workspace::Repository::open(&self.parts().git, &record.repository).await?)
    }

    pub(super) async fn reset(&self, record: &Record, tree: &Tree, keep: &str) -> Result<Performed, Halt> {
        let worktree = self.tree(record, tree).await?;
        self.set_back(record, worktree, keep).await?;
        Ok(Performed::of(Input::WasReset))
    }

    /// Sets the tree back to the last commit. What was in it is kept below `logs/`. Returns whether there was anything.
    pub(super) async fn set_back(&self, record: &Record, worktree: &Worktree, keep: &str) -> Result<bool, Halt> {
        let head = commit_id(&record.machine.head)?;
        let is_changed = !worktree.changes().await?.is_empty();
        if is_changed {
            let diff = worktree.diff(&head, WHOLE).await?;
            let (root, path) = (record.directory(), format!("logs/{}", again_in(keep, record)));
            let text = secrets::redact(&diff.text);
            write(root, path, text).await?;
        }
        worktree.reset(&head).await?;
        Ok(is_changed)
    }

    pub(super) async fn capture(&self, record: &Record, tree: &Tree) -> Result<Performed, Halt> {
        let worktree = self.tree(record, tree).await?;
        let changes = worktree.changes().await?;
        Ok(Performed::of(Input::Captured(self.judged(record, worktree, &changes).await?)))
    }

    /// The change at hand, held against the guardrails.
    async fn judged(&self, record: &Record, worktree: &Worktree, changes: &[FileChange]) -> Result<Change, Halt> {
        let guard = Guard::new(&record.settings.guardrails).map_err(Halt::Broke)?;
        let mut violations = guard.paths(changes);
        if changes.is_empty() {
            return Ok(Change::default());
        }
        let head = commit_id(&record.machine.head)?;
        let diff = worktree.diff(&head, WHOLE).await?;
        if guard.checks_secrets() {
            violations.extend(found_secrets(worktree, changes, if diff.truncated { "" } else { &diff.text }).await?);
        }
        let stats = worktree.diff_stats(&head).await?;
        let mut excerpt = secrets::redact(&diff.text);
        if excerpt.len() > EVIDENCE {
            let mut end = EVIDENCE;
            while !excerpt.is_char_boundary(end) {
                end -= 1;
            }
            excerpt.truncate(end);
            excerpt.push_str("\n[cut]\n");
        }
        Ok(Change {
            paths: changes.iter().map(|change| change.path.to_string_lossy().into_owned()).collect(),
            diff: excerpt,
            violations,
            added: stats.insertions,
            removed: stats.deletions,
        })
    }

    pub(super) async fn commit(&self, record: &Record, tree: &Tree) -> Result<Performed, Halt> {
        let worktree = self.tree(record, tree).await?;
        let Some(item) = record.machine.item() else {
            return Err(Halt::Broke("no item is at work".to_owned()));
        };
        let id = item.work.id.as_str();
        if let Some(found) = self.already(record, worktree, id).await? {
            return Ok(Performed::of(Input::Committed(found)));
        }
        let warnings: Vec<String> = remove_residue(record, worktree).await?.into_iter().collect();
        let changes = worktree.changes().await?;
        let change = self.judged(record, worktree, &changes).await?;
        if change.paths.is_empty() || !change.violations.is_empty() {
            return Ok(Performed { warnings, ..Performed::of(Input::CommitRefused(change)) });
        }
        let title = format!("feat: {}", item.work.title);
        let subject: String = title.chars().take(SUBJECT).collect();
        let rest = if subject.len() < title.len() { format!("{title}\n\n") } else { String::new() };
        let message = format!("{subject}\n\n{rest}{RUN_TRAILER}: {}\n{ITEM_TRAILER}: {id}\n", record.run);
        let commit = self.write_commit(record, worktree, &message, subject, Some(id), &change).await?;
        let input = match commit {
            Some(commit) => Input::Committed(commit),
            None => Input::CommitRefused(Change::default()),
        };
        Ok(Performed { warnings, ..Performed::of(input) })
    }

    /// Commits everything that differs; `None` when nothing does.
    pub(super) async fn write_commit(
        &self,
        record: &Record,
        worktree: &Worktree,
        message: &str,
        subject: String,
        item: Option<&str>,
        change: &Change,
    ) -> Result<Option<CommitRecord>, Halt> {
        let identity = self.open_repository(record).await?.identity().await?;
        let commit = worktree.commit(message, &identity).await?;
        Ok(commit.map(|commit| CommitRecord {
            commit: commit.to_string(),
            subject,
            item: item.map(str::to_owned),
            files: u64::try_from(change.paths.len()).unwrap_or(u64::MAX),
            added: change.added,
            removed: change.removed,
        }))
    }

    /// The commit of an item that was made before a crash and is not yet in the record.
    pub(super) async fn already(
        &self,
        record: &Record,
        worktree: &Worktree,
        item: &str,
    ) -> Result<Option<CommitRecord>, Halt> {
        let run = record.run.to_string();
        let known: BTreeSet<&str> = record.machine.commits.iter().map(|commit| commit.commit.as_str()).collect();
        let found = worktree.commits().await?.into_iter().find(|commit| {
            commit.trailer(RUN_TRAILER) == Some(&run)
                && commit.trailer(ITEM_TRAILER) == Some(item)
                && !known.contains(commit.commit.as_str())
        });
        let change = &record.machine.change;
        Ok(found.map(|commit| CommitRecord {
            commit: commit.commit.to_string(),
            subject: commit.subject,
            item: Some(item.to_owned()),
            files: u64::try_from(change.paths.len()).unwrap_or(u64::MAX),
            added: change.added,
            removed: change.removed,
        }))
    }
}

/// Removes new files that were not there before the gates ran; a sentence that names them.
pub(super) async fn remove_residue(record: &Record, worktree: &Worktree) -> Result<Option<String>, Halt> {
    let captured: BTreeSet<&str> = record.machine.change.paths.iter().map(String::as_str).collect();
    let mut removed = Vec::new();
    for change in worktree.changes().await? {
        let path = change.path.to_string_lossy();
        if change.kind != ChangeKind::Added || captured.contains(&*path) {
            continue;
        }
        let full = worktree.path().join(&change.path);
        match std::fs::remove_file(&full) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(Halt::file(&full)(error)),
            _ => removed.push(path.into_owned()),
        }
    }
    let named = removed.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let more = removed.len().saturating_sub(NAMED);
    Ok(match (removed.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(format!("files that the gates left behind were removed and not committed: {named}")),
        (false, more) => {
            Some(format!("files that the gates left behind were removed and not committed: {named} and {more} more"))
        }
    })
}

/// A name with that of the resume before its ending.
fn again_in(name: &str, record: &Record) -> String {
    match name.rsplit_once('.') {
        Some((stem, ending)) => format!("{stem}{}.{ending}", again(record)),
        None => format!("{name}{}", again(record)),
    }
}

/// What tells the logs of a run that was taken up again from those before it.
pub(super) fn again(record: &Record) -> String {
    match record.machine.resumes {
        0 => String::new(),
        resumes => format!("-resume-{resumes}"),
    }
}

/// Secrets in what a change adds, one sentence each. The secrets themselves are not in them.
async fn found_secrets(worktree: &Worktree, changes: &[FileChange], diff: &str) -> Result<Vec<String>, Halt> {
    let added = added_lines(diff);
    let mut violations = Vec::new();
    for change in changes {
        if matches!(change.kind, ChangeKind::Deleted | ChangeKind::Submodule) || change.symlink_target.is_some() {
            continue;
        }
        let path = change.path.to_string_lossy();
        let content = match worktree.content(&change.path, SEARCHED).await {
            Ok(content) => content,
            // It went away, or is no file any more: what is committed is looked at again then.
            Err(WorkspaceError::PathRefused { .. }) => continue,
            Err(error) if !worktree.path().join(&change.path).exists() => {
                tracing::debug!(%error, "a changed file went away");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        // A file that the diff does not show line by line is taken as added as a whole.
        let lines = added.get(&*path);
        for finding in secrets::find(&String::from_utf8_lossy(&content.bytes)) {
            if lines.is_none_or(|lines| lines.contains(&finding.line)) {
                violations.push(format!("{path}:{}: this looks like {} (guardrails.check_secrets): it is not shown here and must not be committed", finding.line, finding.what));
            }
        }
    }
    Ok(violations)
}

/// Writes a file of the run.
pub(super) async fn write(root: std::path::PathBuf, path: String, text: String) -> Result<(), Halt> {
    let shown = root.join(&path);
    let written = tokio::task::spawn_blocking(move || files::put(&root, &path, &text)).await;
    match written {
        Ok(outcome) => outcome.map_err(Halt::file(&shown)),
        Err(error) => Err(Halt::Broke(format!("{}: {error}", Path::display(&shown)))),
    }
}
