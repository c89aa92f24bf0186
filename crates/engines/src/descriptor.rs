//! What is known of each engine as data: one file an engine, `data/<name>.yaml`, part of the program.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use regex::Regex;
use semver::VersionReq;
use serde::{Deserialize, Deserializer};

use crate::composer::{Composer, Submission};
use crate::resumption::Conversation;
use crate::{EngineError, EngineKind};

/// What is known of an engine.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Descriptor {
    /// Its name for people.
    pub title: String,
    /// Further names in settings and requests.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The name of its program on `PATH`; `None` where the settings name it.
    #[serde(default)]
    pub program: Option<String>,
    /// The command that installs it.
    #[serde(default)]
    pub install: Option<String>,
    /// What a person does to log in.
    pub login: String,
    /// The arguments with which it is asked for its version; `--version` when absent.
    #[serde(default)]
    pub version_arguments: Option<Vec<String>>,
    /// The answer: its first group is the version.
    #[serde(default, deserialize_with = "pattern")]
    pub version: Option<Regex>,
    /// The version that the tests run.
    #[serde(default)]
    pub tested: Option<String>,
    /// Why no test runs it.
    #[serde(default)]
    pub untested: Option<String>,
    /// Prefixes of the operator's variables that it inherits.
    #[serde(default)]
    pub inherits: Vec<String>,
    /// Variables that it inherits too where the operator switched a cloud on.
    #[serde(default)]
    pub clouds: Vec<Cloud>,
    /// Variables that tell it that it was started from inside another session of its kind.
    #[serde(default)]
    pub outer_session: Vec<String>,
    /// What it writes beside the working directory: below the home directory, or where a `$VARIABLE` says. Directories end
    /// with a slash.
    #[serde(default)]
    pub writes: Vec<String>,
    /// Where it keeps its login, in the same form.
    #[serde(default)]
    pub logins: Vec<String>,
    /// How it is pointed at a model endpoint; `None` where it takes none.
    #[serde(default)]
    pub endpoint: Option<EndpointUse>,
    /// Its headless calls.
    #[serde(default)]
    pub headless: Headless,
    /// Its sessions in a terminal.
    #[serde(default)]
    pub terminal: TerminalUse,
    /// How its place for a prompt looks; none where it is not known, and then it is never waited for.
    #[serde(default)]
    pub composer: Vec<Composer>,
    /// A variable for the directory of the sockets of servers that it starts; in a shared one it would use those of another
    /// session, and end with them.
    #[serde(default)]
    pub sockets: Option<String>,
    /// How what stands there is submitted where that is not always Enter.
    #[serde(default)]
    pub submit: Vec<Submission>,
    /// How a conversation is named and found again.
    #[serde(default)]
    pub conversation: Conversation,
    /// The structured channels that it offers beside its terminal.
    #[serde(default)]
    pub channels: Channels,
}

/// Variables of a cloud through which an engine reaches its model.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cloud {
    /// The variable that switches it on.
    pub switch: String,
    /// Prefixes of the variables that it then inherits.
    pub inherits: Vec<String>,
}

/// The API with which an engine speaks to its model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Chat Completions.
    OpenaiChat,
    /// OpenAI Responses.
    OpenaiResponses,
    /// Gemini.
    Gemini,
}

/// How an engine is pointed at a model endpoint.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointUse {
    /// The API that it speaks.
    pub dialect: Dialect,
    /// Variables that point it there: `{url}` is the endpoint's base, `{v1}` the same with `/v1`, `{key}` its key.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
}

/// Headless calls of an engine.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headless {
    /// Why it has none that orx can read, as the end of a sentence.
    #[serde(default)]
    pub none: Option<String>,
    /// Arguments with which a stage that may not write would be let write after all.
    #[serde(default)]
    pub guarded: Vec<String>,
    /// Why it cannot be kept from writing; such an engine serves no stage that may not write.
    #[serde(default)]
    pub always_writes: Option<String>,
}

/// Sessions of an engine in a terminal.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalUse {
    /// Why it has none that orx can hold, as the end of a sentence.
    #[serde(default)]
    pub none: Option<String>,
    /// Whether it draws on the alternate screen.
    #[serde(default)]
    pub alternate_screen: bool,
    /// Arguments of every session.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// Arguments of sessions whose model is an endpoint: `{home}` is their private home.
    #[serde(default)]
    pub endpoint_arguments: Vec<String>,
    /// Arguments that hand over a first prompt, `{prompt}`; empty where it takes none.
    #[serde(default)]
    pub prompt: Vec<String>,
    /// Keys that stop a turn that is under way, pressed one after another; empty where none are known.
    #[serde(default)]
    pub interrupt: Vec<String>,
    /// Keys that empty its place for prompts, where an interruption puts the prompt back into it; empty where it does not.
    #[serde(default)]
    pub clear: Vec<String>,
}

/// Structured channels of an engine. In arguments, `{address}` and `{port}` are the caller's to fill in.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Channels {
    /// Arguments with which it speaks ACP on standard input and output.
    #[serde(default)]
    pub acp: Option<Vec<String>>,
    /// A program of its own that speaks ACP for it.
    #[serde(default)]
    pub acp_adapter: Option<Vec<String>>,
    /// Arguments of its server for structured clients.
    #[serde(default)]
    pub app_server: Option<Vec<String>>,
    /// Arguments of its HTTP server.
    #[serde(default)]
    pub serve: Option<Vec<String>>,
    /// Arguments with which its terminal client joins such a server.
    #[serde(default)]
    pub attach: Option<Vec<String>>,
    /// Whether it calls programs at turns of a session.
    #[serde(default)]
    pub hooks: bool,
    /// Whether its headless calls print one JSON object a line.
    #[serde(default)]
    pub stream_json: bool,
}

impl Channels {
    /// Their names, for listings.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        [
            ("app-server", self.app_server.is_some()),
            ("serve", self.serve.is_some()),
            ("acp", self.acp.is_some()),
            ("acp adapter", self.acp_adapter.is_some()),
            ("hooks", self.hooks),
            ("stream-json", self.stream_json),
        ]
        .into_iter()
        .filter_map(|(name, has)| has.then_some(name))
        .collect()
    }
}

/// Reads a regular expression.
pub(crate) fn pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Regex>, D::Error> {
    Option::<String>::deserialize(deserializer)?
        .map(|text| Regex::new(&text).map_err(serde::de::Error::custom))
        .transpose()
}

/// Reads a range of versions.
pub(crate) fn versions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<VersionReq>, D::Error> {
    Option::<String>::deserialize(deserializer)?.map(|text| text.parse().map_err(serde::de::Error::custom)).transpose()
}

fn read(kind: EngineKind) -> Result<Descriptor, EngineError> {
    serde_saphyr::from_str(kind.data()).map_err(|error| EngineError::Data { engine: kind, reason: error.to_string() })
}

/// What is known of an engine.
pub(crate) fn of(kind: EngineKind) -> &'static Descriptor {
    static ALL: OnceLock<BTreeMap<EngineKind, Descriptor>> = OnceLock::new();
    static NOTHING: OnceLock<Descriptor> = OnceLock::new();
    // The files are part of the program and its tests read each, so none is ever missing here.
    ALL.get_or_init(|| EngineKind::ALL.into_iter().filter_map(|kind| Some((kind, read(kind).ok()?))).collect())
        .get(&kind)
        .unwrap_or_else(|| NOTHING.get_or_init(Descriptor::default))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn every_file_is_read_and_says_what_every_engine_has_to() {
        let mut names = BTreeSet::new();
        for kind in EngineKind::ALL {
            let known = read(kind).unwrap_or_else(|error| panic!("{error}"));
            assert!(!known.title.is_empty() && !known.login.is_empty(), "{kind}");
            assert!(known.tested.is_some() != known.untested.is_some(), "{kind}: either tested or untested");
            for name in known.aliases.iter().map(String::as_str).chain([kind.name()]) {
                assert!(names.insert(name.to_owned()), "two engines are called {name}");
            }
            if kind != EngineKind::Command {
                assert!(known.program.is_some() && known.install.is_some() && known.version.is_some(), "{kind}");
                assert_eq!(
                    known.version.as_ref().map(Regex::captures_len),
                    Some(2),
                    "{kind}: one group is the version"
                );
            }
            let placed = |arguments: &[String], place: &str| arguments.iter().any(|text| text.contains(place));
            let prompt = &known.terminal.prompt;
            assert!(prompt.is_empty() || placed(prompt, "{prompt}"), "{kind}");
        }
    }

    #[test]
    fn every_file_belongs_to_an_engine() {
        let known: BTreeSet<&str> = EngineKind::ALL.map(EngineKind::name).into();
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("data")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let engine = name.split('.').next().unwrap();
            assert!(known.contains(engine), "data/{name} is nobody's: add the engine to src/kind.rs");
        }
    }

    #[test]
    fn a_misspelt_member_or_a_pattern_that_is_none_is_refused() {
        for text in [
            "title: T\nlogin: l\nprogramm: x\n",
            "title: T\nlogin: l\nversion: '('\n",
            "title: T\nlogin: l\ncomposer:\n  - { versions: new, row: x }\n",
            "title: T\nlogin: l\nendpoint: { dialect: telepathy }\n",
            "login: l\n",
        ] {
            assert!(serde_saphyr::from_str::<Descriptor>(text).is_err(), "{text}");
        }
    }
}
