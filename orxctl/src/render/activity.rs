//! What agents do, why that is believed, and what recordings and rules say.

use orx_protocol::activity::{Activity, AgentState, Source};
use orx_protocol::api::approval::Approval;
use orx_protocol::api::explain::{Detection, Explanation, RulesListed};

use crate::figures;
use crate::output::Output;
use crate::table::{Cell, Table};
use crate::{text, visible};

/// A state with its reason, in one line.
pub(crate) fn line(activity: &Activity) -> String {
    let reason = text::clean_line(&activity.reason);
    let until = activity.until_ms.map_or_else(String::new, |until| format!(" until {}", figures::moment(until)));
    match (activity.state, reason.is_empty()) {
        (AgentState::Unknown, _) => activity.state.as_str().to_owned(),
        (state, true) => format!("{}{until}", state.as_str()),
        (state, false) => format!("{}{until}: {reason}", state.as_str()),
    }
}

/// What is concluded of a session, and by what, with what it asks.
pub(crate) fn explanation(explanation: &Explanation, asks: &[Approval], now_ms: u64, output: Output) -> String {
    let activity = &explanation.activity;
    let version = explanation.version.as_deref().map_or_else(String::new, |version| format!(" {version}"));
    let mut out = format!("{} ({}{version})\n", explanation.session, explanation.engine);
    let since = if activity.since_ms == 0 {
        String::new()
    } else {
        format!(" for {}", figures::age(activity.since_ms, now_ms))
    };
    out.push_str(&format!("{}{since}, {} % sure", activity.state.as_str(), activity.confidence));
    if let Some(until) = activity.until_ms {
        out.push_str(&format!(", until {}", figures::moment(until)));
    }
    let reason = text::clean_line(&activity.reason);
    if activity.state != AgentState::Unknown && !reason.is_empty() {
        out.push_str(&format!(": {reason}"));
    }
    out.push('\n');
    for approval in asks {
        let title = visible::line(&approval.title);
        out.push_str(&format!("asks: {title}; `orxctl inbox {}` shows it whole\n", approval.approval));
    }
    if !explanation.title.is_empty() {
        out.push_str(&format!("title: {}\n", text::clean_line(&explanation.title)));
    }
    let mut seen = vec![if explanation.watched { "terminal watched" } else { "terminal not watched" }.to_owned()];
    seen.extend(explanation.quiet_ms.map(|quiet| format!("quiet for {} when last told", figures::duration_ms(quiet))));
    seen.extend(
        explanation.reading.map(|reading| if reading { "waits for a line" } else { "waits for no line" }.to_owned()),
    );
    seen.extend(explanation.processes.map(|count| figures::plural(u64::from(count), "process")));
    out.push_str(&format!("{}\n\n", seen.join(", ")));
    if explanation.votes.is_empty() {
        out.push_str("No source says anything.\n");
        return out;
    }
    let mut table = Table::new(&["SOURCE", "SAYS", "SURE", "FOR", "AGE", "", "BY"]).wrapping();
    for vote in &explanation.votes {
        let weight = match (vote.decides, vote.counts) {
            (true, _) => "decides",
            (false, true) => "counts",
            (false, false) => "ran out",
        };
        table.row(vec![
            Cell::new(source(vote.source)),
            Cell::word(vote.state.as_str()),
            Cell::new(format!("{} %", vote.confidence)),
            Cell::new(figures::age(vote.since_ms, now_ms)),
            Cell::new(figures::duration_ms(vote.age_ms)),
            Cell::new(weight),
            Cell::new(&vote.reason),
        ]);
    }
    out.push_str(&table.render(output));
    out
}

const fn source(source: Source) -> &'static str {
    match source {
        Source::Protocol => "protocol",
        Source::Hook => "hook",
        Source::Title => "title",
        Source::Notification => "notification",
        Source::Progress => "progress",
        Source::Screen => "screen",
        Source::Transcript => "transcript",
        Source::Process => "process",
        Source::Gateway => "gateway",
    }
}

/// The states that a recording shows.
pub(crate) fn detection(detection: &Detection, output: Output) -> String {
    let mut table = Table::new(&["AT", "STATE", "SURE", "BY"]).wrapping();
    for state in &detection.states {
        table.row(vec![
            Cell::new(seconds(state.at_ms)),
            Cell::word(state.activity.state.as_str()),
            Cell::new(format!("{} %", state.activity.confidence)),
            Cell::new(&state.activity.reason),
        ]);
    }
    let more = if detection.truncated { ", and more states than are shown" } else { "" };
    format!("{}{} of {}{more}\n", table.render(output), seconds(detection.length_ms), detection.engine)
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03} s", milliseconds / 1000, milliseconds % 1000)
}

/// Rules over screens, engine by engine, in the order in which they count.
pub(crate) fn rules(listed: &RulesListed, output: Output) -> String {
    if listed.rules.is_empty() {
        return "No rules are known for this engine: its screens say nothing.\n".to_owned();
    }
    let engines = listed.rules.chunk_by(|rule, next| rule.engine == next.engine).map(|rules| {
        let mut table = Table::new(&["RULE", "STATE", "IN", "SURE", "VERSIONS", "MEANS"]).wrapping();
        for rule in rules {
            table.row(vec![
                Cell::new(&rule.name),
                Cell::word(rule.state.as_str()),
                Cell::new(source(rule.source)),
                Cell::new(format!("{} %", rule.confidence)),
                Cell::new(rule.versions.as_deref().unwrap_or("any")),
                Cell::new(&rule.reason),
            ]);
        }
        let first = rules.first();
        let name = first.map_or("", |rule| rule.engine.as_str());
        let tested = match first.map(|rule| rule.tested.join(", ")).filter(|tested| !tested.is_empty()) {
            Some(tested) => format!("recordings of {tested} are held against its rules"),
            None => "no recording is held against its rules".to_owned(),
        };
        format!("{name}: {tested}\n\n{}", table.render(output))
    });
    engines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::approval::{ApprovalKind, Road};
    use orx_protocol::api::explain::{Detected, ListedRule, Vote};

    fn activity() -> Activity {
        Activity {
            state: AgentState::Blocked,
            reason: "a dialog asks for a permission (permission-dialog)".to_owned(),
            confidence: 96,
            since_ms: 1_700_000_000_000,
            until_ms: None,
        }
    }

    #[test]
    fn a_session_is_explained_by_the_votes_of_its_sources() {
        let vote = |source, state, decides| Vote {
            source,
            state,
            reason: "by \u{1b}[31mthat\u{1b}[0m".to_owned(),
            confidence: 90,
            since_ms: 1_700_000_000_000,
            at_ms: 1_700_000_030_000,
            age_ms: 30_000,
            until_ms: None,
            counts: true,
            decides,
        };
        let asks = [Approval {
            title: "run cargo\u{1b}[2K test".to_owned(),
            ..Approval::pending(
                "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
                "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
                "claude",
                ApprovalKind::Command,
                Road::Hook,
                1_700_000_000_000,
            )
        }];
        let mut explained = Explanation {
            session: "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            engine: "claude".to_owned(),
            version: Some("2.1.328".to_owned()),
            activity: activity(),
            votes: vec![
                vote(Source::Hook, AgentState::Working, false),
                vote(Source::Screen, AgentState::Blocked, true),
            ],
            watched: true,
            title: "✳ calculator".to_owned(),
            quiet_ms: Some(1200),
            reading: Some(false),
            processes: Some(3),
        };
        insta::assert_snapshot!("explanation", explanation(&explained, &asks, 1_700_000_060_000, Output::plain(None)));
        explained.votes.clear();
        explained.activity = Activity::default();
        explained.watched = false;
        insta::assert_snapshot!("unexplained", explanation(&explained, &[], 1_700_000_060_000, Output::plain(None)));
    }

    #[test]
    fn a_recording_and_the_rules_are_tables() {
        let detected = Detection {
            engine: "claude".to_owned(),
            states: vec![Detected { at_ms: 61_042, activity: activity() }],
            length_ms: 70_000,
            truncated: false,
        };
        insta::assert_snapshot!("detection", detection(&detected, Output::plain(None)));
        let rule = ListedRule {
            engine: "claude".to_owned(),
            name: "composer".to_owned(),
            state: AgentState::Idle,
            source: Source::Screen,
            reason: "it shows a place for a prompt".to_owned(),
            confidence: 85,
            priority: 10,
            versions: None,
            tested: Vec::new(),
        };
        let listed = RulesListed { rules: vec![rule] };
        insta::assert_snapshot!("rules", rules(&listed, Output::plain(None)));
        assert!(rules(&RulesListed { rules: Vec::new() }, Output::plain(None)).starts_with("No rules"));
    }
}
