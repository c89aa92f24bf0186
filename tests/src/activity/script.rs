//! What is played: prompts and the model's answers to them, what the recorder does meanwhile, and what is true by that.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use orx_protocol::activity::AgentState;
use orx_protocol::clock::now_ms;
use pty_proxy::replay::cast::{Cast, Happening};
use pty_proxy::terminal::emulator::Emulator;
use serde_json::Value;

use super::bed::{Bed, Begun};
use super::corpus::{Heard, Labels, Truth, Word};
use super::recipe::Recipe;
use crate::model::{Failure, Happened, Moment, Rule, Scenario, Step, When};

/// A play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Start, a plain answer, a file and a command that are allowed, one that is denied, an interrupted answer, the end.
    Tour,
    /// The model asks its user something.
    Question,
    /// The provider refuses calls for a time; later it fails for good.
    Limits,
    /// A limit of the account is reached.
    Account,
    /// Helpers work, within the turn and beside it.
    Helpers,
}

impl Script {
    /// All of them by name.
    pub const ALL: [(&'static str, Self); 5] = [
        ("tour", Self::Tour),
        ("question", Self::Question),
        ("limits", Self::Limits),
        ("account", Self::Account),
        ("helpers", Self::Helpers),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, script)| *script == self).map_or("", |(name, _)| name)
    }
}

/// Prompts and answers; another size of the terminal gets other words.
struct Words {
    plain: &'static str,
    plain_answer: &'static str,
    file: &'static str,
    command: &'static str,
    /// How long that takes at least, in milliseconds.
    command_ms: u64,
}

/// Words of recordings from which no rule was written.
const HELD_OUT: [usize; 2] = [1, 3];

/// Answers that quote what dialogs and spinners say must not be taken for those.
const WORDS: [Words; 4] = [
    Words {
        plain: "Explain what the notes say",
        plain_answer: "The notes count to three.\n\nWhen a tool is used I may ask: Do you want to proceed? (y/n)\n\n1. Yes\n2. No, and tell me why\n\nThat is all; esc to interrupt would end me.",
        file: "draft.txt",
        command: "touch made.txt && python3 -c 'import time; time.sleep(3)'",
        command_ms: 3000,
    },
    Words {
        plain: "Describe the notes in one paragraph",
        plain_answer: "There are three lines. \"Permission required\" and \"Action Required\" are titles that a terminal may show; here nothing waits for approval. Would you like to run the following command? is only a quotation.",
        file: "summary.md",
        command: "mkdir -p made; python3 -c 'import time; time.sleep(4)'",
        command_ms: 4000,
    },
    Words {
        plain: "Summarise the notes, please",
        plain_answer: "One, two, three.\n\n```text\n> Allow once\n  Reject\n```\n\nWorking… Thinking… are words like any others. Should I go on? Tell me.",
        file: "list.txt",
        command: "cp notes.txt copy.txt && python3 -c 'import time; time.sleep(4)'",
        command_ms: 4000,
    },
    Words {
        plain: "Which lines are in the notes",
        plain_answer: "Lines one to three.\n\n- Approve? [y/N] is what some tools ask\n- \"⠋ Thinking... (esc to cancel, 3s)\" is a spinner\n- `Allow execution of: 'ls'?` is a dialog\n\nNone of it is real. ✻ Brewing… neither.",
        file: "lines.json",
        command: "cp notes.txt other.txt; python3 -c 'import time; time.sleep(5)'",
        command_ms: 5000,
    },
];

fn rule(prompt: &str, steps: Vec<Step>) -> Rule {
    Rule { name: prompt.to_owned(), when: When { prompt: vec![prompt.to_owned()], ..When::default() }, steps }
}

fn step(text: &str, delay_ms: u64) -> Step {
    Step { text: text.to_owned(), delay_ms, piece_delay_ms: 120, ..Step::default() }
}

const fn refusal(code: u16, retry_after_s: Option<u64>) -> Failure {
    Failure::Status { code, retry_after_s }
}

/// What the model answers in this play.
fn scenario(recipe: &Recipe, script: Script, words: &Words, work: &Path) -> Scenario {
    let tool = |action| Step { tools: vec![action], ..step("I use a tool for that.", 1500) };
    let rules = match script {
        // The last first: after an interrupt the newest message of some CLIs holds the prompts before it too.
        Script::Tour => vec![
            rule("Think for long", vec![step("That took long.", 20_000)]),
            rule(words.plain, vec![step(words.plain_answer, 2500)]),
            rule(
                "Write the file",
                vec![tool((recipe.write)(work, words.file, "one\ntwo\n")), step("The file is written.", 1500)],
            ),
            rule("Run the command", vec![tool((recipe.run)(words.command)), step("The command has run.", 1200)]),
            rule("Remove the notes", vec![tool((recipe.run)("rm notes.txt")), step("Then I leave them.", 800)]),
        ],
        Script::Question => vec![rule(
            "Ask me",
            vec![
                Step {
                    tools: recipe.question.map(|question| question()).into_iter().collect(),
                    ..step("I ask.", 1000)
                },
                step("So it shall be.", 1500),
            ],
        )],
        Script::Limits => vec![
            rule(
                "Meet the limit",
                vec![Step {
                    failures: vec![refusal(429, Some(5)); 2],
                    failure_delay_ms: 1500,
                    ..step("The limit is over.", 1500)
                }],
            ),
            rule(
                "Meet an error",
                vec![Step { failures: vec![refusal(400, None); 40], failure_delay_ms: 2500, ..step("", 0) }],
            ),
        ],
        Script::Account => vec![rule(
            "Use it up",
            vec![Step {
                failures: vec![Failure::AccountLimit { resets_in_s: 3600 }; 40],
                failure_delay_ms: 1500,
                ..step("", 0)
            }],
        )],
        Script::Helpers => vec![
            rule("HELPER-WITHIN", vec![step("Three files.", 4000)]),
            rule("HELPER-BESIDE", vec![step("Five files.", 9000)]),
            rule("Have it counted", helper_steps(recipe, "HELPER-WITHIN: count the files", false)),
            rule("Count meanwhile", helper_steps(recipe, "HELPER-BESIDE: count the files", true)),
        ],
    };
    Scenario { rules, otherwise: Some(step("Noted.", 700)), ..Scenario::default() }
}

fn helper_steps(recipe: &Recipe, prompt: &str, beside: bool) -> Vec<Step> {
    let tools = recipe.helper.map(|helper| helper(prompt, beside)).into_iter().collect();
    vec![Step { tools, ..step("A helper counts.", 800) }, step("The helper is at it, or has done it.", 800)]
}

/// Plays a script with a CLI; gives the recording and its labels.
///
/// # Errors
/// When the CLI does not do what the script expects.
pub async fn record(
    recipe: Recipe,
    program: &Path,
    script: Script,
    size: (u16, u16),
    variant: usize,
) -> anyhow::Result<(String, Labels)> {
    let words = WORDS.get(variant % WORDS.len()).context("there are words")?;
    let has_dialogs = !recipe.dialogs.is_empty();
    let play = |work: &Path| scenario(&recipe_copy(recipe.engine), script, words, work);
    let mut bed = Bed::start(recipe, program, play, size).await?;
    let began = bed.timeline.0.first().map_or(0, |begun| begun.from_ms);
    let ready = bed.recipe.ready;
    bed.shown(&[ready]).context("at its start")?;
    bed.timeline.begin(AgentState::Idle, began, None, "it takes a prompt");
    bed.settled()?;
    match script {
        Script::Tour => tour(&mut bed, words, has_dialogs)?,
        Script::Question => question(&mut bed)?,
        Script::Limits => limits(&mut bed)?,
        Script::Account => account(&mut bed)?,
        Script::Helpers => helpers(&mut bed)?,
    }
    if !bed.recipe.clear.is_empty() {
        bed.press(bed.recipe.clear)?;
    }
    let left =
        if bed.recipe.leave_keys.is_empty() { bed.send(bed.recipe.leave)? } else { bed.press(bed.recipe.leave_keys)? };
    let ended = bed.ended().context("at its end")?;
    let at = ended["ended_at_ms"].as_u64().context("an ended session has its time")?;
    let state = if ended["exit"]["code"] == 0 { AgentState::Done } else { AgentState::Failed };
    bed.timeline.begin(state, left, Some(at), "its process ended");
    let (cast, started) = bed.recording()?;
    let written = bed.written();
    let labels = Labels {
        engine: bed.recipe.engine.to_owned(),
        version: bed.places.version.clone(),
        script: script.name().to_owned(),
        held_out: HELD_OUT.contains(&(variant % WORDS.len())),
        truth: truths(&cast, started, &bed.timeline.0)?,
        heard: heard(&bed.places.hooks(), written, started),
    };
    Ok((cast, labels))
}

fn recipe_copy(engine: &str) -> Recipe {
    super::recipe(engine).expect("it was there before")
}

/// The model's last word on a request, or on one that followed from it: it is idle from then on.
fn answered(bed: &mut Bed, came: &Moment) -> anyhow::Result<()> {
    let moment = bed.after(came, |what| matches!(what, Happened::Answered { calls: 0 }))?;
    if bed.recipe.asks_at_end {
        bed.asks()?;
        let why = "the end of its task is a command that needs a permission";
        bed.timeline.begin(AgentState::Blocked, moment.at_ms, Some(now_ms()), why);
        bed.settled()?;
        let at = bed.press(bed.recipe.allow)?;
        bed.timeline.begin(AgentState::Idle, at, None, "its end was allowed");
    } else {
        bed.timeline.begin(AgentState::Idle, moment.at_ms, None, "the model had answered");
    }
    bed.settled()?;
    bed.stay(Duration::from_millis(700));
    Ok(())
}

/// A prompt, until the model has it.
fn prompted(bed: &mut Bed, text: &str) -> anyhow::Result<Moment> {
    let at = bed.send(text)?;
    let came = bed.moment(at, |what| is_prompt(what, text))?;
    bed.timeline.begin(AgentState::Working, at, Some(came.at_ms), "a prompt was sent");
    Ok(came)
}

/// The dialog that follows from the model's wish.
fn blocked(bed: &mut Bed, came: &Moment) -> anyhow::Result<()> {
    let moment = bed.after(came, |what| matches!(what, Happened::Answering { calls } if *calls > 0))?;
    bed.asks()?;
    let why = "the model asked for a tool that needs a permission";
    bed.timeline.begin(AgentState::Blocked, moment.at_ms, Some(now_ms()), why);
    bed.settled()?;
    bed.stay(Duration::from_millis(700));
    Ok(())
}

fn tour(bed: &mut Bed, words: &Words, has_dialogs: bool) -> anyhow::Result<()> {
    let came = prompted(bed, words.plain)?;
    answered(bed, &came)?;
    for (prompt, is_quick) in [("Write the file", true), ("Run the command", false)] {
        let came = prompted(bed, prompt)?;
        if !has_dialogs {
            answered(bed, &came)?;
            continue;
        }
        blocked(bed, &came)?;
        let at = bed.press(bed.recipe.allow)?;
        if bed.recipe.is_last_word {
            done(bed, words, at, is_quick)?;
            continue;
        }
        // The model hears of a command only when it has run.
        let next = bed.came(at)?;
        let by = if is_quick { next.at_ms } else { at + COMMAND_MS };
        bed.timeline.begin(AgentState::Working, at, Some(by), "it was allowed");
        answered(bed, &next)?;
    }
    if has_dialogs {
        let came = prompted(bed, "Remove the notes")?;
        blocked(bed, &came)?;
        let at = bed.press(bed.recipe.deny)?;
        denied(bed, at)?;
    }
    let came = prompted(bed, "Think for long")?;
    bed.stay(Duration::from_millis(3500));
    if bed.answered_already(&came) {
        bail!("the model answered what was to be interrupted");
    }
    let at = bed.press(bed.recipe.interrupt)?;
    if bed.recipe.pauses_late {
        return answered(bed, &came);
    }
    bed.timeline.begin(AgentState::Idle, at, None, "it was interrupted");
    bed.settled()
}

/// What was allowed is done, and the turn over with it.
fn done(bed: &mut Bed, words: &Words, at: u64, is_quick: bool) -> anyhow::Result<()> {
    if is_quick {
        bed.timeline.begin(AgentState::Idle, at, None, "it was allowed, and the file is written");
    } else {
        bed.timeline.begin(AgentState::Working, at, Some(at + COMMAND_MS), "it was allowed");
        bed.stay(Duration::from_millis(words.command_ms));
        bed.timeline.begin(AgentState::Idle, at + words.command_ms, None, "the command has run");
    }
    bed.settled()?;
    bed.stay(Duration::from_millis(700));
    Ok(())
}

/// How long a CLI may take from a key to a running command, in milliseconds.
const COMMAND_MS: u64 = 500;

/// After a denial some CLIs stop, others tell the model and go on.
fn denied(bed: &mut Bed, at: u64) -> anyhow::Result<()> {
    bed.stay(Duration::from_millis(1500));
    let told = if bed.recipe.tells_denials { Some(bed.came(at)?) } else { bed.came_already(at) };
    match told {
        Some(came) => {
            bed.timeline.begin(AgentState::Working, at, Some(came.at_ms), "it was denied and tells the model");
            answered(bed, &came)
        }
        None => {
            bed.timeline.begin(AgentState::Idle, at, None, "it was denied");
            bed.settled()
        }
    }
}

fn question(bed: &mut Bed) -> anyhow::Result<()> {
    let came = prompted(bed, "Ask me")?;
    let moment = bed.after(&came, |what| matches!(what, Happened::Answering { calls } if *calls > 0))?;
    bed.shown(&[bed.recipe.asks])?;
    bed.timeline.begin(AgentState::WaitingInput, moment.at_ms, Some(now_ms()), "the model asked its user something");
    bed.settled()?;
    bed.stay(Duration::from_millis(700));
    let at = bed.press(&["enter"])?;
    bed.stay(Duration::from_secs(1));
    let is_review = |row: &String| row.contains("submit");
    let sent = if bed.came_already(at).is_none() && bed.screen()?.iter().any(is_review) {
        // Some ask whether the answers are final.
        bed.press(&["enter"])?
    } else {
        at
    };
    let came = bed.came(sent)?;
    bed.timeline.begin(AgentState::Working, sent, Some(came.at_ms), "the question was answered");
    answered(bed, &came)
}

fn limits(bed: &mut Bed) -> anyhow::Result<()> {
    let came = prompted(bed, "Meet the limit")?;
    let refused = bed.after(&came, |what| matches!(what, Happened::Refused { status: 429 }))?;
    if bed.recipe.tells_limits {
        let at = refused.at_ms;
        bed.timeline.begin(AgentState::RateLimited, at, Some(at + SHOWN_MS), "the provider refused the call");
    }
    let taken = bed.after(&came, |what| matches!(what, Happened::Answering { .. }))?;
    let last = bed.last_came(&taken).context("what is answered came before")?;
    if bed.recipe.tells_limits {
        bed.timeline.begin(AgentState::Working, last, Some(last + SHOWN_MS), "the call was taken");
    }
    answered(bed, &taken)?;
    let came = prompted(bed, "Meet an error")?;
    bed.after(&came, |what| matches!(what, Happened::Refused { .. }))?;
    let started = Instant::now();
    let mut last = 0;
    // It has given up when it asked nobody for a while.
    while bed.newest_moment() != last && started.elapsed() < Duration::from_secs(60) {
        last = bed.newest_moment();
        bed.stay(Duration::from_secs(5));
    }
    bed.timeline.begin(AgentState::Idle, last, None, "it gave up on the call");
    bed.settled()
}

fn account(bed: &mut Bed) -> anyhow::Result<()> {
    let (state, keys) = bed.recipe.account.context("it has no word for a limit of the account")?;
    let came = prompted(bed, "Say something first")?;
    answered(bed, &came)?;
    let came = prompted(bed, "Use it up")?;
    let refused = bed.after(&came, |what| matches!(what, Happened::Refused { status: 429 }))?;
    bed.timeline.begin(state, refused.at_ms, None, "the account's limit is reached");
    bed.settled()?;
    bed.stay(Duration::from_millis(700));
    if !keys.is_empty() {
        let at = bed.press(keys)?;
        bed.timeline.begin(AgentState::Idle, at, None, "it was told to stop");
        bed.settled()?;
    }
    Ok(())
}

/// How long a CLI may take to draw what a spinner is to say, in milliseconds; such screens never stand still.
const SHOWN_MS: u64 = 500;

fn helpers(bed: &mut Bed) -> anyhow::Result<()> {
    for (prompt, name) in [("Have it counted", "HELPER-WITHIN"), ("Count meanwhile", "HELPER-BESIDE")] {
        let came = prompted(bed, prompt)?;
        let helper = bed.after(&came, |what| is_prompt(what, name))?;
        let done = bed.outcome(&helper)?;
        // The turn was over before the helper was: it works beside.
        let turn = bed.turn_over(&came, &helper).filter(|at| *at + 1000 < done);
        if let Some(at) = turn {
            bed.timeline.begin(
                AgentState::SubagentsRunning,
                at,
                Some(at + SHOWN_MS),
                "the turn is over and a helper works",
            );
        }
        bed.stay(Duration::from_secs(2));
        match bed.came_already(done) {
            Some(back) => {
                if turn.is_some() {
                    let why = "the helper's result is looked at";
                    bed.timeline.begin(AgentState::Working, done, Some(back.at_ms), why);
                }
                answered(bed, &back)?;
            }
            None => {
                bed.timeline.begin(AgentState::Idle, done, None, "the helper is done");
                bed.settled()?;
            }
        }
    }
    Ok(())
}

fn is_prompt(what: &Happened, text: &str) -> bool {
    matches!(what, Happened::Came { prompt } if prompt.contains(text))
}

/// What hooks said and what was written, as it is kept: nothing of the machine.
fn heard(path: &Path, written: Vec<(u64, Word)>, started: u64) -> Vec<Heard> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let hooks = text.lines().filter_map(|line| {
        let said: Value = serde_json::from_str(line).ok()?;
        let mut hook = said.get("hook")?.as_object()?.clone();
        let is_command = hook.get("prompt").and_then(Value::as_str).is_some_and(|prompt| prompt.starts_with('/'));
        hook.retain(|name, _| KEPT.contains(&name.as_str()) || (name == "prompt" && is_command));
        Some((said["at_ms"].as_u64()?, Word::Hook(Value::Object(hook))))
    });
    let mut heard: Vec<Heard> =
        hooks.chain(written).map(|(at, what)| Heard { at_ms: at.saturating_sub(started), what }).collect();
    heard.sort_by_key(|heard| heard.at_ms);
    heard
}

/// Members of a hook's payload that say something about the state.
const KEPT: [&str; 10] = [
    "hook_event_name",
    "notification_type",
    "message",
    "tool_name",
    "source",
    "reason",
    "agent_id",
    "agent_type",
    "background_tasks",
    "error",
];

/// The truth on the recording's clock; where the recorder did not know when the CLI had drawn a state, its screens say.
fn truths(cast: &str, started: u64, begun: &[Begun]) -> anyhow::Result<Vec<Truth>> {
    let screens = screens(cast)?;
    let clock = |at: u64| at.saturating_sub(started);
    Ok(begun
        .iter()
        .map(|begun| {
            let (from, until) = (clock(begun.from_ms), clock(begun.until_ms));
            let by_ms = begun.by_ms.map_or_else(|| drawn(&screens, from, until), clock).max(from);
            Truth { state: begun.state, from_ms: from, by_ms, why: begun.why.clone() }
        })
        .collect())
}

/// The first time between two at which the screen was as at the end of that time.
fn drawn(screens: &[(u64, Vec<String>)], from: u64, until: u64) -> u64 {
    let last = screens.iter().rev().find(|(at, _)| *at < until).map(|(_, lines)| lines);
    let during = screens.iter().filter(|(at, _)| (from..until).contains(at));
    during.into_iter().find(|(_, lines)| Some(lines) == last).map_or(from, |(at, _)| *at)
}

/// Every screen of a recording that differs from the one before, with its time in milliseconds.
fn screens(cast: &str) -> anyhow::Result<Vec<(u64, Vec<String>)>> {
    let cast = Cast::open(cast)?;
    let mut emulator = Emulator::new(cast.size);
    let base = Instant::now();
    let mut screens: Vec<(u64, Vec<String>)> = Vec::new();
    for event in cast {
        let event = event?;
        match event.what {
            Happening::Output(text) => {
                emulator.accept(text.as_bytes(), base + event.at);
            }
            Happening::Resize(size) => emulator.resize(size),
            Happening::Exit(_) | Happening::Other => continue,
        }
        let lines = emulator.text().lines;
        if screens.last().is_none_or(|(_, last)| *last != lines) {
            screens.push((u64::try_from(event.at.as_millis())?, lines));
        }
    }
    Ok(screens)
}
