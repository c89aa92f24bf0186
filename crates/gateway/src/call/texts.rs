//! Which models a request for vectors of texts, or for their order, goes to. Vectors of two models cannot be compared, so that here
//! nothing hangs on how models fare at the moment: a model that is named is asked, another follows it only where the operator wrote
//! that, and a choice that is left to orx falls alike each time.

use orx_router::capability::{Capabilities, Capability};
use orx_router::catalogue::{Catalogue, Dialect, Model, ModelIndex, Provider};
use orx_router::chain::{Step, Tier};
use orx_router::strategy::rules::Because;
use orx_router::strategy::{self, Health, choose};
use orx_router::{Tokens, clocks::Clocks};

use super::ask::Asked;
use super::plan::{self, Hop, Way};
use crate::answer::own;
use crate::caller::Login;
use crate::dialect::error::{ApiError, ErrorKind};
use crate::door::Ask;
use crate::settings::Config;

/// Tokens of a text, to compare prices by: the choice must not hang on the texts, whose vectors are to be compared.
const USUAL_TEXT: Tokens = Tokens(1_000);
/// Other models that are asked for an order of texts where none was named: orders are compared with nothing.
const ALTERNATIVES: usize = 2;

/// Lays the way out.
///
/// # Errors
/// The error that the caller is told.
pub(super) fn way(config: &Config, asked: &Asked, now: Clocks) -> Result<Way, ApiError> {
    if asked.caller.login == Login::Own {
        return plan::own_way(config, asked);
    }
    let catalogue = &config.catalogue;
    let task = if asked.ask == Ask::Rerank { Capability::Rerank } else { Capability::Embedding };
    let ruled = config.rules.of_type(catalogue, &asked.model, task).map_err(|unknown| {
        own(
            ErrorKind::NotFound,
            &unknown.to_string(),
            "`orxctl providers --models` lists them; the provider file can add one",
        )
    })?;
    let is_named = ruled.because == Because::Named;
    let ask = strategy::Ask {
        input: if is_named { Tokens::ZERO } else { USUAL_TEXT },
        needs: if is_named { Capabilities::NONE } else { Capabilities::only(task) },
        priority: asked.priority.or(ruled.priority).unwrap_or_default(),
        min_quality: ruled.min_quality,
        strategy: ruled.strategy,
        ..strategy::Ask::default()
    };
    let is_set_up = |model: &Model| config.upstreams.get(&model.route.provider).is_some_and(|one| one.is_configured());
    let standing = |_, model: &Model| Health { configured: is_named || is_set_up(model), ..Health::UNTRIED };
    let decision = choose(catalogue, ruled.pool, &ask, standing, now.wall_ms);
    if decision.ranked.is_empty() {
        let message = format!("no model can take this call: {}", decision.explain(catalogue));
        return Err(own(ErrorKind::Unavailable, &message, "`orxctl providers` shows which have a key and are up"));
    }
    // One name at several providers is one model.
    let alternatives = match (is_named, asked.ask) {
        (true, _) => decision.ranked.len(),
        (false, Ask::Rerank) => ALTERNATIVES,
        (false, _) => 0,
    };
    let steps = match asked.ask {
        Ask::Rerank => config.links.plan(&decision, alternatives),
        _ => config.links.plan_after(&decision, alternatives),
    };
    let steps = able(catalogue, asked.ask, &steps, is_named)?;
    let first = steps.first().and_then(|step| catalogue.get(step.model)).map(|model| model.route.clone());
    plan::log(asked, &ruled.because, &decision, catalogue);
    Ok(Way::along(steps, first, ruled.snapshot.map(str::to_owned)))
}

/// The steps that can be taken, each with the model that is really asked: a provider that puts no texts in order is asked for vectors
/// of its embedding model.
fn able(catalogue: &Catalogue, ask: Ask, steps: &[Step], is_named: bool) -> Result<Vec<Step>, ApiError> {
    let mut able: Vec<Step> = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let Some(model) = catalogue.get(step.model) else { continue };
        let Some(provider) = catalogue.provider(&model.route.provider) else { continue };
        // Of a model that its caller names nothing more need be known.
        let is_named = is_named && step.tier != Tier::Fallback;
        match served_by(catalogue, ask, provider, (step.model, model), is_named) {
            Some(index) if able.iter().all(|known| known.model != index) => able.push(Step { model: index, ..*step }),
            Some(_) => {}
            None if at == 0 => return Err(unable(model, ask)),
            None => {}
        }
    }
    Ok(able)
}

fn served_by(
    catalogue: &Catalogue,
    ask: Ask,
    provider: &Provider,
    (index, model): (ModelIndex, &Model),
    is_named: bool,
) -> Option<ModelIndex> {
    if provider.dialect == Dialect::Anthropic {
        return None;
    }
    if ask != Ask::Rerank {
        return (is_named || model.embeds()).then_some(index);
    }
    let is_asked = is_own(provider, Some(model)) && (is_named || model.reranks());
    if is_asked || model.embeds() { Some(index) } else { catalogue.embedding_of(&provider.id) }
}

/// Whether a provider puts texts in order by itself when it is asked for this model.
fn is_own(provider: &Provider, model: Option<&Model>) -> bool {
    provider.rerank && model.is_none_or(|model| model.reranks() || !model.embeds())
}

/// Whether texts are put in order by the provider of a hop itself; else by vectors.
pub(super) fn reranks(config: &Config, hop: &Hop) -> bool {
    let provider = config.catalogue.provider(&hop.route.provider);
    provider.is_some_and(|provider| is_own(provider, hop.model.and_then(|model| config.catalogue.get(model))))
}

fn unable(model: &Model, ask: Ask) -> ApiError {
    let what = if ask == Ask::Rerank { "puts no texts in order" } else { "makes no vectors of texts" };
    let message = format!("`model`: {} {what}", model.route);
    let error = own(ErrorKind::InvalidRequest, &message, "`orxctl providers --models` lists the others");
    ApiError { param: Some("model".to_owned()), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(catalogue: &Catalogue, name: &str, tier: Tier) -> Step {
        Step { model: catalogue.find(name).unwrap().models[0], tier }
    }

    #[test]
    fn each_provider_is_asked_for_what_it_has() {
        let text = "
providers:
  judge: {dialect: openai, base_url: 'http://127.0.0.1:1/v1', models: {ranker: {capabilities: [rerank]}, vectors: {capabilities: [embedding]}, any: {}}}
";
        let catalogue = Catalogue::with_operator(text, "models.yaml").unwrap();
        let route = |steps: &[Step]| -> Vec<String> {
            steps.iter().map(|step| catalogue.get(step.model).unwrap().route.to_string()).collect()
        };
        for (ask, name, expected) in [
            (Ask::Rerank, "ranker", "judge/ranker"),
            (Ask::Rerank, "vectors", "judge/vectors"),
            (Ask::Rerank, "any", "judge/any"),
            (Ask::Rerank, "qwen3-reranker-4b", "mlx/mlx-community/Qwen3-Embedding-4B-4bit-DWQ"),
            (Ask::Rerank, "llama3.2:3b", "ollama/nomic-embed-text"),
            (Ask::Rerank, "gpt-5", "openai/text-embedding-3-small"),
            (Ask::Rerank, "gemini-flash", "google/gemini-embedding-2"),
            (Ask::Embed, "any", "judge/any"),
            (Ask::Embed, "nomic-embed-text:latest", "ollama/nomic-embed-text"),
        ] {
            let steps = able(&catalogue, ask, &[named(&catalogue, name, Tier::Route)], true).unwrap();
            assert_eq!(route(&steps), [expected], "{name}");
        }
        let refused = able(&catalogue, Ask::Embed, &[named(&catalogue, "opus", Tier::Route)], true).unwrap_err();
        assert_eq!((refused.status, refused.param.as_deref()), (400, Some("model")));
        let chain = [
            named(&catalogue, "nomic-embed-text", Tier::Route),
            named(&catalogue, "opus", Tier::Fallback),
            named(&catalogue, "gpt-5", Tier::Fallback),
            named(&catalogue, "text-embedding-3-small", Tier::Fallback),
        ];
        let steps = able(&catalogue, Ask::Embed, &chain, true).unwrap();
        assert_eq!(route(&steps), ["ollama/nomic-embed-text", "openai/text-embedding-3-small"]);
        let steps = able(&catalogue, Ask::Rerank, &chain, true).unwrap();
        assert_eq!(route(&steps), ["ollama/nomic-embed-text", "openai/text-embedding-3-small"], "each once");
    }
}
