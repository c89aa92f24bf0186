//! What was left out of a translation, told to whoever asked for it: nothing is dropped silently.

use std::borrow::Cow;

/// One thing that the other dialect cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Where it stood: `tools[3]`, or a name where it may stand in many places: `cache_control`.
    pub field: Cow<'static, str>,
    /// What became of it.
    pub reason: Cow<'static, str>,
}

/// Collects losses, each field and reason once.
#[derive(Debug, Default)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// Notes one.
    pub fn note(&mut self, field: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) {
        let loss = Loss { field: field.into(), reason: reason.into() };
        if !self.0.contains(&loss) {
            self.0.push(loss);
        }
    }

    /// What was noted, in order.
    #[must_use]
    pub fn into_vec(self) -> Vec<Loss> {
        self.0
    }

    /// What was noted so far.
    #[must_use]
    pub fn as_slice(&self) -> &[Loss] {
        &self.0
    }
}
