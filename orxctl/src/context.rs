//! What every command needs: the daemon's places, the output, and a connection.

use std::path::{Path, PathBuf};

use orx_client::Client;
use orx_protocol::places::{Places, variable};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::arguments::Global;
use crate::failure::Failure;
use crate::output::Output;

/// Places and output of one run of the program.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Where the daemon's things are.
    pub(crate) places: Places,
    /// Whether a flag or a variable names the settings file, which then must exist.
    pub(crate) config_named: bool,
    /// Where results go.
    pub(crate) output: Output,
}

impl Context {
    /// Resolves the places: flag, then variable, then default.
    ///
    /// # Errors
    /// `Configuration` when nothing says where the user's files are.
    pub(crate) fn new(global: &Global, output: Output) -> Result<Self, Failure> {
        let flag = |name: &str| match name {
            variable::HOME => global.home.as_deref(),
            variable::CONFIG => global.config.as_deref(),
            variable::SOCKET => global.socket.as_deref(),
            _ => None,
        };
        let lookup = |name: &str| flag(name).map(path_text).or_else(|| std::env::var(name).ok());
        let places = Places::resolve(lookup).map_err(|error| Failure::configuration(error.to_string()))?;
        let places = Places {
            home: absolute(&places.home)?,
            config: absolute(&places.config)?,
            socket: absolute(&places.socket)?,
        };
        let config_named = lookup(variable::CONFIG).is_some_and(|path| !path.is_empty());
        Ok(Self { places, config_named, output })
    }

    /// Connects to the daemon.
    ///
    /// # Errors
    /// `NotReachable` or `NotAllowed`, each with a next step.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.places.socket).await?)
    }

    /// Connects and calls a method.
    ///
    /// # Errors
    /// As the connection and the daemon say.
    pub(crate) async fn call<P, R>(&self, method: &str, params: &P) -> Result<R, Failure>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        Ok(self.connect().await?.call(method, params).await?)
    }
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The path from the root, its links as they are.
///
/// # Errors
/// `Configuration` when the working directory is gone.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::configuration(format!("{} cannot be made absolute: {error}", path.display())))
}

/// A directory that exists, from the root, links resolved, as UTF-8.
///
/// # Errors
/// `Usage`, naming the directory and what is wrong with it.
pub(crate) fn directory(path: &Path) -> Result<String, Failure> {
    let real = std::fs::canonicalize(path)
        .map_err(|error| Failure::usage(format!("the directory {} cannot be used: {error}", path.display())))?;
    if !real.is_dir() {
        return Err(Failure::usage(format!("{} is not a directory", path.display())));
    }
    real.into_os_string()
        .into_string()
        .map_err(|path| Failure::usage(format!("the path {} is not UTF-8", path.to_string_lossy())))
}

/// The root of the repository that holds a directory, or the directory itself where there is no repository.
///
/// # Errors
/// As [`directory`].
pub(crate) fn repository(path: &Path) -> Result<String, Failure> {
    let inner = directory(path)?;
    let root = Path::new(&inner).ancestors().find(|directory| directory.join(".git").exists());
    Ok(root.and_then(Path::to_str).map_or_else(|| inner.clone(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_variables_and_paths_are_absolute() {
        let global = Global {
            socket: Some("s/x.sock".into()),
            home: Some("/h".into()),
            config: Some("/c.yaml".into()),
            json: false,
        };
        let places = Context::new(&global, Output::plain(None)).unwrap().places;
        assert_eq!(places.home, PathBuf::from("/h"));
        assert_eq!(places.config, PathBuf::from("/c.yaml"));
        assert!(places.socket.is_absolute() && places.socket.ends_with("s/x.sock"));
    }

    #[test]
    fn a_repository_is_found_from_below() {
        let scratch = tempfile::tempdir().unwrap();
        let root = std::fs::canonicalize(scratch.path()).unwrap();
        let inner = root.join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        assert_eq!(repository(&inner).unwrap(), inner.to_str().unwrap());
        std::fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(repository(&inner).unwrap(), root.to_str().unwrap());
    }

    #[test]
    fn directories_must_exist() {
        assert!(directory(Path::new("/nonexistent/x")).unwrap_err().message.contains("/nonexistent/x"));
        assert!(directory(Path::new("/dev/null")).is_err());
        assert_eq!(directory(Path::new("/usr/..")).unwrap(), "/");
    }
}
