//! The caps that an operator sets.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::amount::{MicroDollars, Tokens};

/// Whose spending a cap bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Of {
    /// Everybody's together.
    All,
    /// Each session's.
    Session,
    /// Each run's.
    Run,
    /// Each project's.
    Project,
    /// Each user's.
    User,
    /// Each key's.
    Key,
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Session => "session",
            Self::Run => "run",
            Self::Project => "project",
            Self::User => "user",
            Self::Key => "key",
        })
    }
}

/// How long a cap counts before it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day of the operator's time zone.
    Day,
    /// A month of it.
    Month,
    /// As long as the thing itself lasts.
    Ever,
}

/// What happens at the limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtLimit {
    /// Calls are refused.
    #[default]
    Stop,
    /// Calls are refused, and the session is parked until the cap begins anew.
    Park,
}

/// A cap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// Its name, by which people are told of it.
    pub name: String,
    /// Whose spending it bounds.
    pub of: Of,
    /// The one that it is for; each of them when absent.
    #[serde(default)]
    pub only: Option<String>,
    /// How long it counts. When absent: a session's and a run's for ever, everything else a day.
    #[serde(default)]
    pub per: Option<Period>,
    /// The most that may be spent.
    #[serde(default)]
    pub micro_dollars: Option<MicroDollars>,
    /// The most tokens that may be used.
    #[serde(default)]
    pub tokens: Option<Tokens>,
    /// People are told when so much of it is spent, per mille.
    #[serde(default = "alert")]
    pub alert_per_mille: u16,
    /// What happens at the limit.
    #[serde(default)]
    pub at_limit: AtLimit,
}

const fn alert() -> u16 {
    800
}

impl Cap {
    /// How long it counts.
    #[must_use]
    pub const fn period(&self) -> Period {
        match (self.per, self.of) {
            (Some(period), _) => period,
            (None, Of::Session | Of::Run) => Period::Ever,
            (None, Of::All | Of::Project | Of::User | Of::Key) => Period::Day,
        }
    }

    /// Whether it makes sense.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.micro_dollars.is_none() && self.tokens.is_none() {
            return Err(format!("the cap `{}` bounds nothing: give it `micro_dollars` or `tokens`", self.name));
        }
        if self.only.is_some() && self.of == Of::All {
            return Err(format!("the cap `{}` is of all, and cannot be for one only", self.name));
        }
        if self.alert_per_mille > 1000 {
            return Err(format!(
                "`alert_per_mille` of the cap `{}` is {} and must be 0 to 1000",
                self.name, self.alert_per_mille
            ));
        }
        Ok(())
    }
}

/// Who pays for a call. A call that is of no session falls under no cap of sessions, and so on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payer {
    /// The session.
    pub session: Option<Arc<str>>,
    /// The run.
    pub run: Option<Arc<str>>,
    /// The project.
    pub project: Option<Arc<str>>,
    /// The user.
    pub user: Option<Arc<str>>,
    /// The key.
    pub key: Option<Arc<str>>,
}

impl Payer {
    /// The name under which this payer is counted by caps of that sort.
    #[must_use]
    pub fn subject(&self, of: Of) -> Option<&str> {
        match of {
            Of::All => Some(""),
            Of::Session => self.session.as_deref(),
            Of::Run => self.run.as_deref(),
            Of::Project => self.project.as_deref(),
            Of::User => self.user.as_deref(),
            Of::Key => self.key.as_deref(),
        }
    }
}
