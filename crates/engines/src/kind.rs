//! The coding CLIs by name.

use std::fmt;
use std::str::FromStr;

use crate::EngineError;

/// A program that orx knows how to drive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EngineKind {
    /// Claude Code.
    Claude,
    /// Codex CLI.
    Codex,
    /// Gemini CLI.
    Gemini,
    /// opencode.
    Opencode,
    /// Any program: its arguments come from the settings, its prompt on standard input, its answer is what it prints.
    Command,
}

impl EngineKind {
    /// Every engine, in the order of listings.
    pub const ALL: [Self; 5] = [Self::Claude, Self::Codex, Self::Gemini, Self::Opencode, Self::Command];

    /// The name in settings, requests and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Codex => "codex",
            Self::Gemini => "gemini",
            Self::Opencode => "opencode",
            Self::Command => "command",
        }
    }

    /// The name of its program on `PATH`; `None` where the settings name it.
    #[must_use]
    pub const fn program(self) -> Option<&'static str> {
        match self {
            Self::Claude => Some("claude"),
            Self::Codex => Some("codex"),
            Self::Gemini => Some("gemini"),
            Self::Opencode => Some("opencode"),
            Self::Command => None,
        }
    }

    /// The command that installs it; `None` where there is nothing to install.
    #[must_use]
    pub const fn install(self) -> Option<&'static str> {
        match self {
            Self::Claude => Some("npm i -g @anthropic-ai/claude-code"),
            Self::Codex => Some("npm i -g @openai/codex"),
            Self::Gemini => Some("npm i -g @google/gemini-cli"),
            Self::Opencode => Some("npm i -g opencode-ai"),
            Self::Command => None,
        }
    }

    /// Where a person logs in, for messages about a missing login.
    #[must_use]
    pub const fn login(self) -> &'static str {
        match self {
            Self::Claude => "run `claude` and log in, or set ANTHROPIC_API_KEY for the daemon",
            Self::Codex => "run `codex login`, or set CODEX_API_KEY for the daemon",
            Self::Gemini => "run `gemini` and log in, or set GEMINI_API_KEY for the daemon",
            Self::Opencode => "run `opencode auth login`, or set the provider's key for the daemon",
            Self::Command => "see the program's own documentation",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = EngineError;

    fn from_str(name: &str) -> Result<Self, EngineError> {
        match name {
            "claude" | "claude_code" | "claude-code" => Ok(Self::Claude),
            "codex" => Ok(Self::Codex),
            "gemini" => Ok(Self::Gemini),
            "opencode" => Ok(Self::Opencode),
            "command" => Ok(Self::Command),
            _ => Err(EngineError::UnknownEngine { name: name.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_alias_is_read() {
        for kind in EngineKind::ALL {
            assert_eq!(kind.name().parse::<EngineKind>().unwrap(), kind);
        }
        assert_eq!("claude_code".parse::<EngineKind>().unwrap(), EngineKind::Claude);
        assert_eq!("claude-code".parse::<EngineKind>().unwrap(), EngineKind::Claude);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list() {
        let error = "Claude".parse::<EngineKind>().unwrap_err().to_string();
        assert_eq!(error, "there is no engine `Claude`; there are claude, codex, gemini, opencode, command");
    }
}
