//! A derived index of a repository: its files, its symbols from real syntax trees, and full-text search over its code.
//!
//! Everything here can be rebuilt from the files, so nothing here is truth: what must last belongs to `orx-store`. It is
//! synchronous; callers on an async runtime run it on a blocking thread.

mod chunk;
mod database;
mod error;
mod index;
mod language;
mod map;
mod render;
mod search;
mod source;
mod symbols;
mod tokens;
mod walk;

pub use error::IndexError;
pub use index::{Index, UpdateReport};
pub use language::Language;
pub use map::{LanguageTotal, MapFile, MapOptions, ProjectMap, project_map};
pub use search::Hit;
pub use source::Parse;
pub use symbols::{Symbol, SymbolKind};
pub use walk::{Limits, Omission, Omitted};
