//! Money and tokens as whole numbers. Sums stop at the largest number instead of wrapping.

use std::fmt;
use std::iter::Sum;

use serde::{Deserialize, Serialize};

/// Micro-dollars in a dollar.
const DOLLAR: u64 = 1_000_000;

/// Money in millionths of a US dollar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroDollars(pub u64);

/// A number of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tokens(pub u64);

macro_rules! amount {
    ($name:ident) => {
        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);

            /// The sum, or the largest amount there is.
            #[must_use]
            pub const fn plus(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference, or nothing.
            #[must_use]
            pub const fn minus(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// How much this is of `whole`, per mille, rounded down; 1000 of nothing.
            #[must_use]
            pub fn per_mille_of(self, whole: Self) -> u64 {
                if whole.0 == 0 {
                    return 1000;
                }
                u64::try_from(u128::from(self.0) * 1000 / u128::from(whole.0)).unwrap_or(u64::MAX)
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                items.fold(Self::ZERO, Self::plus)
            }
        }
    };
}

amount!(MicroDollars);
amount!(Tokens);

impl MicroDollars {
    /// The amount in dollars, for interfaces that take a fraction; nothing is computed with it.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // Exact up to nine thousand million dollars.
    pub fn as_dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

impl fmt::Display for MicroDollars {
    /// Dollars with at least two places, and as many as there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:06}", self.0 % DOLLAR);
        let trimmed = fraction.trim_end_matches('0');
        let places = trimmed.len().max(2);
        write!(f, "${}.{}", self.0 / DOLLAR, fraction.get(..places).unwrap_or(&fraction))
    }
}

impl fmt::Display for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tokens", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_in_dollars() {
        for (amount, expected) in [
            (0, "$0.00"),
            (1, "$0.000001"),
            (1_500_000, "$1.50"),
            (12_345_600, "$12.3456"),
            (u64::MAX, "$18446744073709.551615"),
        ] {
            assert_eq!(MicroDollars(amount).to_string(), expected);
        }
    }

    #[test]
    fn sums_stop_at_the_ends() {
        assert_eq!(MicroDollars(u64::MAX).plus(MicroDollars(1)), MicroDollars(u64::MAX));
        assert_eq!(Tokens(1).minus(Tokens(2)), Tokens::ZERO);
        assert_eq!(MicroDollars(u64::MAX).per_mille_of(MicroDollars(u64::MAX)), 1000);
        assert_eq!(MicroDollars(799_999).per_mille_of(MicroDollars(1_000_000)), 799);
        assert_eq!(MicroDollars(0).per_mille_of(MicroDollars(0)), 1000);
    }
}
