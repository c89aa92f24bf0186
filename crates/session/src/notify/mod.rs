//! Of what a person is told: what an event of the journal means for them, and when they are not told because they see it
//! anyway, because it is over, or because they were told just now. Sending is the daemon's.

use orx_protocol::activity::AgentState;
use orx_protocol::api::notification::Topic;
use orx_protocol::event::kind;
use serde_json::Value;
use std::collections::BTreeMap;

/// An event older than this, in milliseconds, is nobody's news: the daemon was away.
pub const NEWS_MS: u64 = 10 * 60 * 1000;
/// The same topic about the same subject is not told again within this time, in milliseconds.
pub const AGAIN_MS: u64 = 20 * 1000;
/// An agent that worked for less than this, in milliseconds, is not said to have finished: somebody is talking to it.
pub const WORTH_MS: u64 = 20 * 1000;
/// Most subjects that are remembered as told.
const REMEMBERED: usize = 4096;

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// What it is about.
    pub topic: Topic,
    /// What it says.
    pub what: String,
}

/// What an event means for a person; `None`: nothing.
#[must_use]
pub fn news(event: &str, data: &Value) -> Option<News> {
    let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let news = |topic, what: String| Some(News { topic, what });
    match event {
        kind::APPROVAL_REQUESTED => {
            let topic = if text("kind") == "question" { Topic::Question } else { Topic::Approval };
            news(topic, text("title"))
        }
        kind::SESSION_ACTIVITY => activity(data, &text("reason")),
        kind::SESSION_LOST => news(Topic::Failed, format!("it is lost: {}", text("message"))),
        kind::SESSION_ENDED => {
            let went_well = data.get("exit").is_none_or(|exit| exit.get("code").and_then(Value::as_i64) == Some(0));
            let by_order = text("reason") == "stopped";
            if went_well || by_order { None } else { news(Topic::Failed, format!("it ended: {}", said(data))) }
        }
        kind::BUDGET_ALERT => news(Topic::Budget, format!("is nearly spent: {}", text("message"))),
        kind::BUDGET_REACHED => news(Topic::Budget, format!("its calls are refused: {}", text("message"))),
        // One that is parked already, until another time, was told of.
        kind::SESSION_PARKED if data.get("again").and_then(Value::as_bool) != Some(true) => {
            news(Topic::Budget, format!("is parked: {}", text("message")))
        }
        kind::RUN_ENDED => match text("state").as_str() {
            "done" => news(Topic::Done, "the run is done".to_owned()),
            "failed" => news(Topic::Failed, format!("the run failed: {}", text("error"))),
            _ => None,
        },
        _ => None,
    }
}

fn activity(data: &Value, reason: &str) -> Option<News> {
    let state: AgentState = serde_json::from_value(data.get("state")?.clone()).ok()?;
    let was_at_work = data.get("before").and_then(Value::as_str) == Some(AgentState::Working.as_str());
    let lasted_ms = data.get("lasted_ms").and_then(Value::as_u64).unwrap_or(0);
    let (topic, what) = match state {
        AgentState::Blocked => (Topic::Approval, format!("waits for a permission: {reason}")),
        AgentState::WaitingInput => (Topic::Question, format!("asks something: {reason}")),
        AgentState::RateLimited => (Topic::RateLimited, format!("its provider refuses calls: {reason}")),
        AgentState::Failed => (Topic::Failed, format!("cannot go on: {reason}")),
        AgentState::Idle if was_at_work && lasted_ms >= WORTH_MS => {
            (Topic::Done, "has finished and takes a prompt".to_owned())
        }
        _ => return None,
    };
    Some(News { topic, what })
}

/// How a process ended, in the words of its record.
fn said(data: &Value) -> String {
    let exit = data.get("exit").unwrap_or(&Value::Null);
    match (exit.get("code").and_then(Value::as_i64), exit.get("signal").and_then(Value::as_i64)) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "how is not known".to_owned(),
    }
}

/// What is known at the moment of telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since the epoch.
    pub now_ms: u64,
    /// When the event happened.
    pub at_ms: u64,
    /// Whether somebody looks at that very session.
    pub is_looked_at: bool,
    /// Whether it is still so: an approval may be decided, an agent at work again.
    pub still_holds: bool,
    /// Whether the person wants to hear of this topic.
    pub is_wanted: bool,
}

/// Whom was told what, and when.
#[derive(Debug, Clone, Default)]
pub struct Told(BTreeMap<(String, Topic), u64>);

impl Told {
    /// Why nobody is told of this now; `None`: they are, and it is remembered.
    pub fn held_back(&mut self, subject: &str, topic: Topic, moment: Moment) -> Option<&'static str> {
        let key = (subject.to_owned(), topic);
        let was_told = self.0.get(&key).is_some_and(|told_ms| moment.now_ms.saturating_sub(*told_ms) < AGAIN_MS);
        if !moment.is_wanted {
            return Some("nobody wants to hear of this");
        }
        if moment.now_ms.saturating_sub(moment.at_ms) > NEWS_MS {
            return Some("it is old: the daemon was away");
        }
        if !moment.still_holds {
            return Some("it was over before anybody could be told");
        }
        if moment.is_looked_at {
            return Some("somebody looks at that session");
        }
        if was_told {
            return Some("the same was told a moment ago");
        }
        if self.0.len() >= REMEMBERED {
            self.0.retain(|_, told_ms| moment.now_ms.saturating_sub(*told_ms) < AGAIN_MS);
        }
        self.0.insert(key, moment.now_ms);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn topic(event: &str, data: &Value) -> Option<Topic> {
        news(event, data).map(|news| news.topic)
    }

    #[test]
    fn a_person_hears_of_what_needs_them_and_of_ends_that_matter() {
        for (event, data, expected) in [
            (kind::APPROVAL_REQUESTED, json!({"kind": "command", "title": "Run `make`"}), Some(Topic::Approval)),
            (kind::APPROVAL_REQUESTED, json!({"kind": "question", "title": "Which one?"}), Some(Topic::Question)),
            (kind::SESSION_ACTIVITY, json!({"state": "blocked", "reason": "title"}), Some(Topic::Approval)),
            (kind::SESSION_ACTIVITY, json!({"state": "waiting_input", "reason": "x"}), Some(Topic::Question)),
            (kind::SESSION_ACTIVITY, json!({"state": "rate_limited", "reason": "x"}), Some(Topic::RateLimited)),
            (kind::SESSION_ACTIVITY, json!({"state": "working", "reason": "x"}), None),
            (kind::SESSION_ACTIVITY, json!({"state": "idle", "before": "working", "lasted_ms": 19_999}), None),
            (
                kind::SESSION_ACTIVITY,
                json!({"state": "idle", "before": "working", "lasted_ms": 20_000}),
                Some(Topic::Done),
            ),
            (kind::SESSION_ACTIVITY, json!({"state": "splendid"}), None),
            (kind::SESSION_LOST, json!({"message": "gone"}), Some(Topic::Failed)),
            (kind::BUDGET_ALERT, json!({"message": "the cap `day` is $5.00"}), Some(Topic::Budget)),
            (kind::BUDGET_REACHED, json!({"message": "the cap `day` is $5.00"}), Some(Topic::Budget)),
            (
                kind::SESSION_PARKED,
                json!({"message": "the cap `day` has no room for its calls", "again": false}),
                Some(Topic::Budget),
            ),
            (kind::SESSION_PARKED, json!({"message": "the cap `day` has no room for its calls", "again": true}), None),
            (kind::SESSION_RESUMED, json!({"message": "its time has come"}), None),
            (kind::SESSION_ENDED, json!({"exit": {"code": 0}, "reason": "exited"}), None),
            (kind::SESSION_ENDED, json!({"exit": {"code": 1}, "reason": "exited"}), Some(Topic::Failed)),
            (kind::SESSION_ENDED, json!({"exit": {"signal": 15}, "reason": "stopped"}), None),
            (kind::RUN_ENDED, json!({"state": "done"}), Some(Topic::Done)),
            (kind::RUN_ENDED, json!({"state": "failed", "error": "gate"}), Some(Topic::Failed)),
            (kind::RUN_ENDED, json!({"state": "cancelled"}), None),
            ("worker.lost", json!({}), None),
        ] {
            assert_eq!(topic(event, &data), expected, "{event} {data}");
        }
        assert_eq!(news(kind::SESSION_ENDED, &json!({"exit": {"signal": 9}})).unwrap().what, "it ended: signal 9");
    }

    #[test]
    fn nobody_is_told_of_what_they_see_of_what_is_over_or_twice() {
        let moment =
            Moment { now_ms: 100_000_000, at_ms: 100_000_000, is_looked_at: false, still_holds: true, is_wanted: true };
        let mut told = Told::default();
        let mut held = |subject: &str, topic, moment| told.held_back(subject, topic, moment);
        assert_eq!(
            held("a", Topic::Approval, Moment { is_looked_at: true, ..moment }),
            Some("somebody looks at that session")
        );
        assert_eq!(held("a", Topic::Approval, moment), None, "looking once does not silence it for ever");
        assert_eq!(held("a", Topic::Approval, moment), Some("the same was told a moment ago"));
        assert_eq!(held("b", Topic::Approval, moment), None);
        assert_eq!(held("a", Topic::Failed, moment), None);
        let later = Moment { now_ms: moment.now_ms + AGAIN_MS, at_ms: moment.now_ms + AGAIN_MS, ..moment };
        assert_eq!(held("a", Topic::Approval, later), None);
        let old = Moment { at_ms: moment.now_ms - NEWS_MS - 1, ..moment };
        assert!(held("c", Topic::Done, old).is_some_and(|why| why.contains("old")));
        assert!(held("c", Topic::Done, Moment { still_holds: false, ..moment }).is_some());
        assert!(held("c", Topic::Done, Moment { is_wanted: false, ..moment }).is_some());
    }
}
