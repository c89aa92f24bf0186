//! Path patterns as S3 reads them: shell globs whose `*` crosses slashes, against the whole path, its last part and any
//! part; with `**`, also as path globs whose `*` stays between slashes.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// Some patterns.
#[derive(Debug, Clone)]
pub(super) struct Patterns {
    whole: GlobSet,
}

impl Patterns {
    /// Reads patterns.
    pub(super) fn new(patterns: &[String]) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            let pattern = pattern.replace('\\', "/");
            // Braces mean nothing to S3; a pattern without a closing bracket is plain text.
            let plain = pattern.replace('{', "[{]").replace('}', "[}]");
            for separated in [false, true] {
                if separated && !pattern.contains("**") {
                    continue;
                }
                let glob = GlobBuilder::new(&plain)
                    .literal_separator(separated)
                    .build()
                    .or_else(|_| GlobBuilder::new(&globset::escape(&pattern)).build())
                    .map_err(|error| format!("`{pattern}` is no pattern: {error}"))?;
                set.add(glob);
            }
        }
        Ok(Self { whole: set.build().map_err(|error| error.to_string())? })
    }

    /// Whether a path matches one of them.
    pub(super) fn matches(&self, path: &str) -> bool {
        self.whole.is_match(path) || path.split('/').any(|part| self.whole.is_match(part))
    }
}
