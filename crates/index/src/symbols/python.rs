//! What the nodes of Python's grammar mean.

use tree_sitter::Node;

use super::{Around, Meaning, SymbolKind, callable, text_of};

pub(super) fn meaning<'t>(node: Node<'t>, text: &str, around: Around) -> Meaning<'t> {
    match node.kind() {
        "function_definition" => callable(node, around),
        "class_definition" => Meaning::named(node, SymbolKind::Class, Some(Around::Type)),
        "type_alias_statement" => match node.child_by_field_name("left") {
            Some(name) => Meaning::Symbols { names: vec![name], kind: SymbolKind::Type, owner: None, inside: None },
            None => Meaning::Skip,
        },
        "assignment" if around == Around::Top => match node.child_by_field_name("left") {
            Some(name) if name.kind() == "identifier" && is_constant(text_of(name, text)) => {
                Meaning::Symbols { names: vec![name], kind: SymbolKind::Constant, owner: None, inside: None }
            }
            _ => Meaning::Skip,
        },
        "call" | "lambda" | "import_statement" | "import_from_statement" => Meaning::Skip,
        _ => Meaning::Through,
    }
}

/// Python has constants by convention only: names in capitals.
fn is_constant(name: &str) -> bool {
    name.chars().any(char::is_uppercase) && !name.chars().any(char::is_lowercase)
}
