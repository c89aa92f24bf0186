//! What the nodes of Go's grammar mean.

use tree_sitter::Node;

use super::{Around, Meaning, SymbolKind, text_of};

pub(super) fn meaning<'t>(node: Node<'t>, text: &str, _: Around) -> Meaning<'t> {
    match node.kind() {
        "function_declaration" => Meaning::named(node, SymbolKind::Function, None),
        "method_declaration" => match node.child_by_field_name("name") {
            Some(name) => Meaning::Symbols {
                names: vec![name],
                kind: SymbolKind::Method,
                owner: receiver(node, text),
                inside: None,
            },
            None => Meaning::Skip,
        },
        "type_spec" | "type_alias" => {
            let kind = match node.child_by_field_name("type").map(|shape| shape.kind()) {
                Some("struct_type") => SymbolKind::Struct,
                Some("interface_type") => SymbolKind::Interface,
                _ => SymbolKind::Type,
            };
            // The methods that an interface asks for are looked at.
            let inside = (kind == SymbolKind::Interface).then_some(Around::Type);
            Meaning::named(node, kind, inside)
        }
        "method_elem" | "method_spec" => Meaning::named(node, SymbolKind::Method, None),
        "const_spec" => several(node, SymbolKind::Constant),
        "var_spec" => several(node, SymbolKind::Variable),
        _ => Meaning::Through,
    }
}

fn several(node: Node<'_>, kind: SymbolKind) -> Meaning<'_> {
    let names = node.children_by_field_name("name", &mut node.walk()).filter(|name| name.is_named()).collect();
    Meaning::Symbols { names, kind, owner: None, inside: None }
}

/// The name of the type that a method belongs to: `(s *Server[T])` is `Server`.
fn receiver(node: Node<'_>, text: &str) -> Option<String> {
    let receiver = text_of(node.child_by_field_name("receiver")?, text);
    let owner = receiver.trim_matches(['(', ')']).split_whitespace().last()?;
    let owner = owner.trim_start_matches('*').split('[').next()?;
    (!owner.is_empty()).then(|| owner.to_owned())
}
