//! What calls of models cost, the caps on that, and who serves them, as tables.

use orx_protocol::api::key::{Key, KeyCap};
use orx_protocol::api::llm::{Cap, Providers, Usage, UsageLine};

use crate::figures;
use crate::output::Output;
use crate::table::{Cell, Table};
use crate::text;

/// What calls cost, a line a name, and all of them together.
pub(crate) fn usage(usage: &Usage, output: Output) -> String {
    let mut table = Table::new(&["CALLS", "FAILED", "IN", "CACHED", "OUT", "COST", "MEAN", "NAME"]);
    let mut row = |line: &UsageLine, name: &str| {
        let mark = |count: u64, mark: &'static str| if count > 0 { mark } else { "" };
        let cost = figures::money(Some(line.cost_microusd));
        table.row(vec![
            Cell::new(figures::count(line.calls)),
            Cell::new(if line.failed > 0 { figures::count(line.failed) } else { "-".to_owned() }),
            Cell::new(figures::count(line.input + line.cache_write)),
            Cell::new(figures::count(line.cache_read)),
            Cell::new(figures::count(line.output)),
            Cell::new(format!("{cost}{}{}", mark(line.estimated, "~"), mark(line.unpriced, "?"))),
            Cell::new(figures::duration_ms(line.mean_ms)),
            Cell::new(name),
        ]);
    };
    for line in &usage.lines {
        row(line, line.name.as_deref().unwrap_or("(none)"));
    }
    if usage.lines.len() > 1 {
        row(&usage.total, "all");
    }
    table.render(output)
}

/// The caps.
pub(crate) fn caps(caps: &[Cap], output: Output) -> String {
    let mut table = Table::new(&["CAP", "SPENT", "HELD", "LIMIT", "USED", "STATE", "PER", "WHOSE"]);
    for cap in caps {
        let state = match cap.spent_per_mille {
            1000.. => "reached",
            800.. => "near",
            _ => "ok",
        };
        let limit = match (cap.limit_microusd, cap.limit_tokens) {
            (Some(money), None) => figures::money(Some(money)),
            (None, Some(tokens)) => format!("{} tokens", figures::count(tokens)),
            (Some(money), Some(tokens)) => {
                format!("{}, {} tokens", figures::money(Some(money)), figures::count(tokens))
            }
            (None, None) => "-".to_owned(),
        };
        let whose = if cap.subject.is_empty() { cap.of.clone() } else { format!("{} {}", cap.of, cap.subject) };
        table.row(vec![
            Cell::new(&cap.cap),
            Cell::new(match cap.limit_microusd {
                Some(_) => figures::money(Some(cap.spent_microusd)),
                None => format!("{} tokens", figures::count(cap.spent_tokens)),
            }),
            Cell::new(figures::money(Some(cap.reserved_microusd))),
            Cell::new(limit),
            Cell::new(format!("{}.{} %", cap.spent_per_mille / 10, cap.spent_per_mille % 10)),
            Cell::word(state),
            Cell::new(&cap.per),
            Cell::new(whose),
        ]);
    }
    table.render(output)
}

/// What a key may spend, as it is given.
pub(crate) fn key_cap(cap: &KeyCap) -> String {
    format!("{}/{}", figures::money(Some(cap.micro_dollars)), cap.per)
}

/// Keys with names.
pub(crate) fn keys(keys: &[Key], now_ms: u64, output: Output) -> String {
    let mut table = Table::new(&["NAME", "STATE", "CAP", "MADE", "USED"]);
    let ago = |at_ms: u64| format!("{} ago", figures::age(at_ms, now_ms));
    for key in keys {
        table.row(vec![
            Cell::new(&key.name),
            Cell::word(if key.revoked_ms.is_some() { "revoked" } else { "in force" }),
            Cell::new(key.cap.as_ref().map_or_else(|| "-".to_owned(), key_cap)),
            Cell::new(ago(key.created_ms)),
            Cell::new(key.last_used_ms.map_or_else(|| "never".to_owned(), ago)),
        ]);
    }
    table.render(output)
}

/// The providers.
pub(crate) fn providers(list: &Providers, output: Output) -> String {
    let mut table = Table::new(&["PROVIDER", "STATE", "KEY", "MODELS", "ADDRESS"]);
    for provider in &list.providers {
        let key = match (&provider.key_variable, provider.is_configured) {
            (None, _) => "not needed",
            (Some(_), true) => "set",
            (Some(variable), false) => variable,
        };
        table.row(vec![
            Cell::new(&provider.provider),
            Cell::word(match provider.state.as_str() {
                "closed" => "up",
                "half_open" => "on trial",
                "no_key" => "no key",
                other => other,
            }),
            Cell::new(key),
            Cell::new(provider.models.len().to_string()),
            Cell::new(provider.base_url.as_deref().unwrap_or("-")),
        ]);
    }
    table.render(output)
}

/// Why providers are not asked, a line each.
pub(crate) fn reasons(list: &Providers) -> impl Iterator<Item = String> + '_ {
    let told = list.providers.iter().filter(|provider| !provider.why.is_empty());
    told.map(|provider| text::clean_line(&format!("{} is {} {}", provider.provider, provider.state, provider.why)))
}

/// The models of all providers.
pub(crate) fn models(list: &Providers, output: Output) -> String {
    let mut table = Table::new(&["PROVIDER", "MODEL", "BREAKER", "CONTEXT", "IN/M", "OUT/M", "PRICED ON"]);
    for provider in &list.providers {
        for model in &provider.models {
            table.row(vec![
                Cell::new(&provider.provider),
                Cell::new(&model.model),
                Cell::word(if model.is_up { "closed" } else { "open" }),
                Cell::new(model.context.map_or_else(|| figures::UNKNOWN.to_owned(), figures::count)),
                Cell::new(figures::money(model.input_microusd)),
                Cell::new(figures::money(model.output_microusd)),
                Cell::new(model.priced_on.as_deref().unwrap_or("-")),
            ]);
        }
    }
    table.render(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_protocol::api::key::Per;
    use orx_protocol::api::llm::{Model, Provider};

    fn list() -> Providers {
        let provider = |name: &str, state: &str, key: Option<&str>, is_configured, url: &str, why: &str| Provider {
            provider: name.to_owned(),
            state: state.to_owned(),
            key_variable: key.map(str::to_owned),
            is_configured,
            base_url: Some(url.to_owned()),
            why: why.to_owned(),
            models: vec![Model {
                model: format!("{name}-large"),
                context: Some(200_000),
                input_microusd: Some(3_000_000),
                priced_on: Some("2026-11-20".to_owned()),
                is_up: state == "closed",
                ..Model::default()
            }],
            ..Provider::default()
        };
        let refused = "for another 240 s: it does not answer: Connection refused";
        Providers {
            providers: vec![
                provider("anthropic", "closed", Some("ANTHROPIC_API_KEY"), true, "https://api.anthropic.com", ""),
                provider("openai", "no_key", Some("OPENAI_API_KEY"), false, "https://api.openai.com/v1", ""),
                provider(
                    "google",
                    "untried",
                    Some("GEMINI_API_KEY"),
                    true,
                    "https://generativelanguage.googleapis.com",
                    "",
                ),
                provider("ollama", "down", None, true, "http://127.0.0.1:11434", refused),
            ],
        }
    }

    #[test]
    fn providers_say_what_is_known_of_them() {
        insta::assert_snapshot!(providers(&list(), Output::plain(Some(80))));
        insta::assert_snapshot!(models(&list(), Output::plain(Some(100))));
        assert_eq!(
            reasons(&list()).collect::<Vec<_>>(),
            ["ollama is down for another 240 s: it does not answer: Connection refused"]
        );
    }

    #[test]
    fn keys_say_what_they_may_and_when_they_were_used() {
        let key = |name: &str, revoked_ms, last_used_ms, cap| Key {
            key: "key_01ARZ3NDEKTSV4RRFFQ69G5FAV".parse().unwrap(),
            name: name.to_owned(),
            created_ms: 1_700_000_000_000,
            revoked_ms,
            last_used_ms,
            cap,
        };
        let cap = KeyCap { micro_dollars: 5_000_000, per: Per::Day };
        let list =
            [key("ci", None, Some(1_700_000_030_000), Some(cap)), key("notebook", Some(1_700_000_050_000), None, None)];
        insta::assert_snapshot!(keys(&list, 1_700_000_060_000, Output::plain(Some(80))));
    }

    #[test]
    fn costs_mark_what_is_estimated_and_what_has_no_price() {
        let line = |name: Option<&str>, cost_microusd, estimated, unpriced| UsageLine {
            name: name.map(str::to_owned),
            calls: 12,
            failed: estimated,
            input: 34_567,
            output: 890,
            cache_read: 1_200_000,
            cost_microusd,
            estimated,
            unpriced,
            mean_ms: 2_345,
            ..UsageLine::default()
        };
        let lines = vec![line(Some("anthropic/claude-opus-5-5"), 2_345_678, 0, 0), line(None, 45, 1, 2)];
        let all = Usage { lines, total: line(None, 2_345_723, 1, 2), ..Usage::default() };
        insta::assert_snapshot!(usage(&all, Output::plain(Some(80))));
    }

    #[test]
    fn caps_say_how_near_they_are() {
        let cap = |name: &str, subject: &str, per_mille| Cap {
            cap: name.to_owned(),
            of: if subject.is_empty() { "all" } else { "session" }.to_owned(),
            subject: subject.to_owned(),
            per: "day".to_owned(),
            limit_microusd: Some(5_000_000),
            spent_microusd: per_mille * 5_000,
            reserved_microusd: 20_000,
            spent_per_mille: per_mille,
            ..Cap::default()
        };
        let tokens =
            Cap { limit_microusd: None, limit_tokens: Some(1_000_000), spent_tokens: 1_234, ..cap("tokens", "", 1) };
        let list = [cap("day", "", 421), cap("session", "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", 1000), tokens];
        insta::assert_snapshot!(caps(&list, Output::plain(Some(100))));
    }
}
