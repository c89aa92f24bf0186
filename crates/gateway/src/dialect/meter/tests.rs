use super::*;
use crate::dialect::error::ErrorKind;

fn read(dialect: Dialect, stream: &str, eof: bool) -> Reading {
    let whole = {
        let mut meter = StreamMeter::new(dialect);
        meter.feed(stream.as_bytes());
        meter.finish(eof)
    };
    for cut in 0..stream.len() {
        let mut meter = StreamMeter::new(dialect);
        meter.feed(&stream.as_bytes()[..cut]);
        meter.feed(&stream.as_bytes()[cut..]);
        assert_eq!(meter.finish(eof), whole, "cut at {cut}");
    }
    whole
}

const ANTHROPIC: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"c-1\",\"usage\":{\"input_tokens\":3,\"cache_creation_input_tokens\":30,\"cache_read_input_tokens\":100,\"cache_creation\":{\"ephemeral_5m_input_tokens\":10,\"ephemeral_1h_input_tokens\":20},\"output_tokens\":1}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"say \\\"message_stop\\\" and \\\"error\\\"\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":42}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

#[test]
fn anthropics_tokens_are_read_with_both_caches() {
    let reading = read(Dialect::Anthropic, ANTHROPIC, true);
    let usage = Usage {
        input: Some(3),
        cache_read: Some(100),
        cache_write_5m: Some(10),
        cache_write_1h: Some(20),
        output: Some(42),
        reasoning: None,
    };
    assert_eq!(reading, Reading { usage, doubt: None, ending: Ending::Complete, model: Some("c-1".to_owned()) });
}

#[test]
fn a_stream_without_its_last_word_is_open() {
    let cut = ANTHROPIC.strip_suffix("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n").unwrap();
    assert_eq!(read(Dialect::Anthropic, cut, true).ending, Ending::Open);
    let chat = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":null}]}\n\n";
    assert_eq!(read(Dialect::Chat, chat, true).ending, Ending::Open);
    let chat = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    assert_eq!(read(Dialect::Chat, chat, true).ending, Ending::Complete);
    assert_eq!(read(Dialect::Chat, chat, false).ending, Ending::Open);
    assert_eq!(read(Dialect::Ollama, "{\"done\":false}\n", true).ending, Ending::Open);
}

#[test]
fn each_dialects_tokens_are_read() {
    let chat = "data: {\"model\":\"g\",\"choices\":[{\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":50,\"prompt_tokens_details\":{\"cached_tokens\":80},\"completion_tokens_details\":{\"reasoning_tokens\":40}}}\n\ndata: [DONE]\n\n";
    let responses = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"model\":\"g\",\"error\":null,\"usage\":{\"input_tokens\":100,\"input_tokens_details\":{\"cached_tokens\":80},\"output_tokens\":50,\"output_tokens_details\":{\"reasoning_tokens\":40}}}}\n\n";
    let gemini = "data: {\"candidates\":[{\"content\":{\"parts\":[]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":100,\"cachedContentTokenCount\":80,\"candidatesTokenCount\":10,\"thoughtsTokenCount\":40},\"modelVersion\":\"g\"}\r\n\r\n";
    let usage =
        Usage { input: Some(20), cache_read: Some(80), output: Some(50), reasoning: Some(40), ..Usage::default() };
    for (dialect, stream) in [(Dialect::Chat, chat), (Dialect::Responses, responses), (Dialect::Gemini, gemini)] {
        let reading = read(dialect, stream, true);
        assert_eq!(
            reading,
            Reading { usage, doubt: None, ending: Ending::Complete, model: Some("g".to_owned()) },
            "{dialect}"
        );
    }
    let ollama = "{\"model\":\"l\",\"message\":{\"content\":\"a\"},\"done\":false}\n{\"model\":\"l\",\"done\":true,\"prompt_eval_count\":7,\"eval_count\":3}\n";
    let reading = read(Dialect::Ollama, ollama, true);
    assert_eq!(reading.usage, Usage { input: Some(7), output: Some(3), ..Usage::default() });
}

#[test]
fn an_error_inside_a_200_stream_is_seen() {
    for (dialect, stream, kind) in [
        (
            Dialect::Anthropic,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"o\"}}\n\n",
            ErrorKind::Overloaded,
        ),
        (
            Dialect::Chat,
            "data: {\"error\":{\"message\":\"o\",\"type\":\"rate_limit_error\"}}\n\n",
            ErrorKind::RateLimited,
        ),
        (
            Dialect::Responses,
            "data: {\"type\":\"response.failed\",\"response\":{\"error\":{\"code\":\"rate_limit_exceeded\",\"message\":\"o\"}}}\n\n",
            ErrorKind::RateLimited,
        ),
        (
            Dialect::Responses,
            "data: {\"type\":\"error\",\"code\":\"x\",\"message\":\"o\",\"error\":null}\n\n",
            ErrorKind::Internal,
        ),
        (
            Dialect::Gemini,
            "data: {\"error\":{\"code\":503,\"message\":\"o\",\"status\":\"UNAVAILABLE\"}}\n\n",
            ErrorKind::Unavailable,
        ),
        (Dialect::Ollama, "{\"error\":\"o\"}\n", ErrorKind::Internal),
    ] {
        match read(dialect, stream, true).ending {
            Ending::Failed(error) => assert_eq!((error.kind, error.message.as_str()), (kind, "o"), "{dialect}"),
            ending => panic!("{dialect}: {ending:?}"),
        }
    }
}

#[test]
fn usage_that_cannot_be_is_said_to_be() {
    for (usage, doubt, input) in [
        ("{\"prompt_tokens\":-5,\"completion_tokens\":1}", Some(Doubt::Invalid), None),
        ("{\"prompt_tokens\":\"9\",\"completion_tokens\":1}", Some(Doubt::Invalid), None),
        ("{\"prompt_tokens\":99999999999999,\"completion_tokens\":1}", Some(Doubt::Absurd), None),
        ("{\"prompt_tokens\":1e30,\"completion_tokens\":1}", Some(Doubt::Absurd), None),
        ("{\"completion_tokens\":1}", Some(Doubt::Missing), None),
        ("null", Some(Doubt::Missing), None),
        ("{\"prompt_tokens\":5,\"completion_tokens\":1}", None, Some(5)),
    ] {
        let stream = format!("data: {{\"choices\":[],\"usage\":{usage}}}\n\ndata: [DONE]\n\n");
        let body = format!("{{\"choices\":[],\"usage\":{usage}}}");
        for reading in [read(Dialect::Chat, &stream, true), whole(Dialect::Chat, body.as_bytes())] {
            assert_eq!((reading.doubt, reading.usage.input), (doubt, input), "{usage}");
        }
    }
}

#[test]
fn a_whole_answer_that_is_an_error_or_cut_is_seen() {
    assert!(matches!(whole(Dialect::Chat, br#"{"error":{"message":"no"}}"#).ending, Ending::Failed(_)));
    assert_eq!(whole(Dialect::Chat, br#"{"choices":[{"mess"#).ending, Ending::Open);
}

#[test]
fn embeddings_and_reranks_are_metered() {
    for (body, input, doubt) in [
        (
            r#"{"object":"list","data":[{"embedding":[0.1,0.2]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
            Some(8),
            None,
        ),
        (r#"{"embeddings":[[0.1]],"prompt_eval_count":4}"#, Some(4), None),
        (r#"{"embeddings":[{"values":[0.1]}],"usageMetadata":{"promptTokenCount":6}}"#, Some(6), None),
        (r#"{"results":[],"meta":{"tokens":{"input_tokens":12}}}"#, Some(12), None),
        (r#"{"results":[],"usage":{"total_tokens":5}}"#, Some(5), None),
        (r#"{"results":[]}"#, None, Some(Doubt::Missing)),
    ] {
        let reading = embeddings(body.as_bytes());
        assert_eq!((reading.usage.input, reading.doubt), (input, doubt), "{body}");
    }
}

#[test]
fn an_event_too_large_to_look_at_passes_and_is_told() {
    let mut meter = StreamMeter::new(Dialect::Chat);
    let chunk = vec![b'x'; 1 << 20];
    meter.feed(b"data: ");
    for _ in 0..50 {
        meter.feed(&chunk);
    }
    let reading = meter.finish(true);
    assert_eq!((reading.doubt, reading.ending), (Some(Doubt::Unseen), Ending::Open));
}
