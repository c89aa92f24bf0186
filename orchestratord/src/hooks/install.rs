//! Hooks for one session: a private file in the session's directory that its engine is pointed to, so that the user's own
//! files stay as they are and no session sees another's.

use orx_engines::EngineKind;
use orx_protocol::SessionId;
use orx_protocol::api::confinement::Confinement;
use orx_protocol::places::variable;
use orx_store::{StoreError, sessions as table};
use std::io;
use std::path::{Path, PathBuf};

use crate::sessions::Sessions;
use crate::sessions::create::Plan;

/// The word for sessions whose engine tells by hooks.
pub(crate) const CHANNEL: &str = "hooks";

/// What hooks call, and where they reach the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The `orxctl` that hooks call.
    pub program: PathBuf,
    /// The daemon's socket.
    pub socket: PathBuf,
}

impl Place {
    /// Adds the hooks of the plan's engine to a plan on a terminal, and gives what its engine must be let read for them, if
    /// any.
    ///
    /// # Errors
    /// When the session's directory cannot be written.
    pub fn install(&self, plan: &mut Plan, directory: &Path) -> io::Result<Option<PathBuf>> {
        let kind = plan.engine.parse::<EngineKind>();
        let (Ok(kind), Some(_)) = (kind, plan.terminal) else { return Ok(None) };
        let cwd = PathBuf::from(&plan.cwd);
        let read = |path: &str| std::fs::read_to_string(cwd.join(path)).ok();
        let program = self.program.to_string_lossy();
        let installed = orx_engines::hooks::install(kind, &plan.argv, &plan.environment, &program, directory, &read);
        let Some(installation) = installed else {
            return Ok(None);
        };
        orx_sandbox::file::private_directory(directory)?;
        let file = directory.join(installation.file);
        if let Some(below) = file.parent().filter(|below| *below != directory) {
            orx_sandbox::file::private_directory(below)?;
        }
        orx_sandbox::file::replace(&file, installation.content.as_bytes())?;
        plan.argv = installation.argv;
        let named = installation.environment.into_iter().map(|(name, value)| (name.to_owned(), value));
        plan.environment.extend(named);
        plan.environment.insert(variable::SOCKET.to_owned(), self.socket.to_string_lossy().into_owned());
        // A directory of its own is read as a whole.
        let first = Path::new(installation.file).components().next();
        first.map(|first| directory.join(first).canonicalize()).transpose()
    }
}

impl Sessions {
    /// Adds hooks to what is about to start, where its engine has some. Without them the session runs all the same, and
    /// its engine asks at its own terminal alone. A sandbox lets the engine read the file, which lies among what is hidden.
    pub(crate) async fn install_hooks(&self, plan: &mut Plan, directory: &Path, confinement: Option<&mut Confinement>) {
        let Some(place) = self.hooks() else { return };
        let session = plan.session;
        match place.install(plan, directory) {
            Ok(None) => {}
            Ok(Some(file)) => {
                if let Some(confinement) = confinement {
                    confinement.read.push(file.to_string_lossy().into_owned());
                }
                if let Err(error) = self.record_hooks(session).await {
                    tracing::warn!(%session, %error, "That a session has hooks could not be recorded.");
                }
            }
            Err(error) => tracing::warn!(%session, %error, "The hooks of a session could not be installed."),
        }
    }

    async fn record_hooks(&self, session: SessionId) -> Result<(), StoreError> {
        self.store()
            .write(move |tx| {
                if let Some(mut row) = table::get(tx, session)?.filter(|row| row.session.channel.is_none()) {
                    row.session.channel = Some(CHANNEL.to_owned());
                    table::update(tx, &row)?;
                }
                Ok(())
            })
            .await
    }
}
