//! GNU screen, as it is but for 10,000 lines of history.

use anyhow::Result;
use std::os::unix::fs::PermissionsExt;

use super::{Peer, Place};
use crate::pty::viewer::{OnTerminal, Viewer};

pub struct Screen(pub Place);

impl Screen {
    fn command(&self) -> Result<std::process::Command> {
        let settings = self.0.write("screenrc", "startup_message off\ndefscrollback 10000\n")?;
        let sockets = self.0.path("sockets");
        if !sockets.exists() {
            std::fs::create_dir(&sockets)?;
            std::fs::set_permissions(&sockets, std::fs::Permissions::from_mode(0o700))?;
        }
        let mut command = self.0.command();
        command.env("SCREENDIR", sockets).arg("-U").arg("-c").arg(settings);
        Ok(command)
    }
}

impl Peer for Screen {
    fn start(&mut self, session: &str, argv: &[String]) -> Result<()> {
        let mut command = self.command()?;
        command.args(["-dmS", session]).args(argv);
        self.0.run(&mut command)
    }

    fn attach(&mut self, session: &str) -> Result<Box<dyn Viewer>> {
        let mut command = self.command()?;
        command.args(["-x", session]);
        Ok(Box::new(OnTerminal::start(&command)?))
    }

    fn servers(&mut self) -> Result<Vec<i32>> {
        Ok(self.0.processes())
    }
}
