//! Handing over: patch, text of a pull request, branch, push; and the project's notes.

use std::path::Path;
use std::time::Duration;

use orx_sandbox::{Program, capture, environment, find_program};
use orx_workspace::{Repository, Worktree};

use super::Pipeline;
use super::effects::{Halt, Performed, Tree, Update, commit_id};
use super::engine::note_text;
use super::tree::{ITEM_TRAILER, RUN_TRAILER, write};
use crate::guardrails::{Guard, secrets};
use crate::handover;
use crate::knowledge::{Note, proposed};
use crate::machine::{Change, Input};
use crate::port::SessionHost;
use crate::record::Record;
use crate::settings::{KnowledgeMode, StageKey};

/// Bytes of the patch that is kept.
const PATCH: usize = 64 * 1024 * 1024;
/// How long `gh` may take.
const GH: Duration = Duration::from_secs(120);
/// Bytes kept of what `gh` prints.
const GH_OUTPUT: usize = 64 * 1024;
/// The word in the trailer of a commit of notes.
const NOTES_ITEM: &str = "knowledge";

impl<H: SessionHost> Pipeline<H> {
    pub(super) async fn ship(&self, record: &Record, tree: &Tree) -> Result<Performed, Halt> {
        let worktree = self.tree(record, tree).await?;
        let head = commit_id(&record.machine.head)?;
        let tip = worktree.tip().await?;
        if tip != head {
            return Err(Halt::Broke(format!(
                "the run's branch stands at {tip}, and {head} was verified: nothing was handed over"
            )));
        }
        // The gates may have left files: what is handed over is the commit, and so is the patch.
        worktree.reset(&head).await?;
        let base = commit_id(&record.machine.base)?;
        let patch = worktree.diff(&base, PATCH).await?;
        let mut performed = Performed::of(Input::Shipped);
        if patch.truncated {
            performed
                .warnings
                .push(format!("artifacts/patch.diff is cut at {PATCH} bytes; the branch holds the whole change"));
        }
        write(record.directory(), "artifacts/patch.diff".to_owned(), patch.text).await?;
        write(record.directory(), "artifacts/pr_body.md".to_owned(), handover::body(record)).await?;
        if !record.settings.git.auto_commit {
            return Ok(performed);
        }
        let repository = self.open_repository(record).await?;
        repository.publish(worktree, &record.branch(), &head).await?;
        performed.updates.push(Update::Published);
        match self.hand_over(record, &repository).await {
            // The branch is there, whatever became of the rest.
            Err(Halt::Broke(message)) => performed.input = Input::Broke { message },
            Err(Halt::Draining) => return Err(Halt::Draining),
            Ok(()) => {}
        }
        Ok(performed)
    }

    /// Pushes the published branch and opens its pull request, where the settings say so.
    async fn hand_over(&self, record: &Record, repository: &Repository) -> Result<(), Halt> {
        let git = &record.settings.git;
        if git.auto_push || git.create_pr {
            repository.push(&git.remote, &record.branch()).await.map_err(|error| {
                let branch = record.branch();
                Halt::Broke(format!("the branch {branch} is in the repository, and was not pushed: {error}"))
            })?;
        }
        if git.create_pr {
            let address = self.pull_request(record, repository).await?;
            write(record.directory(), "artifacts/pr_url.txt".to_owned(), format!("{address}\n")).await?;
        }
        Ok(())
    }

    /// The address of the branch's pull request, which is opened when there is none.
    async fn pull_request(&self, record: &Record, repository: &Repository) -> Result<String, Halt> {
        let branch = record.branch();
        let found = self.gh(repository.root(), &["pr", "view", &branch, "--json", "url", "--jq", ".url"]).await?;
        if let Ok(address) = found {
            return Ok(address);
        }
        let body = record.directory().join("artifacts/pr_body.md");
        let (title, body) = (handover::title(record), body.to_string_lossy().into_owned());
        let base = record.base_branch.clone();
        let mut arguments =
            vec!["pr", "create", "--head", &branch, "--base", &base, "--title", &title, "--body-file", &body];
        if record.settings.git.pr_draft {
            arguments.push("--draft");
        }
        let opened = self.gh(repository.root(), &arguments).await?;
        opened.map_err(|message| {
            Halt::Broke(format!("the branch was pushed, and no pull request could be opened: {message}"))
        })
    }

    /// What `gh` prints; the inner error is what it complained of.
    async fn gh(&self, root: &Path, arguments: &[&str]) -> Result<Result<String, String>, Halt> {
        let program =
            find_program("gh", self.search_path().as_deref()).map_err(|missing| Halt::Broke(missing.to_string()))?;
        let mut argv = vec![program.to_string_lossy().into_owned()];
        argv.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        let captured = capture(Program {
            argv,
            cwd: root.to_owned(),
            environment: environment::select(&self.engines().environment, &["GH_", "GITHUB_TOKEN", "SSH_AUTH_SOCK"]),
            input: None,
            deadline: GH,
            output_limit: GH_OUTPUT,
        })
        .await
        .map_err(|error| Halt::Broke(error.to_string()))?;
        if captured.is_success() {
            let text = captured.stdout_text();
            return Ok(Ok(text.lines().last().unwrap_or_default().trim().to_owned()));
        }
        Ok(Err(format!("`gh` ended with {}: {}", captured.exit, captured.stderr_text().trim())))
    }

    pub(super) async fn notes(&self, record: &Record, tree: &Tree) -> Result<Performed, Halt> {
        let worktree = self.tree(record, tree).await?;
        if let Some(found) = self.already(record, worktree, NOTES_ITEM).await? {
            let commit = crate::machine::CommitRecord { item: None, ..found };
            return Ok(Performed::of(Input::Noted { commit: Some(commit), warning: None }));
        }
        let settings = &record.settings.knowledge;
        let answer = record.machine.texts.get(&StageKey::KnowledgeUpdate).map(String::as_str).unwrap_or_default();
        write(record.directory(), "artifacts/knowledge.md".to_owned(), secrets::redact(answer)).await?;
        let nothing = |warning| Ok(Performed::of(Input::Noted { commit: None, warning }));
        if settings.mode != KnowledgeMode::Auto {
            return nothing(None);
        }
        let mut texts = std::collections::BTreeMap::new();
        for file in &settings.allowlist {
            texts.insert(file.clone(), note_text(worktree, file).await);
        }
        let notes = proposed(settings, answer, |file| texts.get(file).cloned().unwrap_or_default());
        let mut notes = match notes {
            Ok(notes) => notes,
            Err(why) => return nothing(Some(format!("the project's notes were not updated: {why}"))),
        };
        if settings.architecture_gatekeeping && !self.changed_structure(record, worktree).await? {
            notes.retain(|note| !note.file.ends_with("ARCHITECTURE.md"));
        }
        if notes.is_empty() {
            return nothing(None);
        }
        match self.apply(record, worktree, &notes).await? {
            Ok(commit) => Ok(Performed::of(Input::Noted { commit, warning: None })),
            Err(why) => {
                worktree.reset(&commit_id(&record.machine.head)?).await?;
                nothing(Some(format!("the project's notes were not updated: {why}")))
            }
        }
    }

    /// Writes and commits notes; the inner error says what refuses them.
    async fn apply(
        &self,
        record: &Record,
        worktree: &Worktree,
        notes: &[Note],
    ) -> Result<Result<Option<crate::machine::CommitRecord>, String>, Halt> {
        worktree.reset(&commit_id(&record.machine.head)?).await?;
        for note in notes {
            let path = worktree.path().join(&note.file);
            let is_plain = std::fs::symlink_metadata(&path).map_or(true, |metadata| metadata.is_file());
            if note.file.contains('/') || !is_plain {
                return Ok(Err(format!("{} is no plain file at the repository's root", note.file)));
            }
            std::fs::write(&path, &note.text).map_err(Halt::file(&path))?;
        }
        let guard = Guard::new(&record.settings.guardrails).map_err(Halt::Broke)?;
        let changes = worktree.changes().await?;
        let mut violations = guard.paths(&changes);
        if notes.iter().any(|note| !secrets::find(&note.text).is_empty()) {
            violations.push("the proposal holds what looks like a secret".to_owned());
        }
        if !violations.is_empty() {
            return Ok(Err(violations.join("; ")));
        }
        let subject = "docs: update notes for agents".to_owned();
        let message = format!("{subject}\n\n{RUN_TRAILER}: {}\n{ITEM_TRAILER}: {NOTES_ITEM}\n", record.run);
        let change = Change {
            paths: notes.iter().map(|note| note.file.clone()).collect(),
            added: notes.iter().map(|note| note.added).sum(),
            removed: notes.iter().map(|note| note.removed).sum(),
            ..Change::default()
        };
        Ok(Ok(self.write_commit(record, worktree, &message, subject, None, &change).await?))
    }

    /// Whether the run added or removed files.
    async fn changed_structure(&self, record: &Record, worktree: &Worktree) -> Result<bool, Halt> {
        let diff = worktree.diff(&commit_id(&record.machine.base)?, PATCH).await?;
        let heads = ["new file mode ", "deleted file mode ", "rename from "];
        Ok(diff.text.lines().any(|line| heads.iter().any(|head| line.starts_with(head))))
    }
}
