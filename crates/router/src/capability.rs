//! What a model can be used for, as a set in one word: S0's and S1's types of task, and features of the interface.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// A type of task, or a feature of a model's interface.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Capability {
            $($(#[$doc])* $name,)*
        }

        impl Capability {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for it in data and requests.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

capabilities! {
    /// Writing code.
    CodeGeneration = "code_generation",
    /// Judging code.
    CodeReview = "code_review",
    /// Changing code's shape.
    Refactoring = "refactoring",
    /// Writing documentation.
    Documentation = "documentation",
    /// Writing tests.
    Testing = "testing",
    /// Finding defects.
    Debugging = "debugging",
    /// Analysing.
    Analysis = "analysis",
    /// Explaining.
    Explanation = "explanation",
    /// Talking.
    Chat = "chat",
    /// Reasoning (S1).
    Reasoning = "reasoning",
    /// Creative writing (S1).
    Creative = "creative",
    /// Programming of any sort (S1).
    Coding = "coding",
    /// Calls of tools.
    Tools = "tools",
    /// Pictures as input.
    Vision = "vision",
    /// Thinking before the answer.
    Thinking = "thinking",
    /// Answers held to a JSON schema.
    Json = "json",
    /// Texts as vectors.
    Embedding = "embedding",
    /// Texts put in order of relevance.
    Rerank = "rerank",
}

impl Capability {
    /// The capability of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|capability| capability.as_str() == name)
    }

    const fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of capabilities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u32);

impl Capabilities {
    /// None.
    pub const NONE: Self = Self(0);

    /// Only `capability`.
    #[must_use]
    pub const fn only(capability: Capability) -> Self {
        Self(capability.bit())
    }

    /// With `capability` too.
    #[must_use]
    pub const fn with(self, capability: Capability) -> Self {
        Self(self.0 | capability.bit())
    }

    /// Whether all of `needed` are among them.
    #[must_use]
    pub const fn covers(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// What of `needed` is not among them.
    #[must_use]
    pub const fn lacks(self, needed: Self) -> Self {
        Self(needed.0 & !self.0)
    }

    /// Its members, in order.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(move |capability| self.0 & capability.bit() != 0)
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(members: I) -> Self {
        members.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, capability) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            f.write_str(capability.as_str())?;
        }
        Ok(())
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::<Capability>::deserialize(deserializer).map(|members| members.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_bit_and_one_word() {
        let all: Capabilities = Capability::ALL.iter().copied().collect();
        assert_eq!(all.iter().count(), Capability::ALL.len());
        for capability in Capability::ALL {
            assert_eq!(Capability::named(capability.as_str()), Some(*capability));
            let word = serde_json::to_value(capability).unwrap();
            assert_eq!(word, capability.as_str(), "data and code have one word for it");
        }
        let some = Capabilities::only(Capability::Tools).with(Capability::Json);
        assert!(all.covers(some) && !some.covers(all));
        assert_eq!(Capabilities::only(Capability::Tools).lacks(some).to_string(), "json");
    }
}
