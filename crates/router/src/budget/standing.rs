//! What is told of a cap: its figures, in a refusal, an alert and a report.

use std::fmt;

use jiff::Timestamp;
use orx_protocol::{ErrorKind, RpcError};
use serde::Serialize;

use super::cap::{AtLimit, Of, Period};
use super::{Expected, Spend};
use crate::amount::{MicroDollars, Tokens};

/// A cap in figures: what a refusal, an alert and a report say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The cap's name.
    pub cap: String,
    /// Whose spending it bounds.
    pub of: Of,
    /// Who that is; empty for all.
    pub subject: String,
    /// How long it counts.
    pub per: Period,
    /// The most money.
    pub limit: Option<MicroDollars>,
    /// The most tokens.
    pub token_limit: Option<Tokens>,
    /// What is spent.
    pub spent: Spend,
    /// What is held back for calls at work.
    pub reserved: Spend,
    /// When it began, in milliseconds since the epoch: what [`super::Budget::restore_alert`] is to be told.
    pub since_ms: u64,
    /// When it begins anew, in milliseconds since the epoch; `None` when never.
    pub resets_at_ms: Option<u64>,
    /// What happens at the limit.
    pub at_limit: AtLimit,
}

impl Standing {
    /// How much of it is spent, per mille: of money or of tokens, whichever is more.
    #[must_use]
    pub fn spent_per_mille(&self) -> u64 {
        let money = self.limit.map_or(0, |limit| self.spent.cost.per_mille_of(limit));
        let tokens = self.token_limit.map_or(0, |limit| self.spent.tokens.per_mille_of(limit));
        money.max(tokens)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cap `{}`", self.cap)?;
        match self.of {
            Of::All => {}
            // A word after `key` is taken for a secret where errors are redacted.
            Of::Key => write!(f, " of the key named {}", self.subject)?,
            of => write!(f, " of {of} {}", self.subject)?,
        }
        if let Some(limit) = self.limit {
            write!(f, " is {limit}: {} spent, {} reserved", self.spent.cost, self.reserved.cost)?;
        }
        if let Some(limit) = self.token_limit {
            write!(f, " is {limit}: {} used, {} reserved", self.spent.tokens, self.reserved.tokens)?;
        }
        let reset = self.resets_at_ms.and_then(|at| Timestamp::from_millisecond(i64::try_from(at).ok()?).ok());
        match reset {
            Some(at) => write!(f, ", and begins anew at {at}"),
            None => f.write_str(", and does not begin anew"),
        }
    }
}

/// Why a call may not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BudgetError {
    /// A cap is reached.
    #[error("{standing}; this call may cost {}", asked.cost.unwrap_or_default())]
    Money {
        /// The cap.
        standing: Box<Standing>,
        /// What the call may cost.
        asked: Expected,
    },
    /// A cap on tokens is reached.
    #[error("{standing}; this call may use {}", asked.tokens)]
    Tokens {
        /// The cap.
        standing: Box<Standing>,
        /// What the call may use.
        asked: Expected,
    },
    /// The price is not known, so that the cap could not hold.
    #[error("the price of this call is not known, and the cap `{cap}` bounds what it may cost")]
    PriceUnknown {
        /// The cap.
        cap: String,
    },
}

impl BudgetError {
    /// What the cap does at its limit; `None` where it is not its limit that is in the way.
    #[must_use]
    pub fn at_limit(&self) -> Option<AtLimit> {
        match self {
            Self::Money { standing, .. } | Self::Tokens { standing, .. } => Some(standing.at_limit),
            Self::PriceUnknown { .. } => None,
        }
    }
}

impl From<BudgetError> for RpcError {
    fn from(error: BudgetError) -> Self {
        let message = error.to_string();
        match error {
            BudgetError::Money { .. } | BudgetError::Tokens { .. } => Self::new(ErrorKind::FailedPrecondition, message)
                .with_hint("wait until the cap begins anew, take a cheaper model, or raise the cap in the settings"),
            BudgetError::PriceUnknown { .. } => {
                Self::new(ErrorKind::Configuration, message).with_hint("give the model a `price` in the provider file")
            }
        }
    }
}

/// A cap that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CapError(pub(super) String);

impl From<CapError> for RpcError {
    fn from(error: CapError) -> Self {
        Self::new(ErrorKind::Configuration, error.to_string()).with_hint("correct the caps in the settings")
    }
}
