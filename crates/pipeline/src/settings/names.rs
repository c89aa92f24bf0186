//! The names of engines and stages in `orx.yaml`: S3's, ours, and their aliases.

use std::fmt;
use std::sync::OnceLock;

use orx_engines::EngineKind;
use serde::de::{EnumAccess, Error, VariantAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// An engine as `orx.yaml` may name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub enum EngineName {
    /// One that orx drives.
    Engine(EngineKind),
    /// S3's engine for its own tests, which orx has not.
    Fake,
}

/// S3's engine for its own tests.
const FAKE: &str = "fake";

impl EngineName {
    /// The canonical name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Engine(kind) => kind.name(),
            Self::Fake => FAKE,
        }
    }

    /// The engine that serves the name; `None` where orx has none.
    #[must_use]
    pub const fn served(self) -> Option<EngineKind> {
        match self {
            Self::Engine(kind) => Some(kind),
            Self::Fake => None,
        }
    }
}

impl<'de> Deserialize<'de> for EngineName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum("EngineName", &[], Variant)
    }
}

/// Reads a name as one of a choice: formats tell the place of a choice that is none.
struct Variant;

impl<'de> Visitor<'de> for Variant {
    type Value = EngineName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Named.expecting(f)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<EngineName, A::Error> {
        let (Word(name), rest) = data.variant()?;
        rest.unit_variant()?;
        Ok(name)
    }
}

/// The word itself.
struct Word(EngineName);

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(Named).map(Self)
    }
}

/// Reads a name.
struct Named;

impl Visitor<'_> for Named {
    type Value = EngineName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of an engine")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<EngineName, E> {
        static NAMES: OnceLock<Vec<&'static str>> = OnceLock::new();
        if name == FAKE {
            return Ok(EngineName::Fake);
        }
        let known = || EngineKind::ALL.into_iter().map(EngineKind::name).chain([FAKE]).collect();
        name.parse().map(EngineName::Engine).map_err(|_| E::unknown_variant(name, NAMES.get_or_init(known)))
    }
}

impl From<EngineName> for String {
    fn from(name: EngineName) -> Self {
        name.as_str().to_owned()
    }
}

impl fmt::Display for EngineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stage that an engine works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StageKey {
    /// The plan.
    Plan,
    /// The specification.
    Spec,
    /// The backlog.
    Decompose,
    /// The first attempt at an item.
    #[serde(alias = "implement_item")]
    Implement,
    /// A further attempt at an item, with evidence.
    #[serde(alias = "fix_loop")]
    Fix,
    /// The review of the whole.
    Review,
    /// The update of the project's notes.
    #[serde(alias = "knowledge")]
    KnowledgeUpdate,
}

impl StageKey {
    /// Every stage, in the order of a run.
    pub const ALL: [Self; 7] =
        [Self::Plan, Self::Spec, Self::Decompose, Self::Implement, Self::Fix, Self::Review, Self::KnowledgeUpdate];

    /// The name in `orx.yaml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Spec => "spec",
            Self::Decompose => "decompose",
            Self::Implement => "implement",
            Self::Fix => "fix",
            Self::Review => "review",
            Self::KnowledgeUpdate => "knowledge_update",
        }
    }

    /// The word in the marker line of a prompt.
    #[must_use]
    pub const fn marker(self) -> &'static str {
        match self {
            Self::KnowledgeUpdate => "knowledge",
            other => other.as_str(),
        }
    }

    /// Whether the engine may write files.
    #[must_use]
    pub const fn writes(self) -> bool {
        matches!(self, Self::Implement | Self::Fix)
    }
}

impl fmt::Display for StageKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
