//! Private homes: where an engine keeps its state when its model is an endpoint of the operator's. The user's own files
//! are then neither read nor written.
//!
//! Each engine has one home per working directory, so that sessions side by side never write the same file, and a
//! conversation can be resumed where it took place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orx_sandbox::file;
use serde_json::{Map, Value};

use crate::{Context, EngineError, EngineKind};

/// The home for what belongs to no working directory.
pub(crate) fn shared(kind: EngineKind, context: &Context) -> PathBuf {
    context.private_homes.join(kind.name()).join("shared")
}

/// The home of an engine in a working directory.
pub(crate) fn of(kind: EngineKind, context: &Context, cwd: &str) -> PathBuf {
    let last = Path::new(cwd).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let readable: String =
        last.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).take(32).collect();
    context.private_homes.join(kind.name()).join(format!("{readable}-{:016x}", fnv1a(cwd.as_bytes())))
}

/// FNV-1a, 64 bits: a name that stays the same across versions of orx. Two directories that met in it would share a
/// home, which every engine bears.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// What the name of a private file ends with that was cut off.
const CUT_OFF: &str = ".cut-off";

/// Makes the home the one that programs see.
pub(crate) fn enter(environment: &mut BTreeMap<String, String>, home: &Path) {
    let mut set = |name: &str, path: PathBuf| {
        environment.insert(name.to_owned(), path.to_string_lossy().into_owned());
    };
    set("HOME", home.to_path_buf());
    set("XDG_CONFIG_HOME", home.join(".config"));
    set("XDG_DATA_HOME", home.join(".local/share"));
    set("XDG_STATE_HOME", home.join(".local/state"));
    set("XDG_CACHE_HOME", home.join(".cache"));
}

/// Makes a private directory.
pub(crate) fn directory(kind: EngineKind, path: &Path) -> Result<(), EngineError> {
    file::private_directory(path).map_err(|source| EngineError::Prepare { engine: kind, path: path.to_owned(), source })
}

/// Reads a private file as a JSON object; an empty one where there is none. The CLIs let comments stand above it. What is no JSON at
/// all was cut off when its CLI was killed while it wrote: it is set aside, so that the session can be taken up again.
pub(crate) fn read_json(kind: EngineKind, path: &Path) -> Result<Map<String, Value>, EngineError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(source) => return Err(EngineError::Prepare { engine: kind, path: path.to_owned(), source }),
    };
    let plain: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    match serde_json::from_str(&plain) {
        Ok(object) => Ok(object),
        Err(error) if error.is_data() => Err(EngineError::PrivateFile { engine: kind, path: path.to_owned() }),
        Err(_) => {
            let mut aside = path.as_os_str().to_owned();
            aside.push(CUT_OFF);
            std::fs::rename(path, &aside).map_err(|source| EngineError::Prepare {
                engine: kind,
                path: path.to_owned(),
                source,
            })?;
            Ok(Map::new())
        }
    }
}

/// Writes a private file, unless it already holds just that.
pub(crate) fn write(kind: EngineKind, path: &Path, content: &str) -> Result<(), EngineError> {
    if std::fs::read(path).is_ok_and(|now| now == content.as_bytes()) {
        return Ok(());
    }
    file::replace(path, content.as_bytes()).map_err(|source| EngineError::Prepare {
        engine: kind,
        path: path.to_owned(),
        source,
    })
}

/// Removes the private home of an engine in a working directory, when that directory is gone for good.
///
/// # Errors
/// [`EngineError::Prepare`] when it cannot be removed; that there is none is no error.
pub fn remove_private_home(kind: EngineKind, context: &Context, cwd: &str) -> Result<(), EngineError> {
    let path = of(kind, context, cwd);
    match std::fs::remove_dir_all(&path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(EngineError::Prepare { engine: kind, path, source })
        }
        _ => Ok(()),
    }
}
