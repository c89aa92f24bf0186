//! What a session used, as its engine counts it. Engines count by conversation, or by process; a session may have had
//! several of either, so what each said last is kept, and the session's own figures are their sum. What nobody says is
//! unknown, and never 0.

use orx_protocol::api::run::Tokens;
use orx_protocol::api::session::{ContextUse, Session, Used};

/// Most counts that are kept apart; the oldest are put together beyond that.
pub const KEPT: usize = 64;
/// What the oldest counts are called once they are put together.
pub const EARLIER: &str = "earlier";

/// Takes what an engine says of one of its counts, and gives whether that is news. A member that it does not say leaves what
/// it said before.
pub fn note(session: &mut Session, said: Used, context: Option<ContextUse>) -> bool {
    let before = (session.used.clone(), session.context);
    match session.used.iter_mut().find(|used| used.of == said.of) {
        Some(known) => {
            known.tokens = Tokens {
                input: said.tokens.input.or(known.tokens.input),
                output: said.tokens.output.or(known.tokens.output),
                cached: said.tokens.cached.or(known.tokens.cached),
            };
            known.cost_microusd = said.cost_microusd.or(known.cost_microusd);
        }
        None if said.tokens == Tokens::default() && said.cost_microusd.is_none() => {}
        None => session.used.push(said),
    }
    while session.used.len() > KEPT {
        let first = session.used.remove(0);
        if let Some(second) = session.used.first_mut() {
            *second = Used { of: EARLIER.to_owned(), ..sum(&[first, second.clone()]) };
        }
    }
    session.context = context.or(session.context);
    let whole = sum(&session.used);
    (session.tokens, session.cost_microusd) = (whole.tokens, whole.cost_microusd);
    before != (session.used.clone(), session.context)
}

fn sum(counts: &[Used]) -> Used {
    let mut whole = Used::default();
    for count in counts {
        whole.tokens = whole.tokens.plus(count.tokens);
        whole.cost_microusd = match (whole.cost_microusd, count.cost_microusd) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::SessionId;
    use proptest::prelude::*;

    fn session() -> Session {
        Session::starting(SessionId::generate(), "codex", "/", 0)
    }

    fn said(of: &str, input: Option<u64>, output: Option<u64>) -> Used {
        Used { of: of.to_owned(), tokens: Tokens { input, output, cached: None }, cost_microusd: None }
    }

    #[test]
    fn counts_of_several_conversations_are_added_and_each_is_what_was_said_last() {
        let mut session = session();
        assert!(note(&mut session, said("a", Some(10), Some(1)), None));
        assert!(!note(&mut session, said("a", Some(10), Some(1)), None), "no news");
        assert!(note(&mut session, said("a", Some(30), None), Some(ContextUse { used: Some(30), window: None })));
        assert!(note(&mut session, said("b", Some(5), Some(5)), None));
        assert_eq!(session.tokens, Tokens { input: Some(35), output: Some(6), cached: None });
        assert_eq!(session.context, Some(ContextUse { used: Some(30), window: None }));
        assert_eq!(session.cost_microusd, None);
    }

    #[test]
    fn what_is_not_said_is_unknown_and_not_nothing() {
        let mut session = session();
        assert!(!note(&mut session, said("a", None, None), None));
        assert_eq!((session.tokens, session.cost_microusd), (Tokens::default(), None));
        assert!(session.used.is_empty());
        let free = Used { cost_microusd: Some(0), ..said("a", None, None) };
        assert!(note(&mut session, free, None), "an engine may say that it cost nothing");
        assert_eq!(session.cost_microusd, Some(0));
    }

    proptest! {
        #[test]
        fn whatever_the_conversations_the_sum_is_theirs_and_the_list_is_short(
            counts in prop::collection::vec((0_u8..200, 1_u64..1000), 1..400)
        ) {
            let mut session = session();
            let mut last = std::collections::BTreeMap::new();
            let mut order = Vec::new();
            for (of, input) in counts {
                // A conversation that was put together with earlier ones is not gone on with here.
                if order.len() >= KEPT && !last.contains_key(&of) {
                    break;
                }
                if last.insert(of, input).is_none() {
                    order.push(of);
                }
                note(&mut session, said(&of.to_string(), Some(input), None), None);
            }
            prop_assert_eq!(session.tokens.input, Some(last.values().sum()));
            for of in 1000..1100_u32 {
                note(&mut session, said(&of.to_string(), Some(1), None), None);
            }
            prop_assert_eq!(session.used.len(), KEPT);
            prop_assert_eq!(session.tokens.input, Some(last.values().sum::<u64>() + 100));
        }
    }
}
