use super::*;
use crate::budget::{AtLimit, Of, Period, Spend, Standing};

const NOW: u64 = 1_795_000_000_000;

fn catalogue() -> Catalogue {
    Catalogue::with_operator("providers: {openai: {models: {unpriced: {}}}}", "operator.yaml").unwrap()
}

fn row(model: &str, input: u64, output: u64) -> Row {
    let catalogue = catalogue();
    let model = catalogue.get(catalogue.find(model).unwrap().models[0]).unwrap();
    let usage = Usage { input: Tokens(input), output: Tokens(output), ..Usage::default() };
    Row {
        at_ms: NOW,
        day: "2026-11-18".into(),
        route: model.route.clone(),
        first: None,
        session: Some("ses_1".into()),
        run: None,
        stage: None,
        project: None,
        user: None,
        key: None,
        kind: Kind::Main,
        cost: price::cost(model, &usage, NOW).ok(),
        usage,
        is_estimate: false,
        succeeded: true,
        latency_ms: 100,
    }
}

#[test]
fn rows_are_put_together_by_any_dimension() {
    let mut rows = vec![row("opus", 1_000, 1_000), row("opus", 1_000, 0), row("haiku", 1_000, 1_000)];
    rows[1].session = None;
    rows[1].succeeded = false;
    rows[2].is_estimate = true;
    let mut unpriced = row("unpriced", 10, 0);
    unpriced.kind = Kind::Title;
    rows.push(unpriced);
    let by = |dimension| -> Vec<(Option<String>, u64, u64)> {
        spend(&rows, dimension).into_iter().map(|line| (line.name, line.calls, line.cost.0)).collect()
    };
    let name = |text: &str| Some(text.to_owned());
    assert_eq!(
        by(Dimension::Model),
        [
            (name("anthropic/claude-opus-5-5"), 2, 28_000),
            (name("anthropic/claude-haiku-5-5"), 1, 600),
            (name("openai/unpriced"), 1, 0)
        ]
    );
    assert_eq!(by(Dimension::Provider), [(name("anthropic"), 3, 28_600), (name("openai"), 1, 0)]);
    assert_eq!(by(Dimension::Session), [(name("ses_1"), 3, 24_600), (None, 1, 4_000)]);
    assert_eq!(by(Dimension::Kind), [(name("main"), 3, 28_600), (name("title"), 1, 0)]);
    assert_eq!(by(Dimension::Day), [(name("2026-11-18"), 4, 28_600)]);
    assert_eq!(by(Dimension::Stage), [(None, 4, 28_600)]);
    let whole = total(&rows);
    assert_eq!((whole.calls, whole.failed, whole.unpriced, whole.estimated, whole.latency_ms), (4, 1, 1, 1, 400));
    assert_eq!(whole.usage.input, Tokens(3_010));
    assert_eq!(whole.cost_of_success(), None, "a cost that is not known is not nothing");
    assert_eq!(total(&rows[..3]).cost_of_success(), Some(MicroDollars(14_300)));
    assert_eq!(total([]).cached_per_mille(), None);
}

#[test]
fn savings_are_held_against_the_first_choice_or_one_model() {
    let catalogue = catalogue();
    let mut rows = vec![row("haiku", 10_000, 1_000), row("opus", 10_000, 1_000), row("unpriced", 10, 0)];
    for row in &mut rows {
        row.first = Some(Route::new("anthropic", "claude-sonnet-5-5"));
    }
    let first = savings(&rows, &catalogue, Against::First);
    // Sonnet: 30,000 each; haiku 1,500 and opus 60,000 in fact.
    assert_eq!(
        (first.cost, first.instead, first.compared, first.left_out),
        (MicroDollars(61_500), MicroDollars(60_000), 2, 1)
    );
    assert_eq!(first.saved(), -1_500);
    assert_eq!(
        first.to_string(),
        "$0.0015 spent in addition: $0.0615 instead of $0.06 over 2 calls; 1 calls have no known price"
    );
    let opus = catalogue.find("opus").unwrap().models[0];
    let against_opus = savings(&rows[..2], &catalogue, Against::Model(opus));
    assert_eq!(against_opus.to_string(), "$0.0585 saved: $0.0615 instead of $0.12 over 2 calls");
    rows[0].first = None;
    assert_eq!(savings(&rows[..1], &catalogue, Against::First).left_out, 1);
    let dearest = dearest(&catalogue, &rows[0].usage, NOW).unwrap();
    assert_eq!(catalogue.get(dearest).unwrap().route.to_string(), "anthropic/claude-fable-5-1");
}

#[test]
fn advice_rests_on_figures() {
    let catalogue = catalogue();
    let told = |rows: &[Row], caps: &[Standing]| -> Vec<String> {
        advise(rows, caps, &catalogue, NOW).iter().map(ToString::to_string).collect()
    };
    let many = |row: Row, count: usize| vec![row; count];
    assert_eq!(told(&[], &[]), Vec::<String>::new());
    assert_eq!(told(&many(row("opus", 5_000, 100), 19), &[]), Vec::<String>::new(), "too few to tell");

    let lost = told(&many(row("opus", 5_000, 100), 20), &[]);
    assert_eq!(lost.len(), 1);
    assert!(
        lost[0].starts_with("only 0.0 % of 100000 tokens sent to anthropic/claude-opus-5-5 came from its cache"),
        "{lost:?}"
    );
    let mut cached = row("opus", 1_000, 100);
    cached.usage.cache_read = Tokens(9_000);
    assert_eq!(told(&many(cached, 20), &[]), Vec::<String>::new());

    let mut failing = many(row("haiku", 2_000, 100), 20);
    failing[0].succeeded = false;
    assert_eq!(
        told(&failing, &[]),
        ["1 of 20 calls of anthropic/claude-haiku-5-5 failed: put another model before it"]
    );

    let mut small = many(row("opus", 500, 10), 20);
    small.push(row("haiku", 2_000, 10));
    assert_eq!(told(&small, &[]), ["20 small calls cost $0.044: anthropic/claude-haiku-5-5 would do them for $0.0011"]);
    assert_eq!(told(&small[..20], &[]), Vec::<String>::new(), "nobody else is known to answer");

    let unpriced = told(&[row("unpriced", 10, 0)], &[]);
    assert_eq!(unpriced, ["openai/unpriced has no price for 1 calls: give it one"]);

    let mut mixed = many(row("haiku", 2_000, 10), 19);
    mixed.push(row("llama3.2:3b", 2_000, 10));
    assert_eq!(told(&mixed, &[]), ["5.0 % of the calls are local: send small ones to a local model"]);

    let dear = told(&many(row("opus", 3_000, 40_000), 20), &[]);
    assert_eq!(dear, ["an answered call costs $0.812 on average: look at what the dear ones do"]);

    let cap = |spent| Standing {
        cap: "day".to_owned(),
        of: Of::All,
        subject: String::new(),
        per: Period::Day,
        limit: Some(MicroDollars(1_000_000)),
        token_limit: None,
        spent: Spend { cost: MicroDollars(spent), tokens: Tokens(1) },
        reserved: Spend::NOTHING,
        since_ms: 0,
        resets_at_ms: None,
        at_limit: AtLimit::Stop,
    };
    assert_eq!(told(&[], &[cap(799_999)]), Vec::<String>::new());
    assert!(told(&[], &[cap(800_000)])[0].starts_with("the cap `day` is $1.00: $0.80 spent, $0.00 reserved"));
}
