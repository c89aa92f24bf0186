//! One whole life of a session for each engine and road: started, prompted, blocked on a question, answered from the inbox,
//! finished, taken up again after everything around it was killed, and stopped with nothing left running.

use orx_tests::lives::engines::{
    aider, claude, cline, codex, continue_cli, copilot, gemini, opencode, openhands, pi, qwen,
};
use orx_tests::lives::whole_life;

macro_rules! whole_lives {
    ($($name:ident $road:expr),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            whole_life(&$road).await;
        })+
    };
}

whole_lives!(
    aider_by_keys aider::KEYS,
    openhands_by_keys openhands::KEYS,
    openhands_over_acp openhands::ACP,
    claude_with_hooks claude::HOOKS,
    claude_over_acp claude::ACP,
    claude_by_keys claude::KEYS,
    codex_beside_its_server codex::APP_SERVER,
    codex_over_acp codex::ACP,
    codex_by_keys codex::KEYS,
    gemini_over_acp gemini::ACP,
    gemini_by_keys gemini::KEYS,
    opencode_beside_its_server opencode::SERVE,
    opencode_over_acp opencode::ACP,
    opencode_without_questions opencode::ALONE,
    pi_with_hooks pi::HOOKS,
    continue_by_keys continue_cli::KEYS,
    cline_by_keys cline::KEYS,
    cline_over_acp cline::ACP,
    copilot_with_hooks copilot::HOOKS,
    copilot_over_acp copilot::ACP,
    qwen_with_hooks qwen::HOOKS,
    qwen_over_acp qwen::ACP,
    qwen_by_keys qwen::KEYS,
);
