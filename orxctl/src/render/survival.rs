//! How well sessions survive, as a table.

use orx_protocol::api::session::{Session, Survival};

use crate::output::Output;
use crate::table::{Cell, Table};

/// A table of what there is of each session, and why.
pub(crate) fn list(sessions: &[Session], output: Output) -> String {
    let mut table = Table::new(&["SESSION", "ENGINE", "SURVIVAL", "WHY"]).wrapping();
    for session in sessions {
        table.row(vec![
            Cell::new(session.session.to_string()),
            Cell::new(&session.engine),
            Cell::word(level(&session.survival)),
            Cell::new(&session.survival.reason),
        ]);
    }
    table.render(output)
}

/// The level, and whether its holder can be lost too.
fn level(survival: &Survival) -> String {
    let kept = if survival.kept { ", kept" } else { "" };
    format!("{}{kept}", survival.level.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::session::SurvivalLevel;

    #[test]
    fn each_session_is_shown_with_its_level_and_the_reason() {
        let session = "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap();
        let of = |level, kept, reason: &str| Session {
            survival: Survival { level, kept, reason: reason.to_owned() },
            ..Session::starting(session, "claude", "/", 1)
        };
        let sessions = [
            of(SurvivalLevel::Live, true, "its keeper keeps its terminal open"),
            of(SurvivalLevel::Resumable, false, "the machine was restarted"),
        ];
        let text = list(&sessions, Output::plain(None));
        let rows: Vec<&str> = text.lines().collect();
        assert!(rows[1].contains("live, kept") && rows[1].ends_with("its keeper keeps its terminal open"), "{text}");
        assert!(rows[2].contains("resumable  ") && rows[2].ends_with("the machine was restarted"), "{text}");
    }
}
