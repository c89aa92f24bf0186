//! Which session, run, approval or rule is meant: its full identifier, or any unique beginning or end of it.

use orx_protocol::api::{Empty, approval, run, session};
use orx_protocol::{ApprovalId, RuleId, RunId, SessionId};

use crate::context::Context;
use crate::failure::Failure;
use crate::{text, visible};

/// Fewest characters of a short name: one character too few should not stop somebody's session.
const SHORTEST: usize = 3;
/// Candidates that are listed.
const LISTED: usize = 10;

#[derive(Debug, PartialEq, Eq)]
enum Lookup<T> {
    One(T),
    None,
    Many(Vec<T>),
    TooShort,
}

/// Looks `given` up among identifiers with `prefix`; case does not matter and the prefix may be left out.
fn look_up<T: Copy + ToString>(given: &str, prefix: &str, ids: &[T]) -> Lookup<T> {
    let wanted = given.to_ascii_lowercase();
    let wanted = wanted.strip_prefix(prefix).unwrap_or(&wanted);
    look_up_by(wanted, ids, |id| {
        let id = id.to_string();
        id.strip_prefix(prefix).unwrap_or(&id).to_owned()
    })
}

/// Looks `given` up among what `bare` makes of each identifier.
fn look_up_by<T: Copy>(given: &str, ids: &[T], bare: impl Fn(&T) -> String) -> Lookup<T> {
    let wanted = given.to_ascii_lowercase();
    if wanted.chars().count() < SHORTEST {
        return Lookup::TooShort;
    }
    let fits = |id: &T| {
        let bare = bare(id).to_ascii_lowercase();
        bare.starts_with(&wanted) || bare.ends_with(&wanted)
    };
    let mut found: Vec<T> = ids.iter().copied().filter(fits).collect();
    match found.len() {
        0 => Lookup::None,
        1 => found.pop().map_or(Lookup::None, Lookup::One),
        _ => Lookup::Many(found),
    }
}

fn decide<T: Copy + ToString>(
    given: &str,
    what: &str,
    list: &str,
    lookup: Lookup<T>,
    describe: impl Fn(T) -> String,
) -> Result<T, Failure> {
    let given = text::clean_line(given);
    match lookup {
        Lookup::One(id) => Ok(id),
        Lookup::None => Err(Failure::failed(format!("no {what} is named `{given}`")).with_hint(format!(
            "`{list}` lists them; each is named by its identifier or a unique beginning or end of it"
        ))),
        Lookup::TooShort => Err(Failure::usage(format!(
            "`{given}` is too short for the name of any {what}: give at least {SHORTEST} characters"
        ))
        .with_hint(format!("`{list}` lists them"))),
        Lookup::Many(candidates) => {
            let mut message = format!("`{given}` fits {} {what}s:", candidates.len());
            for candidate in candidates.iter().take(LISTED) {
                message.push_str(&format!("\n  {}  {}", candidate.to_string(), describe(*candidate)));
            }
            if candidates.len() > LISTED {
                message.push_str("\n  ...");
            }
            Err(Failure::usage(message)
                .with_hint("give more characters; the end of an identifier differs sooner than its beginning"))
        }
    }
}

/// The session that is meant.
///
/// # Errors
/// When none or several are, and what the daemon says.
pub(crate) async fn session(context: &Context, given: &str) -> Result<SessionId, Failure> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let sessions: session::Sessions = context.call("session.list", &session::ListParams { all: true }).await?;
    let ids: Vec<SessionId> = sessions.sessions.iter().map(|session| session.session).collect();
    let describe = |id| {
        sessions.sessions.iter().find(|session| session.session == id).map_or_else(String::new, |session| {
            let title = text::clean_line(session.title.as_deref().unwrap_or(&session.cwd));
            format!("{} {} {title}", text::clean_line(&session.engine), session.state.as_str())
        })
    };
    decide(given, "session", "orxctl ls --all", look_up(given, SessionId::PREFIX, &ids), describe)
}

/// The approvals that are meant, those that wait before those that are decided.
///
/// # Errors
/// When one names none or several, and what the daemon says.
pub(crate) async fn approvals(context: &Context, given: &[String]) -> Result<Vec<ApprovalId>, Failure> {
    let read = |all| approval::ListParams { all, session: None };
    let mut known: Vec<Vec<approval::Approval>> = Vec::new();
    let mut named = Vec::with_capacity(given.len());
    for given in given {
        if let Ok(id) = given.parse() {
            named.push(id);
            continue;
        }
        if known.is_empty() {
            for all in [false, true] {
                let list: approval::Approvals = context.call("approval.list", &read(all)).await?;
                known.push(list.approvals);
            }
        }
        let described = |id| {
            let mut all = known.iter().flatten();
            all.find(|row| row.approval == id)
                .map_or_else(String::new, |row| format!("{} {}", row.state.as_str(), visible::line(&row.title)))
        };
        let found = known
            .iter()
            .map(|rows| {
                let ids: Vec<ApprovalId> = rows.iter().map(|row| row.approval).collect();
                look_up(given, ApprovalId::PREFIX, &ids)
            })
            .find(|found| *found != Lookup::None);
        named.push(decide(given, "approval", "orxctl inbox --all", found.unwrap_or(Lookup::None), described)?);
    }
    Ok(named)
}

/// The rules that are meant.
///
/// # Errors
/// When one names none or several, and what the daemon says.
pub(crate) async fn rules(context: &Context, given: &[String]) -> Result<Vec<RuleId>, Failure> {
    let list: approval::Rules = context.call("rule.list", &Empty {}).await?;
    let ids: Vec<RuleId> = list.rules.iter().map(|rule| rule.rule).collect();
    let described = |id| {
        list.rules.iter().find(|rule| rule.rule == id).map_or_else(String::new, |rule| rule.effect.as_str().to_owned())
    };
    given
        .iter()
        .map(|given| match given.parse() {
            Ok(id) => Ok(id),
            Err(_) => decide(given, "rule", "orxctl rule ls", look_up(given, RuleId::PREFIX, &ids), described),
        })
        .collect()
}

/// A run or a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// A run.
    Run(RunId),
    /// A session.
    Session(SessionId),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Run(run) => run.fmt(f),
            Self::Session(session) => session.fmt(f),
        }
    }
}

/// The run or session that is meant, by identifiers of both.
///
/// # Errors
/// When none or several are, and what the daemon says.
pub(crate) async fn target(context: &Context, given: &str) -> Result<Target, Failure> {
    let has = |prefix: &str| given.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if has(SessionId::PREFIX) {
        return session(context, given).await.map(Target::Session);
    }
    if has(RunId::PREFIX) {
        return run(context, given).await.map(Target::Run);
    }
    let sessions: session::Sessions = context.call("session.list", &session::ListParams { all: true }).await?;
    let runs: run::Runs = context.call("run.list", &run::ListParams { repository: None, limit: Some(1000) }).await?;
    // Stages of runs are no targets of their own.
    let own = sessions.sessions.iter().filter(|session| session.owner.is_none());
    let targets: Vec<Target> = own
        .map(|session| Target::Session(session.session))
        .chain(runs.runs.iter().map(|run| Target::Run(run.run)))
        .collect();
    let bare =
        |target: &Target| target.to_string().split_once('_').map(|(_, bare)| bare.to_owned()).unwrap_or_default();
    let described = |target: Target| match target {
        Target::Run(_) => "run".to_owned(),
        Target::Session(_) => "session".to_owned(),
    };
    decide(given, "run or session", "orxctl ls --all", look_up_by(given, &targets, bare), described)
}

/// The run that is meant.
///
/// # Errors
/// When none or several are, and what the daemon says.
pub(crate) async fn run(context: &Context, given: &str) -> Result<RunId, Failure> {
    if let Ok(id) = given.parse() {
        return Ok(id);
    }
    let runs: run::Runs = context.call("run.list", &run::ListParams { repository: None, limit: Some(1000) }).await?;
    let ids: Vec<RunId> = runs.runs.iter().map(|run| run.run).collect();
    let describe = |id| {
        runs.runs.iter().find(|run| run.run == id).map_or_else(String::new, |run| {
            format!("{} {}", run.state.as_str(), text::shorten(&text::clean_line(&run.task), 50))
        })
    };
    decide(given, "run", "orxctl call run.list", look_up(given, RunId::PREFIX, &ids), describe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Status;

    fn ids() -> Vec<SessionId> {
        ["ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", "ses_01ARZ3NDEKTSV4RRFFQ69G5XYZ", "ses_01BX5ZZKBKACTAV9WEVGEMMVRZ"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect()
    }

    #[test]
    fn unique_beginnings_and_ends_name_a_session_in_any_case() {
        let ids = ids();
        let table: [(&str, Lookup<SessionId>); 12] = [
            ("ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", Lookup::One(ids[0])),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", Lookup::One(ids[0])),
            ("SES_01bx", Lookup::One(ids[2])),
            ("01bx", Lookup::One(ids[2])),
            ("fav", Lookup::One(ids[0])),
            ("5XYZ", Lookup::One(ids[1])),
            ("ses_mvrz", Lookup::One(ids[2])),
            ("01arz", Lookup::Many(vec![ids[0], ids[1]])),
            ("zzz", Lookup::None),
            ("ndek", Lookup::None),
            ("ses_", Lookup::TooShort),
            ("av", Lookup::TooShort),
        ];
        for (given, wanted) in table {
            assert_eq!(look_up(given, SessionId::PREFIX, &ids), wanted, "{given}");
        }
    }

    #[test]
    fn an_ambiguous_name_lists_its_candidates() {
        let ids = ids();
        let failure =
            decide("01arz", "session", "orxctl ls", look_up("01arz", "ses_", &ids), |_| "claude running".to_owned())
                .unwrap_err();
        assert_eq!(failure.status, Status::Usage);
        assert!(failure.message.contains(&ids[0].to_string()) && failure.message.contains(&ids[1].to_string()));
        assert!(!failure.message.contains(&ids[2].to_string()));
        let failure =
            decide("zzz", "session", "orxctl ls", look_up("zzz", "ses_", &ids), |_| String::new()).unwrap_err();
        assert_eq!(failure.status, Status::Failed);
    }
}
