//! dtach: it keeps no screen, and asks the program to draw anew.

use anyhow::Result;

use super::{Peer, Place};
use crate::pty::viewer::{OnTerminal, Viewer};

pub struct Dtach(pub Place);

impl Peer for Dtach {
    fn start(&mut self, session: &str, argv: &[String]) -> Result<()> {
        let mut command = self.0.command();
        command.arg("-n").arg(self.0.path(session)).arg("-Ez").args(argv);
        self.0.run(&mut command)
    }

    fn attach(&mut self, session: &str) -> Result<Box<dyn Viewer>> {
        let mut command = self.0.command();
        command.arg("-a").arg(self.0.path(session)).args(["-Ez", "-r", "winch"]);
        Ok(Box::new(OnTerminal::start(&command)?))
    }

    fn servers(&mut self) -> Result<Vec<i32>> {
        Ok(self.0.processes())
    }
}
