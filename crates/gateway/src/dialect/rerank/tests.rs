use super::*;
use proptest::prelude::*;

fn request(body: &str) -> Result<String, DialectError> {
    let tree = json::parse(body.as_bytes()).unwrap();
    read(&tree, &mut Losses::default()).map(|request| format!("{request:?}"))
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (body, words) in [
        (r#"{"documents":["a"]}"#, "`query`: it is missing"),
        (r#"{"query":"","documents":["a"]}"#, "`query`: an empty question"),
        (r#"{"query":"q"}"#, "`documents`: it is missing"),
        (r#"{"query":"q","documents":[]}"#, "`documents`: there is nothing in it"),
        (r#"{"query":"q","documents":"a"}"#, "`documents`: an array"),
        (r#"{"query":"q","documents":["a",7]}"#, "`documents[1]`: a string"),
        (r#"{"query":"q","documents":["a",{"text":""}]}"#, "`documents[1]`: an empty text"),
        (r#"{"query":"q","documents":["a"],"top_n":0}"#, "`top_n`: at least one"),
        (r#"{"query":"q","documents":["a"],"return_documents":1}"#, "`return_documents`: true or false"),
    ] {
        let error = request(body).unwrap_err().to_string();
        assert!(error.contains(words), "{body}: {error}");
    }
}

#[test]
fn vectors_give_an_order_and_only_what_was_asked_for_comes_back() {
    let body = br#"{"query":"q","documents":["far",{"text":"near","id":1},"same"],"top_n":2,"return_documents":true}"#;
    let tree = json::parse(body).unwrap();
    let request = read(&tree, &mut Losses::default()).unwrap();
    let asked = request.to_embed(Dialect::Ollama).unwrap();
    assert_eq!(asked.items.len(), 4);
    let rows = [vec![1.0, 0.0], vec![0.0, 2.0], vec![3.0, 4.0], vec![0.5, 0.0]];
    let ranked = by_vectors(&rows);
    let written = String::from_utf8(write(&request, &ranked, "req_1", "m", 9)).unwrap();
    assert_eq!(
        written,
        concat!(
            r#"{"id":"req_1","object":"list","model":"m","results":[{"index":2,"relevance_score":1.0,"document":{"text":"same"}},"#,
            r#"{"index":1,"relevance_score":0.6,"document":{"text":"near"}}],"usage":{"prompt_tokens":9,"total_tokens":9}}"#
        )
    );
    let (back, usage) = check(written.as_bytes(), 3).unwrap();
    assert_eq!((back.len(), usage.input), (2, Some(9)));
}

#[test]
fn documents_of_other_fields_are_left_to_providers_that_know_them() {
    let tree = json::parse(br#"{"query":"q","documents":["a",{"title":"t"}]}"#).unwrap();
    let request = read(&tree, &mut Losses::default()).unwrap();
    let error = request.to_embed(Dialect::Gemini).unwrap_err();
    assert!(error.to_string().starts_with("`documents[1].text` cannot be said"), "{error}");
}

#[test]
fn an_answer_about_other_texts_is_refused() {
    for (body, words) in [
        (r#"{"results":[{"index":2,"relevance_score":1}]}"#, "`results[0].index`: 2 is no place"),
        (
            r#"{"results":[{"index":0,"relevance_score":1},{"index":0,"relevance_score":1}]}"#,
            "`results[1].index`: 0 is no place",
        ),
        (r#"{"results":[{"index":0,"relevance_score":null}]}"#, "line 1"),
        (r#"{"results":[{"index":-1,"relevance_score":1}]}"#, "line 1"),
        ("{}", "`results`: it is missing"),
        (r#"{"error":{"message":"no"}}"#, "no"),
    ] {
        let error = check(body.as_bytes(), 2).unwrap_err().to_string();
        assert!(error.contains(words), "{body}: {error}");
    }
    let (ranked, _) = check(br#"{"results":[{"index":1,"score":0.5}]}"#, 2).unwrap();
    assert_eq!(ranked, [Ranked { index: 1, score: 0.5 }]);
}

proptest! {
    #[test]
    fn every_text_has_a_place_and_the_order_falls(
        rows in (1_usize..5).prop_flat_map(|length| prop::collection::vec(prop::collection::vec(-10.0_f32..10.0, length), 1..8)),
    ) {
        let ranked = by_vectors(&rows);
        let mut places: Vec<usize> = ranked.iter().map(|one| one.index).collect();
        places.sort_unstable();
        prop_assert_eq!(places, (0..rows.len() - 1).collect::<Vec<_>>());
        prop_assert!(ranked.windows(2).all(|pair| pair[0].score >= pair[1].score));
        prop_assert!(ranked.iter().all(|one| (-1.0..=1.0).contains(&one.score)));
    }
}
