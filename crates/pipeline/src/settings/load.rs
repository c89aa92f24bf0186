//! Reading `orx.yaml`, and laying what a caller asked for over it. Every refusal says where and what is near.

use std::path::Path;

use orx_yaml::{TextError, place, read};
use serde::Deserialize;
use serde_json::Value;
use serde_saphyr::Spanned;

use super::{EngineName, Settings, StageKey};

/// Name of the file at a repository's root.
pub const FILE: &str = "orx.yaml";
/// Largest file that is read, in bytes.
const SIZE: u64 = 1024 * 1024;

/// What is wrong with settings.
pub type SettingsError = TextError;

/// The settings of the repository at `root`, with the caller's `engine` and `settings` over them.
///
/// # Errors
/// [`SettingsError`] when the file cannot be read, or either side is wrong.
pub fn load(root: &Path, engine: Option<EngineName>, settings: Option<&Value>) -> Result<Settings, SettingsError> {
    let path = root.join(FILE);
    let origin = path.display().to_string();
    let text = match std::fs::metadata(&path) {
        Ok(metadata) if metadata.len() > SIZE => {
            return Err(SettingsError::plain(&origin, format!("the file has more than {SIZE} bytes")));
        }
        Ok(_) => std::fs::read_to_string(&path)
            .map_err(|error| SettingsError::plain(&origin, format!("it cannot be read: {error}")))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(SettingsError::plain(&origin, format!("it cannot be read: {error}"))),
    };
    let mut file = parse(&text, &origin)?;
    if let Some(engine) = engine {
        file.force(engine);
    }
    match settings {
        Some(Value::Null) | None => Ok(file),
        Some(over) => merge(&file, over),
    }
}

/// Reads the text of a settings file; `origin` is its name in errors.
///
/// # Errors
/// [`SettingsError`] with line and column.
pub fn parse(text: &str, origin: &str) -> Result<Settings, SettingsError> {
    let settings: Option<Settings> = read(text, origin)?;
    let settings = settings.unwrap_or_default();
    check(&settings, |stage| locate(text, stage)).map_err(|(at, message)| SettingsError {
        origin: origin.to_owned(),
        at,
        message,
    })?;
    Ok(settings)
}

/// Lays `over` above `file`: mappings are merged, everything else is replaced.
///
/// # Errors
/// [`SettingsError`] when the request's part is wrong by itself or together with the file.
pub fn merge(file: &Settings, over: &Value) -> Result<Settings, SettingsError> {
    const ORIGIN: &str = "`settings` of the request";
    if !over.is_object() {
        return Err(SettingsError::plain(ORIGIN, "they must be a mapping in the shape of orx.yaml"));
    }
    let text = serde_json::to_string_pretty(over).map_err(|error| SettingsError::plain(ORIGIN, error.to_string()))?;
    // A part need not name the engine's type when the file does.
    let mut over = canonical(over.clone());
    let mut base = serde_json::to_value(file).map_err(|error| SettingsError::plain(ORIGIN, error.to_string()))?;
    lay(&mut base, std::mem::take(&mut over));
    match serde_json::from_value::<Settings>(base) {
        Ok(settings) => {
            check(&settings, |_| None).map_err(|(_, message)| SettingsError::plain(ORIGIN, message))?;
            Ok(settings)
        }
        // The part alone is read again for the sake of a better message.
        Err(error) => Err(match read::<Settings>(&text, ORIGIN) {
            Err(located) if !located.message.contains("missing field") => SettingsError { at: None, ..located },
            _ => SettingsError::plain(ORIGIN, error.to_string()),
        }),
    }
}

/// Aliases of keys under their canonical names, so that both sides of a merge speak of the same thing.
fn canonical(mut settings: Value) -> Value {
    fn rename<K: serde::de::DeserializeOwned + std::fmt::Display>(map: &mut Value) {
        let Value::Object(map) = map else { return };
        let renamed = std::mem::take(map).into_iter().map(|(key, value)| {
            let name = serde_json::from_value::<K>(Value::String(key.clone())).map(|name| name.to_string());
            (name.unwrap_or(key), value)
        });
        *map = renamed.collect();
    }
    if let Some(executors) = settings.get_mut("executors") {
        rename::<EngineName>(executors);
        if let Value::Object(executors) = executors {
            for executor in executors.values_mut() {
                for member in ["profiles", "stage_models"] {
                    if let Some(map) = executor.get_mut(member) {
                        rename::<StageKey>(map);
                    }
                }
            }
        }
    }
    for member in ["stages", "stage_engines"] {
        if let Some(map) = settings.get_mut(member) {
            rename::<StageKey>(map);
        }
    }
    for engine in ["engine", "fallback_engine"] {
        if let Some(map) = settings.get_mut(engine).and_then(|engine| engine.get_mut("stage_timeouts")) {
            rename::<StageKey>(map);
        }
    }
    settings
}

fn lay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(below) => lay(below, value),
                    None => {
                        base.insert(key, value);
                    }
                }
            }
        }
        (base, over) => *base = over,
    }
}

type Located = (Option<(u64, u64)>, String);

/// What the types alone do not say.
fn check(settings: &Settings, locate: impl Fn(StageKey) -> Option<(u64, u64)>) -> Result<(), Located> {
    for (stage, own) in &settings.stages {
        if own.model.is_some() && own.profile.is_some() {
            return Err((locate(*stage), format!("stages.{stage} has both `model` and `profile`: give one of them")));
        }
    }
    for stage in StageKey::ALL {
        let Ok(chosen) = settings.choose(stage) else { continue };
        // Each of them is handed over as an argument, where a dash would make it another one.
        for text in [chosen.model, chosen.profile, chosen.reasoning_effort].into_iter().flatten() {
            if text.starts_with('-') || text.contains(char::is_control) {
                let message = format!("`{}` is no name of a model, profile or effort ({stage})", text.escape_debug());
                return Err((locate(stage), message));
            }
        }
    }
    for (name, program) in settings.programs() {
        if program.contains('\0') || program.starts_with('-') {
            return Err((None, format!("{name} `{}` is no name of a program", program.escape_debug())));
        }
    }
    Ok(())
}

fn locate(text: &str, stage: StageKey) -> Option<(u64, u64)> {
    #[derive(Deserialize)]
    struct Stages {
        stages: std::collections::BTreeMap<StageKey, Spanned<Value>>,
    }
    let stages: Stages = serde_saphyr::from_str(text).ok()?;
    stages.stages.get(&stage).and_then(|own| place(Some(own.referenced)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use orx_engines::EngineKind;

    fn refused(text: &str) -> String {
        parse(text, "orx.yaml").unwrap_err().to_string()
    }

    #[test]
    fn every_refusal_says_where_and_what_is_near() {
        for (text, expected) in [
            ("engin:\n  type: codex\n", "orx.yaml:1:1: unknown key `engin`: did you mean `engine`?"),
            ("engine:\n  type: codex\n  tiemout: 60\n", "orx.yaml:3:3: unknown key `tiemout`: did you mean `timeout`?"),
            ("engine:\n  type: claud\n", "orx.yaml:2:9: unknown name `claud`: did you mean `claude`?"),
            ("engine:\n  type: codex\n  type: gemini\n", "orx.yaml:3:3: the key `type` is given twice"),
            ("run:\n  max_fix_attempts: 11\n", "orx.yaml:2:21: 11 is out of bounds: it must be 1 to 10"),
            ("run:\n  max_fix_attempts: -1\n", "orx.yaml:2:21: -1 is out of bounds: it must be 1 to 10"),
            ("engine:\n  type: codex\n  timeout: 5\n", "orx.yaml:3:12: 5 is out of bounds: it must be 30 to 86400"),
            (
                "stages:\n  plan:\n    model: a\n    profile: b\n",
                "orx.yaml:3:5: stages.plan has both `model` and `profile`: give one of them",
            ),
            ("stages:\n  plna:\n    model: a\n", "orx.yaml:2:3: unknown name `plna`: did you mean `plan`?"),
            (
                "engine:\n  type: codex\nstages:\n  fix:\n    model: --oss\n",
                "orx.yaml:5:5: `--oss` is no name of a model, profile or effort (fix)",
            ),
            ("version: 2.0\n", "orx.yaml:1:10: version `2.0` is not known: there is `1.0`"),
        ] {
            assert_eq!(refused(text), expected, "{text}");
        }
        assert!(refused("engine: [\n").starts_with("orx.yaml:"), "{}", refused("engine: [\n"));
        assert!(refused("engine:\n\ttype: codex\n").starts_with("orx.yaml:2:"));
        assert!(refused("- a\n").starts_with("orx.yaml:1:1: "));
        assert!(refused("run:\n  auto_fix_ruff: perhaps\n").starts_with("orx.yaml:2:18: "));
        assert!(refused("engine:\n  enabled: true\n").contains("type"));
    }

    #[test]
    fn gates_are_checked_where_they_stand() {
        let twice = refused("gates:\n  - name: a\n    command: x\n  - name: a\n    command: y\n");
        assert!(twice.ends_with("two gates are named `a`: names must be unique"), "{twice}");
        assert!(twice.starts_with("orx.yaml:"), "{twice}");
        assert!(refused("gates:\n  - name: lint\n").contains("the gate `lint` needs a `command`"));
        assert!(refused("gates:\n  - name: lint\n    command: \"a 'b\"\n").contains("the command of gate `lint`"));
        assert!(refused("gates:\n  - name: ../x\n    command: a\n").contains("a gate's name"));
        assert!(parse("gates:\n  - name: ruff\n", "orx.yaml").unwrap().gates.unwrap().len() == 1);
    }

    #[test]
    fn the_same_key_under_two_names_is_refused() {
        let error = refused("executors:\n  claude: {}\n  claude_code: {}\n");
        assert!(error.contains("`claude` is given twice, once under another name"), "{error}");
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse("", "orx.yaml").unwrap(), Settings::default());
        assert_eq!(parse("# nothing\n\n", "orx.yaml").unwrap(), Settings::default());
        assert_eq!(parse("run:\ngates:\n", "orx.yaml").map(|settings| settings.gates), Ok(None));
    }

    #[test]
    fn a_request_is_laid_over_the_file() {
        let file = parse(
            "engine:\n  type: codex\n  timeout: 900\nexecutors:\n  claude_code:\n    bin: claude\nrun:\n  max_fix_attempts: 5\n  auto_fix_ruff: false\n",
            "orx.yaml",
        )
        .unwrap();
        let over = serde_json::json!({
            "run": {"max_fix_attempts": 2},
            "executors": {"claude-code": {"default": {"model": "opus"}}},
            "gates": [],
        });
        let merged = merge(&file, &over).unwrap();
        assert_eq!((merged.run.max_fix_attempts, merged.run.auto_fix_ruff), (2, false));
        assert_eq!(merged.engine.as_ref().map(|engine| engine.timeout), Some(900));
        let claude = &merged.executors[&EngineName::Engine(EngineKind::Claude)];
        assert_eq!((claude.bin.as_deref(), claude.default.model.as_deref()), (Some("claude"), Some("opus")));
        assert_eq!(merged.gates, Some(Vec::new()));
        for (over, expected) in [
            (serde_json::json!({"runn": {}}), "`settings` of the request: unknown key `runn`: did you mean `run`?"),
            (serde_json::json!([]), "`settings` of the request: they must be a mapping in the shape of orx.yaml"),
            (
                serde_json::json!({"run": {"max_fix_attempts": 0}}),
                "`settings` of the request: 0 is out of bounds: it must be 1 to 10",
            ),
        ] {
            assert_eq!(merge(&file, &over).unwrap_err().to_string(), expected);
        }
        let engine = merge(&file, &serde_json::json!({"engine": {"timeout": 40}})).unwrap().engine.unwrap();
        assert_eq!((engine.kind, engine.timeout), (EngineName::Engine(EngineKind::Codex), 40));
    }

    #[test]
    fn settings_survive_their_own_serialisation() {
        let text = include_str!("testdata/s3.yaml");
        let settings = parse(text, "orx.yaml").unwrap();
        let value = serde_json::to_value(&settings).unwrap();
        assert!(!value.to_string().contains("CURSOR_API_KEY"), "a key was kept");
        assert_eq!(serde_json::from_value::<Settings>(value).unwrap(), settings);
    }
}
