//! What becomes of each piece of output: the model follows it, the program gets its answer, viewers get what shows them
//! the same screen. What terminals disagree on is said to viewers in words on which they agree: otherwise one that never
//! left would show something else than one that joins.

use std::borrow::Cow;
use std::ops::Range;

use alacritty_terminal::vte::ansi::{Handler, NamedPrivateMode};

use unicode_width::UnicodeWidthChar;

use super::emulator::{Drawing, Passed};
use super::redraw;
use super::scan::{Piece, sequence_length};
use super::screen::{Screen, shown};
use super::sequence::{ALTERNATE_SCREEN_ALIASES, CURSOR_MODES, Own, Sequence, embedded_controls, modes_to_follow};
use super::style;

const ESC: u8 = 0x1b;
/// Bytes that a repeated character with what joined it may become for viewers; more repetitions are left out.
const REPETITION_LIMIT: usize = 64 * 1024;

/// Columns between tab stops after DECST8C.
const TAB_WIDTH: u16 = 8;

/// Lets the model, the viewers and the program have their part of one piece.
pub(super) fn take(drawing: &mut Drawing, piece: Piece<'_>, passed: &mut Passed) {
    match piece {
        Piece::Plain(bytes) if bytes.is_ascii() => draw_all(drawing, bytes, passed),
        Piece::Plain(bytes) => draw(drawing, &readable(bytes), passed),
        Piece::Decide(sequence) => {
            let before = passed.bytes.len();
            obey(drawing, sequence, passed);
            drawing.follows_text &= passed.bytes.len() == before;
        }
    }
}

/// Lets model and viewers draw. A joining character that follows no other is drawn with the one that it joins: terminals
/// disagree on where it goes otherwise.
fn draw(drawing: &mut Drawing, mut bytes: &[u8], passed: &mut Passed) {
    while let Some(alone) = joining_alone(bytes, drawing.follows_text) {
        let (before, character, after) =
            (bytes.get(..alone.start), bytes.get(alone.clone()), bytes.get(alone.end..).unwrap_or_default());
        draw_all(drawing, before.unwrap_or_default(), passed);
        if drawing.screen.before_cursor().is_some() {
            drawing.draw(character.unwrap_or_default());
            passed.bytes.extend(redraw::cell_before_cursor_of(&drawing.screen));
        }
        drawing.follows_text = false;
        bytes = after;
    }
    draw_all(drawing, bytes, passed);
}

fn draw_all(drawing: &mut Drawing, bytes: &[u8], passed: &mut Passed) {
    if bytes.is_empty() {
        return;
    }
    passed.bytes.extend_from_slice(bytes);
    drawing.draw(bytes);
    let sequence = memchr::memrchr(ESC, bytes).and_then(|at| bytes.get(at..));
    let ends_sequence = sequence.is_some_and(|rest| sequence_length(rest).is_none_or(|length| length == rest.len()));
    drawing.follows_text = !ends_sequence && bytes.last().is_some_and(|byte| is_text(*byte));
}

fn is_text(byte: u8) -> bool {
    byte >= 0x20 && byte != 0x7f
}

/// Where the first character is that joins the one before it while there is none.
fn joining_alone(bytes: &[u8], follows_text: bool) -> Option<Range<usize>> {
    let text = std::str::from_utf8(bytes).ok()?;
    if !text.chars().any(is_joining) {
        return None;
    }
    let mut follows_text = follows_text;
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        let character = rest.chars().next()?;
        let mut length = character.len_utf8();
        if character == char::from(ESC) {
            length = sequence_length(rest.as_bytes())?;
            follows_text = false;
        } else if !is_joining(character) {
            follows_text = !character.is_control();
        } else if !follows_text {
            return Some(at..at + length);
        }
        at += length;
    }
}

/// Whether a character takes no cell of its own; the greatest ranges without such characters are told apart first.
fn is_joining(character: char) -> bool {
    !matches!(character, ..'\u{300}' | '\u{2100}'..'\u{2cef}' | '\u{3100}'..'\u{a66f}') && character.width() == Some(0)
}

fn obey(drawing: &mut Drawing, sequence: Sequence<'_>, passed: &mut Passed) {
    match sequence {
        Sequence::Enquiry => {}
        Sequence::ModelQuery(bytes) => {
            drawing.draw(bytes);
            passed.bytes.extend(embedded_controls(bytes));
        }
        Sequence::Query(query, bytes) => {
            obey_controls(drawing, bytes, passed);
            drawing.answer(query);
        }
        Sequence::Refused(bytes) => obey_controls(drawing, bytes, passed),
        Sequence::Modes(bytes) => {
            obey_controls(drawing, bytes, passed);
            let set = bytes.ends_with(b"h");
            let (is_private, modes) = modes_to_follow(bytes);
            modes.for_each(|mode| change_mode(drawing, is_private, mode, set, passed));
        }
        Sequence::SoftReset(bytes) => {
            drawing.screen.soft_reset();
            passed.bytes.extend_from_slice(bytes);
            passed.bytes.extend_from_slice(b"\x1b[?2026l");
            passed.bytes.extend(redraw::settings_of(&drawing.screen));
        }
        Sequence::FullReset(bytes) => {
            drawing.draw(bytes);
            passed.bytes.extend_from_slice(bytes);
            passed.bytes.extend_from_slice(b"\x1b[?2026l\x1b[?25h\x1b[20l");
            passed.bytes.extend(redraw::settings_of(&drawing.screen));
        }
        Sequence::Restore(bytes) => {
            drawing.draw(bytes);
            passed.bytes.extend_from_slice(bytes);
            passed.bytes.extend(redraw::cursor_of(&drawing.screen));
        }
        Sequence::Repeat(count, bytes) => {
            obey_controls(drawing, bytes, passed);
            repeat(drawing, count, passed);
        }
        Sequence::TitleStack(bytes) => {
            let before = drawing.screen.title().to_owned();
            drawing.draw(bytes);
            let title = drawing.screen.title();
            if title != before {
                passed.bytes.extend_from_slice(format!("\x1b]2;{title}\x1b\\").as_bytes());
            }
        }
        Sequence::Title(title, bytes) => {
            drawing.screen.set_own_title(&String::from_utf8_lossy(title));
            passed.bytes.extend_from_slice(&readable(bytes));
        }
        Sequence::Private(bytes) => {
            let from = passed.bytes.len();
            passed.bytes.extend_from_slice(&readable(bytes));
            passed.private.push(from..passed.bytes.len());
        }
        Sequence::Own(own, bytes) => {
            obey_controls(drawing, bytes, passed);
            do_own(drawing, own, bytes, passed);
        }
    }
}

/// Output that every terminal reads alike: bytes that are no character become the character for that, and the control
/// characters of the upper half, which only some terminals obey, are left out.
fn readable(bytes: &[u8]) -> Cow<'_, [u8]> {
    let has_upper_control = |text: &str| text.chars().any(|character| matches!(character, '\u{80}'..='\u{9f}'));
    if bytes.is_ascii() {
        return Cow::Borrowed(bytes);
    }
    let is_readable = std::str::from_utf8(bytes)
        .is_ok_and(|text| memchr::memchr(UPPER_CONTROL_LEAD, bytes).is_none() || !has_upper_control(text));
    if is_readable {
        return Cow::Borrowed(bytes);
    }
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.extend(chunk.valid().chars().filter(|character| !matches!(character, '\u{80}'..='\u{9f}')));
        // A control character of the upper half that is not encoded is one nonetheless.
        if !matches!(chunk.invalid(), [] | [0x80..=0x9f]) {
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
    Cow::Owned(out.into_bytes())
}

/// The first byte of control characters of the upper half.
const UPPER_CONTROL_LEAD: u8 = 0xc2;

fn obey_controls(drawing: &mut Drawing, bytes: &[u8], passed: &mut Passed) {
    let controls: Vec<u8> = embedded_controls(bytes).collect();
    if !controls.is_empty() {
        drawing.draw(&controls);
        passed.bytes.extend_from_slice(&controls);
    }
}

/// Sets or resets one mode that is not simply passed on together with others.
fn change_mode(drawing: &mut Drawing, is_private: bool, mode: u16, set: bool, passed: &mut Passed) {
    let marker = if is_private { "?" } else { "" };
    let bytes = format!("\x1b[{marker}{mode}{}", if set { 'h' } else { 'l' }).into_bytes();
    if !is_private || !CURSOR_MODES.contains(&mode) {
        drawing.draw(&bytes);
        passed.bytes.extend_from_slice(&bytes);
        return;
    }
    let was_alternate = drawing.screen.is_alternate();
    drawing.draw(&bytes);
    let screen = &drawing.screen;
    let out = &mut passed.bytes;
    let is_alias = ALTERNATE_SCREEN_ALIASES.contains(&mode);
    match (was_alternate, screen.is_alternate()) {
        (false, true) if is_alias => out.extend(redraw::entered(screen)),
        (false, true) => {
            out.extend_from_slice(b"\x1b[?1049h");
            let more = redraw::switched(screen);
            if !more.is_empty() {
                out.extend(more);
                out.extend(redraw::cursor_of(screen));
            }
        }
        (true, false) => {
            out.extend_from_slice(b"\x1b[?1049l");
            out.extend(redraw::switched(screen));
            out.extend(redraw::cursor_of(screen));
        }
        _ if is_alias => {}
        _ if set => out.extend_from_slice(b"\x1b7"),
        _ => {
            out.extend_from_slice(b"\x1b8");
            out.extend(redraw::cursor_of(screen));
        }
    }
}

/// REP: what the cell before the cursor shows, so many times.
fn repeat(drawing: &mut Drawing, count: u16, passed: &mut Passed) {
    let text = cell_before_cursor(&drawing.screen);
    let mut buffer = [0; 4];
    match text.as_slice() {
        [] => {}
        [character] if character.width() == Some(1) => {
            passed.bytes.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            if count > 1 {
                passed.bytes.extend_from_slice(format!("\x1b[{}b", count - 1).as_bytes());
            }
            // The parser does not know the last character of a run.
            drawing.guard(|drawing| (0..count).for_each(|_| drawing.screen.input(*character)));
        }
        joined => {
            let text: String = joined.iter().collect();
            let text = text.repeat(usize::from(count).min(REPETITION_LIMIT / text.len().max(1)));
            passed.bytes.extend_from_slice(text.as_bytes());
            drawing.draw(text.as_bytes());
        }
    }
}

/// The character that was drawn last, with those that joined it.
fn cell_before_cursor(screen: &Screen) -> Vec<char> {
    let Some((row, column)) = screen.before_cursor() else { return Vec::new() };
    let (character, joined) = shown(row, column);
    [character].into_iter().chain(joined.iter().copied()).collect()
}

fn do_own(drawing: &mut Drawing, own: Own<'_>, bytes: &[u8], passed: &mut Passed) {
    let out = &mut passed.bytes;
    match own {
        Own::Index => {
            drawing.guard(|drawing| drawing.screen.index());
            out.extend_from_slice(bytes);
        }
        Own::Shift(charset) => {
            drawing.screen.set_active_charset(charset);
            out.extend_from_slice(bytes);
        }
        Own::Alignment => {
            drawing.guard(|drawing| {
                drawing.screen.set_scrolling_region(1, None);
                drawing.screen.set_named_mode(NamedPrivateMode::Origin, false);
                drawing.screen.decaln();
            });
            out.extend_from_slice(b"\x1b[r\x1b[?6l\x1b[m\x1b#8");
            out.extend(redraw::cursor_of(&drawing.screen));
        }
        Own::TabsOfEight => {
            drawing.screen.set_tabs(TAB_WIDTH);
            out.extend(redraw::tabs_of(&drawing.screen));
        }
        Own::LinesDown(count) => {
            drawing.screen.lines_down(count);
            out.extend(redraw::cursor_of(&drawing.screen));
        }
        Own::Erase(parameters, last) => {
            let erase = [b"\x1b[", parameters, &[last]].concat();
            drawing.draw(&erase);
            out.extend_from_slice(&erase);
        }
        Own::InsertBlanks => {
            if drawing.screen.is_on_second_half() {
                drawing.draw(b"\x1b[X");
                out.extend_from_slice(b"\x1b[X");
            }
            drawing.draw(bytes);
            out.extend_from_slice(bytes);
        }
        Own::Style(parameters) => {
            change_style(drawing, parameters);
            out.extend_from_slice(b"\x1b[");
            style::select(&drawing.screen.term.grid().cursor.template, out);
        }
    }
}

/// SGR with parameters that the parser does not know: a line above the text.
fn change_style(drawing: &mut Drawing, parameters: &[u8]) {
    let mut known: Vec<&[u8]> = Vec::new();
    let mut rest = parameters.split(|byte| *byte == b';');
    while let Some(parameter) = rest.next() {
        match parameter {
            b"53" | b"55" => {
                select(drawing, &mut known);
                drawing.screen.overline(parameter == b"53");
            }
            b"38" | b"48" | b"58" => {
                known.push(parameter);
                let kind = rest.next();
                known.extend(kind);
                let values = match kind {
                    Some(b"2") => 3,
                    Some(b"5") => 1,
                    _ => 0,
                };
                known.extend(rest.by_ref().take(values));
            }
            other => known.push(other),
        }
    }
    select(drawing, &mut known);
}

fn select(drawing: &mut Drawing, parameters: &mut Vec<&[u8]>) {
    if !parameters.is_empty() {
        drawing.draw(&[b"\x1b[", parameters.join(&b';').as_slice(), b"m"].concat());
        parameters.clear();
    }
}
