//! `notifications` in `orchestratord.yaml`.

use orx_protocol::api::notification::Topic;
use orx_protocol::hold::NoticeForm;
use serde::Deserialize;
use std::path::Path;

use super::Roads;

/// The section as it is written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FileNotifications {
    desktop: Option<bool>,
    terminal: Option<FileTerminal>,
    command: Vec<String>,
    topics: Option<Vec<Topic>>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FileTerminal {
    Osc9,
    Osc777,
    Off,
}

impl FileNotifications {
    /// The section, checked.
    ///
    /// # Errors
    /// The key and what is wrong with it.
    pub fn read(self) -> Result<Roads, (&'static str, String)> {
        let default = Roads::default();
        if let Some(program) = self.command.first()
            && !Path::new(program).is_absolute()
        {
            return Err(("notifications.command", format!("`{program}` is no absolute path")));
        }
        if let Some(topics) = &self.topics
            && topics.contains(&Topic::Test)
        {
            return Err(("notifications.topics", "`test` happens when it is asked for".to_owned()));
        }
        Ok(Roads {
            desktop: self.desktop.unwrap_or(default.desktop),
            terminal: match self.terminal {
                None => default.terminal,
                Some(FileTerminal::Osc9) => Some(NoticeForm::Osc9),
                Some(FileTerminal::Osc777) => Some(NoticeForm::Osc777),
                Some(FileTerminal::Off) => None,
            },
            command: self.command,
            topics: self.topics.map_or(default.topics, |topics| topics.into_iter().collect()),
        })
    }
}
