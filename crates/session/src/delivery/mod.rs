//! How far a prompt that was typed into a coding CLI has come, concluded from what is seen after Enter: the CLI's own word
//! (a hook, a channel, its work), and the place where the text stood. Enter is pressed once more when it was swallowed;
//! a text that still stands there then is reported as stuck, never as sent.

use orx_protocol::api::delivery::Receipt;

/// A text that still stands where it was typed so long after the program drew something, in milliseconds, gets Enter once
/// more.
pub const REPAIR_AFTER_MS: u64 = 1500;
/// So long a program that has drawn nothing since Enter is believed to be too busy to draw that it took the text: a second
/// Enter would reach it when it may ask for a permission already.
pub const SILENT_MS: u64 = 10_000;
/// A text that still stands there so long after the program drew something since the second Enter is stuck.
pub const STUCK_AFTER_MS: u64 = 5000;
/// So long the CLI's own word is waited for once the text is gone from where it was typed.
pub const WORD_AFTER_MS: u64 = 3000;
/// So long a screen that does not show the place is given to show it again.
pub const BLIND_MS: u64 = 5000;

/// What is seen at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// The text stands where it was typed.
    Standing {
        /// Whether the program has drawn anything since the last Enter.
        drawn: bool,
    },
    /// The place shows, without the text.
    Gone,
    /// The screen does not show the place.
    Hidden,
    /// The CLI says that it took the prompt; by what.
    Taken(String),
    /// The process has ended.
    Ended,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Look again, at this time at the latest.
    Wait {
        /// Milliseconds of the caller's clock.
        until_ms: u64,
    },
    /// Press Enter, if the text still stands there at that moment.
    PressEnter,
    /// It is known now.
    Done {
        /// How far the text came.
        receipt: Receipt,
        /// By what that is known, for a person.
        evidence: String,
    },
}

/// A prompt after its first Enter. Times are milliseconds of one clock that never goes back.
#[derive(Debug, Clone)]
pub struct Delivery {
    entered_ms: u64,
    is_repaired: bool,
    drawn_since_ms: Option<u64>,
    gone_since_ms: Option<u64>,
    hidden_since_ms: Option<u64>,
}

impl Delivery {
    /// A prompt whose Enter was pressed at this time.
    #[must_use]
    pub const fn entered(now_ms: u64) -> Self {
        Self {
            entered_ms: now_ms,
            is_repaired: false,
            drawn_since_ms: None,
            gone_since_ms: None,
            hidden_since_ms: None,
        }
    }

    /// Whether Enter was pressed a second time.
    #[must_use]
    pub const fn is_repaired(&self) -> bool {
        self.is_repaired
    }

    /// What to do after this was seen.
    pub fn step(&mut self, seen: &Seen, now_ms: u64) -> Step {
        let done = |receipt, evidence: &str| Step::Done { receipt, evidence: evidence.to_owned() };
        if !matches!(seen, Seen::Gone) {
            self.gone_since_ms = None;
        }
        if !matches!(seen, Seen::Hidden) {
            self.hidden_since_ms = None;
        }
        match seen {
            Seen::Taken(by) => done(Receipt::Accepted, by),
            Seen::Ended => done(Receipt::Typed, "the program ended before it was seen to take the prompt"),
            Seen::Gone => {
                let since = *self.gone_since_ms.get_or_insert(now_ms);
                if now_ms >= since + WORD_AFTER_MS {
                    return done(Receipt::Submitted, "the text left the place where it was typed");
                }
                Step::Wait { until_ms: since + WORD_AFTER_MS }
            }
            Seen::Hidden => {
                let since = *self.hidden_since_ms.get_or_insert(now_ms);
                if now_ms >= since + BLIND_MS {
                    let evidence = "Enter was pressed, and the screen does not show the place for a prompt since";
                    return done(Receipt::Typed, evidence);
                }
                Step::Wait { until_ms: since + BLIND_MS }
            }
            Seen::Standing { drawn } => {
                let drawn_since = if *drawn { Some(*self.drawn_since_ms.get_or_insert(now_ms)) } else { None };
                let patience = if self.is_repaired { STUCK_AFTER_MS } else { REPAIR_AFTER_MS };
                let until_ms = drawn_since.map_or(self.entered_ms + SILENT_MS, |since| since + patience);
                match self.is_repaired {
                    _ if now_ms < until_ms => Step::Wait { until_ms },
                    true => done(Receipt::DraftStuck, "the text still stands where it was typed after two Enters"),
                    false => Step::PressEnter,
                }
            }
        }
    }

    /// Enter was pressed a second time.
    pub const fn repaired(&mut self, now_ms: u64) {
        self.is_repaired = true;
        self.entered_ms = now_ms;
        self.drawn_since_ms = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STANDING: Seen = Seen::Standing { drawn: true };

    fn receipt(step: &Step) -> Option<Receipt> {
        if let Step::Done { receipt, .. } = step { Some(*receipt) } else { None }
    }

    #[test]
    fn the_cli_s_own_word_counts_at_once() {
        let mut delivery = Delivery::entered(0);
        let step = delivery.step(&Seen::Taken("hook UserPromptSubmit".to_owned()), 1);
        assert_eq!(step, Step::Done { receipt: Receipt::Accepted, evidence: "hook UserPromptSubmit".to_owned() });
    }

    #[test]
    fn a_text_that_left_its_place_was_submitted_when_nothing_more_is_said() {
        let mut delivery = Delivery::entered(0);
        assert_eq!(delivery.step(&STANDING, 100), Step::Wait { until_ms: 100 + REPAIR_AFTER_MS });
        assert_eq!(delivery.step(&Seen::Gone, 200), Step::Wait { until_ms: 200 + WORD_AFTER_MS });
        assert_eq!(receipt(&delivery.step(&Seen::Gone, 200 + WORD_AFTER_MS)), Some(Receipt::Submitted));
    }

    #[test]
    fn a_swallowed_enter_is_pressed_once_more_and_no_third_time() {
        let mut delivery = Delivery::entered(0);
        assert_eq!(delivery.step(&STANDING, 100), Step::Wait { until_ms: 100 + REPAIR_AFTER_MS });
        assert_eq!(delivery.step(&STANDING, 100 + REPAIR_AFTER_MS), Step::PressEnter);
        delivery.repaired(2000);
        assert!(delivery.is_repaired());
        let silent = Seen::Standing { drawn: false };
        assert_eq!(
            delivery.step(&silent, 8000),
            Step::Wait { until_ms: 2000 + SILENT_MS },
            "it may be too busy to draw"
        );
        let until_ms = 9000 + STUCK_AFTER_MS;
        assert_eq!(delivery.step(&STANDING, 9000), Step::Wait { until_ms });
        assert_eq!(receipt(&delivery.step(&STANDING, until_ms)), Some(Receipt::DraftStuck));
    }

    #[test]
    fn a_program_that_has_drawn_nothing_since_enter_is_not_pressed_again_until_it_had_time_to_draw() {
        let mut delivery = Delivery::entered(0);
        let silent = Seen::Standing { drawn: false };
        assert_eq!(delivery.step(&silent, REPAIR_AFTER_MS), Step::Wait { until_ms: SILENT_MS });
        assert_eq!(delivery.step(&STANDING, 4000), Step::Wait { until_ms: 4000 + REPAIR_AFTER_MS });
        assert_eq!(delivery.step(&Seen::Gone, 4100), Step::Wait { until_ms: 4100 + WORD_AFTER_MS });
        let mut delivery = Delivery::entered(0);
        assert_eq!(delivery.step(&silent, SILENT_MS), Step::PressEnter);
    }

    #[test]
    fn a_place_that_is_not_seen_proves_nothing() {
        let mut delivery = Delivery::entered(0);
        assert_eq!(delivery.step(&Seen::Hidden, 10), Step::Wait { until_ms: 10 + BLIND_MS });
        assert_eq!(receipt(&delivery.step(&Seen::Hidden, 10 + BLIND_MS)), Some(Receipt::Typed));
        let mut delivery = Delivery::entered(0);
        assert_eq!(receipt(&delivery.step(&Seen::Ended, 10)), Some(Receipt::Typed));
    }

    fn seen() -> impl Strategy<Value = Seen> {
        prop_oneof![any::<bool>().prop_map(|drawn| Seen::Standing { drawn }), Just(Seen::Gone), Just(Seen::Hidden)]
    }

    proptest! {
        #[test]
        fn it_always_comes_to_an_end_with_at_most_one_more_enter(
            looks in prop::collection::vec((seen(), 1_u64..400), 1..400), last in seen()
        ) {
            let (mut delivery, mut now, mut presses) = (Delivery::entered(0), 0, 0);
            let steady = std::iter::repeat_n((last, 400), 60);
            for (seen, later) in looks.into_iter().chain(steady) {
                now += later;
                match delivery.step(&seen, now) {
                    Step::Wait { until_ms } => prop_assert!(until_ms > now),
                    Step::PressEnter => {
                        let stands = matches!(seen, Seen::Standing { .. });
                        prop_assert!(stands);
                        presses += 1;
                        delivery.repaired(now);
                    }
                    Step::Done { receipt, .. } => {
                        prop_assert!(receipt != Receipt::Accepted, "nobody said so");
                        prop_assert!(receipt != Receipt::DraftStuck || presses == 1);
                        return Ok(());
                    }
                }
                prop_assert!(presses <= 1);
            }
            prop_assert!(false, "it never ends");
        }
    }
}
