//! Sessions as a table, and how one ended.

use orx_protocol::api::confinement::{Mechanism, Network};
use orx_protocol::api::session::{Session, SessionState};
use orx_protocol::life::Life;

use crate::figures;
use crate::output::Output;
use crate::table::{Cell, Table, Way};
use crate::text;

/// How the columns of the table give way: the end of a session's name is enough to name it, and of a directory's to know it;
/// what a session does and is for is read before where it runs.
const WAYS: [Way; 9] = [
    Way { readable: 9, leaves: None, grows: 8, by_its_end: true },
    Way { readable: 8, leaves: None, grows: 3, by_its_end: false },
    Way { readable: 10, leaves: None, grows: 1, by_its_end: false },
    // A state with a dot more, where its reason has no room.
    Way { readable: 13, leaves: None, grows: 4, by_its_end: false },
    Way { readable: 11, leaves: Some(2), grows: 5, by_its_end: false },
    Way { readable: 4, leaves: Some(3), grows: 0, by_its_end: false },
    Way { readable: 7, leaves: Some(0), grows: 6, by_its_end: false },
    Way { readable: 20, leaves: None, grows: 2, by_its_end: false },
    Way { readable: 16, leaves: Some(1), grows: 7, by_its_end: true },
];

/// A table of sessions.
pub(crate) fn list(sessions: &[Session], now_ms: u64, output: Output) -> String {
    let mut table = Table::new(&["SESSION", "ENGINE", "STATE", "AGENT", "SANDBOX", "AGE", "PID", "TITLE", "DIRECTORY"])
        .giving_way(&WAYS);
    for session in sessions {
        let title = session.title.as_deref().or(session.owner.as_deref()).unwrap_or("-");
        table.row(vec![
            Cell::new(session.session.to_string()),
            Cell::new(&session.engine),
            Cell::word(state(session)),
            Cell::new(agent(session)),
            Cell::new(sandbox(session)),
            Cell::new(figures::age(session.created_at_ms, now_ms)),
            Cell::new(session.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string())),
            Cell::new(title),
            Cell::new(&session.cwd),
        ]);
    }
    let mut out = table.render(output);
    for session in sessions.iter().filter(|session| session.life == Life::Degraded) {
        let missing = session.terms.missing.as_deref().unwrap_or("what is missing is not known");
        out.push_str(&format!("{} is degraded: {}\n", session.session, text::clean_line(missing)));
    }
    out
}

/// Most characters of what an agent does, with the reason.
const AGENT: usize = 44;

/// What the agent does and why; of a process that ended its state says enough.
fn agent(session: &Session) -> String {
    if session.state.is_final() {
        return "-".to_owned();
    }
    let line = super::activity::line(&session.activity);
    if line.chars().count() <= AGENT {
        return line;
    }
    let kept: String = line.chars().take(AGENT - 1).collect();
    format!("{}…", kept.trim_end())
}

/// The state, with the exit where the process ended badly; of one that has not ended, what its place in its life adds.
fn state(session: &Session) -> String {
    match (session.state, session.exit, session.life) {
        // How a program takes its being stopped says nothing of its work.
        (SessionState::Ended, _, Life::Stopped) => Life::Stopped.as_str().to_owned(),
        (SessionState::Ended, Some(exit), _) if !exit.is_success() => format!("ended, {exit}"),
        (state, _, life @ (Life::Queued | Life::Paused | Life::Degraded)) if !state.is_final() => {
            life.as_str().to_owned()
        }
        (state, _, _) => state.as_str().to_owned(),
    }
}

/// By what a session is confined, and what it reaches; a session without a sandbox is shown in capitals.
fn sandbox(session: &Session) -> String {
    let Some(sandbox) = &session.sandbox else { return "NONE".to_owned() };
    let gaps = if sandbox.not_enforced.is_empty() { "" } else { ", in part" };
    match (sandbox.mechanism, sandbox.network) {
        (Mechanism::None, _) => "NONE".to_owned(),
        (mechanism, Network::On) => format!("{}{gaps}", mechanism.as_str()),
        (mechanism, network) => format!("{}, network {}{gaps}", mechanism.as_str(), network.as_str()),
    }
}

/// One line that says how a session stands.
pub(crate) fn ending(session: &Session) -> String {
    let exit = match (session.state.is_final(), session.exit) {
        (true, Some(exit)) => format!(", {exit}"),
        (true, None) if session.state == SessionState::Ended => ", how is not known".to_owned(),
        (_, _) => String::new(),
    };
    let message =
        session.message.as_deref().map_or_else(String::new, |message| format!(": {}", text::clean_line(message)));
    format!("{}: {}{exit}{message}", session.session, session.state.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::confinement::Sandbox;
    use orx_protocol::api::session::Sessions;
    use orx_protocol::process::{EndReason, Exit};

    fn sample() -> Vec<Session> {
        let running = Session {
            state: SessionState::Running,
            pid: Some(4321),
            cols: 120,
            rows: 40,
            sandbox: Some(Sandbox {
                mechanism: Mechanism::Bubblewrap,
                network: Network::Off,
                write: vec!["/home/ann/src/service".into()],
                ..Sandbox::default()
            }),
            title: Some("\u{1b}[31mflaky\u{1b}[0m 漢字 test\n".into()),
            argv: vec!["claude".into()],
            directory: "/home/ann/.local/state/orx/sessions/x".into(),
            ..Session::starting(
                "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
                "claude",
                "/home/ann/src/service",
                1_700_000_000_000,
            )
        };
        let ended = Session {
            session: "ses_01ARZ3NDEKTSV4RRFFQ69G5XYZ".parse().unwrap(),
            engine: "command".into(),
            state: SessionState::Ended,
            pid: None,
            ended_at_ms: Some(1_700_000_100_000),
            exit: Some(Exit::Signal(9)),
            sandbox: None,
            reason: Some(EndReason::Stopped),
            title: None,
            owner: Some("run_01ARZ3NDEKTSV4RRFFQ69G5FAV/implement".into()),
            ..running.clone()
        };
        vec![running, ended]
    }

    #[test]
    fn sessions_are_listed_plainly_narrowly_and_as_json() {
        let now = 1_700_000_240_000;
        insta::assert_snapshot!("list", list(&sample(), now, Output::plain(None)));
        let narrow = list(&sample(), now, Output::plain(Some(80)));
        assert!(narrow.lines().all(|line| text::width(line) <= 80), "{narrow}");
        insta::assert_snapshot!("list_in_80_columns", narrow);
        insta::assert_snapshot!("list_in_100_columns", list(&sample(), now, Output::plain(Some(100))));
        for columns in 50..170 {
            let shown = list(&sample(), now, Output::plain(Some(columns)));
            assert!(shown.lines().all(|line| text::width(line) <= columns), "{columns}: {shown}");
            assert!(shown.contains("G5FAV") && shown.contains("flaky"), "{columns}: {shown}");
        }
        insta::assert_snapshot!("list_json", serde_json::to_string_pretty(&Sessions { sessions: sample() }).unwrap());
    }

    #[test]
    fn one_that_was_stopped_is_not_shown_as_one_that_failed() {
        let stopped = |life| Session { life, exit: Some(Exit::Code(129)), ..sample().remove(1) };
        assert_eq!(state(&stopped(Life::Stopped)), "stopped");
        assert_eq!(state(&stopped(Life::Failed)), "ended, exit status 129");
    }

    #[test]
    fn what_a_running_session_lacks_is_said_below_the_table() {
        let mut sessions = sample();
        sessions[0].life = Life::Degraded;
        sessions[0].terms.missing = Some("its channel is lost: it\u{1b}[2K broke".into());
        let shown = list(&sessions, 1_700_000_240_000, Output::plain(None));
        assert!(shown.lines().nth(1).unwrap().contains("  degraded  "), "{shown}");
        let last = shown.lines().last().unwrap();
        assert_eq!(last, "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV is degraded: its channel is lost: it broke");
        sessions[0].life = Life::Paused;
        let shown = list(&sessions, 1_700_000_240_000, Output::plain(None));
        assert!(shown.contains("  paused  ") && !shown.contains("degraded"), "{shown}");
    }

    #[test]
    fn an_end_is_said_with_what_is_known_of_it() {
        let lost = Session {
            state: SessionState::Unknown,
            exit: None,
            message: Some("the holder is gone".into()),
            ..sample().remove(0)
        };
        assert_eq!(ending(&lost), "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV: unknown: the holder is gone");
        assert_eq!(ending(&sample()[1]), "ses_01ARZ3NDEKTSV4RRFFQ69G5XYZ: ended, signal 9");
        assert_eq!(ending(&sample()[0]), "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV: running");
    }
}
