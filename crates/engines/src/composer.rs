//! Where a coding CLI takes its prompt: whether a screen shows that place, and not a dialog in its stead.
//!
//! What is typed before it shows is lost, or answers a question that nobody read. How it looks is data, with the versions
//! that look so; an unknown layout is taken for one that does not show it.

use regex::Regex;
use semver::VersionReq;
use serde::Deserialize;

use crate::{EngineKind, Version, descriptor};

/// One way in which a place for a prompt looks: a row, and the row above it. Rows are without trailing blanks.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Composer {
    /// The versions that look so; any when absent.
    #[serde(default, deserialize_with = "descriptor::versions")]
    versions: Option<VersionReq>,
    /// What the row above looks like.
    #[serde(default, deserialize_with = "descriptor::pattern")]
    above: Option<Regex>,
    /// What the row looks like.
    #[serde(deserialize_with = "descriptor::pattern")]
    row: Option<Regex>,
    /// What the row must not look like.
    #[serde(default, deserialize_with = "descriptor::pattern")]
    but_not: Option<Regex>,
    /// Whether it is the last row with anything on it: of a CLI that leaves used places standing above.
    #[serde(default)]
    is_last: bool,
    /// What the last row with anything on it looks like: of a place that is open only while that shows.
    #[serde(default, deserialize_with = "descriptor::pattern")]
    last: Option<Regex>,
    /// Whether the cursor is in the row for as long as it takes something: of a CLI that leaves what was sent off standing as
    /// it was until it has something to show.
    #[serde(default)]
    with_cursor: bool,
}

/// How what stands in the place for a prompt is submitted while a row of the screen says so.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Submission {
    /// What that row looks like.
    #[serde(deserialize_with = "descriptor::pattern")]
    shows: Option<Regex>,
    /// The keys, pressed one after another.
    keys: Vec<String>,
}

/// Rows at the end of a screen, empty ones left out, in which a [`Submission`] is looked for.
const FOOT: usize = 8;

/// Whether what stands in the engine's place for a prompt is sometimes submitted by other keys than Enter.
#[must_use]
pub fn submits_otherwise(kind: EngineKind) -> bool {
    !kind.descriptor().submit.is_empty()
}

/// The keys that submit what stands in the place for a prompt on this screen (a text a row).
#[must_use]
pub fn submit_keys(kind: EngineKind, screen: &[impl AsRef<str>]) -> Vec<String> {
    let foot = || screen.iter().rev().map(|row| row.as_ref().trim_end()).filter(|row| !row.is_empty()).take(FOOT);
    let fits = |known: &&Submission| known.shows.as_ref().is_some_and(|shows| foot().any(|row| shows.is_match(row)));
    let found = kind.descriptor().submit.iter().find(fits);
    found.map_or_else(|| vec!["enter".to_owned()], |known| known.keys.clone())
}

impl Composer {
    fn is_of(&self, version: Option<Version>) -> bool {
        match (&self.versions, version) {
            (Some(versions), Some(version)) => versions.matches(&version.into()),
            (None, _) | (_, None) => true,
        }
    }

    fn fits(&self, above: Option<&str>, row: &str) -> bool {
        let fits = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        let excluded = self.but_not.as_ref().is_some_and(|pattern| pattern.is_match(row));
        fits(&self.row, row)
            && !excluded
            && (self.above.is_none() || above.is_some_and(|above| fits(&self.above, above)))
    }
}

/// Whether the screen (a text a row) shows the place where the engine takes a prompt, in any version that is known; of an
/// engine whose place is not known, such as [`EngineKind::Command`], always.
#[must_use]
pub fn shows_composer(kind: EngineKind, screen: &[impl AsRef<str>]) -> bool {
    shows_composer_of(kind, None, screen)
}

/// The same for one version; any where it is not known.
#[must_use]
pub fn shows_composer_of(kind: EngineKind, version: Option<Version>, screen: &[impl AsRef<str>]) -> bool {
    kind.descriptor().composer.is_empty() || composer_row(kind, version, screen).is_some()
}

/// Whether the cursor (its row, from 0) has left the place for a prompt that this screen shows: nobody reads there any more,
/// and what is typed answers whatever is asked next.
#[must_use]
pub fn is_left(kind: EngineKind, screen: &[impl AsRef<str>], cursor: usize) -> bool {
    lowest(kind, None, screen).is_some_and(|(row, composer)| composer.with_cursor && row != cursor)
}

/// The lowest row by which the place is known; `None` when it does not show, and where nothing is known of it.
pub(crate) fn composer_row(kind: EngineKind, version: Option<Version>, screen: &[impl AsRef<str>]) -> Option<usize> {
    lowest(kind, version, screen).map(|(row, _)| row)
}

fn lowest(
    kind: EngineKind,
    version: Option<Version>,
    screen: &[impl AsRef<str>],
) -> Option<(usize, &'static Composer)> {
    let row = |index: usize| screen.get(index).map(|row| row.as_ref().trim_end());
    let known = kind.descriptor().composer.iter().filter(|composer| composer.is_of(version));
    known
        .filter_map(|composer| {
            let last = (0..screen.len()).rev().find(|index| row(*index).is_some_and(|text| !text.is_empty()));
            if let Some(wanted) = &composer.last
                && !last.and_then(row).is_some_and(|text| wanted.is_match(text))
            {
                return None;
            }
            let found = (0..screen.len()).rev().find(|index| {
                if composer.is_last && Some(*index) != last {
                    return false;
                }
                let above = index.checked_sub(1).and_then(row);
                row(*index).is_some_and(|text| composer.fits(above, text))
            });
            found.map(|row| (row, composer))
        })
        .max_by_key(|(row, _)| *row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shows(kind: EngineKind, screen: &str) -> bool {
        shows_composer(kind, &screen.lines().collect::<Vec<_>>())
    }

    #[test]
    fn the_place_for_a_prompt_is_seen_empty_and_written_in() {
        for (kind, screen) in [
            (EngineKind::Claude, " ▐▛███▜▌   Claude Code v2.1.197\n\n──────\n❯\u{a0}\n──────\n  ? for shortcuts"),
            (EngineKind::Claude, "──────\n❯ Please \"explain\"\n\n  second line\n──────"),
            // A conversation that has a title shows it there.
            (EngineKind::Claude, "────── fix it: the parser. ──\n❯\n──────\n  ← for agents"),
            (EngineKind::Codex, "  >_ OpenAI Codex (v0.169.0)\n\n› Ask Codex to do anything\n\n  ? for shortcuts"),
            (EngineKind::Codex, "› 12 monkeys"),
            (EngineKind::Gemini, "▄▄▄▄▄▄\n >   Type your message or @path/to/file\n▀▀▀▀▀▀"),
            (EngineKind::Opencode, "   ┃\n   ┃  Ask anything… \"Fix broken tests\"\n   ┃\n   ╹▀▀▀▀▀▀▀"),
        ] {
            assert!(shows(kind, screen), "{kind}: {screen}");
        }
        assert!(shows(EngineKind::Command, ""));
    }

    #[test]
    fn a_dialog_is_no_place_for_a_prompt() {
        for (kind, screen) in [
            (EngineKind::Claude, "──────\n Accessing workspace:\n\n ❯ 1. Yes, I trust this folder\n   2. No, exit"),
            (EngineKind::Claude, "──────\n  Do you want to use this API key?\n\n    1. Yes\n  ❯ 2. No (recommended)"),
            (EngineKind::Codex, "  1. Run without daemon this time\n  2. Restart\n› 3. Cancel"),
            (EngineKind::Gemini, " │ Do you trust the files in this folder?\n │ ● 1. Trust folder (work)\n"),
            (EngineKind::Claude, "Please \"explain\"\n\nsecond line"),
            (EngineKind::Opencode, "Please \"explain\""),
        ] {
            assert!(!shows(kind, screen), "{kind}: {screen}");
        }
    }

    #[test]
    fn a_place_that_says_how_it_is_submitted_is_submitted_so() {
        let open = "What do you want to do?\nfix it\n\nnow\n\n\nSubmit message: Esc, then Enter | Navigate history";
        assert!(shows(EngineKind::Mini, open));
        // It is typed there still, and nobody reads it any more.
        assert!(!shows(EngineKind::Mini, "What do you want to do?\nfix it\nGot that, thanks!"));
        assert!(shows(
            EngineKind::Mini,
            "Agent wants to finish. Type new task or Enter to quit (/h for commands)\n> more"
        ));
        assert!(!shows(EngineKind::Mini, "Execute 1 action(s)? Enter to confirm, type comment to reject\n>"));
        let keys = |kind, screen: &str| submit_keys(kind, &screen.lines().collect::<Vec<_>>());
        assert_eq!(keys(EngineKind::Mini, open), ["alt-enter"]);
        assert_eq!(keys(EngineKind::Mini, "Agent wants to finish.\n> more"), ["enter"]);
        let place = "╭────╮\n│ b  │\n╰────╯\n [Ctrl+L for multi-line]";
        assert!(shows(EngineKind::Openhands, &format!("{place}\n ^a Select all  ^x Open external editor")));
        assert!(!shows(EngineKind::Openhands, &format!("  > Yes\n    No\n\n{place}\n ^q Quit the application")));
        let several = "╭────╮\n│ b  │\n╰────╯\n [Multi-line: Ctrl+J to submit • Ctrl+X for custom editor]\n\n ^q Quit";
        assert_eq!(keys(EngineKind::Openhands, several), ["ctrl-j"]);
        assert_eq!(keys(EngineKind::Openhands, "│ Multi-line: Ctrl+J to submit │"), ["enter"]);
        // What was sent off stands there until there is something to show.
        let sent = ["────", "diff> do it", "", ""];
        assert!(!is_left(EngineKind::Aider, &sent, 1) && is_left(EngineKind::Aider, &sent, 2));
        assert!(!is_left(EngineKind::Codex, &["› do it", ""], 1));
        assert!(submits_otherwise(EngineKind::Mini) && !submits_otherwise(EngineKind::Codex));
    }

    #[test]
    fn a_look_counts_for_its_versions_alone() {
        let composer: Composer = serde_saphyr::from_str("{ versions: '>=2.1, <3', row: '^>' }").unwrap();
        for (version, is_of) in [((2, 1, 0), true), ((2, 0, 9), false), ((3, 0, 0), false)] {
            let (major, minor, patch) = version;
            assert_eq!(composer.is_of(Some(Version { major, minor, patch })), is_of, "{version:?}");
        }
        assert!(composer.is_of(None), "an unknown version is not excluded");
        assert!(!composer.fits(None, "x>") && composer.fits(None, ">"));
    }
}
