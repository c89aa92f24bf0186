//! Symbols from syntax trees. The walk is the same for every language; what a node means is each language's own file.

mod go;
mod python;
mod rust;
mod script;

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tree_sitter::{Node, ParseOptions, Parser};

use crate::language::Language;
use crate::source::Parse;

/// Symbols that are kept of one file; a file with more is generated.
const SYMBOLS: usize = 5_000;

/// How long one file may take to parse.
const PATIENCE: Duration = Duration::from_secs(2);

/// Longest name that is kept, in bytes.
const NAME: usize = 256;

/// What a symbol is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // Each names itself.
pub enum SymbolKind {
    Function,
    Method,
    Struct,
    Class,
    Enum,
    Union,
    Trait,
    Interface,
    Type,
    Module,
    Macro,
    Constant,
    Static,
    Variable,
}

impl SymbolKind {
    /// The word that is stored and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Method => "method",
            Self::Struct => "struct",
            Self::Class => "class",
            Self::Enum => "enum",
            Self::Union => "union",
            Self::Trait => "trait",
            Self::Interface => "interface",
            Self::Type => "type",
            Self::Module => "module",
            Self::Macro => "macro",
            Self::Constant => "constant",
            Self::Static => "static",
            Self::Variable => "variable",
        }
    }
}

/// A named thing in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// Its own name.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// First line, from 1.
    pub line: u32,
    /// Last line.
    pub end_line: u32,
    /// The symbol that it is in, from the outermost, joined as its language does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

/// The symbols of one file.
#[derive(Debug)]
pub(crate) struct Outline {
    pub(crate) symbols: Vec<Symbol>,
    pub(crate) omitted: u64,
    pub(crate) parse: Parse,
}

/// What surrounds a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Nothing: the top of the file, or a module.
    Top,
    /// A type: its functions are methods.
    Type,
}

/// What a node means.
enum Meaning<'t> {
    /// Nothing by itself; its children are looked at.
    Through,
    /// Nothing, and neither do its children.
    Skip,
    /// No symbol, but a scope for its children (an `impl`).
    Scope(String),
    /// Symbols with these name nodes.
    Symbols {
        names: Vec<Node<'t>>,
        kind: SymbolKind,
        /// The type that a symbol outside of it belongs to (a Go receiver).
        owner: Option<String>,
        /// What its children are in; `None` when they are not looked at.
        inside: Option<Around>,
    },
}

impl<'t> Meaning<'t> {
    /// One symbol, named by the node's field `name`.
    fn named(node: Node<'t>, kind: SymbolKind, inside: Option<Around>) -> Self {
        match node.child_by_field_name("name") {
            Some(name) => Self::Symbols { names: vec![name], kind, owner: None, inside },
            None => Self::Through,
        }
    }
}

fn text_of<'a>(node: Node<'_>, text: &'a str) -> &'a str {
    text.get(node.byte_range()).unwrap_or("")
}

/// A function, or a method where a type surrounds it; its body is not looked into, so that locals stay out.
fn callable<'t>(node: Node<'t>, around: Around) -> Meaning<'t> {
    let kind = if around == Around::Type { SymbolKind::Method } else { SymbolKind::Function };
    Meaning::named(node, kind, None)
}

type Reader = for<'t> fn(Node<'t>, &str, Around) -> Meaning<'t>;

/// How a language's symbols are read.
fn reader(language: Language) -> Reader {
    match language {
        Language::Rust => rust::meaning,
        Language::Python => python::meaning,
        Language::Go => go::meaning,
        // Every other language with a grammar is of this family.
        _ => script::meaning,
    }
}

/// How a language joins names.
pub(crate) fn joint(language: Option<Language>) -> &'static str {
    if language == Some(Language::Rust) { "::" } else { "." }
}

/// The symbols of a text, in the order of their lines.
pub(crate) fn outline(text: &str, language: Option<Language>) -> Outline {
    let unknown = |parse| Outline { symbols: Vec::new(), omitted: 0, parse };
    let Some((language, grammar)) = language.and_then(|language| Some((language, language.grammar()?))) else {
        return unknown(Parse::Unsupported);
    };
    let mut parser = Parser::new();
    if parser.set_language(&grammar).is_err() {
        return unknown(Parse::Unsupported);
    }
    let started = Instant::now();
    let mut patience = |_: &tree_sitter::ParseState| {
        if started.elapsed() > PATIENCE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut bytes = |offset: usize, _| text.as_bytes().get(offset..).unwrap_or_default();
    let options = ParseOptions::new().progress_callback(&mut patience);
    let Some(tree) = parser.parse_with_options(&mut bytes, None, Some(options)) else {
        return unknown(Parse::GaveUp);
    };
    let joint = joint(Some(language));
    let (symbols, omitted) = collect(tree.root_node(), text, reader(language), joint);
    let parse = if tree.root_node().has_error() { Parse::Partial } else { Parse::Full };
    Outline { symbols, omitted, parse }
}

/// Walks without recursion: source code may be nested deeper than a stack is.
fn collect(root: Node<'_>, text: &str, read: Reader, joint: &str) -> (Vec<Symbol>, u64) {
    struct Scope {
        name: String,
        around: Around,
    }
    let mut scopes = vec![Scope { name: String::new(), around: Around::Top }];
    let mut open = vec![(root, 0usize)];
    let mut symbols = Vec::new();
    let mut omitted = 0u64;
    let mut cursor = root.walk();
    let join = |outer: &str, name: &str| {
        if outer.is_empty() { name.to_owned() } else { format!("{outer}{joint}{name}") }
    };
    while let Some((node, within)) = open.pop() {
        let Some(scope) = scopes.get(within) else { continue };
        let children_in = match read(node, text, scope.around) {
            Meaning::Skip => continue,
            Meaning::Through => within,
            Meaning::Scope(name) => {
                let name = join(&scope.name, &name);
                scopes.push(Scope { name, around: Around::Type });
                scopes.len() - 1
            }
            Meaning::Symbols { names, kind, owner, inside } => {
                let parent = owner.or_else(|| (!scope.name.is_empty()).then(|| scope.name.clone()));
                let mut full = None;
                for name in names {
                    let name = text_of(name, text);
                    if name.is_empty() || name.len() > NAME {
                        continue;
                    }
                    full.get_or_insert_with(|| join(parent.as_deref().unwrap_or(""), name));
                    if symbols.len() >= SYMBOLS {
                        omitted += 1;
                        continue;
                    }
                    symbols.push(Symbol {
                        name: name.to_owned(),
                        kind,
                        line: line(node.start_position().row),
                        end_line: line(last_row(node)),
                        parent: parent.clone(),
                    });
                }
                match (inside, full) {
                    (Some(around), Some(name)) => {
                        scopes.push(Scope { name, around });
                        scopes.len() - 1
                    }
                    (Some(_), None) => within,
                    (None, _) => continue,
                }
            }
        };
        let first = open.len();
        open.extend(node.named_children(&mut cursor).map(|child| (child, children_in)));
        if let Some(children) = open.get_mut(first..) {
            children.reverse();
        }
    }
    symbols.sort_by_key(|symbol| symbol.line);
    (symbols, omitted)
}

fn line(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX).saturating_add(1)
}

/// The last row that holds a character of the node; some grammars count the line's end as the start of the next row.
fn last_row(node: Node<'_>) -> usize {
    let end = node.end_position();
    if end.column == 0 && end.row > node.start_position().row { end.row - 1 } else { end.row }
}
