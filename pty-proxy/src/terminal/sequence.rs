//! Decides what becomes of each sequence: most pass, queries are answered here and never reach a viewer's terminal
//! (which would type its own answer into the program), and what the model does not know is kept from viewers too, so
//! that all see the same screen.

use alacritty_terminal::vte::ansi::CharsetIndex;

/// A whole sequence that does not simply pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sequence<'a> {
    /// ENQ: a terminal may answer it with a text of its own; this one stays silent.
    Enquiry,
    /// A query that the model answers from its state.
    ModelQuery(&'a [u8]),
    /// A query that is answered without the model.
    Query(Query<'a>, &'a [u8]),
    /// What neither the model nor any viewer gets.
    Refused(&'a [u8]),
    /// Private modes of which viewers get only those that the model knows.
    Modes(&'a [u8]),
    /// DECSTR, which the parser of the model does not know.
    SoftReset(&'a [u8]),
    /// A title, as the program wrote it: the model's parser would take the blanks at its ends away.
    Title(&'a [u8], &'a [u8]),
    /// What reaches beyond the screen, such as a text for the clipboard: only raw viewers get it.
    Private(&'a [u8]),
    /// REP: the last character again, so many times. A viewer that joined since does not know which that was.
    Repeat(u16, &'a [u8]),
    /// The title is kept for later or comes back. A viewer that joined since does not know what was kept.
    TitleStack(&'a [u8]),
    /// RIS. Terminals disagree on how much it resets.
    FullReset(&'a [u8]),
    /// The cursor comes back. Terminals disagree on what comes back with it.
    Restore(&'a [u8]),
    /// What the parser of the model does not know, or terminals do otherwise than it.
    Own(Own<'a>, &'a [u8]),
}

/// What is done without the model's parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own<'a> {
    /// IND: a line down, never to the first column.
    Index,
    /// LS2 and LS3: characters are of this set from now on.
    Shift(CharsetIndex),
    /// DECALN: the screen is filled.
    Alignment,
    /// DECST8C: a tab stop in every eighth column.
    TabsOfEight,
    /// VPR: so many lines down, whatever scrolls.
    LinesDown(u16),
    /// DECSED and DECSEL with the parameters and the letter of ED and EL, which they are while no cell is protected.
    Erase(&'a [u8], u8),
    /// ICH, which terminals do differently within a wide character.
    InsertBlanks,
    /// SGR with these parameters, of which the parser does not know one or terminals take one otherwise.
    Style(&'a [u8]),
}

/// A query that is answered without the model's parser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query<'a> {
    /// XTVERSION: name and version of the terminal.
    Version,
    /// DECXCPR: cursor position with page.
    ExtendedCursorPosition,
    /// The colour scheme, dark or light.
    ColorScheme,
    /// Size of a cell in pixels.
    CellPixels,
    /// XTGETTCAP: terminfo capabilities, as hexadecimal names.
    Capabilities(&'a [u8]),
    /// DECRQSS: a setting.
    Setting(&'a [u8]),
    /// A query that is known and left without an answer, as by terminals that lack the feature.
    Silent,
}

/// Private modes that viewers do not get: 3 (132 columns), 45 (reverse wrap) and 69 (left and right margins), 2027 (grapheme clusters)
/// would draw differently from the model; 2048 makes a terminal type its size into the program.
const WITHHELD_MODES: [u16; 5] = [3, 45, 69, 2027, 2048];

/// The modes that keep the cursor or bring it back, with the alternate screen or without.
pub(super) const CURSOR_MODES: [u16; 4] = [47, 1047, 1048, 1049];

/// The older ways to the alternate screen, which leave the cursor as it is; not every terminal knows them.
pub(super) const ALTERNATE_SCREEN_ALIASES: [u16; 2] = [47, 1047];

/// Modes that are not private and that the model knows: insert mode, and that a line feed returns the carriage. Others lock
/// the keyboard of a viewer or echo what is typed there.
const ANSI_MODES: [u16; 2] = [4, 20];

impl<'a> Sequence<'a> {
    /// The sequence, when it needs a decision; `None` when it simply passes.
    #[must_use]
    pub fn to_decide(bytes: &'a [u8]) -> Option<Self> {
        match bytes.get(1)? {
            b'[' => control(bytes),
            b']' => system_command(bytes),
            b'P' => device_control(bytes),
            // Kitty graphics (which a terminal answers), and what else the model knows nothing of.
            b'_' | b'^' | b'X' => Some(Self::Refused(bytes)),
            b'8' => Some(Self::Restore(bytes)),
            b'D' => Some(Self::Own(Own::Index, bytes)),
            b'c' => Some(Self::FullReset(bytes)),
            b'n' => Some(Self::Own(Own::Shift(CharsetIndex::G2), bytes)),
            b'o' => Some(Self::Own(Own::Shift(CharsetIndex::G3), bytes)),
            b'Z' => Some(Self::ModelQuery(bytes)),
            b'7' | b'E' | b'H' | b'M' | b'=' | b'>' | b'\\' => None,
            b'#' if bytes.get(2) == Some(&b'8') => Some(Self::Own(Own::Alignment, bytes)),
            b'(' | b')' | b'*' | b'+' if matches!(bytes.get(2), Some(b'0' | b'B') | None) => None,
            // It ended too early to be anything, and ends for all alike.
            0x20..=0x2f if bytes.len() == 2 => None,
            // Other encodings and character sets, rows of double size, and what else the model does not know.
            0x20..=0x7e => Some(Self::Refused(bytes)),
            _ => None,
        }
    }

    /// The sequence where no character came right before it: then there is nothing to repeat.
    #[must_use]
    pub fn without_text(self) -> Self {
        match self {
            Self::Repeat(_, bytes) => Self::Refused(bytes),
            other => other,
        }
    }

    /// The bytes of the sequence.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        match self {
            Self::Enquiry => b"\x05",
            Self::ModelQuery(bytes)
            | Self::Query(_, bytes)
            | Self::Refused(bytes)
            | Self::Modes(bytes)
            | Self::SoftReset(bytes)
            | Self::Repeat(_, bytes)
            | Self::TitleStack(bytes)
            | Self::FullReset(bytes)
            | Self::Restore(bytes)
            | Self::Own(_, bytes)
            | Self::Title(_, bytes)
            | Self::Private(bytes) => bytes,
        }
    }
}

/// The parts of a CSI sequence.
struct Control<'a> {
    marker: Option<u8>,
    parameters: &'a [u8],
    intermediates: &'a [u8],
    last: u8,
}

fn parts(bytes: &[u8]) -> Option<Control<'_>> {
    let (&last, body) = bytes.get(2..)?.split_last()?;
    let (marker, body) = match body.split_first() {
        Some((&marker @ b'<'..=b'?', rest)) => (Some(marker), rest),
        _ => (None, body),
    };
    let split = body.iter().position(|byte| matches!(byte, 0x20..=0x2f)).unwrap_or(body.len());
    let (parameters, intermediates) = body.split_at(split);
    Some(Control { marker, parameters, intermediates, last })
}

fn first_number(parameters: &[u8]) -> u16 {
    numbers(parameters).next().unwrap_or(0)
}

/// The numbers of a parameter list; control characters in between count as absent.
fn numbers(parameters: &[u8]) -> impl Iterator<Item = u16> + '_ {
    parameters.split(|byte| *byte == b';').map(|text| {
        text.iter()
            .filter(|byte| byte.is_ascii_digit())
            .fold(0u16, |sum, digit| sum.saturating_mul(10).saturating_add(u16::from(digit - b'0')))
    })
}

fn control(bytes: &[u8]) -> Option<Sequence<'_>> {
    if !bytes.is_ascii() {
        // Parsers disagree on where it ends.
        return Some(Sequence::Refused(bytes));
    }
    let Control { marker, parameters, intermediates, last } = parts(bytes)?;
    let first = || first_number(parameters);
    let query = |query| Some(Sequence::Query(query, bytes));
    match (marker, intermediates, last) {
        (None | Some(b'>' | b'='), [], b'c') => Some(Sequence::ModelQuery(bytes)),
        (None, [], b'n') => Some(Sequence::ModelQuery(bytes)),
        (Some(b'?'), [], b'n') => match first() {
            6 => query(Query::ExtendedCursorPosition),
            996 => query(Query::ColorScheme),
            _ => query(Query::Silent),
        },
        (None | Some(b'?'), [b'$'], b'p') => Some(Sequence::ModelQuery(bytes)),
        (None, [], b'b') => Some(Sequence::Repeat(first().max(1), bytes)),
        (None, [], b'm') => style(parameters, bytes),
        (None, [], b'@') => Some(Sequence::Own(Own::InsertBlanks, bytes)),
        (None, [], b'e') => Some(Sequence::Own(Own::LinesDown(first().max(1)), bytes)),
        (Some(b'?'), [], b'J' | b'K') => Some(Sequence::Own(Own::Erase(parameters, last), bytes)),
        (Some(b'?'), [], b'W') if first() == 5 => Some(Sequence::Own(Own::TabsOfEight, bytes)),
        (None, [], b'u') => Some(Sequence::Restore(bytes)),
        (None, [], b'h' | b'l') if numbers(parameters).any(|mode| !ANSI_MODES.contains(&mode)) => {
            Some(Sequence::Modes(bytes))
        }
        (None, [b'!'], b'p') => Some(Sequence::SoftReset(bytes)),
        (Some(b'>'), [], b'q') => query(Query::Version),
        (None, [], b't') => match first() {
            14 | 18 => Some(Sequence::ModelQuery(bytes)),
            16 => query(Query::CellPixels),
            22 | 23 => Some(Sequence::TitleStack(bytes)),
            11 | 13 | 15 | 19 | 20 | 21 => query(Query::Silent),
            // The size of a viewer's window is its own.
            3 | 4 | 8 | 9 | 10 => Some(Sequence::Refused(bytes)),
            number if number >= 24 => Some(Sequence::Refused(bytes)),
            _ => None,
        },
        (Some(b'?'), [], b'u' | b'm') => Some(Sequence::ModelQuery(bytes)),
        (Some(b'?'), [], b's' | b'r' | b'S') | (None, [], b'x') => query(Query::Silent),
        (_, [b'$'], b'w' | b'u')
        | (_, [b'&'], b'u')
        | (_, [b'*'], b'y')
        | (_, [b'\''], b'|')
        | (_, [b'#'], b'R' | b'|' | b'S') => query(Query::Silent),
        (Some(b'?'), [], b'h' | b'l')
            if numbers(parameters).any(|mode| WITHHELD_MODES.contains(&mode) || CURSOR_MODES.contains(&mode)) =>
        {
            Some(Sequence::Modes(bytes))
        }
        (
            None,
            [],
            b'A'..=b'M'
            | b'P'
            | b'S'
            | b'T'
            | b'X'
            | b'Z'
            | b'`'
            | b'a'
            | b'd'
            | b'f'
            | b'g'
            | b'h'
            | b'l'
            | b'r'
            | b's',
        )
        | (None, [b' '], b'q')
        | (Some(b'?'), [], b'h' | b'l')
        | (Some(b'>'), [], b'm')
        | (Some(b'<' | b'=' | b'>'), [], b'u') => None,
        // It was interrupted, and ends for all alike.
        _ if last < 0x40 => None,
        // Printing, the level of conformance, protected cells, columns that scroll, and what else the model does not know.
        _ => Some(Sequence::Refused(bytes)),
    }
}

/// SGR with a line above the text, which the parser does not know, or without a colour of the line below, which some take
/// for a colour.
fn style<'a>(parameters: &'a [u8], bytes: &'a [u8]) -> Option<Sequence<'a>> {
    let is_special = |pair: &[u8]| matches!(pair, b"53" | b"55" | b"59");
    parameters.windows(2).any(is_special).then_some(Sequence::Own(Own::Style(parameters), bytes))
}

/// The modes of a sequence that the model and viewers get, each by itself, and whether they are private.
pub fn modes_to_follow(bytes: &[u8]) -> (bool, impl Iterator<Item = u16> + '_) {
    let (is_private, parameters) =
        parts(bytes).map_or((false, &[][..]), |parts| (parts.marker == Some(b'?'), parts.parameters));
    let is_followed =
        move |mode: &u16| if is_private { !WITHHELD_MODES.contains(mode) } else { ANSI_MODES.contains(mode) };
    (is_private, numbers(parameters).filter(is_followed))
}

/// The body of a string sequence, without its introducer and its terminator.
fn body(bytes: &[u8]) -> &[u8] {
    let body = bytes.get(2..).unwrap_or_default();
    body.strip_suffix(b"\x1b\\")
        .or_else(|| body.strip_suffix(b"\x07"))
        .or_else(|| body.strip_suffix(b"\x9c"))
        .unwrap_or(body)
}

fn system_command(bytes: &[u8]) -> Option<Sequence<'_>> {
    let body = body(bytes);
    let mut members = body.split(|byte| *byte == b';');
    let number = members.next()?;
    let rest = members.clone();
    let asks = || rest.clone().any(|member| member.starts_with(b"?"));
    match number {
        b"0" | b"2" => body.get(number.len() + 1..).map(|title| Sequence::Title(title, bytes)),
        b"4" | b"10" | b"11" | b"12" => asks().then_some(Sequence::ModelQuery(bytes)),
        // Reading the user's clipboard is never a program's business here.
        b"52" | b"5522" if asks() => Some(Sequence::Query(Query::Silent, bytes)),
        // The text-sizing protocol draws text that the model would not see.
        b"66" => Some(Sequence::Refused(bytes)),
        b"21" if body.contains(&b'?') => Some(Sequence::Query(Query::Silent, bytes)),
        b"60" | b"61" => Some(Sequence::Query(Query::Silent, bytes)),
        b"99" => {
            let asks = members.next().is_some_and(|keys| keys.split(|byte| *byte == b':').any(|key| key == b"p=?"));
            Some(if asks { Sequence::Query(Query::Silent, bytes) } else { Sequence::Private(bytes) })
        }
        b"1337" => {
            let name = members.next().unwrap_or_default();
            let asks = [&b"ReportCellSize"[..], b"Capabilities", b"ReportVariable", b"RequestUpload"];
            let is_query = asks.iter().any(|ask| name.starts_with(ask));
            Some(if is_query { Sequence::Query(Query::Silent, bytes) } else { Sequence::Private(bytes) })
        }
        b"1" | b"7" | b"8" | b"104" | b"110" | b"111" | b"112" | b"133" => None,
        _ if asks() => Some(Sequence::Query(Query::Silent, bytes)),
        // The clipboard, notifications, fonts, pointers, files, and whatever terminals will think of.
        _ => Some(Sequence::Private(bytes)),
    }
}

fn device_control(bytes: &[u8]) -> Option<Sequence<'_>> {
    let body = body(bytes);
    if let Some(names) = body.strip_prefix(b"+q") {
        return Some(Sequence::Query(Query::Capabilities(names), bytes));
    }
    if let Some(setting) = body.strip_prefix(b"$q") {
        return Some(Sequence::Query(Query::Setting(setting), bytes));
    }
    if body.starts_with(b"+Q") {
        return Some(Sequence::Query(Query::Silent, bytes));
    }
    // Pictures, keys with meanings, sequences for a multiplexer around a viewer: nothing that the model knows.
    Some(Sequence::Refused(bytes))
}

/// The control characters within a sequence that is not passed on; a terminal would still have obeyed them.
pub fn embedded_controls(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let is_control_sequence = bytes.get(1) == Some(&b'[');
    bytes.iter().copied().skip(2).filter(move |byte| is_control_sequence && matches!(byte, 0x08..=0x0d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_of_the_coding_clis_are_told_from_drawing() {
        let queries = [
            "\x1b[c",
            "\x1b[0c",
            "\x1b[>c",
            "\x1b[=c",
            "\x1b[5n",
            "\x1b[6n",
            "\x1b[?6n",
            "\x1b[?996n",
            "\x1b[?2026$p",
            "\x1b[?1016$p",
            "\x1b[4$p",
            "\x1b[>q",
            "\x1b[>0q",
            "\x1b[?u",
            "\x1b[?4m",
            "\x1b[14t",
            "\x1b[16t",
            "\x1b[18t",
            "\x1b[21t",
            "\x1b]10;?\x07",
            "\x1b]11;?\x1b\\",
            "\x1b]4;0;?\x07",
            "\x1b]52;c;?\x07",
            "\x1bP+q4d73\x1b\\",
            "\x1bP$qm\x1b\\",
            "\x1b]99;i=1:p=?;\x1b\\",
            "\x1b]1337;ReportCellSize\x07",
            "\x1bZ",
        ];
        for query in queries {
            let decided = Sequence::to_decide(query.as_bytes());
            assert!(matches!(decided, Some(Sequence::ModelQuery(_) | Sequence::Query(..))), "{query:?}: {decided:?}");
        }
        let drawing = [
            "\x1b[31m",
            "\x1b[2J",
            "\x1b[?25h",
            "\x1b[?2026h",
            "\x1b[>7u",
            "\x1b[<u",
            "\x1b[=1u",
            "\x1b[>4;2m",
            "\x1b[2 q",
            "\x1b]8;;http://a/?b;?\x1b\\",
            "\x1b]11;#123456\x07",
            "\x1b7",
            "\x1b(0",
            "\x1b[?1h",
            "\x1b[4h",
            "\x1b[3g",
            "\x1b[s",
            "\x1b[38;2;5;3;9m",
        ];
        for draw in drawing {
            assert_eq!(Sequence::to_decide(draw.as_bytes()), None, "{draw:?}");
        }
    }

    #[test]
    fn what_reaches_beyond_the_screen_is_private_or_refused() {
        for private in [
            "\x1b]52;c;aGVsbG8=\x07",
            "\x1b]50;font\x07",
            "\x1b]9;done\x07",
            "\x1b]777;notify;a;b\x1b\\",
            "\x1b]99;i=1;hello\x1b\\",
            "\x1b]1337;Copy=:aGVsbG8=\x07",
            "\x1b]5522;type=write\x1b\\",
            "\x1b]31337;anything\x07",
        ] {
            assert_eq!(
                Sequence::to_decide(private.as_bytes()),
                Some(Sequence::Private(private.as_bytes())),
                "{private:?}"
            );
        }
        for refused in [
            "\x1bPq#0~\x1b\\",
            "\x1bP0;1|17/646\x1b\\",
            "\x1bPtmux;\x1b\x1b[6n\x1b\\",
            "\x1b_Ga=T;AAAA\x1b\\",
            "\x1b^private message\x1b\\",
            "\x1b[5i",
            "\x1b%@",
            "\x1b#6",
            "\x1b[61\"p",
            "\x1b[8;200;200t",
            "\x1b[1\"q",
            "\x1b[2 @",
            "\x1b[2'}",
            "\x1b[1;1;2;2$z",
            "\x1b[#{",
            "\x1b(A",
            "\x1b.A",
            "\x1bN",
            "\x1bO",
            "\x1b~",
            "\x1bl",
        ] {
            assert_eq!(
                Sequence::to_decide(refused.as_bytes()),
                Some(Sequence::Refused(refused.as_bytes())),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn viewers_get_the_modes_that_the_model_knows() {
        let followed = |bytes: &'static [u8]| {
            let (is_private, modes) = modes_to_follow(bytes);
            (is_private, modes.collect::<Vec<_>>())
        };
        assert_eq!(followed(b"\x1b[?2027h"), (true, vec![]));
        assert_eq!(followed(b"\x1b[?2004;2048;1004h"), (true, vec![2004, 1004]));
        assert_eq!(followed(b"\x1b[2;4;12l"), (false, vec![4]));
        assert!(matches!(Sequence::to_decide(b"\x1b[2h"), Some(Sequence::Modes(_))));
    }

    #[test]
    fn what_the_parser_does_not_know_is_told_from_what_it_does() {
        for (bytes, own) in [
            (&b"\x1bD"[..], Own::Index),
            (b"\x1bo", Own::Shift(CharsetIndex::G3)),
            (b"\x1b#8", Own::Alignment),
            (b"\x1b[?5W", Own::TabsOfEight),
            (b"\x1b[7e", Own::LinesDown(7)),
            (b"\x1b[?1J", Own::Erase(b"1", b'J')),
            (b"\x1b[3@", Own::InsertBlanks),
            (b"\x1b[1;53m", Own::Style(b"1;53")),
        ] {
            assert_eq!(Sequence::to_decide(bytes), Some(Sequence::Own(own, bytes)));
        }
        assert_eq!(Sequence::to_decide(b"\x1b8"), Some(Sequence::Restore(b"\x1b8")));
        assert_eq!(Sequence::to_decide(b"\x1bc"), Some(Sequence::FullReset(b"\x1bc")));
    }
}
