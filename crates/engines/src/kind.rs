//! The coding CLIs by name. What is known of each is data (`data/<name>.yaml`, read by [`crate::descriptor`]); what it takes
//! code to do is in the file of the CLI.

use std::fmt;
use std::str::FromStr;

use crate::driver::Driver;
use crate::{Descriptor, EngineError, descriptor};

/// The one list of the engines: name of the kind, of its files, and of its driver.
macro_rules! engines {
    ($($(#[$doc:meta])+ $kind:ident $name:literal $driver:path,)+) => {
        /// A program that orx knows how to drive.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EngineKind {
            $($(#[$doc])+ $kind,)+
        }

        impl EngineKind {
            /// Every engine, in the order of listings.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$kind),+];

            /// The name in settings, requests and records.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// The text of its data file.
            pub(crate) const fn data(self) -> &'static str {
                match self {
                    $(Self::$kind => include_str!(concat!("../data/", $name, ".yaml")),)+
                }
            }

            /// What it takes code to do.
            pub(crate) fn driver(self) -> &'static dyn Driver {
                match self {
                    $(Self::$kind => &$driver,)+
                }
            }
        }
    };
}

engines! {
    /// Claude Code.
    Claude "claude" crate::claude::Claude,
    /// Codex CLI.
    Codex "codex" crate::codex::Codex,
    /// Gemini CLI.
    Gemini "gemini" crate::gemini::Gemini,
    /// opencode.
    Opencode "opencode" crate::opencode::Opencode,
    /// Qwen Code.
    Qwen "qwen" crate::qwen::Qwen,
    /// GitHub Copilot CLI.
    Copilot "copilot" crate::copilot::Copilot,
    /// pi.
    Pi "pi" crate::pi::Pi,
    /// Continue's `cn`.
    Continue "continue" crate::continue_cli::Continue,
    /// Cline.
    Cline "cline" crate::cline::Cline,
    /// Aider.
    Aider "aider" crate::aider::Aider,
    /// mini-swe-agent.
    Mini "mini" crate::mini::Mini,
    /// OpenHands.
    Openhands "openhands" crate::openhands::Openhands,
    /// Cursor CLI.
    Cursor "cursor" crate::cursor::Cursor,
    /// Goose.
    Goose "goose" crate::goose::Goose,
    /// Amp.
    Amp "amp" crate::amp::Amp,
    /// Crush.
    Crush "crush" crate::crush::Crush,
    /// Any program: its arguments come from the settings, its prompt on standard input, its answer is what it prints.
    Command "command" crate::command::Command,
}

impl EngineKind {
    /// What is known of it.
    #[must_use]
    pub fn descriptor(self) -> &'static Descriptor {
        descriptor::of(self)
    }

    /// The name of its program on `PATH`; `None` where the settings name it.
    #[must_use]
    pub fn program(self) -> Option<&'static str> {
        self.descriptor().program.as_deref()
    }

    /// The command that installs it; `None` where there is nothing to install.
    #[must_use]
    pub fn install(self) -> Option<&'static str> {
        self.descriptor().install.as_deref()
    }

    /// Where a person logs in, for messages about a missing login.
    #[must_use]
    pub fn login(self) -> &'static str {
        &self.descriptor().login
    }

    /// The names of all engines as a sentence lists them, for messages.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
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
        let is_called =
            |kind: &Self| kind.name() == name || kind.descriptor().aliases.iter().any(|alias| alias == name);
        Self::ALL.into_iter().find(is_called).ok_or_else(|| EngineError::UnknownEngine { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_alias_is_read() {
        for kind in EngineKind::ALL {
            assert_eq!(kind.name().parse::<EngineKind>().unwrap(), kind);
            for alias in &kind.descriptor().aliases {
                assert_eq!(alias.parse::<EngineKind>().unwrap(), kind, "{alias}");
            }
        }
        assert_eq!("claude_code".parse::<EngineKind>().unwrap(), EngineKind::Claude);
        assert_eq!("claude-code".parse::<EngineKind>().unwrap(), EngineKind::Claude);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_list() {
        let error = "Claude".parse::<EngineKind>().unwrap_err().to_string();
        assert!(
            error.starts_with("there is no engine `Claude`; there are claude, codex, gemini, opencode, "),
            "{error}"
        );
        assert!(error.ends_with(", command"), "{error}");
    }
}
