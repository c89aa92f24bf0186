use super::Strategy;
use super::*;
use crate::capability::Capability;
use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

const NOW: u64 = 1_795_000_000_000;

/// S1's four providers.
const S1: &str = "
providers:
  anthropic:
    dialect: anthropic
    models:
      claude-sonnet-4: {context: 200000, quality: 950, latency_ms: 2000, capabilities: [coding, reasoning, creative, analysis], price: {input: 15000000, output: 15000000}}
  openai:
    dialect: openai
    models:
      gpt-4-turbo: {context: 128000, quality: 900, latency_ms: 1500, capabilities: [coding, reasoning, creative], price: {input: 10000000, output: 10000000}}
  google:
    dialect: google
    models:
      gemini-pro: {context: 32000, quality: 850, latency_ms: 1200, capabilities: [reasoning, creative, analysis], price: {input: 7000000, output: 7000000}}
  local:
    dialect: ollama
    local: true
    models:
      local-llm: {context: 8000, quality: 750, latency_ms: 800, capabilities: [coding, reasoning], price: {input: 0, output: 0}}
  new:
    dialect: openai
    models:
      unknown: {capabilities: [chat]}
";

fn catalogue() -> Catalogue {
    Catalogue::read(&[("s1.yaml", S1)]).unwrap()
}

fn ask(task: Capability, priority: Priority) -> Ask {
    Ask { input: Tokens(5_000), needs: Capabilities::only(task), priority, ..Ask::default() }
}

fn healthy(_: ModelIndex, _: &Model) -> Health {
    Health::UNTRIED
}

fn ranked(catalogue: &Catalogue, decision: &Decision) -> Vec<String> {
    decision.ranked.iter().map(|one| catalogue.get(one.model).unwrap().route.model.to_string()).collect()
}

fn refusals(catalogue: &Catalogue, decision: &Decision) -> Vec<(String, Refusal)> {
    let name = |index: ModelIndex| catalogue.get(index).unwrap().route.model.to_string();
    decision.refused.iter().map(|(index, refusal)| (name(*index), *refusal)).collect()
}

#[test]
fn the_priority_changes_the_winner() {
    let catalogue = catalogue();
    for (task, priority, winner) in [
        (Capability::Coding, Priority::High, "claude-sonnet-4"),
        (Capability::Coding, Priority::Medium, "gpt-4-turbo"),
        (Capability::Coding, Priority::Low, "local-llm"),
        (Capability::Reasoning, Priority::High, "claude-sonnet-4"),
        (Capability::Reasoning, Priority::Low, "local-llm"),
        (Capability::Analysis, Priority::High, "claude-sonnet-4"),
        (Capability::Analysis, Priority::Low, "gemini-pro"),
    ] {
        let decision = choose(&catalogue, None, &ask(task, priority), healthy, NOW);
        assert_eq!(ranked(&catalogue, &decision)[0], winner, "{task} {priority}: {}", decision.explain(&catalogue));
        assert!(decision.best().unwrap().score > 0.5);
    }
}

#[test]
fn over_all_of_s1s_sizes_and_tasks_the_priority_matters_and_nobody_always_wins() {
    let catalogue = catalogue();
    let mut wins = std::collections::BTreeMap::<String, u32>::new();
    let (mut cases, mut changed) = (0, 0);
    for task in [Capability::Coding, Capability::Reasoning, Capability::Creative, Capability::Analysis] {
        for size in (1..=201_000).step_by(1_000) {
            let winner = |priority| {
                let ask = Ask { input: Tokens(size), ..ask(task, priority) };
                ranked(&catalogue, &choose(&catalogue, None, &ask, healthy, NOW)).first().cloned()
            };
            let (high, low) = (winner(Priority::High), winner(Priority::Low));
            for name in [&high, &winner(Priority::Medium), &low].into_iter().flatten() {
                *wins.entry(name.clone()).or_default() += 1;
            }
            cases += 1;
            changed += u32::from(high != low);
        }
    }
    // Above 128,000 tokens there is only one that has the room.
    assert!(changed > cases / 3, "{changed} of {cases}");
    assert_eq!(wins.len(), 4, "each of the four wins somewhere: {wins:?}");
}

#[test]
fn nothing_passes_the_hard_filters() {
    let catalogue = catalogue();
    let base = ask(Capability::Coding, Priority::High);
    let names = |ask: &Ask| ranked(&catalogue, &choose(&catalogue, None, ask, healthy, NOW));
    assert_eq!(names(&Ask { input: Tokens(8_001), ..base }), ["claude-sonnet-4", "gpt-4-turbo"]);
    assert_eq!(names(&Ask { input: Tokens(128_001), ..base }), ["claude-sonnet-4"]);
    assert_eq!(names(&Ask { input: Tokens(200_001), ..base }), Vec::<String>::new());
    assert_eq!(names(&Ask { max_latency_ms: Some(1_500), ..base }), ["gpt-4-turbo", "local-llm"]);
    assert_eq!(names(&Ask { left: Some(MicroDollars(50_000)), ..base }), ["gpt-4-turbo", "local-llm"]);
    assert_eq!(names(&Ask { left: Some(MicroDollars(0)), ..base }), ["local-llm"]);
    assert_eq!(names(&Ask { min_quality: Some(920), ..base }), ["claude-sonnet-4"]);
    let decision = choose(&catalogue, None, &Ask { left: Some(MicroDollars(0)), ..base }, healthy, NOW);
    assert_eq!(
        refusals(&catalogue, &decision),
        [
            ("claude-sonnet-4".to_owned(), Refusal::TooDear(MicroDollars(75_000))),
            ("gpt-4-turbo".to_owned(), Refusal::TooDear(MicroDollars(50_000))),
            ("gemini-pro".to_owned(), Refusal::Lacks(Capabilities::only(Capability::Coding))),
            ("unknown".to_owned(), Refusal::Lacks(Capabilities::only(Capability::Coding))),
        ]
    );
    for (name, health, refusal) in [
        ("no key", Health { configured: false, ..Health::UNTRIED }, Refusal::NotConfigured),
        ("open", Health { admitted: false, ..Health::UNTRIED }, Refusal::Open),
        ("quota", Health { has_quota: false, ..Health::UNTRIED }, Refusal::NoQuota),
        ("slow", Health { latency_ms: Some(9_000), ..Health::UNTRIED }, Refusal::TooSlow(9_000)),
    ] {
        let decision = choose(&catalogue, None, &Ask { max_latency_ms: Some(8_000), ..base }, |_, _| health, NOW);
        assert_eq!(decision.ranked, [], "{name}");
        assert_eq!(decision.refused[0].1, refusal, "{name}");
        assert!(decision.explain(&catalogue).starts_with("no model can be taken"), "{name}");
    }
}

#[test]
fn what_is_not_known_is_not_taken_for_nothing() {
    let catalogue = catalogue();
    let chat = ask(Capability::Chat, Priority::Medium);
    let decision = choose(&catalogue, None, &chat, healthy, NOW);
    let best = decision.best().unwrap();
    assert_eq!((best.cost, best.latency_ms, best.factors.cost), (None, None, 0.1));
    assert!(decision.explain(&catalogue).contains("cost not known, latency not known"));
    let capped = choose(&catalogue, None, &Ask { left: Some(MicroDollars(u64::MAX)), ..chat }, healthy, NOW);
    assert_eq!(capped.refused.last().map(|(_, refusal)| *refusal), Some(Refusal::PriceUnknown));
    let good = choose(&catalogue, None, &Ask { min_quality: Some(1), ..chat }, healthy, NOW);
    assert_eq!(good.refused.last().map(|(_, refusal)| *refusal), Some(Refusal::NotGoodEnough(None)));
}

#[test]
fn each_strategy_has_its_order() {
    let catalogue = catalogue();
    let health = |_: ModelIndex, model: &Model| match model.route.model.as_str() {
        "claude-sonnet-4" => Health { success: Some(990), last_used_ms: Some(5), ..Health::UNTRIED },
        "gpt-4-turbo" => Health { success: Some(900), at_once: 1, last_used_ms: Some(1), ..Health::UNTRIED },
        "gemini-pro" => Health { success: Some(880), last_used_ms: Some(3), ..Health::UNTRIED },
        _ => Health { latency_ms: Some(5_000), ..Health::UNTRIED },
    };
    for (strategy, expected) in [
        // 990 and 900 are alike and 880 is not: the faster of the first two, then the others by success.
        (Strategy::Capability, ["gpt-4-turbo", "claude-sonnet-4", "gemini-pro", "local-llm"]),
        (Strategy::LoadBalance, ["local-llm", "gemini-pro", "claude-sonnet-4", "gpt-4-turbo"]),
        (Strategy::Cost, ["local-llm", "gemini-pro", "gpt-4-turbo", "claude-sonnet-4"]),
        (Strategy::Latency, ["gemini-pro", "gpt-4-turbo", "claude-sonnet-4", "local-llm"]),
    ] {
        let ask = Ask { strategy, ..ask(Capability::Reasoning, Priority::Medium) };
        let decision = choose(&catalogue, None, &ask, health, NOW);
        assert_eq!(ranked(&catalogue, &decision), expected, "{strategy}");
        for candidate in &decision.ranked {
            assert!((0.5..=1.0).contains(&candidate.confidence), "{strategy} {}", candidate.confidence);
        }
    }
    let ask = Ask { strategy: Strategy::Capability, ..ask(Capability::Reasoning, Priority::Medium) };
    let confidence = |name: &str| {
        let decision = choose(&catalogue, None, &ask, health, NOW);
        let at = ranked(&catalogue, &decision).iter().position(|one| one == name).unwrap();
        (decision.ranked[at].confidence * 1000.0).round()
    };
    assert!((confidence("claude-sonnet-4") - 998.0).abs() < 0.5, "0.5 + 0.2 + 0.2 * 0.99 + 0.1");
    assert!((confidence("local-llm") - 900.0).abs() < 0.5, "never tried: 0.5 + 0.2 + 0.1 + 0.1");
}

#[test]
fn a_pool_bounds_the_choice_and_a_conversation_keeps_its_model() {
    let catalogue = catalogue();
    let index = |name: &str| catalogue.find(name).unwrap().models[0];
    let pool = [index("local-llm"), index("gpt-4-turbo"), index("claude-sonnet-4")];
    let mut decision = choose(&catalogue, Some(&pool), &ask(Capability::Coding, Priority::High), healthy, NOW);
    assert_eq!(ranked(&catalogue, &decision), ["claude-sonnet-4", "gpt-4-turbo", "local-llm"]);
    assert!(decision.keep(index("local-llm")));
    assert_eq!(ranked(&catalogue, &decision), ["local-llm", "claude-sonnet-4", "gpt-4-turbo"]);
    assert!(
        decision
            .explain(&catalogue)
            .starts_with("local/local-llm, which the conversation is with, by score with high priority: score 0.")
    );
    assert!(!decision.keep(index("gemini-pro")), "what cannot be taken is not kept");
}

#[test]
fn an_explanation_has_words_and_numbers() {
    let catalogue = catalogue();
    let decision = choose(&catalogue, None, &ask(Capability::Coding, Priority::High), healthy, NOW);
    let text = decision.explain(&catalogue);
    for part in [
        "anthropic/claude-sonnet-4, by score with high priority: score 0.",
        "(quality 0.95, cost 0.10, latency 0.71, room 1.00, success 1.00), confidence 0.",
        ", about $0.075, 2000 ms; then openai/gpt-4-turbo: ",
        "; not google/gemini-pro: it lacks coding",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

proptest! {
    #[test]
    fn every_answer_holds_to_the_filters_and_is_the_same_again(
        states in prop::collection::vec(
            (any::<bool>(), any::<bool>(), prop::option::of(0_u16..=1000), prop::option::of(0_u32..10_000), 0_u32..4), 5
        ),
        input in 0_u64..300_000, output in 0_u64..10_000, task in 0_usize..Capability::ALL.len(),
        priority in 0_usize..3, strategy in 0_usize..5,
        max_latency_ms in prop::option::of(0_u32..5_000), left in prop::option::of(0_u64..10_000_000),
    ) {
        let catalogue = catalogue();
        let ask = Ask {
            input: Tokens(input),
            output: Tokens(output),
            needs: Capabilities::only(Capability::ALL[task]),
            priority: [Priority::Low, Priority::Medium, Priority::High][priority],
            max_latency_ms,
            min_quality: None,
            left: left.map(MicroDollars),
            strategy: Strategy::ALL[strategy],
            writes: false,
        };
        let positions: Vec<ModelIndex> = catalogue.models().map(|(index, _)| index).collect();
        let health = |index: ModelIndex, _: &Model| {
            let at = positions.iter().position(|one| *one == index).unwrap();
            let (configured, admitted, success, latency_ms, at_once) = states[at];
            Health { configured, admitted, has_quota: true, success, latency_ms, at_once, last_used_ms: None }
        };
        let decision = choose(&catalogue, None, &ask, health, NOW);
        prop_assert_eq!(decision.ranked.len() + decision.refused.len(), 5);
        for one in &decision.ranked {
            let model = catalogue.get(one.model).unwrap();
            prop_assert!(one.health.configured && one.health.admitted);
            prop_assert!(model.capabilities.covers(ask.needs));
            prop_assert!(model.context.is_none_or(|context| ask.input <= context));
            prop_assert!(ask.left.is_none_or(|left| one.cost.is_some_and(|cost| cost <= left)));
            prop_assert!((0.0..=1.0).contains(&one.score) && (0.0..=1.0).contains(&one.confidence));
        }
        let mut again: Vec<ModelIndex> = positions.clone();
        again.reverse();
        let backwards = choose(&catalogue, Some(&again), &ask, health, NOW);
        prop_assert_eq!(&decision.ranked, &backwards.ranked, "the order of the pool does not matter");
    }
}
