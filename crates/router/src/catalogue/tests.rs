use super::*;
use crate::amount::MicroDollars;
use crate::capability::Capability;
use proptest::prelude::*;

fn built_in() -> Catalogue {
    Catalogue::built_in().unwrap()
}

fn routes(catalogue: &Catalogue, name: &str) -> Vec<String> {
    let found = catalogue.find(name).unwrap();
    found.models.iter().map(|index| catalogue.get(*index).unwrap().route.to_string()).collect()
}

fn refused(text: &str) -> String {
    Catalogue::with_operator(text, "models.yaml").unwrap_err().to_string()
}

#[test]
fn the_data_is_whole() {
    let catalogue = built_in();
    assert!(catalogue.models().len() > 30);
    for provider in catalogue.providers() {
        assert!(provider.local == provider.key_variable.is_none(), "{}", provider.id);
    }
    for (index, model) in catalogue.models() {
        let name = model.route.to_string();
        assert_eq!(catalogue.index_of(&model.route.provider, &model.route.model), Some(index), "{name}");
        assert_ne!(model.capabilities, Capabilities::NONE, "{name}");
        let is_text = model.capabilities.covers(Capabilities::only(Capability::Chat))
            || model.capabilities.covers(Capabilities::only(Capability::Coding));
        assert!(!is_text || model.quality.is_some() && model.latency_ms.is_some(), "{name}");
        if let Some(price) = &model.price {
            assert!(price.date.is_some() && price.source.is_some(), "{name}: a price has a date and a source");
            assert!(price.rates.input.is_some(), "{name}");
        }
        if model.local {
            assert_eq!(model.price.as_ref().unwrap().rates.output, Some(MicroDollars(0)), "{name}");
        }
    }
    for needed in Capability::ALL {
        assert!(
            catalogue.models().any(|(_, model)| model.capabilities.covers(Capabilities::only(*needed))),
            "somebody can do {needed}"
        );
    }
}

#[test]
fn a_model_is_found_by_whatever_it_is_called() {
    let catalogue = built_in();
    for (name, expected, snapshot) in [
        ("claude-sonnet-4-5", "anthropic/claude-sonnet-4-5", None),
        ("claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5", Some("claude-sonnet-4-5-20250929")),
        ("claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5", Some("claude-sonnet-4-5@20250929")),
        ("anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5", Some("claude-sonnet-4-5-20250929")),
        ("gpt-5-2026-04-01", "openai/gpt-5", Some("gpt-5-2026-04-01")),
        ("openai/gpt-5", "openai/gpt-5", None),
        ("opus", "anthropic/claude-opus-5-5", None),
        ("opus[1m]", "anthropic/claude-opus-5-5", None),
        ("claude/opus", "anthropic/claude-opus-5-5", None),
        ("Claude-Opus-5-5", "anthropic/claude-opus-5-5", None),
        ("models/gemini-3.8-flash", "google/gemini-3.8-flash", None),
        ("gemini/gemini-flash-latest", "google/gemini-3.8-flash", None),
        ("llama3.2:latest", "ollama/llama3.2:3b", None),
        ("mlx-community/GLM-4.5-4bit", "mlx/mlx-community/GLM-4.5-4bit", None),
        ("mlx/mlx-community/GLM-4.5-4bit", "mlx/mlx-community/GLM-4.5-4bit", None),
        ("mlx/glm-4.5", "mlx/mlx-community/GLM-4.5-4bit", None),
    ] {
        assert_eq!(routes(&catalogue, name), [expected], "{name}");
        assert_eq!(catalogue.find(name).unwrap().snapshot, snapshot, "{name}");
    }
    assert!(catalogue.provider("gemini").is_some_and(|provider| provider.id.as_str() == "google"));
}

#[test]
fn an_unknown_name_tells_what_is_near() {
    let catalogue = built_in();
    let error = catalogue.find("claude-sonet-5-5").unwrap_err();
    assert_eq!(error.nearest[0], "claude-sonnet-5-5");
    assert!(error.to_string().starts_with("there is no model `claude-sonet-5-5`: did you mean `claude-sonnet-5-5`"));
    assert!(catalogue.find("anthropic/claude-opus-55").unwrap_err().nearest[0].starts_with("anthropic/"));
    assert_eq!(catalogue.find("xyzzy").unwrap_err().to_string(), "there is no model `xyzzy`");
    assert_eq!(catalogue.find("").unwrap_err().to_string(), "there is no model ``");
    let long = "a".repeat(100_000);
    assert!(catalogue.find(&long).unwrap_err().to_string().len() < 200);
    assert_eq!(catalogue.find("a\nb").unwrap_err().to_string(), "there is no model `a\\nb`");
    assert!(catalogue.find("claude-sonnet-4-5-2025092").is_err(), "seven digits are no date");
}

#[test]
fn an_operator_changes_single_fields_and_adds_models() {
    let text = "
providers:
  anthropic:
    limits: {requests_per_minute: 50}
    models:
      claude-opus-5-5:
        quality: 500
        price: {input: 1}
      claude-opus-4-6: {enabled: false}
  vllm:
    dialect: openai
    base_url: http://10.0.0.5:8000/v1
    models:
      gpt-5: {context: 4096}
      own-model: {aliases: [mine], capabilities: [chat]}
  mlx: {enabled: false}
";
    let (before, after) = (built_in(), Catalogue::with_operator(text, "models.yaml").unwrap());
    let model =
        |catalogue: &Catalogue, name: &str| catalogue.get(catalogue.find(name).unwrap().models[0]).unwrap().clone();
    let (old, new) = (model(&before, "opus"), model(&after, "opus"));
    let (was, is) = (old.price.clone().unwrap(), new.price.clone().unwrap());
    assert_eq!((new.quality, is.rates.input), (Some(500), Some(MicroDollars(1))));
    assert_eq!(is.source.as_deref(), Some("models.yaml"), "a changed figure has another source");
    assert_eq!((is.rates.output, new.context, new.capabilities), (was.rates.output, old.context, old.capabilities));
    assert_eq!(after.provider("anthropic").unwrap().limits.requests_per_minute, Some(50));
    assert!(after.find("claude-opus-4-6").is_err());
    assert!(after.provider("mlx").is_none() && after.find("glm-4.5").is_err());
    assert_eq!(routes(&after, "mine"), ["vllm/own-model"]);
    assert_eq!(routes(&after, "gpt-5"), ["openai/gpt-5", "vllm/gpt-5"], "one name, two providers");
    let own = model(&after, "own-model");
    assert_eq!((own.price, own.context, own.quality, own.latency_ms), (None, None, None, None), "unknown is not 0");
    assert_eq!(Catalogue::with_operator("# nothing\n", "models.yaml").unwrap().models().len(), before.models().len());
}

#[test]
fn every_refusal_says_where() {
    for (text, expected) in [
        ("provider: {}\n", "models.yaml:1:1: unknown key `provider`: did you mean `providers`?"),
        (
            "providers:\n  openai:\n    models:\n      gpt-5:\n        contxt: 1\n",
            "models.yaml:5:9: unknown key `contxt`: did you mean `context`?",
        ),
        (
            "providers:\n  openai:\n    dialect: opneai\n",
            "models.yaml:3:14: unknown name `opneai`: did you mean `openai`?",
        ),
        (
            "providers:\n  openai:\n    models:\n      gpt-5:\n        quality: 1001\n",
            "models.yaml:5:18: 1001 is out of bounds: quality is per mille, 0 to 1000",
        ),
        (
            "providers:\n  openai:\n    models:\n      gpt-5: {price: {date: yesterday}}\n",
            "models.yaml:4:29: `yesterday` is no day: write it as 2026-11-20",
        ),
        ("providers:\n  openai:\n    title: a\n    title: b\n", "models.yaml:4:5: the key `title` is given twice"),
        (
            "providers:\n  new: {}\n",
            "models.yaml:2:3: the provider `new` needs a `dialect`: anthropic, openai, google or ollama",
        ),
        (
            "providers:\n  Some One: {dialect: openai}\n",
            "models.yaml:2:3: `Some One` is no name of a provider: small letters, digits, `-`, `_` and `.`",
        ),
        (
            "providers:\n  new: {dialect: openai, base_url: 'file:///etc/passwd'}\n",
            "models.yaml:2:3: the `base_url` of `new` must begin with http:// or https://",
        ),
        (
            "providers:\n  new: {dialect: openai, breaker: {probes: 0}}\n",
            "models.yaml:2:3: the `breaker` of `new`: `probes` is 0 and must be 1 to 3",
        ),
        (
            "providers:\n  new:\n    dialect: openai\n    models:\n      a: {price: {long: {input: 1}}}\n",
            "models.yaml:5:7: `long` in the price of `a` needs `above`: tokens of the prompt",
        ),
        (
            "providers:\n  new:\n    dialect: openai\n    models:\n      a: {aliases: [c]}\n      b: {aliases: [c]}\n",
            "models.yaml:6:7: two models of new are called `c`",
        ),
        ("providers:\n  new: {dialect: openai, aliases: [gpt]}\n", "models.yaml:2:3: two providers are called `gpt`"),
    ] {
        assert_eq!(refused(text), expected, "{text}");
    }
    for text in [
        "providers: [\n",
        "- a\n",
        "providers:\n  openai:\n    models:\n      gpt-5: {price: {input: -1}}\n",
        "providers:\n  openai:\n    models:\n      gpt-5: {capabilities: [flying]}\n",
    ] {
        assert!(refused(text).starts_with("models.yaml:"), "{}", refused(text));
    }
    assert!(
        refused("providers:\n  openai:\n    models:\n      gpt-5: {price: {input: -1}}\n")
            .starts_with("models.yaml:4:")
    );
}

proptest! {
    #[test]
    fn no_name_and_no_text_brings_it_down(name in ".{0,60}", text in "[a-z:{}\\[\\] \n-]{0,200}") {
        static BUILT_IN: std::sync::LazyLock<Catalogue> = std::sync::LazyLock::new(built_in);
        let catalogue = &BUILT_IN;
        if let Ok(found) = catalogue.find(&name) {
            prop_assert!(!found.models.is_empty());
        }
        if let Err(error) = Catalogue::read(&[("models.yaml", &text)]) {
            prop_assert!(error.to_string().starts_with("models.yaml:"), "{}", error);
        }
    }
}
