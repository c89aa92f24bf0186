//! Reading a JSON tree with the place of what is wrong: `messages[3].content[0].type`. The place is a chain on the stack,
//! spelt out only when there is something to say.

use std::borrow::Cow;

use super::DialectError;
use super::json::Json;
use super::loss::Losses;

#[derive(Clone, Copy)]
enum Step<'p> {
    Root,
    Key(&'p str),
    Index(usize),
}

/// A value and where it stands.
#[derive(Clone, Copy)]
pub(crate) struct Node<'p, 't> {
    pub(crate) value: &'t Json<'t>,
    parent: Option<&'p Node<'p, 't>>,
    step: Step<'p>,
}

impl<'t> Node<'_, 't> {
    pub(crate) const fn root(value: &'t Json<'t>) -> Self {
        Self { value, parent: None, step: Step::Root }
    }

    pub(crate) fn path(&self) -> String {
        let mut path = self.parent.map(Node::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Step::Index(index) => path.push_str(&format!("[{index}]")),
        }
        path
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> DialectError {
        let path = self.path();
        DialectError::field(if path.is_empty() { "body".to_owned() } else { path }, message)
    }

    fn wrong(&self, wanted: &str) -> DialectError {
        self.error(format!("{wanted} is needed here, this is {}", self.value.kind()))
    }

    /// The member of that name, where it is there and not null.
    pub(crate) fn opt<'s>(&'s self, key: &'s str) -> Option<Node<'s, 't>> {
        let value = self.value.get(key)?;
        if matches!(value, Json::Null) {
            return None;
        }
        Some(Node { value, parent: Some(self), step: Step::Key(key) })
    }

    pub(crate) fn need<'s>(&'s self, key: &'s str) -> Result<Node<'s, 't>, DialectError> {
        self.opt(key).ok_or_else(|| {
            let missing = Node { value: self.value, parent: Some(self), step: Step::Key(key) };
            DialectError::field(missing.path(), "it is missing")
        })
    }

    pub(crate) fn str(&self) -> Result<&'t str, DialectError> {
        self.value.as_str().ok_or_else(|| self.wrong("a string"))
    }

    pub(crate) fn text(&self) -> Result<Cow<'t, str>, DialectError> {
        self.str().map(Cow::Borrowed)
    }

    pub(crate) fn u64(&self) -> Result<u64, DialectError> {
        self.value.as_u64().ok_or_else(|| self.wrong("a whole number that is not negative"))
    }

    pub(crate) fn f64(&self) -> Result<f64, DialectError> {
        let Json::Number(number) = self.value else { return Err(self.wrong("a number")) };
        number.as_f64().ok_or_else(|| self.wrong("a number"))
    }

    pub(crate) fn bool(&self) -> Result<bool, DialectError> {
        if let Json::Bool(value) = self.value { Ok(*value) } else { Err(self.wrong("true or false")) }
    }

    pub(crate) fn array(&self) -> Result<&'t [Json<'t>], DialectError> {
        self.value.as_array().ok_or_else(|| self.wrong("an array"))
    }

    pub(crate) fn object(&self) -> Result<&'t [(Cow<'t, str>, Json<'t>)], DialectError> {
        if let Json::Object(members) = self.value { Ok(members) } else { Err(self.wrong("an object")) }
    }

    /// Each element of an array.
    pub(crate) fn items<'s>(&'s self) -> Result<impl Iterator<Item = Node<'s, 't>> + 's, DialectError> {
        let elements = self.array()?;
        Ok(elements.iter().enumerate().map(move |(index, value)| Node {
            value,
            parent: Some(self),
            step: Step::Index(index),
        }))
    }

    pub(crate) fn opt_str(&self, key: &str) -> Result<Option<&'t str>, DialectError> {
        self.opt(key).map(|node| node.str()).transpose()
    }

    pub(crate) fn opt_text(&self, key: &str) -> Result<Option<Cow<'t, str>>, DialectError> {
        self.opt(key).map(|node| node.text()).transpose()
    }

    pub(crate) fn opt_u64(&self, key: &str) -> Result<Option<u64>, DialectError> {
        self.opt(key).map(|node| node.u64()).transpose()
    }

    pub(crate) fn opt_f64(&self, key: &str) -> Result<Option<f64>, DialectError> {
        self.opt(key).map(|node| node.f64()).transpose()
    }

    pub(crate) fn opt_bool(&self, key: &str) -> Result<Option<bool>, DialectError> {
        self.opt(key).map(|node| node.bool()).transpose()
    }

    pub(crate) fn need_str(&self, key: &str) -> Result<&'t str, DialectError> {
        self.need(key)?.str()
    }

    pub(crate) fn need_text(&self, key: &str) -> Result<Cow<'t, str>, DialectError> {
        self.need(key)?.text()
    }

    pub(crate) const fn is_string(&self) -> bool {
        matches!(self.value, Json::String(_))
    }

    /// A member of a provider's answer, read leniently: what is not a string counts as not there.
    pub(crate) fn soft_str(&self, key: &str) -> Option<&'t str> {
        self.value.get(key).and_then(Json::as_str)
    }
}

/// Notes the members of a body that its reader does not know.
pub(crate) fn note_unknown(root: &Node<'_, '_>, known: &[&str], losses: &mut Losses) {
    if let Json::Object(members) = root.value {
        for (key, value) in members {
            if !known.contains(&&**key) && !matches!(value, Json::Null) {
                losses.note(key.clone().into_owned(), "other dialects have no such field: it is left out");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::json::parse;

    #[test]
    fn the_place_is_spelt_out() {
        let tree = parse(br#"{"messages":[{"content":[{"type":7}]}]}"#).unwrap();
        let root = Node::root(&tree);
        let messages = root.need("messages").unwrap();
        let message = messages.items().unwrap().next().unwrap();
        let content = message.need("content").unwrap();
        let block = content.items().unwrap().next().unwrap();
        assert_eq!(
            block.need_str("type").unwrap_err().to_string(),
            "`messages[0].content[0].type`: a string is needed here, this is a number"
        );
        assert_eq!(block.need_str("text").unwrap_err().to_string(), "`messages[0].content[0].text`: it is missing");
    }
}
