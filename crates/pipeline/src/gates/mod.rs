//! Gates.

/// Splits a command.
pub fn words(command: &str) -> Result<Vec<String>, String> {
    shell_words::split(command).map_err(|_| "a quote is not closed".to_owned())
}
