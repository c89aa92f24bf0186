//! The role `structure`: what a repository is made of, from its syntax trees.

use orx_client::{Answer, Request};
use orx_index::{Limits, MapOptions, ProjectMap, project_map};
use orx_protocol::error::RpcError;
use orx_protocol::limits::FRAME_KNOWN;
use serde::{Deserialize, Serialize};

use super::{blocking, index_error, invalid, root};

pub(super) const ACTIONS: &[&str] = &["project_map"];

/// Largest map that is answered, in bytes of JSON: a frame less its envelope.
const ANSWER: usize = FRAME_KNOWN - 64 * 1024;

/// The shape of a map.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// Files and symbols as objects.
    #[default]
    Json,
    /// Compact text for a prompt.
    Text,
}

#[derive(Debug, Deserialize)]
struct MapParams {
    path: Option<String>,
    #[serde(default)]
    max_files: Option<u32>,
    #[serde(default)]
    format: Format,
}

#[derive(Serialize)]
struct MapText<'a> {
    root: &'a str,
    text: String,
}

pub(super) async fn handle(request: &Request) -> Answer {
    let params: MapParams = request.params()?;
    let Some(path) = params.path else {
        return Err(invalid("Path required", "give `path`, the absolute path of a repository"));
    };
    let root = root(&path)?;
    let options = options(params.max_files)?;
    let map = blocking(move || project_map(&root, &options).map_err(|error| index_error(&error))).await?;
    match params.format {
        Format::Json => Request::answer(&map),
        Format::Text => Request::answer(&as_text(&map)),
    }
}

fn as_text(map: &ProjectMap) -> MapText<'_> {
    MapText { root: &map.root, text: map.render() }
}

fn options(max_files: Option<u32>) -> Result<MapOptions, RpcError> {
    let mut limits = Limits::default();
    if let Some(wanted) = max_files {
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        if wanted == 0 || wanted > limits.files {
            let hint = format!("give 1 to {}", limits.files);
            return Err(invalid(format!("`max_files` is out of range: {wanted}"), hint));
        }
        limits.files = wanted;
    }
    Ok(MapOptions { limits, answer_bytes: Some(ANSWER) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_files_is_bounded_with_a_clear_error() {
        assert_eq!(options(Some(7)).unwrap().limits.files, 7);
        for bad in [0, u32::MAX] {
            assert!(options(Some(bad)).unwrap_err().message.contains("max_files"));
        }
    }
}
