//! Whether anybody is logged in, asked before a run is accepted. Only of a CLI that would not say so itself once it is at
//! work, and only refused where it is sure; what cannot be told is left to the run.

use std::path::{Path, PathBuf};

use crate::locate::{ask, locate};
use crate::{Context, EngineError, EngineKind};

/// Settings of Codex by which it needs no login of its own: another provider, or another address.
const OTHER_PROVIDER: [&str; 3] = ["model_provider", "base_url", "profile"];

/// Refuses an engine in which nobody is logged in, as far as that is known without a call to its model.
///
/// Most CLIs end at once with that message. Codex tries for a while, and without a network it waits for one until its
/// deadline, so it is asked. opencode then goes to a model that anybody may use, with whatever it was given to read, so its
/// files are looked at.
///
/// # Errors
/// [`EngineError::NotLoggedIn`], or as [`locate`].
pub async fn check_login(kind: EngineKind, context: &Context) -> Result<(), EngineError> {
    if context.endpoint.is_some() {
        return Ok(());
    }
    match kind {
        EngineKind::Codex if !has_other_means(context) => codex(context).await,
        EngineKind::Opencode if !opencode_knows_a_provider(context) => {
            locate(kind, context)?;
            Err(EngineError::NotLoggedIn { engine: kind })
        }
        _ => Ok(()),
    }
}

async fn codex(context: &Context) -> Result<(), EngineError> {
    let kind = EngineKind::Codex;
    let program = locate(kind, context)?;
    match ask(kind, context, &program, &["login", "status"], None).await {
        Ok(captured) if !captured.exit.is_success() && captured.stderr_text().contains("Not logged in") => {
            Err(EngineError::NotLoggedIn { engine: kind })
        }
        // An older or a stranger's program: the run will tell.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Whether opencode has a login, a key of a provider, or settings that describe one.
fn opencode_knows_a_provider(context: &Context) -> bool {
    let variable = |name: &str| context.environment.get(name).filter(|value| !value.is_empty());
    let inherits = &EngineKind::Opencode.descriptor().inherits;
    let is_key = |name: &str| {
        let is_inherited = inherits.iter().any(|prefix| name.starts_with(prefix)) && name.contains("_API_KEY");
        is_inherited || context.pass_environment.contains(name)
    };
    if context.environment.iter().any(|(name, value)| !value.is_empty() && is_key(name)) {
        return true;
    }
    let below = |moved: &str, usual: &str| {
        variable(moved).map(PathBuf::from).or_else(|| variable("HOME").map(|home| Path::new(home).join(usual)))
    };
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let login = below("XDG_DATA_HOME", ".local/share").map(|data| read(data.join("opencode/auth.json")));
    if login.is_some_and(|login| login.contains("\"type\"")) {
        return true;
    }
    let mut settings: Vec<String> = variable("OPENCODE_CONFIG_CONTENT").cloned().into_iter().collect();
    settings.extend(variable("OPENCODE_CONFIG").map(|path| read(PathBuf::from(path))));
    if let Some(directory) = below("XDG_CONFIG_HOME", ".config").map(|config| config.join("opencode")) {
        settings.extend(["opencode.json", "opencode.jsonc", "config.json"].map(|name| read(directory.join(name))));
    }
    settings.iter().any(|settings| settings.contains("\"provider\"") || settings.contains("\"model\""))
}

/// Whether Codex may be able to work without its own login.
fn has_other_means(context: &Context) -> bool {
    let variable = |name: &str| context.environment.get(name).filter(|value| !value.is_empty());
    if variable("CODEX_API_KEY").is_some() || variable("CODEX_ACCESS_TOKEN").is_some() {
        return true;
    }
    let home = variable("CODEX_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(home).join(".codex")));
    let settings = home.and_then(|home| std::fs::read_to_string(home.join("config.toml")).ok()).unwrap_or_default();
    OTHER_PROVIDER.iter().any(|key| settings.contains(key))
}

#[cfg(test)]
mod tests {
    use orx_protocol::ErrorKind;

    use super::*;
    use crate::Endpoint;

    /// A Codex that answers with these words on standard error.
    fn context(scratch: &Path, says: &str, code: i32) -> Context {
        use std::os::unix::fs::PermissionsExt;
        let program = scratch.join("codex");
        std::fs::write(&program, format!("#!/bin/sh\necho '{says}' >&2\nexit {code}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let home = scratch.to_string_lossy().into_owned();
        Context {
            environment: [("PATH".to_owned(), format!("{home}:/usr/bin:/bin")), ("HOME".to_owned(), home)].into(),
            ..Context::default()
        }
    }

    #[tokio::test]
    async fn a_codex_that_says_so_is_refused_with_what_to_do() {
        let scratch = tempfile::tempdir().unwrap();
        let error = check_login(EngineKind::Codex, &context(scratch.path(), "Not logged in", 1)).await.unwrap_err();
        let error = orx_protocol::RpcError::from(error);
        assert_eq!((error.kind(), error.message.as_str()), (ErrorKind::EngineLogin, "nobody is logged in to codex"));
        assert_eq!(error.data.hint, "run `codex login`, or set CODEX_API_KEY for the daemon");
    }

    #[tokio::test]
    async fn what_is_not_sure_is_left_to_the_run() {
        let scratch = tempfile::tempdir().unwrap();
        for (says, code) in [("Logged in", 0), ("unknown command", 2), ("Not logged in", 0)] {
            check_login(EngineKind::Codex, &context(scratch.path(), says, code)).await.unwrap();
        }
        let logged_out = context(scratch.path(), "Not logged in", 1);
        check_login(EngineKind::Claude, &logged_out).await.unwrap();
        let endpoint = Some(Endpoint { url: "http://127.0.0.1:1".to_owned(), key: "k".to_owned() });
        check_login(EngineKind::Codex, &Context { endpoint, ..logged_out.clone() }).await.unwrap();
        let mut with_key = logged_out.clone();
        with_key.environment.insert("CODEX_API_KEY".to_owned(), "k".to_owned());
        check_login(EngineKind::Codex, &with_key).await.unwrap();
        std::fs::create_dir(scratch.path().join(".codex")).unwrap();
        std::fs::write(scratch.path().join(".codex/config.toml"), "model_provider = \"mine\"\n").unwrap();
        check_login(EngineKind::Codex, &logged_out).await.unwrap();
    }

    #[tokio::test]
    async fn an_opencode_that_knows_no_provider_is_refused_with_what_to_do() {
        let scratch = tempfile::tempdir().unwrap();
        let home = scratch.path().to_string_lossy().into_owned();
        let mut context = Context { environment: [("HOME".to_owned(), home)].into(), ..Context::default() };
        context.binaries.insert("opencode".to_owned(), "/bin/sh".to_owned());
        let error = check_login(EngineKind::Opencode, &context).await.unwrap_err();
        assert!(orx_protocol::RpcError::from(error).data.hint.contains("opencode auth login"));
        let mut with_key = context.clone();
        with_key.environment.insert("GROQ_API_KEY".to_owned(), "k".to_owned());
        check_login(EngineKind::Opencode, &with_key).await.unwrap();
        for (file, text, is_enough) in [
            (".local/share/opencode/auth.json", "{}", false),
            (".config/opencode/opencode.json", "{\"theme\": \"dark\"}", false),
            (".config/opencode/opencode.json", "{\"provider\": {\"mine\": {}}}", true),
            (".local/share/opencode/auth.json", "{\"openai\": {\"type\": \"api\", \"key\": \"k\"}}", true),
        ] {
            let path = scratch.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            assert_eq!(check_login(EngineKind::Opencode, &context).await.is_ok(), is_enough, "{text}");
            if is_enough {
                std::fs::remove_file(&path).unwrap();
            }
        }
    }
}
