//! Finding a model by what a caller calls it: its name, an alias, a dated snapshot, or `provider/name`.

use std::borrow::Cow;

use orx_protocol::{ErrorKind, RpcError};
use orx_yaml::spell;

use super::{Catalogue, ModelIndex};

/// What a name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<'a> {
    /// The models of this name, one a provider, in the order of the catalogue; never empty.
    pub models: &'a [ModelIndex],
    /// The snapshot that was asked for by its date: what the provider is to be told instead of the model's name.
    pub snapshot: Option<&'a str>,
}

/// No model has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no model `{name}`{}", self.meant())]
pub struct UnknownModel {
    /// The name, as far as it can be shown.
    pub name: String,
    /// Names that are close, closest first.
    pub nearest: Vec<String>,
}

impl UnknownModel {
    fn meant(&self) -> String {
        match self.nearest.as_slice() {
            [] => String::new(),
            names => format!(
                ": did you mean {}?",
                names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
            ),
        }
    }
}

impl From<UnknownModel> for RpcError {
    fn from(error: UnknownModel) -> Self {
        Self::new(ErrorKind::NotFound, error.to_string())
            .with_hint("`llm.providers` lists the models; the operator's provider file can add one")
    }
}

/// How many near names are told.
const NEAREST: usize = 3;

impl Catalogue {
    /// The models that `name` means.
    ///
    /// # Errors
    /// [`UnknownModel`] with names that are near.
    pub fn find<'a>(&'a self, name: &'a str) -> Result<Found<'a>, UnknownModel> {
        let plain = name.strip_prefix("models/").unwrap_or(name);
        // What Claude Code appends for a wide context, and what Ollama appends where no tag was given.
        let plain = plain.strip_suffix("[1m]").unwrap_or(plain);
        if let Some(models) = self.named(plain) {
            return Ok(Found { models, snapshot: None });
        }
        let newest = plain.strip_suffix(":latest").or_else(|| plain.strip_suffix("-latest"));
        if let Some(models) = newest.and_then(|base| self.named(base)) {
            return Ok(Found { models, snapshot: None });
        }
        if let Some(models) = without_date(plain).and_then(|base| self.named(base)) {
            return Ok(Found { models, snapshot: Some(self.without_provider(plain)) });
        }
        Err(self.unknown(name))
    }

    /// The error for a name that is not known.
    #[must_use]
    pub fn unknown(&self, name: &str) -> UnknownModel {
        let qualified = name.contains('/');
        let names = self.names.keys().map(String::as_str).filter(|known| qualified || !known.contains('/'));
        let nearest = spell::nearest(name, names, NEAREST).into_iter().map(str::to_owned).collect();
        UnknownModel { name: spell::shown(name), nearest }
    }

    pub(super) fn named(&self, name: &str) -> Option<&[ModelIndex]> {
        let name = if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(name.to_ascii_lowercase())
        } else {
            Cow::Borrowed(name)
        };
        self.names.get(name.as_ref()).map(Vec::as_slice)
    }

    fn without_provider<'n>(&self, name: &'n str) -> &'n str {
        match name.split_once('/') {
            Some((provider, model)) if self.provider_names.contains_key(provider) => model,
            _ => name,
        }
    }
}

/// The name before `-20250929`, `@20250929` or `-2025-09-29`.
fn without_date(name: &str) -> Option<&str> {
    let digits = |text: &str, count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let (base, last) = name.rsplit_once(['-', '@'])?;
    if digits(last, 8) {
        return Some(base);
    }
    let (before, month) = base.rsplit_once('-')?;
    let (base, year) = before.rsplit_once('-')?;
    (digits(last, 2) && digits(month, 2) && digits(year, 4)).then_some(base)
}
