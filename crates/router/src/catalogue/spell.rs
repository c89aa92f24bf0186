//! What somebody may have meant by a name that is not known.

/// Longest name that is compared and repeated; what is longer is nobody's typing error.
const LONGEST: usize = 96;

/// The names that are close to `given`, closest first, at most `count`.
pub(crate) fn nearest<'n>(given: &str, names: impl Iterator<Item = &'n str>, count: usize) -> Vec<&'n str> {
    if given.len() > LONGEST {
        return Vec::new();
    }
    let given = given.to_ascii_lowercase();
    let mut close: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let lower = name.to_ascii_lowercase();
            let distance = strsim::osa_distance(&given, &lower);
            let begins = given.len() >= 3 && lower.starts_with(&given);
            (begins || distance <= 1 + given.len().min(lower.len()) / 3).then_some((distance, name))
        })
        .collect();
    close.sort_unstable();
    close.dedup();
    close.into_iter().take(count).map(|(_, name)| name).collect()
}

/// A name from outside as it may be repeated: without control characters, and not longer than a name may be.
pub(crate) fn shown(given: &str) -> String {
    let mut text: String = given.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if given.chars().count() > LONGEST {
        text.push('…');
    }
    text
}
