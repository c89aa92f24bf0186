use std::ops::Range;

use super::*;
use crate::dialect::DialectError;
use crate::dialect::error::ErrorKind;
use crate::dialect::json;
use crate::dialect::loss::Losses;
use crate::dialect::translate::ReplyError;
use proptest::prelude::*;

const CHAT: Form = Form { dialect: Dialect::Chat, one: false };
const OLLAMA: Form = Form { dialect: Dialect::Ollama, one: false };
const OLLAMA_ONE: Form = Form { dialect: Dialect::Ollama, one: true };
const GEMINI: Form = Form { dialect: Dialect::Gemini, one: false };
const GEMINI_ONE: Form = Form { dialect: Dialect::Gemini, one: true };
const FORMS: [Form; 5] = [CHAT, OLLAMA, OLLAMA_ONE, GEMINI, GEMINI_ONE];

fn refused(form: Form, body: &str) -> String {
    let tree = json::parse(body.as_bytes()).unwrap();
    read_request(form, &tree, &mut Losses::default()).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (form, body, words) in [
        (CHAT, "{}", "`input`: it is missing"),
        (CHAT, r#"{"input":null}"#, "`input`: it is missing"),
        (CHAT, r#"{"input":""}"#, "`input`: an empty text"),
        (CHAT, r#"{"input":[]}"#, "`input`: there is nothing in it"),
        (CHAT, r#"{"input":["a",""]}"#, "`input[1]`: an empty text"),
        (CHAT, r#"{"input":["a",7]}"#, "`input[1]`: a string is needed"),
        (CHAT, r#"{"input":[7,"a"]}"#, "`input[1]`: a whole number"),
        (CHAT, r#"{"input":[[1],[]]}"#, "`input[1]`: an empty text"),
        (CHAT, r#"{"input":7}"#, "`input`: a text or an array of texts"),
        (CHAT, r#"{"input":"a","dimensions":0}"#, "`dimensions`: a vector has"),
        (CHAT, r#"{"input":"a","dimensions":"8"}"#, "`dimensions`: a whole number"),
        (CHAT, r#"{"input":"a","encoding_format":"hex"}"#, "`encoding_format`: it is `float` or `base64`"),
        (CHAT, "[]", "`body`: an object"),
        (OLLAMA, r#"{"prompt":"a"}"#, "`input`: it is missing"),
        (OLLAMA, r#"{"input":[[1]]}"#, "`input[0]`: a string"),
        (OLLAMA, r#"{"input":"a","truncate":1}"#, "`truncate`: true or false"),
        (OLLAMA_ONE, r#"{"input":"a"}"#, "`prompt`: it is missing"),
        (OLLAMA_ONE, r#"{"prompt":["a"]}"#, "`prompt`: a string"),
        (GEMINI, r#"{"requests":[]}"#, "`requests`: there is nothing in it"),
        (GEMINI, r#"{"requests":[{}]}"#, "`requests[0].content`: it is missing"),
        (GEMINI, r#"{"requests":[{"content":{"parts":[]}}]}"#, "`requests[0].content.parts`: there is nothing"),
        (GEMINI, r#"{"requests":[{"content":{"parts":[{"text":""}]}}]}"#, "`requests[0].content.parts`: an empty text"),
        (
            GEMINI,
            r#"{"requests":[{"content":{"parts":[{"text":"a"}]},"outputDimensionality":8},{"content":{"parts":[{"text":"b"}]}}]}"#,
            "`requests[1].outputDimensionality`: all vectors",
        ),
        (GEMINI_ONE, r#"{"content":{}}"#, "`content.parts`: it is missing"),
    ] {
        let error = refused(form, body);
        assert!(error.contains(words), "{body}: {error}");
    }
}

fn written(form: Form, body: &str, dialect: Dialect) -> Result<String, DialectError> {
    let tree = json::parse(body.as_bytes()).unwrap();
    let request = read_request(form, &tree, &mut Losses::default()).unwrap();
    let count = request.items.len();
    write_request(&request, 0..count, dialect, "m").map(|body| String::from_utf8(body).unwrap())
}

#[test]
fn each_request_is_said_in_each_dialect() {
    let chat = r#"{"model":"x","input":["a","b\n"],"dimensions":8,"encoding_format":"base64","user":"u"}"#;
    let gemini = r#"{"requests":[{"model":"models/x","content":{"parts":[{"text":"a"},{"text":"b"}]},"task_type":"CLUSTERING","embedContentConfig":{"outputDimensionality":8,"autoTruncate":true}}]}"#;
    for (form, body, dialect, expected) in [
        (CHAT, chat, Dialect::Chat, r#"{"model":"m","input":["a","b\n"],"dimensions":8}"#),
        (CHAT, chat, Dialect::Ollama, r#"{"model":"m","input":["a","b\n"],"truncate":false,"dimensions":8}"#),
        (
            CHAT,
            chat,
            Dialect::Gemini,
            r#"{"requests":[{"model":"models/m","content":{"parts":[{"text":"a"}]},"outputDimensionality":8},{"model":"models/m","content":{"parts":[{"text":"b\n"}]},"outputDimensionality":8}]}"#,
        ),
        (OLLAMA, r#"{"input":"a","keep_alive":1}"#, Dialect::Chat, r#"{"model":"m","input":["a"]}"#),
        (OLLAMA_ONE, r#"{"prompt":"a"}"#, Dialect::Chat, r#"{"model":"m","input":["a"]}"#),
        (GEMINI, gemini, Dialect::Chat, r#"{"model":"m","input":["a\nb"],"dimensions":8}"#),
        (GEMINI, gemini, Dialect::Ollama, r#"{"model":"m","input":["a\nb"],"truncate":true,"dimensions":8}"#),
        (GEMINI_ONE, r#"{"content":{"parts":[{"text":"a"}]}}"#, Dialect::Chat, r#"{"model":"m","input":["a"]}"#),
    ] {
        assert_eq!(written(form, body, dialect).unwrap(), expected, "{body} to {dialect}");
    }
}

#[test]
fn what_is_for_one_model_is_used_for_it_alone() {
    let body = r#"{"content":{"parts":[{"text":"a"}]},"taskType":"CLUSTERING"}"#;
    let tree = json::parse(body.as_bytes()).unwrap();
    let request = read_request(GEMINI_ONE, &tree, &mut Losses::default()).unwrap();
    for (model, told) in [("gemini-embedding-001", true), ("gemini-embedding-2", false)] {
        let body = write_request(&request, 0..1, Dialect::Gemini, model).unwrap();
        assert_eq!(String::from_utf8(body).unwrap().contains("CLUSTERING"), told, "{model}");
    }
    for (form, body, place) in [
        (CHAT, r#"{"input":[1,2,3]}"#, "`input`"),
        (CHAT, r#"{"input":["a",[1,2]]}"#, "`input[1]`"),
        (GEMINI_ONE, r#"{"content":{"parts":[{"inlineData":{"data":"x"}}]}}"#, "`content`"),
    ] {
        let error = written(form, body, Dialect::Ollama).unwrap_err();
        assert!(matches!(error, DialectError::Impossible { .. }), "{error}");
        assert!(error.to_string().starts_with(place), "{error}");
    }
    assert!(matches!(written(CHAT, r#"{"input":"a"}"#, Dialect::Anthropic), Err(DialectError::Impossible { .. })));
}

#[test]
fn a_part_of_the_callers_own_request_keeps_what_is_not_known() {
    let rewritten = |form, body: &str, range: Range<usize>, is_part| {
        let tree = json::parse(body.as_bytes()).unwrap();
        String::from_utf8(rewritten(form, &tree, range, "m", is_part)).unwrap()
    };
    assert_eq!(
        rewritten(CHAT, r#"{"input":["a","b","c"],"encoding_format":"base64","x":[1],"model":"y"}"#, 1..3, true),
        r#"{"input":["b","c"],"x":[1],"model":"m"}"#
    );
    assert_eq!(
        rewritten(CHAT, r#"{"input":[1,2,3],"encoding_format":"base64"}"#, 0..1, false),
        r#"{"model":"m","input":[1,2,3],"encoding_format":"base64"}"#
    );
    assert_eq!(
        rewritten(GEMINI, r#"{"requests":[{"content":1},{"model":"models/x","content":2,"title":"t"}]}"#, 1..2, true),
        r#"{"requests":[{"model":"models/m","content":2,"title":"t"}]}"#
    );
    assert_eq!(rewritten(GEMINI_ONE, r#"{"content":1}"#, 0..1, false), r#"{"model":"models/m","content":1}"#);
}

fn expected(count: usize) -> Expected {
    Expected { count, dimensions: None }
}

#[test]
fn an_answer_is_read_in_each_form() {
    let two = vec![vec![0.5_f32, -1.0], vec![0.25, 1e-7]];
    for (form, body) in [
        (
            CHAT,
            r#"{"object":"list","data":[{"embedding":[0.25,1e-7],"index":1},{"index":0,"embedding":[0.5,-1]}],"model":"e","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
        ),
        (
            CHAT,
            r#"{"data":[{"embedding":[0.5,-1]},{"embedding":[0.25,1e-7]}],"usage":{"prompt_tokens":8},"model":"e"}"#,
        ),
        (
            CHAT,
            r#"{"data":[{"embedding":"AAAAPwAAgL8="},{"embedding":"AACAPpW/1jM="}],"usage":{"prompt_tokens":8},"model":"e"}"#,
        ),
        (OLLAMA, r#"{"model":"e","embeddings":[[0.5,-1.0],[0.25,1e-7]],"prompt_eval_count":8}"#),
        (
            GEMINI,
            r#"{"embeddings":[{"values":[0.5,-1.0]},{"shape":[2],"values":[0.25,1e-7]}],"usageMetadata":{"promptTokenCount":8},"model":"e"}"#,
        ),
    ] {
        let vectors = read(form, body.as_bytes(), expected(2)).unwrap();
        assert_eq!((&vectors.rows, vectors.usage.input, vectors.usage.output), (&two, Some(8), Some(0)), "{body}");
        assert_eq!(vectors.model.as_deref(), Some("e"));
    }
    for (form, body) in
        [(OLLAMA_ONE, r#"{"embedding":[0.5,-1.0]}"#), (GEMINI_ONE, r#"{"embedding":{"values":[0.5,-1.0]}}"#)]
    {
        let vectors = read(form, body.as_bytes(), expected(1)).unwrap();
        assert_eq!((vectors.rows.as_slice(), vectors.usage.input), (&two[..1], None), "unknown is not 0");
    }
}

#[test]
fn an_answer_that_is_not_what_was_asked_for_is_refused() {
    for (form, body, words) in [
        (CHAT, r#"{"data":[{"embedding":[1]}]}"#, "1 vectors came for 2 texts"),
        (CHAT, r#"{"data":[{"embedding":[1]},{"embedding":[1]},{"embedding":[1]}]}"#, "3 vectors came for 2"),
        (CHAT, r#"{"data":[{"embedding":[1,2]},{"embedding":[1]}]}"#, "`data[1]`: vectors of 2 and of 1 numbers"),
        (CHAT, r#"{"data":[{"embedding":[]},{"embedding":[]}]}"#, "without numbers"),
        (CHAT, r#"{"data":[{"embedding":[1]},{"embedding":[null]}]}"#, "line 1"),
        (CHAT, r#"{"data":[{"embedding":[1]},{"embedding":["1"]}]}"#, "line 1"),
        (CHAT, r#"{"data":[{"embedding":[1]},{"embedding":[1e60]}]}"#, "does not fit"),
        (CHAT, r#"{"data":[{"embedding":"AAAAPw=="},{"embedding":"AADAfw=="}]}"#, "no number"),
        (CHAT, r#"{"data":[{"embedding":"AAAAPw=="},{"embedding":"AAA="}]}"#, "four each"),
        (CHAT, r#"{"data":[{"embedding":"?"},{"embedding":"?"}]}"#, "base64"),
        (CHAT, r#"{"data":[{"embedding":[1],"index":0},{"embedding":[1],"index":0}]}"#, "`data[1].index`"),
        (CHAT, r#"{"data":[{"embedding":[1],"index":0},{"embedding":[1],"index":2}]}"#, "`data[1].index`"),
        (CHAT, r#"{"data":[{"embedding":[1],"index":0},{"embedding":[1]}]}"#, "`data[1].index`"),
        (CHAT, r#"{"data":[{"embedding":[1]},{"em"#, "line 1"),
        (CHAT, "{}", "`data`: it is missing"),
        (OLLAMA, r#"{"embedding":[1]}"#, "`embeddings`: it is missing"),
        (GEMINI, r#"{"embeddings":[{},{}]}"#, "values"),
    ] {
        match read(form, body.as_bytes(), expected(2)) {
            Err(ReplyError::Unreadable(error)) => assert!(error.to_string().contains(words), "{body}: {error}"),
            other => panic!("{body}: {other:?}"),
        }
    }
    let body = br#"{"embeddings":[[1,2],[3,4]]}"#;
    let wanted = Expected { count: 2, dimensions: Some(3) };
    let error = read(OLLAMA, body, wanted).unwrap_err().to_string();
    assert!(error.contains("vectors of 2 numbers came where 3 were asked for"), "{error}");
}

#[test]
fn an_error_in_place_of_vectors_is_an_error() {
    for (body, kind) in [
        (r#"{"error":{"message":"no more","type":"overloaded_error"}}"#, ErrorKind::Overloaded),
        (r#"{"error":"model not loaded"}"#, ErrorKind::Internal),
        (r#"{"object":"error","message":"too long","code":400}"#, ErrorKind::InvalidRequest),
        (r#"{"data":[],"error":{"message":"no"}}"#, ErrorKind::Internal),
    ] {
        match read(CHAT, body.as_bytes(), expected(1)) {
            Err(ReplyError::Error(error)) => assert_eq!(error.kind, kind, "{body}"),
            other => panic!("{body}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn every_text_is_in_one_batch_in_order(
        tokens in prop::collection::vec(0_u64..50, 0..60),
        texts in prop::option::of(1_usize..10),
        most in prop::option::of(1_u64..100),
    ) {
        let found = batches(&tokens, Limits { texts, tokens: most });
        let flat: Vec<usize> = found.iter().cloned().flatten().collect();
        prop_assert_eq!(flat, (0..tokens.len()).collect::<Vec<_>>());
        for range in found {
            prop_assert!(!range.is_empty());
            prop_assert!(texts.is_none_or(|texts| range.len() <= texts));
            let sum: u64 = tokens[range.clone()].iter().sum();
            prop_assert!(most.is_none_or(|most| sum <= most) || range.len() == 1);
        }
    }

    #[test]
    fn vectors_survive_every_form_to_the_bit(
        rows in (1_usize..6, 1_usize..5).prop_flat_map(|(length, count)| {
            prop::collection::vec(prop::collection::vec(prop::num::f32::NORMAL | prop::num::f32::ZERO, length), count)
        }),
        tokens in 0_u64..1_000,
        base64 in any::<bool>(),
    ) {
        for form in FORMS {
            let rows = if form.one { &rows[..1] } else { &rows[..] };
            let body = write(form, &Answer { rows, model: "m\"", tokens, base64 });
            let back = read(form, &body, expected(rows.len())).unwrap();
            prop_assert_eq!(&back.rows, rows);
            let counted = (form != OLLAMA_ONE).then_some(tokens);
            prop_assert_eq!(back.usage.input, counted);
        }
    }

    #[test]
    fn texts_survive_every_dialect(texts in prop::collection::vec(".{1,20}", 1..6), wanted in prop::option::of(1_u64..9)) {
        let request = Request { dimensions: wanted, ..Request::of_texts(texts.iter().map(|text| text.into()).collect()) };
        for form in [CHAT, OLLAMA, GEMINI] {
            let body = write_request(&request, 0..texts.len(), form.dialect, "m").unwrap();
            let tree = json::parse(&body).unwrap();
            let back = read_request(form, &tree, &mut Losses::default()).unwrap();
            prop_assert_eq!((&back.items, back.dimensions), (&request.items, request.dimensions));
        }
    }

    #[test]
    fn no_bytes_bring_it_down(body in "\\PC{0,80}", count in 0_usize..3) {
        for form in FORMS {
            let _read = read(form, body.as_bytes(), expected(count));
            if let Ok(tree) = json::parse(body.as_bytes()) {
                let _read = read_request(form, &tree, &mut Losses::default());
            }
        }
    }
}
