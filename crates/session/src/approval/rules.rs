//! What the standing decisions make of a request: a denial wins over asking, asking over allowing, and what no rule
//! covers is asked.

use orx_protocol::api::approval::{ApprovalKind, Effect, Rule};
use orx_protocol::{RuleId, SessionId};

use super::pattern::{BadPattern, Pattern};
use super::shell::{Line, parts, spellings};

/// A path as it was written, made absolute, and where it leads once links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Absolute, without `..`.
    pub written: String,
    /// The same with its links followed, as far as it exists.
    pub real: String,
}

/// What is asked, as rules look at it.
#[derive(Debug, Clone)]
pub struct Request {
    /// Who asks.
    pub session: SessionId,
    /// Its engine.
    pub engine: String,
    /// What sort.
    pub kind: ApprovalKind,
    /// The engine's name of the tool.
    pub tool: Option<String>,
    /// The command line.
    pub command: Option<String>,
    /// Working directory.
    pub cwd: Located,
    /// Files that it concerns.
    pub paths: Vec<Located>,
}

/// What follows from the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed, by these rules together.
    Allow(Vec<RuleId>),
    /// Denied by this rule.
    Deny(RuleId),
    /// Somebody must be asked; a rule says so, or none says anything.
    Ask(Option<RuleId>),
}

/// Rules made ready for matching.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Ready>);

#[derive(Debug, Clone)]
struct Ready {
    rule: Rule,
    tool: Option<Pattern>,
    command: Option<Pattern>,
    path: Option<Pattern>,
}

impl Ready {
    fn new(rule: Rule) -> Result<Self, BadPattern> {
        let ready = |pattern: &Option<String>, make: fn(&str) -> Result<Pattern, BadPattern>| {
            pattern.as_deref().map(make).transpose()
        };
        Ok(Self {
            tool: ready(&rule.tool, Pattern::text)?,
            command: ready(&rule.command, Pattern::text)?,
            path: ready(&rule.path, Pattern::path)?,
            rule,
        })
    }

    /// Whether the rule is about this request, its command and paths aside.
    fn concerns(&self, request: &Request, now_ms: u64) -> bool {
        let rule = &self.rule;
        rule.expires_at_ms.is_none_or(|expires| now_ms < expires)
            && rule.engine.as_ref().is_none_or(|engine| *engine == request.engine)
            && rule.kind.is_none_or(|kind| kind == request.kind)
            && rule.session.is_none_or(|session| session == request.session)
            && self.tool.as_ref().is_none_or(|tool| request.tool.as_deref().is_some_and(|name| tool.fits(name)))
            && rule.cwd.as_deref().is_none_or(|cwd| match rule.effect {
                Effect::Allow => is_below(&request.cwd.real, cwd),
                Effect::Deny | Effect::Ask => is_below(&request.cwd.real, cwd) || is_below(&request.cwd.written, cwd),
            })
    }

    /// Whether the rule names anything of the request: one hit is enough.
    fn touches(&self, request: &Request, spelled: &[String]) -> bool {
        let command = self.command.as_ref().is_none_or(|pattern| spelled.iter().any(|spelling| pattern.fits(spelling)));
        let path = self.path.as_ref().is_none_or(|pattern| {
            request.paths.iter().any(|path| pattern.fits(&path.written) || pattern.fits(&path.real))
        });
        command && path
    }

    /// Whether the rule covers a command, given alone or as a part of a line, with every path of the request.
    fn covers_command(&self, command: &str, exact_only: bool, paths: &[Located]) -> bool {
        let command = self
            .command
            .as_ref()
            .is_none_or(|pattern| if exact_only { pattern.is_exactly(command) } else { pattern.fits(command) });
        command
            && self
                .path
                .as_ref()
                .is_none_or(|pattern| !paths.is_empty() && paths.iter().all(|path| pattern.fits(&path.real)))
    }

    fn covers_path(&self, path: &Located) -> bool {
        self.command.is_none() && self.path.as_ref().is_none_or(|pattern| pattern.fits(&path.real))
    }
}

impl Rules {
    /// Makes rules ready.
    ///
    /// # Errors
    /// [`BadPattern`] for the first rule that cannot be used.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self, BadPattern> {
        rules.into_iter().map(Ready::new).collect::<Result<_, _>>().map(Self)
    }

    /// What follows for a request at this moment.
    #[must_use]
    pub fn judge(&self, request: &Request, now_ms: u64) -> Verdict {
        let concerned: Vec<&Ready> = self.0.iter().filter(|ready| ready.concerns(request, now_ms)).collect();
        let of = |effect: Effect| concerned.iter().copied().filter(move |ready| ready.rule.effect == effect);
        if concerned.is_empty() {
            return Verdict::Ask(None);
        }
        let Some(spelled) = request.command.as_deref().map_or_else(|| Some(Vec::new()), spellings) else {
            // What cannot be looked through for a denial is not allowed by a rule either.
            return Verdict::Ask(None);
        };
        if let Some(ready) = of(Effect::Deny).find(|ready| ready.touches(request, &spelled)) {
            return Verdict::Deny(ready.rule.rule);
        }
        if let Some(ready) = of(Effect::Ask).find(|ready| ready.touches(request, &spelled)) {
            return Verdict::Ask(Some(ready.rule.rule));
        }
        // A question wants an answer, which no rule knows.
        if request.kind == ApprovalKind::Question {
            return Verdict::Ask(None);
        }
        let allowing: Vec<&Ready> = of(Effect::Allow).collect();
        covered(&allowing, request).map_or(Verdict::Ask(None), Verdict::Allow)
    }
}

/// The rules that together cover the whole request.
fn covered(allowing: &[&Ready], request: &Request) -> Option<Vec<RuleId>> {
    let by = |covers: &dyn Fn(&Ready) -> bool| allowing.iter().find(|ready| covers(ready)).map(|ready| ready.rule.rule);
    let mut rules = match (&request.command, request.paths.as_slice()) {
        (Some(line), paths) => {
            let line = line.trim();
            if line.is_empty() {
                return None;
            }
            match by(&|ready| ready.covers_command(line, true, paths)) {
                Some(rule) => vec![rule],
                None => match parts(line) {
                    Line::Opaque(_) => return None,
                    Line::Parts(parts) => parts
                        .iter()
                        .map(|part| by(&|ready| ready.covers_command(part, false, paths)))
                        .collect::<Option<Vec<_>>>()?,
                },
            }
        }
        (None, []) => vec![by(&|ready| ready.command.is_none() && ready.path.is_none())?],
        (None, paths) => paths.iter().map(|path| by(&|ready| ready.covers_path(path))).collect::<Option<Vec<_>>>()?,
    };
    rules.dedup();
    Some(rules)
}

/// Whether a path is a directory or lies below it, by whole components.
fn is_below(path: &str, directory: &str) -> bool {
    std::path::Path::new(path).starts_with(directory)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
