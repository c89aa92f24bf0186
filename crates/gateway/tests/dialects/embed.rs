//! Vectors of texts in each dialect: the samples in `tests/data` are one request and one answer, said three times.

use orx_gateway::dialect::embed::{self, Answer, Expected, Form};
use orx_gateway::dialect::loss::Losses;
use orx_gateway::dialect::{Dialect, json};
use serde_json::Value;

use super::sample::data;

const DIALECTS: [Dialect; 3] = [Dialect::Chat, Dialect::Ollama, Dialect::Gemini];

fn value(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

#[test]
fn each_request_is_the_others_in_other_words() {
    for from in DIALECTS {
        let text = data(&format!("embed.request.{from}.json"));
        let tree = json::parse(&text).unwrap();
        let request = embed::read_request(Form { dialect: from, one: false }, &tree, &mut Losses::default()).unwrap();
        for to in DIALECTS {
            let body = embed::write_request(&request, 0..3, to, "the-model").unwrap();
            let mut wanted = value(&data(&format!("embed.request.{to}.json")));
            // Numbers are what a provider answers where nothing is said.
            wanted.as_object_mut().unwrap().remove("encoding_format");
            if from == Dialect::Gemini {
                // Gemini does not say whether a text that is too long is cut.
                wanted.as_object_mut().unwrap().remove("truncate");
            }
            assert_eq!(value(&body), wanted, "{from} to {to}");
        }
    }
}

#[test]
fn each_answer_is_the_others_in_other_words_to_the_digit() {
    for from in DIALECTS {
        let text = data(&format!("embed.reply.{from}.json"));
        let expected = Expected { count: 3, dimensions: Some(4) };
        let vectors = embed::read(Form { dialect: from, one: false }, &text, expected).unwrap();
        assert_eq!((vectors.usage.input, vectors.usage.output), (Some(21), Some(0)), "{from}");
        for to in DIALECTS {
            let answer = Answer { rows: &vectors.rows, model: "up-model", tokens: 21, base64: false };
            let body = embed::write(Form { dialect: to, one: false }, &answer);
            let wanted = data(&format!("embed.reply.{to}.json"));
            let plain = |text: &[u8]| String::from_utf8_lossy(text).replace([' ', '\n'], "");
            assert_eq!(plain(&body), plain(&wanted), "{from} to {to}");
        }
    }
}
