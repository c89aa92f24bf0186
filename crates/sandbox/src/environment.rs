//! The environment of children: an exact allow-list, never what the daemon happens to have.

use std::collections::BTreeMap;

/// An exact environment.
pub type Environment = BTreeMap<String, String>;

/// Variables that every program may see: who and where the user is, how text looks, how the network is reached.
const ALLOWED: [&str; 22] = [
    "HOME",
    "PATH",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TERM",
    "COLORTERM",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];

/// Variables with which builds and tests find their tools: for engines and gates.
pub const BUILD_TOOLS: [&str; 15] = [
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOROOT",
    "GOMODCACHE",
    "GOCACHE",
    "JAVA_HOME",
    "NVM_DIR",
    "PNPM_HOME",
    "PYENV_ROOT",
    "VIRTUAL_ENV",
    "UV_CACHE_DIR",
    "MISE_DATA_DIR",
    "ASDF_DATA_DIR",
];

/// Prefixes of such variables.
const ALLOWED_PREFIXES: [&str; 2] = ["LC_", "XDG_"];

/// This process's environment; variables that are not UTF-8 are left out.
#[must_use]
pub fn own() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// The part of `full` that any program may see.
#[must_use]
pub fn base(full: &Environment) -> Environment {
    select(full, &[])
}

/// The part of `full` that a program may see which also needs the variables with these prefixes.
#[must_use]
pub fn select(full: &Environment, prefixes: &[&str]) -> Environment {
    full.iter()
        .filter(|(name, _)| {
            ALLOWED.contains(&name.as_str())
                || ALLOWED_PREFIXES.iter().chain(prefixes).any(|prefix| name.starts_with(prefix))
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_allowed_passes() {
        let full: Environment =
            [("PATH", "/bin"), ("LC_ALL", "C"), ("ORX_TOKEN", "t"), ("AWS_SECRET", "s"), ("OPENAI_API_KEY", "k")]
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
        assert_eq!(base(&full).keys().collect::<Vec<_>>(), ["LC_ALL", "PATH"]);
        assert_eq!(select(&full, &["OPENAI_"]).keys().collect::<Vec<_>>(), ["LC_ALL", "OPENAI_API_KEY", "PATH"]);
    }
}
