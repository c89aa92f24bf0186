//! Which of the operator's variables an engine inherits: those that any program may see, those of its own vendor, and
//! those that the operator let through. Nothing of orx, nothing of another vendor.

use std::collections::BTreeMap;

use orx_sandbox::environment::{BUILD_TOOLS, select};

use crate::{Context, EngineKind};

/// Variables that tell a CLI that it was started from inside another session of its kind. The daemon may have been
/// started from there; its engines were not.
const OF_AN_OUTER_SESSION: [&str; 12] = [
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_EXECPATH",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_CODE_REMOTE_SESSION_ID",
    "CODEX_SANDBOX",
    "CODEX_SANDBOX_NETWORK_DISABLED",
    "CODEX_THREAD_ID",
    "GEMINI_CLI",
    "GEMINI_CLI_IDE_SERVER_PORT",
    "OPENCODE_PID",
];

/// The vendor's own variables, by prefix.
fn vendor(kind: EngineKind) -> &'static [&'static str] {
    match kind {
        EngineKind::Claude => &[
            "ANTHROPIC_",
            "CLAUDE_",
            "BASH_DEFAULT_TIMEOUT_MS",
            "BASH_MAX_TIMEOUT_MS",
            "DISABLE_AUTOUPDATER",
            "DISABLE_ERROR_REPORTING",
            "DISABLE_PROMPT_CACHING",
            "DISABLE_TELEMETRY",
            "API_TIMEOUT_MS",
            "MAX_THINKING_TOKENS",
            "MAX_MCP_OUTPUT_TOKENS",
            "MCP_TIMEOUT",
            "MCP_TOOL_TIMEOUT",
        ],
        EngineKind::Codex => &["OPENAI_", "CODEX_"],
        EngineKind::Gemini => &["GEMINI_", "GOOGLE_", "CODE_ASSIST_ENDPOINT"],
        // opencode has no vendor of its own: it calls whichever of these providers has a key.
        EngineKind::Opencode => &[
            "OPENCODE_",
            "ANTHROPIC_API_KEY",
            "AZURE_",
            "CEREBRAS_API_KEY",
            "DEEPSEEK_API_KEY",
            "GEMINI_API_KEY",
            "GOOGLE_GENERATIVE_AI_API_KEY",
            "GROQ_API_KEY",
            "MISTRAL_API_KEY",
            "MOONSHOT_API_KEY",
            "OPENAI_API_KEY",
            "OPENROUTER_API_KEY",
            "TOGETHER_API_KEY",
            "XAI_API_KEY",
            "ZHIPU_API_KEY",
        ],
        EngineKind::Command => &[],
    }
}

/// Variables of a cloud through which an engine reaches its model, where the operator switched that on.
fn cloud(kind: EngineKind, operator: &BTreeMap<String, String>) -> Vec<&'static str> {
    let on = |name: &str| operator.get(name).is_some_and(|value| !value.is_empty() && value != "0" && value != "false");
    match kind {
        EngineKind::Claude => {
            let mut prefixes = Vec::new();
            if on("CLAUDE_CODE_USE_BEDROCK") {
                prefixes.push("AWS_");
            }
            if on("CLAUDE_CODE_USE_VERTEX") {
                prefixes.extend(["GOOGLE_", "CLOUD_ML_REGION", "VERTEX_"]);
            }
            prefixes
        }
        EngineKind::Codex | EngineKind::Gemini | EngineKind::Opencode | EngineKind::Command => Vec::new(),
    }
}

/// What a program that belongs to no vendor inherits.
fn plain(context: &Context) -> BTreeMap<String, String> {
    let mut environment = select(&context.environment, &[]);
    for name in BUILD_TOOLS.iter().copied().chain(context.pass_environment.iter().map(String::as_str)) {
        if let Some(value) = context.environment.get(name) {
            environment.insert(name.to_owned(), value.clone());
        }
    }
    environment
}

/// The part of the operator's environment that the engine inherits. With an endpoint the vendor's variables stay out:
/// the engine then knows the endpoint and nothing else.
pub(crate) fn inherited(kind: EngineKind, context: &Context) -> BTreeMap<String, String> {
    let mut environment = plain(context);
    if context.endpoint.is_none() {
        let mut prefixes = vendor(kind).to_vec();
        prefixes.extend(cloud(kind, &context.environment));
        let inherited = select(&context.environment, &prefixes);
        environment.extend(inherited.into_iter().filter(|(name, _)| !OF_AN_OUTER_SESSION.contains(&name.as_str())));
    }
    // What stands for the caller at the daemon is never an engine's, whatever the operator lets through.
    environment.remove("ORX_TOKEN");
    environment
}

/// Adds what a session in a terminal needs beside [`inherited`].
pub(crate) fn for_a_terminal(environment: &mut BTreeMap<String, String>, operator: &BTreeMap<String, String>) {
    // A person at the keyboard may use their keys; a headless stage has no business with them.
    if let Some(agent) = operator.get("SSH_AUTH_SOCK") {
        environment.insert("SSH_AUTH_SOCK".to_owned(), agent.clone());
    }
    environment.insert("TERM".to_owned(), "xterm-256color".to_owned());
    environment.insert("COLORTERM".to_owned(), "truecolor".to_owned());
}

/// Adds what a run on pipes needs beside [`inherited`].
pub(crate) fn for_pipes(environment: &mut BTreeMap<String, String>) {
    // Nothing is drawn, and a lesser terminal makes some of them complain on standard error.
    environment.insert("TERM".to_owned(), "xterm-256color".to_owned());
    environment.insert("COLORTERM".to_owned(), "truecolor".to_owned());
    environment.insert("NO_COLOR".to_owned(), "1".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Endpoint;

    fn operator() -> Context {
        let names = [
            "HOME",
            "PATH",
            "LC_ALL",
            "XDG_CONFIG_HOME",
            "ORX_TOKEN",
            "ORX_SESSION",
            "ANTHROPIC_API_KEY",
            "CLAUDE_CONFIG_DIR",
            "CLAUDE_CODE_SESSION_ID",
            "CLAUDECODE",
            "OPENAI_API_KEY",
            "CODEX_HOME",
            "GEMINI_API_KEY",
            "GOOGLE_CLOUD_PROJECT",
            "GROQ_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "OPENCODE_CONFIG",
            "CARGO_HOME",
            "SSH_AUTH_SOCK",
        ];
        Context {
            environment: names.iter().map(|name| ((*name).to_owned(), format!("<{name}>"))).collect(),
            ..Context::default()
        }
    }

    fn check(kind: EngineKind, vendor: &[&str]) {
        let mut expected = vec!["CARGO_HOME", "HOME", "LC_ALL", "PATH", "XDG_CONFIG_HOME"];
        expected.extend(vendor);
        expected.sort_unstable();
        assert_eq!(inherited(kind, &operator()).into_keys().collect::<Vec<_>>(), expected, "{kind}");
    }

    #[test]
    fn each_engine_gets_its_own_vendors_variables_alone() {
        check(EngineKind::Claude, &["ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR"]);
        check(EngineKind::Codex, &["OPENAI_API_KEY", "CODEX_HOME"]);
        check(EngineKind::Gemini, &["GEMINI_API_KEY", "GOOGLE_CLOUD_PROJECT"]);
        check(
            EngineKind::Opencode,
            &["ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GROQ_API_KEY", "OPENAI_API_KEY", "OPENCODE_CONFIG"],
        );
        check(EngineKind::Command, &[]);
    }

    #[test]
    fn with_an_endpoint_no_vendor_key_is_left() {
        let context = Context {
            endpoint: Some(Endpoint { url: "http://127.0.0.1:1".to_owned(), key: "k".to_owned() }),
            ..operator()
        };
        for kind in EngineKind::ALL {
            let names = inherited(kind, &context).into_keys().collect::<Vec<_>>();
            assert_eq!(names, ["CARGO_HOME", "HOME", "LC_ALL", "PATH", "XDG_CONFIG_HOME"], "{kind}");
        }
    }

    #[test]
    fn the_operator_can_let_more_through_but_not_the_daemons_token() {
        let mut context = operator();
        context.pass_environment = ["GITHUB_TOKEN", "ORX_TOKEN"].map(str::to_owned).into();
        let environment = inherited(EngineKind::Command, &context);
        assert!(environment.contains_key("GITHUB_TOKEN"));
        assert!(!environment.contains_key("ORX_TOKEN"));
    }

    #[test]
    fn cloud_credentials_follow_the_switch_that_needs_them() {
        let mut context = operator();
        assert!(!inherited(EngineKind::Claude, &context).contains_key("AWS_SECRET_ACCESS_KEY"));
        context.environment.insert("CLAUDE_CODE_USE_BEDROCK".to_owned(), "1".to_owned());
        assert!(inherited(EngineKind::Claude, &context).contains_key("AWS_SECRET_ACCESS_KEY"));
    }
}
