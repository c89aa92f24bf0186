//! What a test wants of its daemon.

use std::path::PathBuf;

use serde_json::{Value, json};

/// How a daemon is started. The directories are there before the daemon, so that a test can put things in its way.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `ORX_HOME`.
    pub home: PathBuf,
    /// `ORX_SOCKET`.
    pub socket: PathBuf,
    /// `ORX_CONFIG`; written from [`Settings::file`] at the start.
    pub config: PathBuf,
    /// The user's home directory.
    pub user_home: PathBuf,
    /// `ORX_HTTP`: a free port of loopback unless a test says otherwise.
    pub http: String,
    /// What is in `orchestratord.yaml`, in YAML's JSON form.
    pub file: Value,
    /// Text of `orchestratord.yaml` instead of [`Settings::file`].
    pub file_text: Option<String>,
    /// Further variables.
    pub environment: Vec<(String, String)>,
    /// Further arguments.
    pub arguments: Vec<String>,
    /// A line of `/bin/sh` that runs before the daemon takes the shell's place, such as `ulimit -n 64`.
    pub before: Option<String>,
}

impl Settings {
    pub(crate) fn below(directory: &std::path::Path) -> Self {
        Self {
            home: directory.join("home"),
            socket: directory.join("run/o.sock"),
            config: directory.join("orchestratord.yaml"),
            user_home: directory.join("user"),
            http: "127.0.0.1:0".to_owned(),
            file: json!({ "version": 1 }),
            file_text: None,
            environment: Vec::new(),
            arguments: Vec::new(),
            before: None,
        }
    }

    /// Sets a member of `orchestratord.yaml`; `path` has its parents, separated by points.
    ///
    /// # Panics
    /// When a parent is there and is not an object.
    pub fn set(&mut self, path: &str, value: impl Into<Value>) -> &mut Self {
        let mut place = &mut self.file;
        for name in path.split('.') {
            if place.is_null() {
                *place = json!({});
            }
            place = place.as_object_mut().expect("a parent is an object").entry(name).or_insert(Value::Null);
        }
        *place = value.into();
        self
    }

    /// Instances of each of the four roles; a test that needs no worker starts none.
    pub fn workers(&mut self, instances: u32) -> &mut Self {
        self.set(
            "workers",
            json!({"naming": instances, "structure": instances, "semantic": instances, "manager": instances}),
        )
    }

    /// Adds a variable.
    pub fn variable(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn file_bytes(&self) -> String {
        self.file_text.clone().unwrap_or_else(|| format!("{:#}\n", self.file))
    }
}
