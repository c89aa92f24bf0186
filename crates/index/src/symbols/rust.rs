//! What the nodes of Rust's grammar mean.

use tree_sitter::Node;

use super::{Around, Meaning, SymbolKind, callable, text_of};

pub(super) fn meaning<'t>(node: Node<'t>, text: &str, around: Around) -> Meaning<'t> {
    match node.kind() {
        "function_item" | "function_signature_item" => callable(node, around),
        "struct_item" => Meaning::named(node, SymbolKind::Struct, None),
        "enum_item" => Meaning::named(node, SymbolKind::Enum, None),
        "union_item" => Meaning::named(node, SymbolKind::Union, None),
        "trait_item" => Meaning::named(node, SymbolKind::Trait, Some(Around::Type)),
        "type_item" | "associated_type" => Meaning::named(node, SymbolKind::Type, None),
        "const_item" => Meaning::named(node, SymbolKind::Constant, None),
        "static_item" => Meaning::named(node, SymbolKind::Static, None),
        "mod_item" => Meaning::named(node, SymbolKind::Module, Some(Around::Top)),
        "macro_definition" => Meaning::named(node, SymbolKind::Macro, None),
        "impl_item" => match node.child_by_field_name("type") {
            Some(owner) => Meaning::Scope(bare(text_of(owner, text)).to_owned()),
            None => Meaning::Through,
        },
        "macro_invocation" | "use_declaration" | "attribute_item" => Meaning::Skip,
        _ => Meaning::Through,
    }
}

/// A type without its parameters and lifetimes.
fn bare(owner: &str) -> &str {
    owner.split('<').next().unwrap_or(owner).trim()
}
