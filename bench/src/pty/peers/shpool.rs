//! shpool, restoring the screen as it does by itself.

use anyhow::{Result, bail};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::{Peer, Place};
use crate::pty::viewer::{OnTerminal, Viewer};

pub struct Shpool {
    place: Place,
    daemon: Child,
}

impl Shpool {
    pub fn open(place: Place) -> Result<Self> {
        place.write(
            "shpool.toml",
            "session_restore_mode = \"screen\"\noutput_spool_lines = 10000\nprompt_prefix = \"\"\nnoread_etc_environment = true\n",
        )?;
        let daemon =
            command(&place).arg("daemon").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let deadline = Instant::now() + Duration::from_secs(10);
        while !place.path("socket").exists() {
            if Instant::now() > deadline {
                bail!("shpool's daemon did not come up");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(Self { place, daemon })
    }
}

fn command(place: &Place) -> std::process::Command {
    let mut command = place.command();
    command
        .env("XDG_RUNTIME_DIR", place.path(""))
        .arg("--socket")
        .arg(place.path("socket"))
        .arg("--config-file")
        .arg(place.path("shpool.toml"))
        .arg("--no-daemonize");
    command
}

impl Peer for Shpool {
    fn start(&mut self, session: &str, argv: &[String]) -> Result<()> {
        let mut command = command(&self.place);
        command.args(["attach", "--background", "--cmd", &argv.join(" "), session]);
        // It looks at its terminal also when it goes to the background.
        OnTerminal::start(&command)?.wait(Duration::from_secs(10))
    }

    fn attach(&mut self, session: &str) -> Result<Box<dyn Viewer>> {
        let mut command = command(&self.place);
        command.args(["attach", "--force", session]);
        Ok(Box::new(OnTerminal::start(&command)?))
    }

    fn servers(&mut self) -> Result<Vec<i32>> {
        Ok(self.place.processes())
    }

    fn takes_many(&self) -> bool {
        false
    }

    fn is_light(&self) -> bool {
        false
    }
}

impl Drop for Shpool {
    fn drop(&mut self) {
        // It may have been ended by a measurement.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}
