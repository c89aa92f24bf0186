//! What a session was made with, kept so that it can be started later, or again. Values of variables are not kept, since
//! they may be secrets: whoever takes the session up again gives them again.

use orx_protocol::api::session::CreateParams;
use orx_protocol::{ErrorKind, RpcError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::outside::Outside;

/// The file in the session's directory.
const FILE: &str = "wish.json";

/// What a caller wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The parameters, without the values of `env`.
    params: CreateParams,
    /// The names in `env`.
    variables: Vec<String>,
    /// What it joins, where its agent runs outside of orx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside: Option<Outside>,
}

impl Wish {
    /// The wish behind these parameters.
    #[must_use]
    pub fn of(params: &CreateParams, outside: Option<Outside>) -> Self {
        let variables = params.env.keys().cloned().collect();
        Self { params: CreateParams { env: BTreeMap::new(), ..params.clone() }, variables, outside }
    }

    /// Keeps the wish in the session's directory.
    ///
    /// # Errors
    /// As the directory or the file cannot be written.
    pub fn save(&self, directory: &Path) -> io::Result<()> {
        orx_sandbox::file::private_directory(directory)?;
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        orx_sandbox::file::replace(&directory.join(FILE), &text)
    }

    /// The wish that is kept in a session's directory; `None` for one of an older orx, or of a pipeline.
    #[must_use]
    pub fn load(directory: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(directory.join(FILE)).ok()?).ok()
    }

    /// Whether it was made with variables, whose values are not known here.
    #[must_use]
    pub fn has_variables(&self) -> bool {
        !self.variables.is_empty()
    }

    /// The parameters with these values for its variables.
    ///
    /// # Errors
    /// `InvalidParams` naming the variables that have no value.
    pub fn complete(self, env: &BTreeMap<String, String>) -> Result<CreateParams, RpcError> {
        let missing: Vec<&str> =
            self.variables.iter().filter(|name| !env.contains_key(*name)).map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(CreateParams { env: env.clone(), ..self.params });
        }
        let why = format!(
            "it was made with the variables {}, whose values are not kept since they may be secrets",
            missing.join(", ")
        );
        Err(RpcError::new(ErrorKind::InvalidParams, why).with_hint("give them again in `env`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_kept_without_the_values_of_its_variables() {
        let params = CreateParams {
            engine: "command".to_owned(),
            cwd: "/".to_owned(),
            env: [("KEY".to_owned(), "a secret".to_owned())].into(),
            ..CreateParams::default()
        };
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("ses");
        Wish::of(&params, None).save(&place).unwrap();
        assert!(!std::fs::read_to_string(place.join(FILE)).unwrap().contains("a secret"));
        let wish = Wish::load(&place).unwrap();
        let error = wish.clone().complete(&BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("KEY"), "{error}");
        assert_eq!(wish.complete(&params.env).unwrap(), params);
        assert_eq!(Wish::load(directory.path()), None);
    }
}
