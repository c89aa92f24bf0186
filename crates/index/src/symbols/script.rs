//! What the nodes of the JavaScript and TypeScript grammars mean.

use tree_sitter::Node;

use super::{Around, Meaning, SymbolKind, callable};

pub(super) fn meaning<'t>(node: Node<'t>, _: &str, around: Around) -> Meaning<'t> {
    match node.kind() {
        "function_declaration" | "generator_function_declaration" | "function_signature" => {
            Meaning::named(node, SymbolKind::Function, None)
        }
        "method_definition" | "method_signature" | "abstract_method_signature" => callable(node, Around::Type),
        "class_declaration" | "abstract_class_declaration" => {
            Meaning::named(node, SymbolKind::Class, Some(Around::Type))
        }
        "interface_declaration" => Meaning::named(node, SymbolKind::Interface, Some(Around::Type)),
        "type_alias_declaration" => Meaning::named(node, SymbolKind::Type, None),
        "enum_declaration" => Meaning::named(node, SymbolKind::Enum, None),
        "internal_module" | "module" => Meaning::named(node, SymbolKind::Module, Some(Around::Top)),
        "variable_declarator" => variable(node),
        "public_field_definition" | "field_definition" if around == Around::Type => field(node),
        _ => Meaning::Through,
    }
}

fn is_function(value: Node<'_>) -> bool {
    matches!(value.kind(), "arrow_function" | "function_expression" | "generator_function")
}

/// `const f = () => …` is a function to its readers; other values are named only at the top of a file or module.
fn variable(node: Node<'_>) -> Meaning<'_> {
    let Some(name) = node.child_by_field_name("name").filter(|name| name.kind() == "identifier") else {
        return Meaning::Through;
    };
    let value = node.child_by_field_name("value");
    let symbol = |kind, inside| Meaning::Symbols { names: vec![name], kind, owner: None, inside };
    match value {
        Some(value) if is_function(value) => symbol(SymbolKind::Function, None),
        Some(value) if value.kind() == "class" => symbol(SymbolKind::Class, Some(Around::Type)),
        _ if at_top(node) => {
            let constant = node.parent().is_some_and(|declaration| {
                declaration.child_by_field_name("kind").is_some_and(|kind| kind.kind() == "const")
            });
            symbol(if constant { SymbolKind::Constant } else { SymbolKind::Variable }, None)
        }
        _ => Meaning::Through,
    }
}

/// A field that holds a function is a method to its readers.
fn field(node: Node<'_>) -> Meaning<'_> {
    let name = node.child_by_field_name("name").or_else(|| node.child_by_field_name("property"));
    match (name, node.child_by_field_name("value")) {
        (Some(name), Some(value)) if is_function(value) => {
            Meaning::Symbols { names: vec![name], kind: SymbolKind::Method, owner: None, inside: None }
        }
        _ => Meaning::Skip,
    }
}

/// Whether a declarator stands at the top of a file, exported or not, or of a namespace.
fn at_top(declarator: Node<'_>) -> bool {
    let Some(around) = declarator.parent().and_then(|declaration| declaration.parent()) else { return false };
    match around.kind() {
        "program" | "export_statement" => true,
        "statement_block" => around.parent().is_some_and(|outer| matches!(outer.kind(), "internal_module" | "module")),
        _ => false,
    }
}
