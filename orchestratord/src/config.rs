//! The daemon's settings: flags before variables before `orchestratord.yaml` before defaults.

use clap::Parser;
use orx_engines::Endpoint;
use orx_gateway::settings::{Config, FileGateway, Sessions};
use orx_protocol::limits;
use orx_protocol::places::{DEFAULT_HTTP, Places, variable};
use serde::Deserialize;
use serde_saphyr::Spanned;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::approvals::policy::{FileApprovals, Policy};
use crate::channels::settings::ChannelDefaults;
use crate::confinement::{Confinements, FileCaps, FileSandbox};
use crate::notify::Roads;
use crate::notify::settings::FileNotifications;

/// The daemon of orx: sessions, runs and workers behind one socket.
///
/// It runs in the foreground and logs to standard error; `orxctl up` puts it in the background.
#[derive(Debug, Clone, Default, Parser)]
#[command(
    name = "orchestratord",
    version,
    after_help = "Examples:\n  orchestratord\n  orchestratord --http off\n  ORX_HOME=/tmp/orx orchestratord --http 127.0.0.1:0"
)]
pub struct Flags {
    /// Directory of the daemon's state [variable: ORX_HOME]
    #[arg(long, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Path of the Unix socket [variable: ORX_SOCKET]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Address of HTTP and WebSocket, or `off` [variable: ORX_HTTP]
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<String>,
    /// The settings file [variable: ORX_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Log filter, as in `info` or `orchestratord=debug` [variable: ORX_LOG]
    #[arg(long, value_name = "FILTER")]
    pub log: Option<String>,
}

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No place for the daemon's files.
    #[error(transparent)]
    NoPlace(#[from] orx_protocol::places::NoPlace),
    /// The file cannot be read.
    #[error("the settings file {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is wrong; the message holds line and column.
    #[error("{path}: {message}")]
    File {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong.
        message: String,
    },
    /// A value is wrong.
    #[error("{name}: {message}")]
    Value {
        /// The flag, variable or key.
        name: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

/// `orchestratord.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    version: Option<u32>,
    socket: Option<PathBuf>,
    http: Option<String>,
    http_hosts: Vec<String>,
    http_behind_proxy: bool,
    log: Option<String>,
    limits: FileLimits,
    workers: BTreeMap<String, u32>,
    engines: FileEngines,
    runs: FileRuns,
    sandbox: FileSandbox,
    caps: FileCaps,
    sessions: FileSessions,
    approvals: FileApprovals,
    notifications: FileNotifications,
    gateway: FileGateway,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileLimits {
    frame_bytes: Option<usize>,
    connections: Option<usize>,
    client_backlog_bytes: Option<usize>,
    silence_seconds: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileEngines {
    endpoint: Option<FileEndpoint>,
    binaries: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEndpoint {
    url: String,
    key: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileRuns {
    concurrent: Option<usize>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileSessions {
    concurrent: Option<usize>,
    channel: Option<Spanned<String>>,
    channels: BTreeMap<String, Spanned<String>>,
}

/// Where HTTP is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Http {
    /// Nowhere.
    Off,
    /// Here.
    At {
        /// The address; port 0 takes a free one.
        address: SocketAddr,
        /// Names beside the loopback ones under which it may be addressed.
        hosts: Vec<String>,
    },
}

/// Limits of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest body of a known peer, in bytes.
    pub frame: usize,
    /// Connections open at once, over all listeners.
    pub connections: usize,
    /// Bytes that may wait for one client.
    pub client_backlog: usize,
    /// A WebSocket client that has been silent for this long, pings unanswered, is closed.
    pub silence: Duration,
}

/// Settings, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where things are.
    pub places: Places,
    /// Where HTTP is served.
    pub http: Http,
    /// The log filter.
    pub log: String,
    /// Limits of the wire.
    pub limits: Limits,
    /// Instances by supervised role.
    pub workers: BTreeMap<String, u32>,
    /// A routed or scripted model for the engines, in place of their vendors.
    pub endpoint: Option<Endpoint>,
    /// Engines' programs that are not to be looked up on `PATH`.
    pub binaries: BTreeMap<String, String>,
    /// How approvals that nobody decides end.
    pub approvals: Policy,
    /// How people are told.
    pub notifications: Roads,
    /// What sessions may touch and use.
    pub confinements: Confinements,
    /// Runs at work at once; further ones wait.
    pub concurrent_runs: usize,
    /// Sessions of people that run at once; further ones wait. 0: any number.
    pub concurrent_sessions: usize,
    /// Whether sessions get a structured channel where their caller says nothing.
    pub channels: ChannelDefaults,
    /// Providers, models, caps and rules of the gateway.
    pub gateway: Arc<Config>,
    /// Whether sessions are led through the gateway.
    pub gateway_sessions: Sessions,
}

/// The operator's file of providers and models.
const PROVIDERS: &str = "providers.yaml";
/// Most instances of one role.
const INSTANCES: u32 = 64;

impl Settings {
    /// The same, with the engines led to the gateway where that is wished and an HTTP address is there.
    #[must_use]
    pub fn led_through(mut self, address: Option<SocketAddr>) -> Self {
        if self.gateway_sessions == Sessions::Routed
            && self.endpoint.is_none()
            && let Some(address) = address
        {
            self.endpoint =
                Some(Endpoint { url: format!("http://{address}"), key: orx_gateway::key::PLACEHOLDER.to_owned() });
        }
        self
    }

    /// Resolves the settings.
    ///
    /// # Errors
    /// [`ConfigError`]; nothing was changed.
    pub fn load(flags: &Flags, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let path_text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let mut places = Places::resolve(|name| match name {
            variable::HOME => path_text(&flags.home).or_else(|| lookup(name)),
            variable::CONFIG => path_text(&flags.config).or_else(|| lookup(name)),
            variable::SOCKET => path_text(&flags.socket).or_else(|| lookup(name)),
            _ => lookup(name),
        })?;
        let named = flags.config.is_some() || lookup(variable::CONFIG).is_some_and(|value| !value.is_empty());
        let file = read(&places.config, named)?;
        if let Some(version) = file.version.filter(|version| *version != 1) {
            return Err(bad("version", format!("is {version}, this orchestratord knows version 1")));
        }
        let set = |name: &str| lookup(name).filter(|value| !value.is_empty());
        if flags.socket.is_none()
            && set(variable::SOCKET).is_none()
            && let Some(socket) = &file.socket
        {
            places.socket.clone_from(socket);
        }
        for (name, path) in [("ORX_HOME", &mut places.home), ("ORX_SOCKET", &mut places.socket)] {
            if path.is_relative() {
                *path = std::path::absolute(&*path)
                    .map_err(|error| bad(name, format!("{} is no path: {error}", path.display())))?;
            }
        }
        let http =
            flags.http.clone().or_else(|| set(variable::HTTP)).or(file.http).unwrap_or_else(|| DEFAULT_HTTP.to_owned());
        let http = listener(&http, &file.http_hosts, file.http_behind_proxy)?;
        let mut workers: BTreeMap<String, u32> =
            orx_protocol::api::worker::SUPERVISED_ROLES.iter().map(|role| ((*role).to_owned(), 1)).collect();
        for (role, count) in file.workers {
            if !workers.contains_key(&role) {
                return Err(bad(
                    "workers",
                    format!(
                        "`{role}` is no role that the daemon starts; there are naming, structure, semantic, manager"
                    ),
                ));
            }
            if count > INSTANCES {
                return Err(bad("workers", format!("`{role}: {count}` is above {INSTANCES}")));
            }
            workers.insert(role, count);
        }
        let range = |name: &str, value: Option<usize>, default: usize, least: usize, most: usize| match value {
            None => Ok(default),
            Some(value) if (least..=most).contains(&value) => Ok(value),
            Some(value) => Err(bad(name, format!("is {value}, it must be {least} to {most}"))),
        };
        if file.gateway.sessions == Sessions::Routed {
            if http == Http::Off {
                return Err(bad("gateway.sessions", "is `routed`, and HTTP is off: the gateway is reached over HTTP"));
            }
            if file.engines.endpoint.is_some() {
                let why = "is `routed`, and `engines.endpoint` names another address: leave one of them out";
                return Err(bad("gateway.sessions", why));
            }
        }
        Ok(Self {
            http,
            log: flags.log.clone().or_else(|| set(variable::LOG)).or(file.log).unwrap_or_else(|| "info".to_owned()),
            limits: Limits {
                frame: range("limits.frame_bytes", file.limits.frame_bytes, limits::FRAME_KNOWN, 64 * 1024, 64 << 20)?,
                connections: range("limits.connections", file.limits.connections, 4096, 8, 100_000)?,
                client_backlog: range(
                    "limits.client_backlog_bytes",
                    file.limits.client_backlog_bytes,
                    limits::CLIENT_BACKLOG,
                    64 * 1024,
                    1 << 30,
                )?,
                silence: Duration::from_secs(
                    range("limits.silence_seconds", file.limits.silence_seconds, 60, 1, 3600)? as u64,
                ),
            },
            workers,
            gateway_sessions: file.gateway.sessions,
            gateway: gateway(&file.gateway, &places, lookup)?,
            endpoint: file.engines.endpoint.map(endpoint).transpose()?,
            binaries: binaries(file.engines.binaries)?,
            confinements: Confinements::read(file.sandbox, &file.caps).map_err(|(key, why)| bad(key, why))?,
            notifications: file.notifications.read().map_err(|(key, why)| bad(key, why))?,
            approvals: file.approvals.read().map_err(|(key, why)| bad(key, why))?,
            concurrent_runs: range("runs.concurrent", file.runs.concurrent, 4, 1, 256)?,
            channels: ChannelDefaults::read(file.sessions.channel.as_ref(), &file.sessions.channels)
                .map_err(|message| ConfigError::File { path: places.config.clone(), message })?,
            concurrent_sessions: range("sessions.concurrent", file.sessions.concurrent, 0, 1, 10_000)?,
            places,
        })
    }
}

/// The gateway's settings with the operator's provider file, which lies beside the settings where nothing else is said.
fn gateway(
    file: &FileGateway,
    places: &Places,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Arc<Config>, ConfigError> {
    let beside = places.config.with_file_name(PROVIDERS);
    let path = file.providers.as_ref().unwrap_or(&beside);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && file.providers.is_none() => None,
        Err(source) => return Err(ConfigError::Read { path: path.clone(), source }),
    };
    let origin = path.to_string_lossy();
    let config = Config::new(file, text.as_deref().map(|text| (&*origin, text)), lookup);
    config.map(Arc::new).map_err(|error| bad("gateway", error.to_string()))
}

fn bad(name: &str, message: impl Into<String>) -> ConfigError {
    ConfigError::Value { name: name.to_owned(), message: message.into() }
}

fn read(path: &Path, named: bool) -> Result<File, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => return Ok(File::default()),
        Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
    };
    if text.trim().is_empty() {
        return Ok(File::default());
    }
    serde_saphyr::from_str(&text)
        .map_err(|error| ConfigError::File { path: path.to_owned(), message: error.to_string() })
}

fn listener(text: &str, hosts: &[String], behind_proxy: bool) -> Result<Http, ConfigError> {
    if text == "off" {
        return Ok(Http::Off);
    }
    let address: SocketAddr = text
        .parse()
        .map_err(|_| bad("http", format!("`{text}` is neither `off` nor an address such as {DEFAULT_HTTP}")))?;
    let is_guarded = behind_proxy && !hosts.is_empty();
    if !address.ip().is_loopback() && !is_guarded {
        return Err(bad(
            "http",
            format!(
                "{address} can be reached from other machines and carries no encryption; use a loopback address, or put a TLS proxy before it and say so with `http_behind_proxy: true` and its names in `http_hosts`"
            ),
        ));
    }
    Ok(Http::At { address, hosts: hosts.to_vec() })
}

fn endpoint(endpoint: FileEndpoint) -> Result<Endpoint, ConfigError> {
    if !endpoint.url.starts_with("http://") && !endpoint.url.starts_with("https://") {
        return Err(bad("engines.endpoint.url", format!("`{}` is no http or https address", endpoint.url)));
    }
    Ok(Endpoint { url: endpoint.url.trim_end_matches('/').to_owned(), key: endpoint.key })
}

fn binaries(binaries: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ConfigError> {
    for (engine, program) in &binaries {
        // A program that speaks ACP for an engine has a name of its own.
        if !orx_engines::channel::is_adapter(engine) {
            engine.parse::<orx_engines::EngineKind>().map_err(|error| bad("engines.binaries", error.to_string()))?;
        }
        if !Path::new(program).is_absolute() {
            return Err(bad("engines.binaries", format!("`{engine}: {program}` is no absolute path")));
        }
    }
    Ok(binaries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_led_to_one_place() {
        let flags = Flags::default();
        let routed = load(Some("gateway: {sessions: routed}"), &[], &flags).unwrap();
        let led = routed.led_through(Some("127.0.0.1:8090".parse().unwrap()));
        assert_eq!(led.endpoint.unwrap().url, "http://127.0.0.1:8090");
        let off = load(Some("gateway: {sessions: routed}\nhttp: 'off'"), &[], &flags).unwrap_err();
        assert!(off.contains("gateway.sessions") && off.contains("HTTP is off"), "{off}");
        let two = "gateway: {sessions: routed}\nengines: {endpoint: {url: 'http://h', key: k}}";
        let two = load(Some(two), &[], &flags).unwrap_err();
        assert!(two.contains("leave one of them out"), "{two}");
    }

    fn load(file: Option<&str>, set: &[(&str, &str)], flags: &Flags) -> Result<Settings, String> {
        let directory = tempfile::tempdir().unwrap();
        let mut flags = flags.clone();
        if let Some(file) = file {
            let path = directory.path().join("orchestratord.yaml");
            std::fs::write(&path, file).unwrap();
            flags.config = Some(path);
        }
        let lookup = |name: &str| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
                .or_else(|| (name == "HOME").then(|| "/h".to_owned()))
        };
        Settings::load(&flags, &lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn flags_win_over_variables_over_the_file_over_defaults() {
        let file = Some("http: 127.0.0.1:3\n");
        let none = Flags::default();
        let port = |settings: Settings| match settings.http {
            Http::At { address, .. } => address.port(),
            Http::Off => 0,
        };
        assert_eq!(port(load(None, &[], &none).unwrap()), 8090);
        assert_eq!(port(load(file, &[], &none).unwrap()), 3);
        assert_eq!(port(load(file, &[("ORX_HTTP", "127.0.0.1:2")], &none).unwrap()), 2);
        let flags = Flags { http: Some("off".to_owned()), ..Flags::default() };
        assert_eq!(port(load(file, &[("ORX_HTTP", "127.0.0.1:2")], &flags).unwrap()), 0);
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column() {
        let none = Flags::default();
        let error = load(Some("http: off\nportt: 3\n"), &[], &none).unwrap_err();
        assert!(error.contains("portt") && error.contains("line 2") && error.contains("column 1"), "{error}");
        for (file, word) in [
            ("version: 2\n", "version"),
            ("http: 0.0.0.0:8090\n", "http_behind_proxy"),
            ("http: nonsense\n", "nonsense"),
            ("workers: {painter: 1}\n", "painter"),
            ("workers: {naming: 1000}\n", "1000"),
            ("limits: {frame_bytes: 3}\n", "frame_bytes"),
            ("engines: {binaries: {claude: bin/claude}}\n", "absolute"),
            ("engines: {binaries: {cloude: /bin/claude}}\n", "cloude"),
            ("engines: {endpoint: {url: 'ftp://x', key: k}}\n", "ftp"),
            ("runs: {concurrent: 0}\n", "concurrent"),
            ("approvals: {expire_after: 5w}\n", "approvals.expire_after"),
            ("approvals: {on_expiry: allow}\n", "allow"),
            ("sessions: {concurrent: 0}\n", "sessions.concurrent"),
            ("sessions:\n  channel: never\n", "line 2, column 12: `sessions.channel` is `never`"),
            ("sessions: {channels: {codex: acp}}\n", "`sessions.channels.codex`"),
            ("sessions: {channels: {kodex: off}}\n", "kodex"),
            ("sessions: {chanel: off}\n", "chanel"),
            ("notifications: {command: [notify-me]}\n", "notifications.command"),
            ("notifications: {topics: [test]}\n", "notifications.topics"),
            ("notifications: {terminal: osc8}\n", "osc8"),
            ("http: [1\n", "line"),
        ] {
            let error = load(Some(file), &[], &none).unwrap_err();
            assert!(error.contains(word), "{file}: {error}");
        }
    }
}
