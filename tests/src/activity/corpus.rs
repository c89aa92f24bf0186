//! A recording and its labels, as they lie in `tests/data/activity`.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use orx_protocol::activity::AgentState;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How the names of recordings end.
const CAST: &str = ".cast.gz";
/// How the names of their labels end.
const LABELS: &str = ".labels.json";

/// What a recording shows and when what was true of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// The coding CLI.
    pub engine: String,
    /// Its version.
    pub version: String,
    /// What was played.
    pub script: String,
    /// Whether no rule was written from this recording: its figures are told apart.
    pub held_out: bool,
    /// What was true, in the order of time.
    pub truth: Vec<Truth>,
    /// What other sources than the terminal said, in the order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heard: Vec<Heard>,
}

/// A state that began. Times are milliseconds since the recording began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Truth {
    /// The state.
    pub state: AgentState,
    /// What caused it: not before this time did the state hold.
    pub from_ms: u64,
    /// From here on it held: the CLI had drawn what it then went on showing, or the model had its request.
    pub by_ms: u64,
    /// What the cause was.
    pub why: String,
}

/// What another source said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// When, in milliseconds since the recording began.
    pub at_ms: u64,
    /// What it was, without what is particular to the machine.
    #[serde(flatten)]
    pub what: Word,
}

/// What another source said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The payload of a hook.
    Hook(Value),
    /// A line of a conversation's file; its time is on the recording's clock.
    Line(Value),
    /// A file of the conversation that was written anew.
    Document(Value),
}

/// A recording in the corpus.
#[derive(Debug, Clone)]
pub struct Take {
    /// Its name, without endings.
    pub name: String,
    /// The asciicast.
    pub cast: String,
    /// Its labels.
    pub labels: Labels,
}

impl Take {
    /// All recordings of a directory, by name.
    ///
    /// # Errors
    /// When one cannot be read or has no labels.
    pub fn all(directory: &Path) -> anyhow::Result<Vec<Self>> {
        let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
            .with_context(|| directory.display().to_string())?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.to_string_lossy().ends_with(CAST))
            .collect();
        paths.sort();
        paths.iter().map(|path| Self::read(path)).collect()
    }

    /// Keeps a recording, compressed: the frames of a spinner are nearly alike.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, directory: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(directory)?;
        let mut compressed = GzEncoder::new(Vec::new(), Compression::best());
        compressed.write_all(self.cast.as_bytes())?;
        std::fs::write(directory.join(format!("{}{CAST}", self.name)), compressed.finish()?)?;
        let labels = serde_json::to_string_pretty(&self.labels)?;
        std::fs::write(directory.join(format!("{}{LABELS}", self.name)), labels + "\n")?;
        Ok(())
    }

    /// One recording, by the path of its cast.
    ///
    /// # Errors
    /// As [`Self::all`].
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let named = || path.display().to_string();
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let name = file.strip_suffix(CAST).with_context(named)?.to_owned();
        let mut cast = String::new();
        GzDecoder::new(std::fs::File::open(path).with_context(named)?).read_to_string(&mut cast).with_context(named)?;
        let labels = path.with_file_name(format!("{name}{LABELS}"));
        let text = std::fs::read_to_string(&labels).with_context(|| labels.display().to_string())?;
        let labels = serde_json::from_str(&text).with_context(|| labels.display().to_string())?;
        Ok(Self { name, cast, labels })
    }
}
