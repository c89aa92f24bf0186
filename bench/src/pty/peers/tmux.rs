//! tmux, as it is but for 10,000 lines of history.

use anyhow::Result;

use super::{Peer, Place};
use crate::pty::corpus::{COLUMNS, ROWS};
use crate::pty::viewer::{OnTerminal, Viewer};

pub struct Tmux(pub Place);

impl Tmux {
    fn command(&self) -> Result<std::process::Command> {
        let settings =
            self.0.write("tmux.conf", "set -g history-limit 10000\nset -g default-terminal tmux-256color\n")?;
        let mut command = self.0.command();
        command.arg("-S").arg(self.0.path("socket")).arg("-f").arg(settings);
        Ok(command)
    }
}

impl Peer for Tmux {
    fn start(&mut self, session: &str, argv: &[String]) -> Result<()> {
        let mut command = self.command()?;
        command
            .args(["new-session", "-d", "-s", session, "-x", &COLUMNS.to_string(), "-y", &ROWS.to_string()])
            .args(argv);
        self.0.run(&mut command)
    }

    fn attach(&mut self, session: &str) -> Result<Box<dyn Viewer>> {
        let mut command = self.command()?;
        command.args(["attach-session", "-t", session]);
        Ok(Box::new(OnTerminal::start(&command)?))
    }

    fn servers(&mut self) -> Result<Vec<i32>> {
        Ok(self.0.processes())
    }
}
