use proptest::prelude::*;

use super::*;

type Seen = Vec<(String, String, String)>;

fn read(framing: Framing, chunks: &[&[u8]]) -> Seen {
    let mut parser = Parser::new(framing, 1 << 20);
    let mut seen = Vec::new();
    let mut sink = |frame: Frame<'_>| {
        seen.push((frame.event.to_owned(), String::from_utf8(frame.data.to_vec()).unwrap(), frame.id.to_owned()));
        Ok::<(), DialectError>(())
    };
    for chunk in chunks {
        parser.feed(chunk, &mut sink).unwrap();
    }
    parser.finish(&mut sink).unwrap();
    seen
}

fn seen(events: &[(&str, &str, &str)]) -> Seen {
    events.iter().map(|(event, data, id)| ((*event).to_owned(), (*data).to_owned(), (*id).to_owned())).collect()
}

const SAMPLE: &str = "\u{feff}: hello\r\nevent: a\r\ndata: 1\r\ndata:2\r\n\r\nid: 7\rdata: {\"x\":\"é\"}\r\rretry: 9\nevent:b\n\ndata\n\nevent: c\ndata: last\n\n";

#[test]
fn an_event_stream_is_read() {
    let wanted = seen(&[("a", "1\n2", ""), ("", "{\"x\":\"é\"}", "7"), ("", "", "7"), ("c", "last", "7")]);
    assert_eq!(read(Framing::Sse, &[SAMPLE.as_bytes()]), wanted);
}

#[test]
fn an_event_without_its_blank_line_is_handed_on_at_the_end() {
    assert_eq!(read(Framing::Sse, &[b"data: x"]), seen(&[("", "x", "")]));
    assert_eq!(read(Framing::Sse, &[b"data: x\ndata: y\n"]), seen(&[("", "x\ny", "")]));
    assert_eq!(read(Framing::Sse, &[b"event: x\n"]), seen(&[]));
}

#[test]
fn lines_of_json_are_read() {
    assert_eq!(
        read(Framing::Lines, &[b"{\"a\":1}\r\n\n {\"b\":", b"2}"]),
        seen(&[("", "{\"a\":1}", ""), ("", "{\"b\":2}", "")])
    );
}

#[test]
fn a_stream_cut_at_every_place_is_the_same() {
    let whole = read(Framing::Sse, &[SAMPLE.as_bytes()]);
    for first in 0..SAMPLE.len() {
        for second in first..SAMPLE.len() {
            let bytes = SAMPLE.as_bytes();
            assert_eq!(
                read(Framing::Sse, &[&bytes[..first], &bytes[first..second], &bytes[second..]]),
                whole,
                "{first} {second}"
            );
        }
    }
}

#[test]
fn an_event_of_50_mb_is_refused_before_it_fills_memory() {
    for prefix in ["data: ", "data: x\ndata: ", "event: "] {
        let mut parser = Parser::new(Framing::Sse, 1 << 20);
        let mut sink = |_: Frame<'_>| Ok::<(), DialectError>(());
        parser.feed(prefix.as_bytes(), &mut sink).unwrap();
        let chunk = vec![b'x'; 16 * 1024];
        let refused = (0..50 * 64).find_map(|_| parser.feed(&chunk, &mut sink).err());
        assert_eq!(refused, Some(DialectError::EventTooLarge { limit: 1 << 20 }));
        assert!(parser.partial.capacity() + parser.data.capacity() <= 4 << 20);
    }
    let mut parser = Parser::new(Framing::Sse, 1 << 20);
    let mut many = |_: Frame<'_>| Ok::<(), DialectError>(());
    let refused = (0..2_000_000).find_map(|_| parser.feed(b"data: x\n", &mut many).err());
    assert!(refused.is_some(), "many lines of one event");
}

#[test]
fn what_is_written_is_read() {
    let mut out = Vec::new();
    write(&mut out, "message_stop", b"{}");
    write(&mut out, "", b"[DONE]");
    assert_eq!(read(Framing::Sse, &[&out]), seen(&[("message_stop", "{}", ""), ("", "[DONE]", "")]));
}

proptest! {
    #[test]
    fn bytes_of_any_sort_cut_anywhere_are_read_alike(
        text in "(data|event|id|: |\r|\n|\r\n|x|é|\u{feff}|:){0,60}", cut in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = text.as_bytes();
        let mut cuts: Vec<usize> = cut.iter().map(|index| index.index(bytes.len() + 1)).collect();
        cuts.push(0);
        cuts.push(bytes.len());
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(read(Framing::Sse, &chunks), read(Framing::Sse, &[bytes]));
        prop_assert_eq!(read(Framing::Lines, &chunks), read(Framing::Lines, &[bytes]));
    }
}
