//! zellij: one bare pane a session, without tips and panels.

use anyhow::Result;
use std::process::Command;
use std::time::Duration;

use super::{Peer, Place};
use crate::pty::viewer::{OnTerminal, Viewer};

/// Settings that leave the pane alone.
const SETTINGS: &str = "pane_frames false\nshow_startup_tips false\nshow_release_notes false\nsession_serialization false\nscroll_buffer_size 10000\nmouse_mode false\ndisable_session_metadata true\n";

pub struct Zellij(pub Place);

impl Zellij {
    fn command(&self) -> Result<Command> {
        let settings = self.0.write("config.kdl", SETTINGS)?;
        let mut command = self.0.command();
        command
            .env("ZELLIJ_SOCKET_DIR", self.0.path("z"))
            .env("XDG_RUNTIME_DIR", self.0.path(""))
            .env("ZELLIJ_CONFIG_FILE", &settings)
            .arg("--config")
            .arg(settings);
        Ok(command)
    }
}

impl Peer for Zellij {
    fn start(&mut self, session: &str, argv: &[String]) -> Result<()> {
        let quoted = |text: &String| format!("\"{text}\"");
        let program = argv.first().map(quoted).unwrap_or_default();
        let arguments: Vec<String> = argv.iter().skip(1).map(quoted).collect();
        let layout = format!(
            "layout {{\n pane command={program} borderless=true close_on_exit=true {{\n  args {}\n }}\n}}\n",
            arguments.join(" ")
        );
        let layout = self.0.write(&format!("{session}.kdl"), &layout)?;
        let mut command = self.command()?;
        command.args(["--session", session, "--new-session-with-layout"]).arg(layout);
        // A session begins with its first viewer, which leaves when the pane is drawn.
        let mut first = OnTerminal::start(&command)?;
        first.read_quiet(Duration::from_millis(700))?;
        Ok(())
    }

    fn attach(&mut self, session: &str) -> Result<Box<dyn Viewer>> {
        let mut command = self.command()?;
        command.args(["attach", session]);
        Ok(Box::new(OnTerminal::start(&command)?))
    }

    fn servers(&mut self) -> Result<Vec<i32>> {
        Ok(self.0.processes())
    }

    fn is_light(&self) -> bool {
        false
    }
}
