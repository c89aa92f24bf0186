//! Words of code: identifiers whole and in their parts, so that `parse_frame`, `parseFrame` and `ParseFrame` find one
//! another, and queries that hold nothing but such words, whatever the user typed.

/// Longest word that is kept, in bytes; longer ones are data.
const WORD: usize = 64;

/// Words of a query that are used.
const QUERY_WORDS: usize = 32;

/// A word with its parts, all in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// The parts joined: `parseframe`.
    pub(crate) whole: String,
    /// The parts, at least one.
    pub(crate) parts: Vec<String>,
}

/// Scripts without spaces between words: each character is a word.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Splits an identifier without underscores at its capitals: `HTTPServerV2` is `HTTP`, `Server`, `V2`.
fn humps(piece: &str, parts: &mut Vec<String>) {
    let chars: Vec<char> = piece.chars().collect();
    let mut part = String::new();
    for (at, c) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| chars.get(before));
        let after = chars.get(at + 1);
        let starts = c.is_uppercase()
            && before.is_some_and(|before| !before.is_uppercase() || after.is_some_and(|after| after.is_lowercase()));
        if starts && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
        }
        part.extend(c.to_lowercase());
    }
    if !part.is_empty() {
        parts.push(part);
    }
}

/// The words of a text, in order.
pub(crate) fn words(text: &str) -> impl Iterator<Item = Word> + '_ {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').flat_map(identifier)
}

fn identifier(text: &str) -> Vec<Word> {
    if text.len() > WORD {
        return Vec::new();
    }
    if text.chars().any(is_ideograph) {
        return ideographs(text);
    }
    let mut parts = Vec::new();
    for piece in text.split('_') {
        humps(piece, &mut parts);
    }
    if parts.is_empty() { Vec::new() } else { vec![Word { whole: parts.concat(), parts }] }
}

fn ideographs(text: &str) -> Vec<Word> {
    text.split_inclusive(is_ideograph)
        .flat_map(|piece| {
            let split = piece.char_indices().last().filter(|(_, c)| is_ideograph(*c)).map_or(piece.len(), |(at, _)| at);
            let (plain, own) = piece.split_at(split);
            let own = (!own.is_empty()).then(|| Word { whole: own.to_owned(), parts: vec![own.to_owned()] });
            // What is left has no ideograph, so this goes one step deep.
            identifier(plain).into_iter().chain(own)
        })
        .collect()
}

/// A text as it is given to the full-text index: every part, and every whole that has several parts.
pub(crate) fn indexed(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for word in words(text) {
        for part in &word.parts {
            out.push_str(part);
            out.push(' ');
        }
        if word.parts.len() > 1 {
            out.push_str(&word.whole);
            out.push(' ');
        }
    }
    out
}

/// The distinct words of a query.
pub(crate) fn query_words(query: &str) -> Vec<Word> {
    let mut found: Vec<Word> = Vec::new();
    for word in words(query) {
        if !found.contains(&word) {
            found.push(word);
        }
        if found.len() == QUERY_WORDS {
            break;
        }
    }
    found
}

/// A match expression of FTS5: every word must occur, or any of them (then also as the start of a longer word). Words
/// hold letters and digits only, so the expression is well-formed whatever the query was.
pub(crate) fn expression(words: &[Word], all: bool) -> String {
    let star = if all { "" } else { "*" };
    let terms: Vec<String> = words
        .iter()
        .map(|word| {
            let parts: Vec<String> = word.parts.iter().map(|part| format!("\"{part}\"{star}")).collect();
            match parts.as_slice() {
                [only] => only.clone(),
                several => format!("(\"{}\"{star} OR ({}))", word.whole, several.join(" AND ")),
            }
        })
        .collect();
    terms.join(if all { " AND " } else { " OR " })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<Vec<String>> {
        words(text).map(|word| word.parts).collect()
    }

    #[test]
    fn identifiers_are_split_at_humps_and_underscores() {
        for (text, expected) in [
            ("parse_frame", vec!["parse", "frame"]),
            ("parseFrame", vec!["parse", "frame"]),
            ("ParseFrame", vec!["parse", "frame"]),
            ("PARSE_FRAME", vec!["parse", "frame"]),
            ("HTTPServerV2", vec!["http", "server", "v2"]),
            ("utf8", vec!["utf8"]),
            ("__init__", vec!["init"]),
            ("x", vec!["x"]),
            ("Größe", vec!["größe"]),
        ] {
            assert_eq!(parts(text), [expected], "{text}");
        }
    }

    #[test]
    fn all_spellings_of_a_name_have_the_same_words() {
        let spellings = ["parse_frame", "parseFrame", "ParseFrame", "PARSE_FRAME"];
        for spelling in spellings {
            assert_eq!(query_words(spelling), query_words("parse_frame"));
        }
    }

    #[test]
    fn ideographs_are_words_by_themselves() {
        assert_eq!(parts("解析frame器"), [["解"], ["析"], ["frame"], ["器"]]);
    }

    #[test]
    fn what_is_no_word_is_dropped() {
        for query in ["", " \t\n", "\"", "'; DROP TABLE x; --", "\0", "🚀🚀", "* AND OR NOT NEAR(", "_", "::<>()"] {
            for word in query_words(query) {
                assert!(word.whole.chars().all(char::is_alphanumeric), "{query}");
            }
        }
        assert!(query_words(&"x".repeat(65)).is_empty());
        assert_eq!(query_words(&(0..100).map(|n| format!("w{n} ")).collect::<String>()).len(), QUERY_WORDS);
    }

    #[test]
    fn the_expression_quotes_every_word() {
        let words = query_words("AND parse_frame");
        assert_eq!(expression(&words, true), "\"and\" AND (\"parseframe\" OR (\"parse\" AND \"frame\"))");
        assert_eq!(expression(&words, false), "\"and\"* OR (\"parseframe\"* OR (\"parse\"* AND \"frame\"*))");
    }
}
