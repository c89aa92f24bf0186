//! When what a conversation's files say is to be told: once it is news, and again and again while it stands.

use orx_protocol::activity::{Observation, Source};

use super::Said;

/// What is to be told after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tell {
    /// Nothing.
    Nothing,
    /// This.
    Says(Observation),
    /// That nothing is known any more.
    Silence,
}

/// What was told last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telling {
    last: Option<(Said, u64)>,
}

impl Telling {
    /// What is to be told of a look at `now_ms` that found this.
    pub fn look(&mut self, said: Option<Said>, now_ms: u64) -> Tell {
        let Some(said) = said else {
            return if self.last.take().is_some() { Tell::Silence } else { Tell::Nothing };
        };
        let written_ms = match &self.last {
            Some((last, _)) if *last == said && !said.stands => return Tell::Nothing,
            Some((last, _)) if *last == said => now_ms,
            _ => said.at_ms,
        };
        // What is said later counts as later, also when it was written before the last look.
        let at_ms = self.last.as_ref().map_or(written_ms, |(_, told_ms)| written_ms.max(told_ms + 1));
        let observation = Observation {
            source: Source::Transcript,
            state: said.state,
            reason: said.reason.clone(),
            confidence: said.confidence,
            at_ms,
            until_ms: said.until_ms,
        };
        self.last = Some((said, at_ms));
        Tell::Says(observation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::activity::AgentState::{Idle, Working};

    #[test]
    fn what_stands_is_told_again_and_what_is_only_expected_is_not() {
        let mut telling = Telling::default();
        let at = |tell: Tell| match tell {
            Tell::Says(said) => Some(said.at_ms),
            Tell::Nothing | Tell::Silence => None,
        };
        assert_eq!(telling.look(None, 5), Tell::Nothing);
        let expected = Said::new(Working, "a", super::super::EXPECTED, 100);
        assert_eq!(at(telling.look(Some(expected.clone()), 150)), Some(100));
        assert_eq!(telling.look(Some(expected), 200), Tell::Nothing);
        let over = Said::new(Idle, "b", super::super::ENDED, 300);
        assert_eq!(at(telling.look(Some(over.clone()), 350)), Some(300));
        assert_eq!(at(telling.look(Some(over), 9000)), Some(9000));
        // A line that was written before the last look, and read after it.
        assert_eq!(at(telling.look(Some(Said::new(Working, "c", super::super::EXPECTED, 8990)), 9100)), Some(9001));
        assert_eq!(telling.look(None, 9200), Tell::Silence);
        assert_eq!(telling.look(None, 9300), Tell::Nothing);
    }
}
