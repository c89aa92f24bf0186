//! What no agent needs to see: keys, logins and histories of a person, by their usual places; and sockets through which
//! a program gets more rights than its own.

/// Below the home directory.
pub(super) const OF_A_HOME: [&str; 42] = [
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".config/gcloud",
    ".config/gh",
    ".config/glab-cli",
    ".config/hub",
    ".config/op",
    ".config/rclone",
    ".config/git/credentials",
    ".config/google-chrome",
    ".config/chromium",
    ".config/BraveSoftware",
    ".mozilla",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".yarnrc.yml",
    ".pypirc",
    ".pgpass",
    ".my.cnf",
    ".s3cfg",
    ".boto",
    ".vault-token",
    ".terraform.d/credentials.tfrc.json",
    ".terraformrc",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".m2/settings.xml",
    ".gradle/gradle.properties",
    ".password-store",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".config/sops",
    ".age",
    ".bash_history",
    ".zsh_history",
    ".python_history",
];

/// Anywhere.
pub(super) const OF_THE_MACHINE: [&str; 10] = [
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/var/run/docker.sock",
    "/var/lib/docker",
    "/var/spool/cron",
];

/// Directories in which programs of a machine and its users leave their sockets.
pub(super) const SOCKETS: [&str; 2] = ["/run", "/var/run"];

/// What lies in those directories and is needed to look names up.
pub(super) const NAME_SERVICE: [&str; 4] =
    ["/run/systemd/resolve", "/run/resolvconf", "/run/NetworkManager/resolv.conf", "/run/nscd"];

/// Directories of temporary files that everybody shares; a session gets its own instead.
pub(super) const SHARED_TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
