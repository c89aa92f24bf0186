//! The daemon speaks of methods, since it does not know who calls it. A person gave a command, and is told of commands.

/// Methods that errors name, and what a person gives for them. What is missing here is named as the daemon does.
const COMMANDS: [(&str, &str); 44] = [
    ("fresh: true", "resume --fresh"),
    ("hold.keys", "keys"),
    ("key.add", "key add"),
    ("key.list", "key ls"),
    ("key.revoke", "key revoke"),
    ("llm.budget", "budget"),
    ("llm.mark", "providers"),
    ("llm.providers", "providers"),
    ("llm.usage", "cost"),
    ("notification.list", "notifications"),
    ("rule.add", "rule add"),
    ("rule.list", "rule ls"),
    ("rule.remove", "rule rm"),
    ("run.cancel", "cancel"),
    ("run.clean", "clean"),
    ("run.list", "status"),
    ("run.resume", "resume"),
    ("run.start", "run"),
    ("run.wait", "status --follow"),
    ("session.adopt", "adopt"),
    ("session.adoptable", "adopt"),
    ("session.attach", "attach"),
    ("session.cancel", "cancel"),
    ("session.checkpoint", "checkpoint"),
    ("session.checkpoints", "checkpoint --list"),
    ("session.continue", "continue"),
    ("session.create", "new"),
    ("session.detect", "detect replay"),
    ("session.explain", "explain"),
    ("session.get", "ls --all"),
    ("session.interrupt", "interrupt"),
    ("session.keys", "keys"),
    ("session.list", "ls"),
    ("session.log", "logs"),
    ("session.pause", "pause"),
    ("session.recording", "replay"),
    ("session.restore", "restore"),
    ("session.resume", "resume"),
    ("session.retry", "retry"),
    ("session.screen", "screen"),
    ("session.scrollback", "scrollback"),
    ("session.send", "send"),
    ("session.stop", "stop"),
    ("session.upgrade", "upgrade"),
];

/// A text of the daemon with commands in the place of methods.
pub(crate) fn as_commands(text: &str) -> String {
    let mut parts = text.split('`');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for (number, part) in parts.enumerate() {
        out.push('`');
        let command = (number % 2 == 0).then(|| COMMANDS.iter().find(|(method, _)| *method == part)).flatten();
        match command {
            Some((_, command)) => out.push_str(&format!("orxctl {command}")),
            None => out.push_str(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn methods_are_told_as_commands_and_the_rest_as_it_is() {
        for (told, shown) in [
            ("`session.continue` lets it go on", "`orxctl continue` lets it go on"),
            ("`hold.keys`: `foo` is no key", "`orxctl keys`: `foo` is no key"),
            ("`session.log` and `session.screen` show it", "`orxctl logs` and `orxctl screen` show it"),
            ("a session.log of `naming.allocate`", "a session.log of `naming.allocate`"),
            ("a text `without its end", "a text `without its end"),
            ("", ""),
        ] {
            assert_eq!(as_commands(told), shown);
        }
    }

    #[test]
    fn every_command_that_is_named_exists() {
        let program = crate::arguments::Arguments::command();
        for (_, command) in COMMANDS {
            let mut place = &program;
            for word in command.split(' ') {
                place = match word.strip_prefix("--") {
                    Some(flag) => {
                        assert!(place.get_arguments().any(|one| one.get_long() == Some(flag)), "{command}");
                        place
                    }
                    None => place.find_subcommand(word).unwrap_or_else(|| panic!("{command}")),
                };
            }
        }
    }
}
