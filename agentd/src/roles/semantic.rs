//! The role `semantic`: searching the code of a repository. Each repository has an index of its own in the cache
//! directory, brought up to date before each search.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use orx_client::{Answer, Request};
use orx_index::{Hit, Index, IndexError, Limits, Omitted};
use orx_protocol::error::RpcError;
use serde::{Deserialize, Serialize};

use super::{blocking, index_error, invalid, root};

pub(super) const ACTIONS: &[&str] = &["search"];

/// Hits where the caller names no limit.
const HITS: u32 = 10;

/// Hits that a caller may ask for.
const MOST_HITS: u32 = 100;

/// Longest query, in bytes.
const QUERY: usize = 4096;

/// Indexes that are kept open.
const OPEN: usize = 16;

#[derive(Debug, Deserialize)]
struct SearchParams {
    path: Option<String>,
    query: Option<String>,
    #[serde(default)]
    limit: Option<u32>,
}

/// What a search found, and in what.
#[derive(Debug, Serialize)]
struct Found {
    query: String,
    hits: Vec<Hit>,
    count: usize,
    /// Whether the index was brought up to date first; otherwise another worker was at it and hits may be older.
    fresh: bool,
    /// Files in the index; `None` when it was not brought up to date.
    files: Option<u64>,
    /// What is not in the index, and why.
    omitted: Vec<Omitted>,
}

/// An index that one request at a time uses.
type Shared = Arc<Mutex<Option<Index>>>;

/// The role with its open indexes.
#[derive(Debug)]
pub(super) struct Semantic {
    cache: PathBuf,
    open: Mutex<HashMap<PathBuf, Shared>>,
}

impl Semantic {
    pub(super) fn new(cache: PathBuf) -> Self {
        Self { cache, open: Mutex::default() }
    }

    pub(super) async fn handle(&self, request: &Request) -> Answer {
        let params: SearchParams = request.params()?;
        let Some(path) = params.path else {
            return Err(invalid("Path required", "give `path`, the absolute path of a repository"));
        };
        let Some(query) = params.query.filter(|query| !query.trim().is_empty()) else {
            return Err(invalid("Query required", "give `query`, words or names to look for"));
        };
        if query.len() > QUERY {
            return Err(invalid(format!("`query` has {} bytes", query.len()), format!("give at most {QUERY}")));
        }
        let limit = limit(params.limit)?;
        let root = root(&path)?;
        // One index for a repository, however it is spelled.
        let root = root.canonicalize().map_err(|source| index_error(&IndexError::Root { path: root, source }))?;
        let database = database(&self.cache, &root);
        let index = self.shared(&database);
        let found = blocking(move || {
            let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
            search(&mut index, &database, &root, query, limit).map_err(|error| index_error(&error))
        })
        .await?;
        Request::answer(&found)
    }

    fn shared(&self, database: &Path) -> Shared {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() >= OPEN && !open.contains_key(database) {
            open.retain(|_, index| Arc::strong_count(index) > 1);
        }
        Arc::clone(open.entry(database.to_owned()).or_default())
    }
}

fn limit(wanted: Option<u32>) -> Result<usize, RpcError> {
    match wanted.unwrap_or(HITS) {
        wanted @ 1..=MOST_HITS => Ok(usize::try_from(wanted).unwrap_or(usize::MAX)),
        wanted => Err(invalid(format!("`limit` is out of range: {wanted}"), format!("give 1 to {MOST_HITS}"))),
    }
}

/// The place of a repository's index. Should two repositories ever share it, they take turns in it: it is derived.
fn database(cache: &Path, root: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    cache.join(format!("{:016x}.db", hasher.finish()))
}

fn search(
    kept: &mut Option<Index>,
    database: &Path,
    root: &Path,
    query: String,
    limit: usize,
) -> Result<Found, IndexError> {
    // Taken out, so that an index that failed is opened anew the next time; also when its file was deleted.
    let mut index = match kept.take().filter(|_| database.exists()) {
        Some(index) => index,
        None => Index::open(database)?,
    };
    let report = match index.update(root, Limits::default()) {
        Ok(report) => Some(report),
        Err(IndexError::Busy) => None,
        Err(error) => return Err(error),
    };
    let hits = index.search(&query, limit)?;
    *kept = Some(index);
    Ok(Found {
        query,
        count: hits.len(),
        hits,
        fresh: report.is_some(),
        files: report.as_ref().map(|report| report.files),
        omitted: report.map(|report| report.omitted).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_bounded_with_a_clear_error() {
        assert_eq!(limit(None), Ok(10));
        assert_eq!(limit(Some(100)), Ok(100));
        for bad in [0, 101] {
            assert!(limit(Some(bad)).unwrap_err().message.contains("limit"));
        }
    }

    #[test]
    fn a_search_survives_the_loss_of_its_index() {
        let (project, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(project.path().join("a.rs"), "fn alpha() {}\n").unwrap();
        let database = database(cache.path(), project.path());
        let mut kept = None;
        for _ in 0..2 {
            let found = search(&mut kept, &database, project.path(), "alpha".to_owned(), 5).unwrap();
            assert_eq!((found.count, found.fresh, found.files), (1, true, Some(1)));
            std::fs::remove_dir_all(cache.path()).unwrap();
        }
    }

    #[test]
    fn only_some_indexes_are_kept_open() {
        let semantic = Semantic::new(PathBuf::from("/c"));
        let held = semantic.shared(Path::new("/held"));
        for n in 0..100 {
            semantic.shared(&PathBuf::from(format!("/{n}")));
        }
        assert!(semantic.open.lock().unwrap().len() <= OPEN);
        assert!(Arc::ptr_eq(&held, &semantic.shared(Path::new("/held"))));
    }
}
