//! What calls of models cost, the caps on that, and who serves them, as tables.

use orx_protocol::api::llm::{Cap, Providers, Usage, UsageLine};

use crate::figures;
use crate::output::Output;
use crate::table::{Cell, Table};

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

/// The providers.
pub(crate) fn providers(list: &Providers, output: Output) -> String {
    let mut table = Table::new(&["PROVIDER", "STATE", "KEY", "SPEAKS", "MODELS", "ADDRESS"]);
    for provider in &list.providers {
        let key = match (&provider.key_variable, provider.is_configured) {
            (None, _) => "not needed".to_owned(),
            (Some(_), true) => "set".to_owned(),
            (Some(variable), false) => format!("set {variable}"),
        };
        let state = match provider.state.as_str() {
            "closed" => "up".to_owned(),
            other if provider.why.is_empty() => other.to_owned(),
            other => format!("{other}: {}", provider.why),
        };
        table.row(vec![
            Cell::new(&provider.provider),
            Cell::word(state),
            Cell::new(key),
            Cell::new(&provider.dialect),
            Cell::new(provider.models.len().to_string()),
            Cell::new(provider.base_url.as_deref().unwrap_or("-")),
        ]);
    }
    table.render(output)
}

/// The models of all providers.
pub(crate) fn models(list: &Providers, output: Output) -> String {
    let mut table = Table::new(&["PROVIDER", "MODEL", "STATE", "CONTEXT", "IN/M", "OUT/M", "PRICED ON"]);
    for provider in &list.providers {
        for model in &provider.models {
            table.row(vec![
                Cell::new(&provider.provider),
                Cell::new(&model.model),
                Cell::word(if model.is_up { "up" } else { "down" }),
                Cell::new(model.context.map_or_else(|| figures::UNKNOWN.to_owned(), figures::count)),
                Cell::new(figures::money(model.input_microusd)),
                Cell::new(figures::money(model.output_microusd)),
                Cell::new(model.priced_on.as_deref().unwrap_or("-")),
            ]);
        }
    }
    table.render(output)
}
