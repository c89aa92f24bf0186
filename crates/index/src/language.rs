//! Languages: told from a file's name, and the grammars of those whose symbols are read.

use serde::{Deserialize, Serialize};

/// The language of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // Each names itself.
pub enum Language {
    Rust,
    Python,
    Typescript,
    Tsx,
    Javascript,
    Jsx,
    Go,
    C,
    Cpp,
    Csharp,
    Java,
    Kotlin,
    Swift,
    Ruby,
    Php,
    Shell,
    Sql,
    Html,
    Css,
    Json,
    Yaml,
    Toml,
    Markdown,
    Protobuf,
    Dockerfile,
    Makefile,
}

impl Language {
    /// The language that a file's name stands for; `None` where it is not known.
    #[must_use]
    pub fn of(file_name: &str) -> Option<Self> {
        match file_name {
            "Dockerfile" | "Containerfile" => return Some(Self::Dockerfile),
            "Makefile" | "makefile" | "GNUmakefile" | "justfile" => return Some(Self::Makefile),
            _ => {}
        }
        let (_, extension) = file_name.rsplit_once('.')?;
        Some(match extension.to_ascii_lowercase().as_str() {
            "rs" => Self::Rust,
            "py" | "pyi" => Self::Python,
            "ts" | "mts" | "cts" => Self::Typescript,
            "tsx" => Self::Tsx,
            "js" | "mjs" | "cjs" => Self::Javascript,
            "jsx" => Self::Jsx,
            "go" => Self::Go,
            "c" | "h" => Self::C,
            "cc" | "cpp" | "cxx" | "hh" | "hpp" | "hxx" => Self::Cpp,
            "cs" => Self::Csharp,
            "java" => Self::Java,
            "kt" | "kts" => Self::Kotlin,
            "swift" => Self::Swift,
            "rb" => Self::Ruby,
            "php" => Self::Php,
            "sh" | "bash" | "zsh" | "fish" => Self::Shell,
            "sql" => Self::Sql,
            "html" | "htm" => Self::Html,
            "css" | "scss" | "less" => Self::Css,
            "json" | "jsonl" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            "toml" => Self::Toml,
            "md" | "markdown" => Self::Markdown,
            "proto" => Self::Protobuf,
            _ => return None,
        })
    }

    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Python => "python",
            Self::Typescript => "typescript",
            Self::Tsx => "tsx",
            Self::Javascript => "javascript",
            Self::Jsx => "jsx",
            Self::Go => "go",
            Self::C => "c",
            Self::Cpp => "cpp",
            Self::Csharp => "csharp",
            Self::Java => "java",
            Self::Kotlin => "kotlin",
            Self::Swift => "swift",
            Self::Ruby => "ruby",
            Self::Php => "php",
            Self::Shell => "shell",
            Self::Sql => "sql",
            Self::Html => "html",
            Self::Css => "css",
            Self::Json => "json",
            Self::Yaml => "yaml",
            Self::Toml => "toml",
            Self::Markdown => "markdown",
            Self::Protobuf => "protobuf",
            Self::Dockerfile => "dockerfile",
            Self::Makefile => "makefile",
        }
    }

    /// The grammar, for the languages whose symbols are read.
    pub(crate) fn grammar(self) -> Option<tree_sitter::Language> {
        match self {
            Self::Rust => Some(tree_sitter_rust::LANGUAGE.into()),
            Self::Python => Some(tree_sitter_python::LANGUAGE.into()),
            Self::Typescript => Some(tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into()),
            Self::Tsx => Some(tree_sitter_typescript::LANGUAGE_TSX.into()),
            Self::Javascript | Self::Jsx => Some(tree_sitter_javascript::LANGUAGE.into()),
            Self::Go => Some(tree_sitter_go::LANGUAGE.into()),
            Self::C
            | Self::Cpp
            | Self::Csharp
            | Self::Java
            | Self::Kotlin
            | Self::Swift
            | Self::Ruby
            | Self::Php
            | Self::Shell
            | Self::Sql
            | Self::Html
            | Self::Css
            | Self::Json
            | Self::Yaml
            | Self::Toml
            | Self::Markdown
            | Self::Protobuf
            | Self::Dockerfile
            | Self::Makefile => None,
        }
    }
}
