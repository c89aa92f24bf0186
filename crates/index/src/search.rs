//! Finding code: the full-text index proposes pieces, and what a reader of code values decides their order.

use std::collections::HashSet;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::tokens::{Word, expression, query_words, words};

/// Hits that are given at most.
const HITS: usize = 1_000;

/// Pieces that are looked at for each hit that is asked for, and at least.
const CANDIDATES: usize = 100;

/// Lines of a snippet around the line that fits best.
const AROUND: usize = 1;

/// Characters of a snippet's line.
const LINE: usize = 200;

/// A place in the code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// Path below the root, with `/`.
    pub path: String,
    /// The line that fits best, from 1.
    pub line: u32,
    /// That line with its neighbours; long lines are cut.
    pub snippet: String,
    /// How well it fits; greater is better, comparable within one search only.
    pub score: f64,
    /// The symbol that holds it, with its parents; `None` outside of any.
    pub symbol: Option<String>,
}

struct Piece {
    id: i64,
    path: String,
    line: u32,
    symbol: Option<String>,
    text: String,
    rank: f64,
}

/// The hits for `query`, best first.
pub(crate) fn search(connection: &Connection, query: &str, limit: usize) -> Result<Vec<Hit>, rusqlite::Error> {
    let wanted = query_words(query);
    let limit = limit.min(HITS);
    if wanted.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let breadth = CANDIDATES + 2 * limit;
    let mut pieces = propose(connection, &expression(&wanted, true), breadth)?;
    if pieces.len() < limit {
        let seen: HashSet<i64> = pieces.iter().map(|piece| piece.id).collect();
        let more = propose(connection, &expression(&wanted, false), breadth)?;
        pieces.extend(more.into_iter().filter(|piece| !seen.contains(&piece.id)));
    }
    let mut hits: Vec<Hit> = pieces.into_iter().map(|piece| judge(piece, &wanted, query)).collect();
    hits.sort_by(|a, b| {
        b.score.total_cmp(&a.score).then_with(|| a.path.cmp(&b.path)).then_with(|| a.line.cmp(&b.line))
    });
    hits.truncate(limit);
    Ok(hits)
}

fn propose(connection: &Connection, expression: &str, breadth: usize) -> Result<Vec<Piece>, rusqlite::Error> {
    // A symbol's name and the path say more about a piece than one more word in its body.
    let mut statement = connection.prepare_cached(
        "SELECT found.id, file.path, chunk.line, chunk.symbol, chunk.text, found.rank FROM (
             SELECT rowid AS id, bm25(words, 1.0, 5.0, 2.0) AS rank FROM words WHERE words MATCH ?1
             ORDER BY rank LIMIT ?2
         ) AS found JOIN chunk ON chunk.id = found.id JOIN file ON file.id = chunk.file",
    )?;
    let pieces = statement.query_map(params![expression, i64::try_from(breadth).unwrap_or(i64::MAX)], |row| {
        Ok(Piece {
            id: row.get(0)?,
            path: row.get(1)?,
            line: row.get(2)?,
            symbol: row.get(3)?,
            text: row.get(4)?,
            // FTS5 gives better fits smaller, negative numbers.
            rank: -row.get::<_, f64>(5)?,
        })
    })?;
    pieces.collect()
}

/// Whether `word` of a query is among the words of a text, as the start of one at least.
fn occurs(word: &Word, present: &[Word]) -> bool {
    present.iter().any(|other| {
        other.whole.starts_with(&word.whole) || other.parts.iter().any(|part| part.starts_with(&word.whole))
    }) || word.parts.iter().all(|part| present.iter().any(|other| other.parts.iter().any(|own| own.starts_with(part))))
}

fn count(wanted: &[Word], present: &[Word]) -> usize {
    wanted.iter().filter(|word| occurs(word, present)).count()
}

fn judge(piece: Piece, wanted: &[Word], query: &str) -> Hit {
    let lines: Vec<&str> = piece.text.lines().collect();
    let mut present: Vec<Word> = Vec::new();
    let mut best = (0, 0);
    for (at, line) in lines.iter().enumerate() {
        let found: Vec<Word> = words(line).collect();
        let fits = count(wanted, &found);
        if fits > best.0 {
            best = (fits, at);
        }
        present.extend(found);
    }
    let symbol_words: Vec<Word> = piece.symbol.iter().flat_map(|symbol| words(symbol)).collect();
    present.extend(words(&piece.path));
    let named = symbol_words.last().is_some_and(|name| wanted.iter().any(|word| word.whole == name.whole));
    present.extend(symbol_words);
    // Precision does not matter for counts this small.
    let share = count(wanted, &present) as f64 / wanted.len() as f64;
    let mut score = piece.rank.max(0.0) * share * share + share;
    if named {
        score *= 2.0;
    }
    if piece.text.contains(query.trim()) {
        score *= 1.5;
    }
    let (_, at) = best;
    Hit {
        path: piece.path,
        line: piece.line.saturating_add(u32::try_from(at).unwrap_or(u32::MAX)),
        snippet: snippet(&lines, at),
        score,
        symbol: piece.symbol,
    }
}

fn snippet(lines: &[&str], at: usize) -> String {
    let shown = lines.get(at.saturating_sub(AROUND)..lines.len().min(at + AROUND + 1)).unwrap_or_default();
    let cut = |line: &&str| match line.char_indices().nth(LINE) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(line)),
        None => line.trim_end().to_owned(),
    };
    shown.iter().map(cut).collect::<Vec<_>>().join("\n")
}
