//! Command lines, read so that a rule never covers more than a person would expect of it.
//!
//! A rule that allows must understand a line completely, so [`parts`] knows a small language (words, quotes, and the
//! operators between commands) and calls everything else opaque. A rule that denies wants to find its command wherever
//! it may hide, so [`spellings`] guesses widely.

/// A command line as far as it is understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line<'a> {
    /// Commands one after another or piped into each other; each is words and nothing else.
    Parts(Vec<&'a str>),
    /// It holds what no pattern should cover: in a word, what.
    Opaque(&'static str),
}

/// Words at the beginning of a command that are no programs but grammar.
const GRAMMAR: [&str; 22] = [
    "!", "{", "}", "[[", "case", "coproc", "do", "done", "elif", "else", "esac", "fi", "for", "foreach", "function",
    "if", "repeat", "select", "then", "time", "until", "while",
];

/// Commands after which the next one of the same line means something else: another directory, other variables, other
/// commands behind the same names.
const CHANGES_THE_SHELL: [&str; 24] = [
    ".", "alias", "builtin", "cd", "chdir", "command", "declare", "enable", "eval", "exec", "export", "hash", "local",
    "popd", "pushd", "read", "readonly", "set", "shopt", "source", "trap", "typeset", "unalias", "unset",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quote {
    None,
    Single,
    Double,
}

/// Splits a command line into the commands that it runs.
#[must_use]
pub fn parts(line: &str) -> Line<'_> {
    match split(line) {
        Ok(parts) => match parts.iter().find_map(|part| unclear(part, parts.len())) {
            Some(why) => Line::Opaque(why),
            None => Line::Parts(parts),
        },
        Err(why) => Line::Opaque(why),
    }
}

fn split(line: &str) -> Result<Vec<&str>, &'static str> {
    let mut parts = Vec::new();
    let (mut start, mut quote, mut word_starts) = (0, Quote::None, true);
    let mut rest = line.char_indices().peekable();
    while let Some((at, character)) = rest.next() {
        if is_invisible(character) {
            return Err("characters that cannot be seen");
        }
        let starts_word = std::mem::replace(&mut word_starts, quote == Quote::None && is_blank(character));
        match (quote, character) {
            (Quote::Single, '\'') | (Quote::Double, '"') => quote = Quote::None,
            (Quote::Single, _) => {}
            (_, '$' | '`') => return Err("an expansion"),
            (_, '\\') => match rest.next() {
                Some((_, '\n')) | None => return Err("a line that goes on"),
                Some((_, escaped)) if is_invisible(escaped) => return Err("characters that cannot be seen"),
                Some(_) => {}
            },
            (Quote::Double, _) => {}
            (Quote::None, '\'') => quote = Quote::Single,
            (Quote::None, '"') => quote = Quote::Double,
            (Quote::None, '<' | '>') => return Err("a redirection"),
            (Quote::None, '(' | ')') => return Err("a subshell or function"),
            (Quote::None, '#') if starts_word => return Err("a comment"),
            (Quote::None, '\n') => {
                parts.extend(command(line, start, at));
                (start, word_starts) = (at + 1, true);
            }
            (Quote::None, ';' | '&' | '|') => {
                parts.push(command(line, start, at).ok_or("an operator without a command")?);
                let doubled = character != ';' && rest.next_if(|(_, next)| *next == character).is_some();
                let with_errors = character == '|' && !doubled && rest.next_if(|(_, next)| *next == '&').is_some();
                start = at + 1 + usize::from(doubled) + usize::from(with_errors);
                word_starts = true;
                let must_go_on = doubled || character == '|';
                if must_go_on && line.get(start..).is_none_or(|rest| rest.trim().is_empty()) {
                    return Err("an operator without a command");
                }
            }
            (Quote::None, _) => {}
        }
    }
    if quote != Quote::None {
        return Err("a quote that does not end");
    }
    parts.extend(command(line, start, line.len()));
    if parts.is_empty() { Err("no command") } else { Ok(parts) }
}

fn command(line: &str, start: usize, end: usize) -> Option<&str> {
    line.get(start..end).map(|text| text.trim_matches(is_blank)).filter(|text| !text.is_empty())
}

/// What keeps one of `count` commands from being judged by its text.
fn unclear(part: &str, count: usize) -> Option<&'static str> {
    let mut words = part.split(is_blank);
    let program = words.next().unwrap_or_default();
    if program.contains(['\'', '"', '\\']) {
        return Some("a quoted program name");
    }
    if program.contains('=') {
        return Some("a variable that is set for the command");
    }
    if GRAMMAR.contains(&program) {
        return Some("more than plain commands");
    }
    if count > 1 && CHANGES_THE_SHELL.contains(&program) {
        return Some("a command that changes what the others mean");
    }
    let leads_back = |word: &str| word.contains("/../") || word.trim_end_matches(['\'', '"']).ends_with("/..");
    part.split(is_blank).any(leads_back).then_some("a path that leads back up")
}

const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n')
}

/// Characters that a person who decides does not see, or sees in another order.
fn is_invisible(character: char) -> bool {
    (character.is_control() && !is_blank(character))
        || (character.is_whitespace() && !is_blank(character))
        || matches!(
            character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// How deep commands within commands are looked for.
const DEPTH: u8 = 4;
/// Most bytes of all spellings of one line; a longer list helps nobody but an attacker of the matcher.
const BYTES: usize = 1 << 20;

/// Programs that run the program named after them.
const RUNNERS: [&str; 19] = [
    "busybox", "builtin", "chroot", "command", "doas", "env", "exec", "find", "flock", "ionice", "nice", "nohup",
    "parallel", "setsid", "stdbuf", "sudo", "time", "timeout", "xargs",
];

/// Every text under which a line may run a command: the line, its commands, what is within substitutions and quotes,
/// what a runner such as `sudo` or `xargs` is given, each also without its quotes, variables and path. `None` when there
/// are too many to look through.
#[must_use]
pub(super) fn spellings(line: &str) -> Option<Vec<String>> {
    let mut found = Found::default();
    found.collect(line, DEPTH);
    found.texts.sort_unstable();
    found.texts.dedup();
    (found.bytes <= BYTES).then_some(found.texts)
}

#[derive(Default)]
struct Found {
    texts: Vec<String>,
    bytes: usize,
}

impl Found {
    fn collect(&mut self, line: &str, depth: u8) {
        self.add(line.trim());
        let visible: String = line.replace("\\\n", "").chars().filter(|character| !is_invisible(*character)).collect();
        // Quotes are not obeyed here: what is between them may be a command too, for `sh -c` as for a substitution.
        let unquoted = visible.replace(['\'', '"'], " ");
        let pieces = visible.split(separates).chain(unquoted.split(separates));
        for piece in std::iter::once(visible.as_str()).chain(pieces) {
            if self.bytes > BYTES {
                return;
            }
            let words = words(piece);
            self.add(piece.trim().trim_start_matches('$'));
            self.command(&words);
            if depth > 0 {
                for word in words.iter().filter(|word| word.len() < line.len() && word.contains(joins)) {
                    self.collect(word, depth - 1);
                }
            }
        }
    }

    fn command(&mut self, words: &[String]) {
        let program = words.iter().position(|word| !word.contains('=') && !GRAMMAR.contains(&word.as_str()));
        let Some(words) = program.and_then(|position| words.get(position..)) else { return };
        self.add_words(words);
        if words.first().is_some_and(|program| RUNNERS.contains(&base(program))) {
            // Which of the words is the program depends on the runner's options; each might be it.
            for start in 1..words.len() {
                if self.bytes > BYTES {
                    return;
                }
                self.add_words(words.get(start..).unwrap_or_default());
            }
        }
    }

    fn add_words(&mut self, words: &[String]) {
        let Some((program, arguments)) = words.split_first() else { return };
        for program in [program.as_str(), base(program)] {
            let mut text = program.to_owned();
            for argument in arguments {
                text.push(' ');
                text.push_str(argument);
            }
            self.add(&text);
        }
    }

    fn add(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len());
        if !text.is_empty() && self.bytes <= BYTES {
            self.texts.push(text.to_owned());
        }
    }
}

/// Whether a character may stand between two commands, quotes aside.
const fn separates(character: char) -> bool {
    matches!(character, ';' | '|' | '&' | '\n' | '(' | ')' | '`' | '<' | '>' | '{' | '}')
}

/// Whether a character within a word shows that the word may be a command line itself.
const fn joins(character: char) -> bool {
    matches!(character, ' ' | ';' | '|' | '&' | '\n')
}

/// The words of a piece, without quotes and escapes where they are in order.
fn words(piece: &str) -> Vec<String> {
    shell_words::split(piece)
        .unwrap_or_else(|_| piece.split_whitespace().map(|word| word.replace(['\'', '"', '\\'], "")).collect())
}

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
