//! zellij: one bare pane a session, without tips and panels.

use anyhow::Result;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{Peer, Place};
use crate::pty::viewer::{OnTerminal, Viewer};

/// Settings that leave the pane alone.
const SETTINGS: &str = "pane_frames false\nshow_startup_tips false\nshow_release_notes false\nsession_serialization false\nscroll_buffer_size 10000\nmouse_mode false\n";

pub struct Zellij(pub Place);

impl Zellij {
    fn command(&self, session: &str) -> Command {
        let mut command = self.0.command();
        command
            .env("ZELLIJ_SOCKET_DIR", self.0.path("z"))
            .env("XDG_RUNTIME_DIR", self.0.path(""))
            .arg("--config")
            .arg(self.0.path(&format!("{session}-settings.kdl")));
        command
    }
}

impl Peer for Zellij {
    fn start(&mut self, session: &str, argv: &[String]) -> Result<()> {
        // A command in a layout waits for a viewer; a shell does not.
        let shell = self.0.write(&format!("{session}.sh"), &format!("#!/bin/sh\nexec {}\n", argv.join(" ")))?;
        std::fs::set_permissions(&shell, std::fs::Permissions::from_mode(0o700))?;
        let layout = self.0.write("bare.kdl", "layout {\n pane borderless=true\n}\n")?;
        let settings =
            format!("{SETTINGS}default_shell \"{}\"\ndefault_layout \"{}\"\n", shell.display(), layout.display());
        self.0.write(&format!("{session}-settings.kdl"), &settings)?;
        self.0.run(self.command(session).args(["attach", "--create-background", session]))
    }

    fn attach(&mut self, session: &str) -> Result<Box<dyn Viewer>> {
        let mut command = self.command(session);
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
