//! Text that a user hands over: as an argument, from a file (`@path`), or on standard input (`-`).

use std::fs::File;
use std::io::Read;

use orx_protocol::limits::TASK_TEXT;

use crate::failure::Failure;

/// Reads `text | @file | -`. The text's own line ends at its end are kept but one.
///
/// # Errors
/// `Usage`, naming what was to be read and what is wrong with it: missing, unreadable, not UTF-8, empty, too long.
pub(crate) fn read(given: &str, what: &str) -> Result<String, Failure> {
    read_from(given, what, &mut std::io::stdin().lock())
}

fn read_from(given: &str, what: &str, input: &mut dyn Read) -> Result<String, Failure> {
    let (source, text) = if given == "-" {
        ("standard input".to_owned(), utf8("standard input", bounded("standard input", what, input)?)?)
    } else if let Some(path) = given.strip_prefix('@') {
        if path.is_empty() {
            return Err(Failure::usage(format!("`@` names no file to read the {what} from"))
                .with_hint("write @path, or - to read standard input"));
        }
        let mut file = File::open(path).map_err(|error| {
            Failure::usage(format!("the {what} cannot be read from {path}: {error}"))
                .with_hint(format!("a {what} that begins with @ can be given on standard input: orxctl ... -"))
        })?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(Failure::usage(format!("the {what} cannot be read from {path}: it is a directory")));
        }
        (path.to_owned(), utf8(path, bounded(path, what, &mut file)?)?)
    } else {
        if given.len() > TASK_TEXT {
            return Err(too_long("the argument", what));
        }
        ("the argument".to_owned(), given.to_owned())
    };
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text)).to_owned();
    if text.trim().is_empty() {
        return Err(Failure::usage(format!("the {what} is empty: {source} holds no text"))
            .with_hint(format!("give the {what} in words, as @file, or as - for standard input")));
    }
    Ok(text)
}

fn bounded(source: &str, what: &str, input: &mut dyn Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(TASK_TEXT).unwrap_or(u64::MAX).saturating_add(1);
    input
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::usage(format!("the {what} cannot be read from {source}: {error}")))?;
    if bytes.len() > TASK_TEXT { Err(too_long(source, what)) } else { Ok(bytes) }
}

fn too_long(source: &str, what: &str) -> Failure {
    Failure::usage(format!("the {what} is too long: {source} holds more than {} KiB", TASK_TEXT / 1024))
        .with_hint("put the particulars into a file of the repository and name it in the text")
}

fn utf8(source: &str, bytes: Vec<u8>) -> Result<String, Failure> {
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        Failure::usage(format!("{source} is not UTF-8 text: bad byte at offset {offset}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Status;

    fn check(given: &str, input: &[u8]) -> Result<String, String> {
        read_from(given, "task", &mut { input }).map_err(|failure| {
            assert_eq!(failure.status, Status::Usage);
            failure.message
        })
    }

    #[test]
    fn text_comes_from_the_argument_a_file_or_standard_input() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("task.md");
        std::fs::write(&path, "from a file\r\n").unwrap();
        assert_eq!(check("in words", b""), Ok("in words".to_owned()));
        assert_eq!(check(&format!("@{}", path.display()), b""), Ok("from a file".to_owned()));
        assert_eq!(check("-", "größe\n\n".as_bytes()), Ok("größe\n".to_owned()));
    }

    #[test]
    fn what_is_no_text_is_refused_with_its_name() {
        let scratch = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = scratch.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            format!("@{}", path.display())
        };
        let table = [
            (check("@/nonexistent/task", b""), "No such file"),
            (check("@", b""), "names no file"),
            (check("", b""), "is empty"),
            (check("-", b" \n\t"), "is empty: standard input"),
            (check(&file("empty", b""), b""), "is empty"),
            (check(&file("binary", b"ok\xff"), b""), "not UTF-8 text: bad byte at offset 2"),
            (check(&file("long", &vec![b'x'; TASK_TEXT + 1]), b""), "too long"),
            (check(&format!("@{}", scratch.path().display()), b""), "is a directory"),
        ];
        for (result, wanted) in table {
            let message = result.unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
    }
}
