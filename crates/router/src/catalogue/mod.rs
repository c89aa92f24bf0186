//! Providers and their models as data: what is built in, with what an operator lays over it, and how a name that a
//! caller gives is found. It fetches nothing; keys belong to the gateway.

mod file;
mod lookup;
mod read;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::amount::Tokens;
use crate::breaker;
use crate::capability::{Capabilities, Capability};
use crate::limits::Rate;
use crate::name::{ModelId, ProviderId, Route};
use crate::price::Price;

pub use lookup::{Found, UnknownModel};
pub use read::CatalogueError;

/// The language that a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Anthropic's messages.
    Anthropic,
    /// OpenAI's chat completions and responses, and whoever is compatible.
    Openai,
    /// Google's generateContent.
    Google,
    /// Ollama's own.
    Ollama,
}

/// Who serves models.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// Its name.
    pub id: ProviderId,
    /// Its name for people.
    pub title: String,
    /// What it speaks.
    pub dialect: Dialect,
    /// Where it is; `None` where the operator has to say.
    pub base_url: Option<String>,
    /// The variable with its key; `None` where it needs none.
    pub key_variable: Option<String>,
    /// Whether it runs on the operator's own machines: its calls cost no money.
    pub local: bool,
    /// Whether it serves OpenAI's responses beside chat completions; most compatible servers do not.
    pub responses: bool,
    /// Whether it puts texts in order of relevance by itself, at `/rerank`; where not, that is done by vectors of its embedding model.
    pub rerank: bool,
    /// How many texts one call for vectors may hold.
    pub batch: Batch,
    /// How much it may be asked.
    pub limits: Rate,
    /// When its breakers open and close.
    pub breaker: breaker::Settings,
}

/// What one call for vectors may hold at most; `None` where it is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batch {
    /// Texts.
    pub texts: Option<u32>,
    /// Tokens of all of them together.
    pub tokens: Option<u64>,
}

/// A model at a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Provider and name: what a call is sent to.
    pub route: Route,
    /// Its name for people.
    pub title: String,
    /// Whether its provider is local.
    pub local: bool,
    /// Tokens of a request with its answer; `None` where it is not known.
    pub context: Option<Tokens>,
    /// Most tokens of an answer; `None` where it is not known.
    pub max_output: Option<Tokens>,
    /// Numbers of a vector, where it makes vectors of texts and how many is known.
    pub dimensions: Option<u32>,
    /// How good it is against the best, per mille: a judgement, for the operator to change.
    pub quality: Option<u16>,
    /// How long it usually takes to begin its answer, until it was measured here.
    pub latency_ms: Option<u32>,
    /// What it can be used for.
    pub capabilities: Capabilities,
    /// What it costs; `None` where it is not known.
    pub price: Option<Price>,
}

impl Model {
    /// Whether vectors and orders of texts are all that is known of it: it writes nothing.
    #[must_use]
    pub fn writes_nothing(&self) -> bool {
        let of_texts = Capabilities::only(Capability::Embedding).with(Capability::Rerank);
        self.capabilities != Capabilities::NONE && of_texts.covers(self.capabilities)
    }

    /// Whether it makes vectors of texts.
    #[must_use]
    pub const fn embeds(&self) -> bool {
        self.capabilities.covers(Capabilities::only(Capability::Embedding))
    }

    /// Whether it puts texts in order of relevance.
    #[must_use]
    pub const fn reranks(&self) -> bool {
        self.capabilities.covers(Capabilities::only(Capability::Rerank))
    }
}

/// Place of a model in its catalogue. It means nothing in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelIndex(u32);

/// All providers and models that are known.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    providers: Vec<Provider>,
    provider_names: HashMap<String, usize>,
    models: Vec<Model>,
    /// Every name of every model, in lower case, with and without the provider's.
    names: HashMap<String, Vec<ModelIndex>>,
}

/// The data that is part of the program.
const BUILT_IN: [(&str, &str); 5] = [
    ("anthropic.yaml", include_str!("../../data/anthropic.yaml")),
    ("openai.yaml", include_str!("../../data/openai.yaml")),
    ("google.yaml", include_str!("../../data/google.yaml")),
    ("ollama.yaml", include_str!("../../data/ollama.yaml")),
    ("mlx.yaml", include_str!("../../data/mlx.yaml")),
];

impl Catalogue {
    /// What is built in.
    ///
    /// # Errors
    /// [`CatalogueError`] is a defect in orx: a test reads the data.
    pub fn built_in() -> Result<Self, CatalogueError> {
        Self::read(&BUILT_IN)
    }

    /// What is built in with an operator's `text` laid over it, field by field; `origin` is the text's name in errors.
    ///
    /// # Errors
    /// [`CatalogueError`] with line and column where the text is wrong.
    pub fn with_operator(text: &str, origin: &str) -> Result<Self, CatalogueError> {
        let mut texts = BUILT_IN.to_vec();
        texts.push((origin, text));
        Self::read(&texts)
    }

    /// Texts laid over each other in their order; each is a name for errors and its YAML.
    ///
    /// # Errors
    /// [`CatalogueError`] with line and column where a text is wrong.
    pub fn read(texts: &[(&str, &str)]) -> Result<Self, CatalogueError> {
        let mut whole = file::File::default();
        for (origin, text) in texts {
            let part = read::parse(text, origin)?;
            whole.lay(part, origin);
        }
        whole.finish(texts)
    }

    /// The models, in the order of the data.
    pub fn models(&self) -> impl ExactSizeIterator<Item = (ModelIndex, &Model)> {
        // More than 2^32 models do not fit into the text of a catalogue.
        self.models.iter().enumerate().map(|(at, model)| (ModelIndex(u32::try_from(at).unwrap_or(u32::MAX)), model))
    }

    /// The providers, in the order of the data.
    #[must_use]
    pub fn providers(&self) -> &[Provider] {
        &self.providers
    }

    /// The provider of this name or alias.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        self.provider_names.get(name).and_then(|at| self.providers.get(*at))
    }

    /// The model at `index`; `None` for an index of another catalogue.
    #[must_use]
    pub fn get(&self, index: ModelIndex) -> Option<&Model> {
        self.models.get(index.0 as usize)
    }

    /// The first model of a provider that makes vectors of texts.
    #[must_use]
    pub fn embedding_of(&self, provider: &ProviderId) -> Option<ModelIndex> {
        let found = self.models().find(|(_, model)| model.route.provider == *provider && model.embeds());
        found.map(|(index, _)| index)
    }

    /// The model of a route that was kept, as a number in this catalogue.
    #[must_use]
    pub fn index_of(&self, provider: &ProviderId, model: &ModelId) -> Option<ModelIndex> {
        let found = self.named(model)?;
        found.iter().copied().find(|index| {
            self.get(*index).is_some_and(|known| known.route.provider == *provider && known.route.model == *model)
        })
    }
}

#[cfg(test)]
mod tests;
