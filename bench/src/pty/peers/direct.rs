//! Nothing in between: the program's own terminal is read.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::Peer;
use crate::pty::viewer::{OnTerminal, Viewer};

#[derive(Default)]
pub struct Direct {
    terminals: BTreeMap<String, OnTerminal>,
}

impl Peer for Direct {
    fn start(&mut self, session: &str, argv: &[String]) -> Result<()> {
        let mut command = Command::new(argv.first().context("a program")?);
        command.args(argv.iter().skip(1));
        super::environment(&mut command, Path::new("/"));
        self.terminals.insert(session.to_owned(), OnTerminal::start(&command)?);
        Ok(())
    }

    fn attach(&mut self, session: &str) -> Result<Box<dyn Viewer>> {
        Ok(Box::new(self.terminals.remove(session).context("a terminal is looked at once")?))
    }

    fn servers(&mut self) -> Result<Vec<i32>> {
        Ok(Vec::new())
    }

    fn takes_many(&self) -> bool {
        false
    }

    fn detaches(&self) -> bool {
        false
    }
}
