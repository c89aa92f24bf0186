//! The map of a project: its files and their symbols, complete within stated limits, the same for the same files.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::IndexError;
use crate::language::Language;
use crate::source::{Parse, take_all_apart};
use crate::symbols::Symbol;
use crate::walk::{Limits, Omission, Omitted, walk};

/// How a map is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MapOptions {
    /// Bounds of what is read.
    pub limits: Limits,
    /// Largest JSON that the map may make, in bytes; `None`: any size. Inner symbols are left out first, then symbols of
    /// the last files, then files.
    pub answer_bytes: Option<usize>,
}

/// A file of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFile {
    /// Path below the root, with `/`.
    pub path: String,
    /// Its language; `None` where it is not known.
    pub language: Option<Language>,
    /// Size in bytes.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// How far its syntax was understood.
    pub parse: Parse,
    /// Its symbols, in the order of their lines.
    pub symbols: Vec<Symbol>,
    /// Symbols that were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub symbols_omitted: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // The signature is serde's.
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a project has of one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanguageTotal {
    /// The language; `None` for files whose language is not known.
    pub language: Option<Language>,
    /// Files.
    pub files: u64,
    /// Lines.
    pub lines: u64,
}

/// A project's files and symbols.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectMap {
    /// The root as it was given.
    pub root: String,
    /// By language, most lines first; also of files that were left out for the answer's size.
    pub languages: Vec<LanguageTotal>,
    /// In path order.
    pub files: Vec<MapFile>,
    /// What was left out, and why.
    pub omitted: Vec<Omitted>,
}

/// Makes the map of the project at `root`.
///
/// # Errors
/// `Root` when `root` is not a directory that can be read.
pub fn project_map(root: &Path, options: &MapOptions) -> Result<ProjectMap, IndexError> {
    let walked = walk(root, options.limits)?;
    let mut account = walked.account;
    let mut files = Vec::with_capacity(walked.files.len());
    // In parts, so that only some texts are in memory at a time.
    for part in walked.files.chunks(512) {
        for (candidate, source) in part.iter().zip(take_all_apart(part, options.limits.file_bytes)) {
            match source {
                Ok(source) => files.push(MapFile {
                    path: candidate.path.clone(),
                    language: source.language,
                    bytes: candidate.bytes,
                    lines: source.lines,
                    parse: source.parse,
                    symbols: source.symbols,
                    symbols_omitted: source.symbols_omitted,
                }),
                Err(reason) => account.add(reason, &candidate.path),
            }
        }
    }
    let languages = totals(&files);
    let kept = options.answer_bytes.map_or(files.len(), |limit| shorten(&mut files, limit));
    for left_out in files.drain(kept..) {
        account.add(Omission::AnswerSize, &left_out.path);
    }
    Ok(ProjectMap { root: root.to_string_lossy().into_owned(), languages, files, omitted: account.into_list() })
}

fn totals(files: &[MapFile]) -> Vec<LanguageTotal> {
    let mut by_language: BTreeMap<Option<Language>, LanguageTotal> = BTreeMap::new();
    for file in files {
        let total =
            by_language.entry(file.language).or_insert(LanguageTotal { language: file.language, files: 0, lines: 0 });
        total.files += 1;
        total.lines += file.lines;
    }
    let mut totals: Vec<LanguageTotal> = by_language.into_values().collect();
    totals.sort_by_key(|total| std::cmp::Reverse(total.lines));
    totals
}

/// Bytes of a value as JSON.
fn json_size<T: Serialize>(value: &T) -> usize {
    serde_json::to_vec(value).map_or(0, |json| json.len() + 1)
}

/// Leaves symbols out until the files fit into `limit` bytes of JSON, and says how many files fit.
fn shorten(files: &mut [MapFile], limit: usize) -> usize {
    let mut sizes: Vec<usize> = files.iter().map(json_size).collect();
    let mut total: usize = sizes.iter().sum();
    // Inner symbols of all files, then all symbols of the last files.
    for keep_outer in [true, false] {
        for (file, size) in files.iter_mut().zip(&mut sizes).rev() {
            if total <= limit {
                return files.len();
            }
            let before = file.symbols.len();
            file.symbols.retain(|symbol| keep_outer && symbol.parent.is_none());
            file.symbols_omitted += (before - file.symbols.len()) as u64;
            total -= *size;
            *size = json_size(file);
            total += *size;
        }
    }
    let mut kept = sizes.len();
    for size in sizes.iter().rev() {
        if total <= limit {
            break;
        }
        total -= size;
        kept -= 1;
    }
    kept
}
