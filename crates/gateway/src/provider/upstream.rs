//! Where a provider is and with which key it is asked. An address comes from the operator alone, never from a call.

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderName, HeaderValue, Uri};
use orx_router::ProviderId;
use orx_router::catalogue::{self, Provider};

use crate::dialect::Dialect;
use crate::door::Ask;

/// A provider that cannot be asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// Its address is none.
    #[error("the `base_url` of `{provider}`, `{url}`, is no address: {why}")]
    Address {
        /// The provider.
        provider: String,
        /// What is written.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// Its key cannot be sent.
    #[error("the key of `{provider}` in the variable {variable} has characters that no header can carry")]
    Key {
        /// The provider.
        provider: String,
        /// The variable.
        variable: String,
    },
}

/// Where a provider is.
#[derive(Clone)]
pub struct Upstream {
    scheme: Scheme,
    authority: Authority,
    /// The path before every path of its API, without a slash at its end.
    base: String,
    speaks: catalogue::Dialect,
    responses: bool,
    key: Option<(HeaderName, HeaderValue)>,
    /// The variable that holds its key; `None` where it needs none.
    pub key_variable: Option<String>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({}://{}{})", self.scheme, self.authority, self.base)
    }
}

impl Upstream {
    /// The place of a provider; a provider without an address gets none that answers.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn new(provider: &Provider, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, UpstreamError> {
        let url = provider.base_url.as_deref().unwrap_or("http://127.0.0.1:1");
        let wrong = |why: &str| UpstreamError::Address {
            provider: provider.id.to_string(),
            url: url.to_owned(),
            why: why.to_owned(),
        };
        let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.ok_or_else(|| wrong("it has to begin with http:// or https://"))?;
        let authority = parts.authority.ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("a key does not belong into it: name the variable that holds it as `key_variable`"));
        }
        let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path);
        let key = provider.key_variable.as_deref().and_then(|name| Some((name, variable(name)?)));
        let key = key.filter(|(_, key)| !key.trim().is_empty()).map(|(name, key)| {
            header(provider.dialect, key.trim())
                .ok_or_else(|| UpstreamError::Key { provider: provider.id.to_string(), variable: name.to_owned() })
        });
        Ok(Self {
            scheme,
            authority,
            base: path.trim_end_matches('/').to_owned(),
            speaks: provider.dialect,
            responses: provider.responses,
            key: key.transpose()?,
            key_variable: provider.key_variable.clone(),
        })
    }

    /// Its address alone.
    #[must_use]
    pub fn root(&self) -> String {
        format!("{}://{}/", self.scheme, self.authority)
    }

    /// Whether it has the key that it needs.
    #[must_use]
    pub const fn is_configured(&self) -> bool {
        self.key.is_some() || self.key_variable.is_none()
    }

    /// Whether it is OpenAI itself, or all that OpenAI is.
    #[must_use]
    pub const fn is_openai(&self) -> bool {
        self.responses
    }

    /// The header with its key.
    #[must_use]
    pub const fn key(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.key.as_ref()
    }

    /// A provider's words without the operator's key, which some say again in their errors.
    #[must_use]
    pub fn without_key(&self, words: Bytes) -> Bytes {
        let key = self.key().map(|(_, value)| value.as_bytes()).unwrap_or_default();
        let key = key.strip_prefix(b"Bearer ").unwrap_or(key);
        if key.is_empty() || memchr::memmem::find(&words, key).is_none() {
            return words;
        }
        let mut out = Vec::with_capacity(words.len());
        let mut copied = 0;
        for found in memchr::memmem::find_iter(&words, key) {
            out.extend_from_slice(words.get(copied..found).unwrap_or_default());
            out.extend_from_slice(b"[redacted]");
            copied = found + key.len();
        }
        out.extend_from_slice(words.get(copied..).unwrap_or_default());
        out.into()
    }

    /// The dialect in which a caller of `dialect` is best served.
    #[must_use]
    pub const fn dialect_for(&self, dialect: Dialect) -> Dialect {
        match (self.speaks, dialect) {
            (catalogue::Dialect::Anthropic, _) => Dialect::Anthropic,
            (catalogue::Dialect::Openai, Dialect::Responses) if self.responses => Dialect::Responses,
            (catalogue::Dialect::Openai, _) => Dialect::Chat,
            (catalogue::Dialect::Google, _) => Dialect::Gemini,
            (catalogue::Dialect::Ollama, _) => Dialect::Ollama,
        }
    }

    /// The address at which `ask` is asked of `model` in `dialect`.
    ///
    /// # Errors
    /// When the model's name cannot stand in an address.
    pub fn uri(&self, dialect: Dialect, ask: Ask, model: &str, shape: Shape<'_>) -> Result<Uri, http::Error> {
        let path = match (dialect, ask) {
            (Dialect::Anthropic, Ask::Count) => "/v1/messages/count_tokens".to_owned(),
            (Dialect::Anthropic, _) => "/v1/messages".to_owned(),
            (Dialect::Chat, Ask::Embed) => "/embeddings".to_owned(),
            (Dialect::Chat, Ask::Rerank) => "/rerank".to_owned(),
            (Dialect::Chat, _) => "/chat/completions".to_owned(),
            (Dialect::Responses, _) => "/responses".to_owned(),
            (Dialect::Gemini, ask) => {
                let verb = match (ask, shape.stream) {
                    (Ask::Count, _) => "countTokens",
                    (Ask::Embed, _) if shape.one => "embedContent",
                    (Ask::Embed, _) => "batchEmbedContents",
                    (_, true) => "streamGenerateContent",
                    (_, false) => "generateContent",
                };
                format!("/v1beta/models/{}:{verb}", escaped(model))
            }
            (Dialect::Ollama, Ask::Embed) if shape.one => "/api/embeddings".to_owned(),
            (Dialect::Ollama, Ask::Embed) => "/api/embed".to_owned(),
            (Dialect::Ollama, _) if shape.generate => "/api/generate".to_owned(),
            (Dialect::Ollama, _) => "/api/chat".to_owned(),
        };
        let query = match (dialect, shape.query) {
            // A stream of Gemini's is an array that no line ends, unless it is asked for as events.
            (Dialect::Gemini, _) if shape.stream => "?alt=sse".to_owned(),
            (_, Some(query)) => format!("?{query}"),
            (_, None) => String::new(),
        };
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(format!("{}{path}{query}", self.base))
            .build()
    }
}

/// What an address depends on besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shape<'c> {
    /// Whether the answer is to be a stream.
    pub stream: bool,
    /// Whether it is Ollama's `/api/generate`.
    pub generate: bool,
    /// Whether vectors are asked in the form for one text.
    pub one: bool,
    /// The caller's query, where it speaks the provider's dialect.
    pub query: Option<&'c str>,
}

/// The header in which providers of a dialect look for a key.
fn header(speaks: catalogue::Dialect, key: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = match speaks {
        catalogue::Dialect::Anthropic => (HeaderName::from_static("x-api-key"), key.to_owned()),
        catalogue::Dialect::Google => (HeaderName::from_static("x-goog-api-key"), key.to_owned()),
        catalogue::Dialect::Openai | catalogue::Dialect::Ollama => {
            (http::header::AUTHORIZATION, format!("Bearer {key}"))
        }
    };
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// The name of a model as it stands in a path.
fn escaped(model: &str) -> String {
    let mut out = String::with_capacity(model.len());
    for byte in model.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The provider whose own login a caller of a dialect has.
#[must_use]
pub fn vendor_of(dialect: Dialect) -> Option<ProviderId> {
    match dialect {
        Dialect::Anthropic => Some("anthropic".into()),
        Dialect::Chat | Dialect::Responses => Some("openai".into()),
        Dialect::Gemini => Some("google".into()),
        Dialect::Ollama => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_router::catalogue::Catalogue;

    fn upstream(name: &str, key: Option<&str>) -> Upstream {
        let catalogue = Catalogue::built_in().unwrap();
        Upstream::new(catalogue.provider(name).unwrap(), &|_| key.map(str::to_owned)).unwrap()
    }

    #[test]
    fn each_dialect_has_its_addresses() {
        let stream = Shape { stream: true, ..Shape::default() };
        let one = Shape { one: true, ..Shape::default() };
        let beta = Shape { query: Some("beta=true"), ..Shape::default() };
        for (name, dialect, ask, model, shape, uri) in [
            (
                "anthropic",
                Dialect::Anthropic,
                Ask::Generate,
                "m",
                beta,
                "https://api.anthropic.com/v1/messages?beta=true",
            ),
            ("openai", Dialect::Chat, Ask::Generate, "m", stream, "https://api.openai.com/v1/chat/completions"),
            ("openai", Dialect::Responses, Ask::Generate, "m", stream, "https://api.openai.com/v1/responses"),
            (
                "google",
                Dialect::Gemini,
                Ask::Generate,
                "a/b?c",
                stream,
                "https://generativelanguage.googleapis.com/v1beta/models/a%2Fb%3Fc:streamGenerateContent?alt=sse",
            ),
            ("ollama", Dialect::Ollama, Ask::Embed, "m", Shape::default(), "http://127.0.0.1:11434/api/embed"),
            ("ollama", Dialect::Ollama, Ask::Embed, "m", one, "http://127.0.0.1:11434/api/embeddings"),
            ("openai", Dialect::Chat, Ask::Embed, "m", Shape::default(), "https://api.openai.com/v1/embeddings"),
            (
                "google",
                Dialect::Gemini,
                Ask::Embed,
                "m",
                Shape::default(),
                "https://generativelanguage.googleapis.com/v1beta/models/m:batchEmbedContents",
            ),
            (
                "google",
                Dialect::Gemini,
                Ask::Embed,
                "m",
                one,
                "https://generativelanguage.googleapis.com/v1beta/models/m:embedContent",
            ),
        ] {
            assert_eq!(upstream(name, None).uri(dialect, ask, model, shape).unwrap().to_string(), uri);
        }
    }

    #[test]
    fn a_key_is_where_its_provider_looks_and_is_never_shown() {
        let google = upstream("google", Some(" secret\n"));
        let (name, value) = google.key().unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap(), value.is_sensitive()), ("x-goog-api-key", "secret", true));
        assert!(!format!("{google:?}").contains("secret"));
        assert!(!upstream("openai", Some("  ")).is_configured());
        assert!(upstream("ollama", None).is_configured());
    }

    #[test]
    fn an_address_that_is_none_is_refused_by_name() {
        let text = |url: &str| {
            format!("providers:\n  mine:\n    dialect: openai\n    base_url: '{url}'\n    key_variable: K\n")
        };
        for (url, key, words) in [
            ("http://", None, "`mine`"),
            ("https://user:secret@host/v1", None, "key_variable"),
            ("http://host", Some("a\u{7}b"), "variable K"),
        ] {
            let catalogue = Catalogue::read(&[("mine.yaml", &text(url))]).unwrap();
            let error = Upstream::new(&catalogue.providers()[0], &|_| key.map(str::to_owned)).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
