//! What is spent and held back in one period, and what was in the one before.

use super::Spend;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Past {
    start_ms: u64,
    spent: Spend,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) start_ms: u64,
    pub(super) spent: Spend,
    pub(super) reserved: Spend,
    /// The period before, in case that the clock had only jumped.
    pub(super) before: Option<Past>,
}

impl Account {
    /// Goes on to the period that begins at `start_ms`.
    pub(super) fn roll(&mut self, start_ms: u64) {
        if start_ms == self.start_ms {
            return;
        }
        let current = Past { start_ms: self.start_ms, spent: self.spent };
        match self.before {
            // Nothing was counted yet, so that there is nothing to come back to.
            None if self.spent == Spend::NOTHING => self.start_ms = start_ms,
            // The clock had jumped ahead and is right again.
            Some(before) if before.start_ms == start_ms => {
                (self.start_ms, self.spent) = (before.start_ms, before.spent);
                self.before = Some(current);
            }
            // It is set back to where nothing is known of: what is spent stays spent.
            Some(before) if start_ms < before.start_ms => {}
            None if start_ms < self.start_ms => {}
            _ => {
                // What a clock that ran ahead began is no past to come back to.
                if start_ms > self.start_ms {
                    self.before = Some(current);
                }
                (self.start_ms, self.spent) = (start_ms, Spend::NOTHING);
            }
        }
    }

    pub(super) const fn committed(&self) -> Spend {
        self.spent.plus(self.reserved)
    }
}
