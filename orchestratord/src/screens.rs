//! How the screens of engines are read, and their dialogs answered: each engine's data is read when its first session is looked at, and
//! kept. All of it is megabytes of compiled patterns, of which a daemon without sessions needs none.

use orx_engines::screen::{ALL, ANSWERS};
use orx_session::screen::{Answers, Rules};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// What was read, by engine; `None` of an engine without any.
type Kept<T> = LazyLock<Mutex<HashMap<&'static str, Option<Arc<T>>>>>;

/// The rules of an engine; `None` for a program of which nothing is known.
pub(crate) fn rules(engine: &str) -> Option<Arc<Rules>> {
    static KEPT: Kept<Rules> = LazyLock::new(Mutex::default);
    read(&KEPT, ALL, engine, |engine, text| Rules::parse(engine, text).map_err(|error| error.to_string()))
}

/// How the dialogs of an engine are answered by keys; `None` where they are not.
pub(crate) fn answers(engine: &str) -> Option<Arc<Answers>> {
    static KEPT: Kept<Answers> = LazyLock::new(Mutex::default);
    read(&KEPT, ANSWERS, engine, Answers::parse)
}

fn read<T>(
    kept: &Kept<T>,
    all: &'static [(&'static str, &'static str)],
    engine: &str,
    parse: impl FnOnce(&str, &str) -> Result<T, String>,
) -> Option<Arc<T>> {
    let (engine, text) = all.iter().copied().find(|(name, _)| *name == engine)?;
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.entry(engine)
        .or_insert_with(|| match parse(engine, text) {
            Ok(read) => Some(Arc::new(read)),
            Err(error) => {
                tracing::error!(engine, error, "The screens of an engine say nothing: its data cannot be read.");
                None
            }
        })
        .clone()
}
