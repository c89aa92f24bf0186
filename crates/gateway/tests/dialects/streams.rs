//! Every pair of dialects, streamed: whole, cut anywhere, and ended too early.

use orx_gateway::dialect::Dialect;
use orx_gateway::dialect::meter::StreamMeter;
use orx_gateway::dialect::peek::peek;
use orx_gateway::dialect::stream::{StreamTranslator, UpstreamEnd};
use orx_gateway::dialect::translate::{self, Target};
use proptest::prelude::*;

use super::sample::{Answer, assembled, call, caller, reply, request, stream, through_stream};

fn answer_of(from: Dialect, bytes: &[u8]) -> Answer {
    let (out, _) = through_stream(from, &caller(Dialect::Anthropic), &[bytes], UpstreamEnd::Eof);
    let message = assembled(&out);
    assert!(message.get("error").is_none(), "{from}: {message}");
    Answer::whole(Dialect::Anthropic, &serde_json::to_vec(&message).unwrap())
}

#[test]
fn a_streamed_answer_says_what_the_whole_one_does() {
    for from in Dialect::ALL {
        let whole = Answer::whole(from, &reply(from)).through(from);
        assert_eq!(answer_of(from, &stream(from)).through(from), whole, "{from}");
    }
}

#[test]
fn the_error_of_an_answer_that_was_cut_has_that_answers_name_and_the_next_number() {
    let whole = String::from_utf8(stream(Dialect::Responses)).unwrap();
    let passed = &whole[..whole.find("event: response.output_text.delta").unwrap()];
    let mut meter = StreamMeter::new(Dialect::Responses);
    meter.feed(passed.as_bytes());
    let mut out = Vec::new();
    let caller = caller(Dialect::Responses);
    StreamTranslator::new(Dialect::Responses, &caller)
        .after(meter.so_far())
        .finish(UpstreamEnd::Failed("it broke"), &mut out);
    let event = |text: &str| -> serde_json::Value {
        let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        serde_json::from_str(data).unwrap()
    };
    let (first, last) = (event(passed), event(std::str::from_utf8(&out).unwrap()));
    assert_eq!((&last["type"], &last["response"]["id"]), (&"response.failed".into(), &first["response"]["id"]));
    assert_eq!(last["sequence_number"], passed.matches("event: ").count());
}

#[test]
fn every_stream_goes_into_every_dialect() {
    for from in Dialect::ALL {
        let whole = Answer::whole(from, &reply(from)).through(from);
        for to in Dialect::ALL {
            let (out, translator) = through_stream(from, &caller(to), &[&stream(from)], UpstreamEnd::Eof);
            assert!(translator.is_finished(), "{from} to {to}: {:?}", translator.failure());
            assert_eq!(translator.usage().prompt(), Some(100), "{from} to {to}");
            let read = answer_of(to, &out).through(to).through(from);
            assert_eq!(read, whole.clone().through(to), "{from} to {to}: {}", String::from_utf8_lossy(&out));
        }
    }
}

#[test]
fn a_stream_byte_by_byte_is_the_same() {
    for from in Dialect::ALL {
        let bytes = stream(from);
        for to in Dialect::ALL {
            let (whole, _) = through_stream(from, &caller(to), &[&bytes], UpstreamEnd::Eof);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert!(through_stream(from, &caller(to), &single, UpstreamEnd::Eof).0 == whole, "{from} to {to}");
        }
    }
}

#[test]
fn a_stream_in_two_pieces_is_the_same_wherever_it_is_cut() {
    for from in Dialect::ALL {
        let bytes = stream(from);
        let (whole, _) = through_stream(from, &caller(Dialect::Anthropic), &[&bytes], UpstreamEnd::Eof);
        for cut in 0..bytes.len() {
            let (out, _) =
                through_stream(from, &caller(Dialect::Anthropic), &[&bytes[..cut], &bytes[cut..]], UpstreamEnd::Eof);
            assert!(out == whole, "{from} cut at {cut}");
        }
    }
}

/// What each dialect says at a clean end, and at no other.
fn last_word(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Anthropic => "message_stop",
        Dialect::Chat => "[DONE]",
        Dialect::Responses => "\"type\":\"response.completed\"",
        Dialect::Gemini => "finishReason",
        Dialect::Ollama => "\"done\":true",
    }
}

fn error_word(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Anthropic => "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\"",
        Dialect::Chat => "data: {\"error\":{\"message\":",
        Dialect::Responses => "event: response.failed",
        Dialect::Gemini => "data: {\"error\":{\"code\":502",
        Dialect::Ollama => "{\"error\":\"",
    }
}

#[test]
fn a_cut_stream_ends_as_an_error_and_never_cleanly() {
    for from in Dialect::ALL {
        let bytes = stream(from);
        for to in Dialect::ALL {
            for end in (0..bytes.len()).step_by(if to == Dialect::Anthropic { 1 } else { 41 }) {
                let (out, translator) = through_stream(from, &caller(to), &[&bytes[..end]], UpstreamEnd::Eof);
                let text = String::from_utf8_lossy(&out);
                assert_ne!(translator.is_finished(), translator.failure().is_some());
                assert_eq!(text.contains(last_word(to)), translator.is_finished(), "{from} to {to} at {end}: {text}");
                assert_eq!(
                    text.contains(error_word(to)),
                    translator.failure().is_some(),
                    "{from} to {to} at {end}: {text}"
                );
            }
            // A connection that broke is an error even where all but the last word had come.
            let last = bytes.len() - if from == Dialect::Chat { "data: [DONE]\n\n".len() } else { 1 };
            let (_, translator) = through_stream(from, &caller(to), &[&bytes[..last]], UpstreamEnd::Failed("reset"));
            let said_all = matches!(from, Dialect::Anthropic | Dialect::Responses | Dialect::Ollama);
            assert_eq!(translator.failure().is_none(), said_all, "{from} to {to}");
        }
    }
}

#[test]
fn an_error_inside_a_stream_is_told_in_every_dialect() {
    let samples = [
        (
            Dialect::Anthropic,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"too much\"}}\n\n",
        ),
        (Dialect::Chat, "data: {\"error\":{\"message\":\"too much\",\"type\":\"server_error\"}}\n\n"),
        (Dialect::Responses, "event: error\ndata: {\"type\":\"error\",\"code\":\"x\",\"message\":\"too much\"}\n\n"),
        (Dialect::Gemini, "data: {\"error\":{\"code\":503,\"message\":\"too much\",\"status\":\"UNAVAILABLE\"}}\n\n"),
        (Dialect::Ollama, "{\"error\":\"too much\"}\n"),
    ];
    for (from, event) in samples {
        let bytes = stream(from);
        let half = if from == Dialect::Ollama {
            bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1
        } else {
            String::from_utf8_lossy(&bytes).replace("\r\n", "\n").find("\n\n").unwrap()
                + 2
                + usize::from(from == Dialect::Gemini) * 2
        };
        for to in Dialect::ALL {
            let (out, translator) = through_stream(
                from,
                &caller(to),
                &[&bytes[..half], event.as_bytes(), &bytes[half..]],
                UpstreamEnd::Eof,
            );
            let text = String::from_utf8(out).unwrap();
            assert!(text.contains("too much") && !text.contains(last_word(to)), "{from} to {to}: {text}");
            assert_eq!(translator.failure().map(|error| error.message.as_str()), Some("too much"));
        }
    }
}

#[test]
fn a_malformed_event_and_one_of_50_mb_end_as_errors() {
    for from in Dialect::ALL {
        let mut translator = StreamTranslator::new(from, &caller(Dialect::Chat));
        let mut out = Vec::new();
        translator.feed(b"data: {\"oops\n\n", &mut out);
        assert!(translator.failure().unwrap().message.contains("invalid JSON"), "{from}");

        let mut translator = StreamTranslator::new(from, &caller(Dialect::Chat));
        let mut out = Vec::new();
        translator.feed(b"data: ", &mut out);
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..50 {
            translator.feed(&chunk, &mut out);
        }
        assert!(translator.failure().unwrap().message.contains("larger than 16777216 bytes"), "{from}");
        assert!(out.len() < 1000);
    }
}

#[test]
fn an_answer_without_end_does_not_fill_memory() {
    let mut translator = StreamTranslator::new(Dialect::Chat, &caller(Dialect::Responses));
    let event = format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(4 << 20));
    let mut out = Vec::new();
    for _ in 0..20 {
        out.clear();
        translator.feed(event.as_bytes(), &mut out);
    }
    assert!(translator.failure().unwrap().message.contains("larger than 67108864 bytes"));
    assert!(out.is_empty(), "nothing follows the error");
}

#[test]
fn what_a_stream_cannot_say_is_noted() {
    let (_, translator) =
        through_stream(Dialect::Anthropic, &caller(Dialect::Ollama), &[&stream(Dialect::Anthropic)], UpstreamEnd::Eof);
    assert_eq!(translator.losses()[0].field, "signature");
    let (_, translator) =
        through_stream(Dialect::Anthropic, &caller(Dialect::Chat), &[&stream(Dialect::Anthropic)], UpstreamEnd::Eof);
    assert!(translator.losses().is_empty());
}

#[test]
fn geminis_stream_is_an_array_where_the_caller_did_not_ask_for_events() {
    let mut gemini = caller(Dialect::Gemini);
    gemini.array = true;
    for bytes in [stream(Dialect::Chat), stream(Dialect::Chat)[..900].to_vec()] {
        let (out, translator) = through_stream(Dialect::Chat, &gemini, &[&bytes], UpstreamEnd::Eof);
        let array: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
        let last = array.last().unwrap();
        assert_eq!(last.get("error").is_some(), translator.failure().is_some());
        assert!(translator.failure().is_some() || last["candidates"][0]["finishReason"] == "STOP");
    }
}

#[test]
fn ollamas_generate_gets_its_own_form() {
    let mut ollama = caller(Dialect::Ollama);
    ollama.generate = true;
    let (out, _) = through_stream(Dialect::Chat, &ollama, &[&stream(Dialect::Chat)], UpstreamEnd::Eof);
    let texts: String = String::from_utf8(out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|line| line["response"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(texts, "Reading „both“:\n");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn pieces_of_any_size_are_the_same(
        from in prop::sample::select(Dialect::ALL.to_vec()), to in prop::sample::select(Dialect::ALL.to_vec()),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes = stream(from);
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        places.extend([0, bytes.len()]);
        places.sort_unstable();
        let chunks: Vec<&[u8]> = places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        let (whole, _) = through_stream(from, &caller(to), &[&bytes], UpstreamEnd::Eof);
        prop_assert!(through_stream(from, &caller(to), &chunks, UpstreamEnd::Eof).0 == whole);
    }

    #[test]
    fn damaged_bytes_do_no_harm(
        from in prop::sample::select(Dialect::ALL.to_vec()), to in prop::sample::select(Dialect::ALL.to_vec()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"{}[]\",:\\n0-\n\r\x00\xff ax".to_vec())), 1..6),
    ) {
        let damaged = |mut bytes: Vec<u8>| {
            for (place, byte) in &damage {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            bytes
        };
        let (_, translator) = through_stream(from, &caller(to), &[&damaged(stream(from))], UpstreamEnd::Eof);
        prop_assert!(translator.is_finished() != translator.failure().is_some());
        let request = damaged(request(from));
        let _found = peek(&request);
        if let Ok(out) = translate::request(&call(from), &Target::new(to, "m"), &request) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&out.body).is_ok());
        }
        if let Ok(out) = translate::reply(from, &caller(to), &damaged(reply(from))) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&out.body).is_ok());
        }
    }
}
