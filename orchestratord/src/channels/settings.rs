//! `sessions.channel` and `sessions.channels` in `orchestratord.yaml`: whether sessions get a structured channel where their
//! caller says nothing about it.

use orx_engines::EngineKind;
use orx_protocol::api::session::CreateParams;
use serde_saphyr::{Location, Spanned};
use std::collections::BTreeMap;

use super::choose::{AUTO, OFF};

/// The operator's choice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelDefaults {
    /// Of engines that are not named: whether channels are off.
    off: bool,
    /// Of those that are.
    engines: BTreeMap<EngineKind, bool>,
}

/// What is wrong, and where: the key, line and column, and what would be right.
pub type Wrong = String;

impl ChannelDefaults {
    /// Reads both keys.
    ///
    /// # Errors
    /// [`Wrong`] for a value that is neither `auto` nor `off`, and for an engine that there is not.
    pub fn read(all: Option<&Spanned<String>>, engines: &BTreeMap<String, Spanned<String>>) -> Result<Self, Wrong> {
        let mut defaults =
            Self { off: all.map_or(Ok(false), |value| is_off("sessions.channel", value))?, engines: BTreeMap::new() };
        for (name, value) in engines {
            let kind: EngineKind = name.parse().map_err(|error: orx_engines::EngineError| {
                format!("{}`sessions.channels`: {error}", place(value.referenced))
            })?;
            let off = is_off(&format!("sessions.channels.{name}"), value)?;
            if defaults.engines.insert(kind, off).is_some() {
                return Err(format!("{}`sessions.channels` names {kind} twice", place(value.referenced)));
            }
        }
        Ok(defaults)
    }

    /// Says `off` for a caller who says nothing, where the operator wants it so. Whoever names a channel, or `auto`, has it.
    pub fn fill(&self, params: &mut CreateParams) {
        let kind = params.engine.parse::<EngineKind>().ok();
        let off = kind.and_then(|kind| self.engines.get(&kind).copied()).unwrap_or(self.off);
        if off && params.channel.is_none() {
            params.channel = Some(OFF.to_owned());
        }
    }
}

fn is_off(key: &str, value: &Spanned<String>) -> Result<bool, Wrong> {
    match value.value.as_str() {
        OFF => Ok(true),
        AUTO => Ok(false),
        other => {
            let place = place(value.referenced);
            Err(format!("{place}`{key}` is `{}`, it must be {AUTO} or {OFF}", other.escape_default()))
        }
    }
}

/// The place before what is said of it; nothing where the format does not tell.
fn place(location: Location) -> String {
    let (line, column) = (location.line(), location.column());
    if line == 0 { String::new() } else { format!("line {line}, column {column}: ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct File {
        channel: Option<Spanned<String>>,
        #[serde(default)]
        channels: BTreeMap<String, Spanned<String>>,
    }

    fn read(text: &str) -> Result<ChannelDefaults, Wrong> {
        let file: File = serde_saphyr::from_str(text).unwrap();
        ChannelDefaults::read(file.channel.as_ref(), &file.channels)
    }

    fn chosen(text: &str, engine: &str, channel: Option<&str>) -> Option<String> {
        let mut params =
            CreateParams { engine: engine.to_owned(), channel: channel.map(str::to_owned), ..CreateParams::default() };
        read(text).unwrap().fill(&mut params);
        params.channel
    }

    #[test]
    fn the_operators_choice_holds_where_the_caller_says_nothing() {
        let off = Some("off".to_owned());
        for (text, engine, channel, expected) in [
            ("channels: {}", "codex", None, None),
            ("channel: auto", "codex", None, None),
            ("channel: off", "codex", None, off.clone()),
            ("channel: off", "codex", Some("auto"), Some("auto".to_owned())),
            ("channel: off", "gemini", Some("acp"), Some("acp".to_owned())),
            ("channel: off\nchannels: {codex: auto}", "codex", None, None),
            ("channel: off\nchannels: {codex: auto}", "opencode", None, off.clone()),
            ("channels: {opencode: off}", "opencode", None, off),
            ("channels: {opencode: off}", "codex", None, None),
        ] {
            assert_eq!(chosen(text, engine, channel), expected, "{text} {engine} {channel:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_key_and_its_place() {
        for (text, words) in [
            ("channel: on", &["line 1, column 10", "`sessions.channel` is `on`", "auto or off"] as &[_]),
            ("channels:\n  codex: acp", &["line 2", "`sessions.channels.codex` is `acp`"]),
            ("channels:\n  codexx: off", &["line 2", "`sessions.channels`", "codexx"]),
            ("channels:\n  claude: off\n  claude-code: auto", &["names claude twice"]),
        ] {
            let wrong = read(text).unwrap_err();
            assert!(words.iter().all(|word| wrong.contains(word)), "{text}: {wrong}");
        }
    }
}
