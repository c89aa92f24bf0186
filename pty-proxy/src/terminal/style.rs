//! Styles of cells as sequences.

use alacritty_terminal::term::cell::{Cell, Flags, Hyperlink};
use alacritty_terminal::vte::ansi::{Color, NamedColor, Rgb};

/// The text blinks: a bit that alacritty leaves free.
pub(super) const BLINK: Flags = Flags::from_bits_retain(1 << 15);

/// The text has a line above it. No bit is free for that: of the kinds of lines below a text, of which at most one is set
/// otherwise, all are set but the one that there is.
const OVERLINED: Flags = Flags::ALL_UNDERLINES;

/// Whether text with these flags has a line above it.
pub(super) fn is_overlined(flags: Flags) -> bool {
    (flags & OVERLINED).bits().count_ones() > 1
}

/// Changes whether text with these flags has a line above it.
pub(super) fn set_overlined(flags: &mut Flags, on: bool) {
    if is_overlined(*flags) != on {
        flags.toggle(OVERLINED);
    }
}

/// The flags that are style; the others are about layout.
pub(super) const STYLE_FLAGS: Flags = Flags::INVERSE
    .union(Flags::BOLD)
    .union(Flags::ITALIC)
    .union(Flags::DIM)
    .union(Flags::HIDDEN)
    .union(Flags::STRIKEOUT)
    .union(BLINK)
    .union(Flags::ALL_UNDERLINES);

/// The selections of style flags.
const FLAG_SELECTIONS: [(Flags, &str); 12] = [
    (Flags::BOLD, ";1"),
    (Flags::DIM, ";2"),
    (Flags::ITALIC, ";3"),
    (Flags::UNDERLINE, ";4"),
    (Flags::DOUBLE_UNDERLINE, ";4:2"),
    (Flags::UNDERCURL, ";4:3"),
    (Flags::DOTTED_UNDERLINE, ";4:4"),
    (Flags::DASHED_UNDERLINE, ";4:5"),
    (Flags::INVERSE, ";7"),
    (Flags::HIDDEN, ";8"),
    (Flags::STRIKEOUT, ";9"),
    (BLINK, ";5"),
];

/// The selection of a line above the text.
const OVERLINE_SELECTION: &str = ";53";

/// How a cell looks, without what it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Style {
    foreground: Color,
    background: Color,
    flags: Flags,
    underline: Option<Color>,
    link: Option<Hyperlink>,
}

impl Style {
    pub(super) fn of(cell: &Cell) -> Self {
        Self {
            foreground: cell.fg,
            background: cell.bg,
            flags: cell.flags.intersection(STYLE_FLAGS),
            underline: cell.underline_color(),
            link: cell.hyperlink(),
        }
    }

    pub(super) fn plain() -> Self {
        Self::of(&Cell::default())
    }

    /// Whether nothing but the ground's colour differs from a cell never written: what erasing leaves.
    pub(super) fn is_ground(&self) -> bool {
        Self { background: Color::Named(NamedColor::Background), ..self.clone() } == Self::plain()
    }
}

/// What the terminal draws with now, so that only changes are written.
#[derive(Debug)]
pub(super) struct Pen {
    style: Style,
}

impl Pen {
    /// Writes what brings any terminal to the plain style.
    pub(super) fn reset(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"\x1b]8;;\x1b\\");
        Self::reset_but_link(out)
    }

    /// The same for a terminal that draws no link.
    pub(super) fn reset_but_link(out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"\x1b[m");
        Self { style: Style::plain() }
    }

    /// Writes what brings the terminal to `style`.
    pub(super) fn change(&mut self, style: &Style, out: &mut Vec<u8>) {
        if self.style == *style {
            return;
        }
        self.change_attributes(style, out);
        if self.style.link != style.link {
            match &style.link {
                Some(link) => out.extend_from_slice(format!("\x1b]8;id={};{}\x1b\\", link.id(), link.uri()).as_bytes()),
                None => out.extend_from_slice(b"\x1b]8;;\x1b\\"),
            }
        }
        self.style = style.clone();
    }

    fn change_attributes(&self, style: &Style, out: &mut Vec<u8>) {
        let now = &self.style;
        let from = out.len();
        out.extend_from_slice(b"\x1b[");
        if now.flags == style.flags && now.underline == style.underline {
            if now.foreground != style.foreground {
                push_color(out, style.foreground, Layer::Foreground);
            }
            if now.background != style.background {
                push_color(out, style.background, Layer::Background);
            }
        } else {
            push_style(out, style);
        }
        match out.get(from + 2) {
            None => return out.truncate(from),
            Some(b';') => drop(out.remove(from + 2)),
            Some(_) => {}
        }
        out.push(b'm');
    }
}

/// Writes the SGR parameters of a cell's style from none, with the final `m`.
pub(super) fn select(cell: &Cell, out: &mut Vec<u8>) {
    push_style(out, &Style::of(cell));
    out.push(b'm');
}

/// Nothing is allocated for it: lines that scroll away have a style for every few characters.
fn push_style(out: &mut Vec<u8>, style: &Style) {
    out.push(b'0');
    let mut flags = style.flags;
    set_overlined(&mut flags, false);
    for (flag, text) in FLAG_SELECTIONS {
        if flags.contains(flag) {
            out.extend_from_slice(text.as_bytes());
        }
    }
    if flags != style.flags {
        out.extend_from_slice(OVERLINE_SELECTION.as_bytes());
    }
    if style.foreground != Color::Named(NamedColor::Foreground) {
        push_color(out, style.foreground, Layer::Foreground);
    }
    if style.background != Color::Named(NamedColor::Background) {
        push_color(out, style.background, Layer::Background);
    }
    if let Some(color) = style.underline {
        push_color(out, color, Layer::Underline);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layer {
    Foreground,
    Background,
    Underline,
}

fn push_color(out: &mut Vec<u8>, color: Color, layer: Layer) {
    let (base, bright, extended) = match layer {
        Layer::Foreground => (30, 90, 38),
        Layer::Background => (40, 100, 48),
        Layer::Underline => (50, 50, 58),
    };
    let mut put = |separator: &[u8], number: u8| {
        out.extend_from_slice(separator);
        out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    };
    // Colons, so that a terminal that does not know 58 skips the colour's numbers with it.
    let between: &[u8] = if layer == Layer::Underline { b":" } else { b";" };
    match color {
        Color::Spec(Rgb { r, g, b }) => {
            put(b";", extended);
            put(between, 2);
            put(if layer == Layer::Underline { b"::" } else { b";" }, r);
            put(between, g);
            put(between, b);
        }
        Color::Indexed(index) => {
            put(b";", extended);
            put(between, 5);
            put(between, index);
        }
        Color::Named(name) => match u8::try_from(name as usize) {
            Ok(index @ 0..=7) => put(b";", base + index),
            Ok(index @ 8..=15) => put(b";", bright + index - 8),
            _ => put(b";", base + 9),
        },
    }
}
