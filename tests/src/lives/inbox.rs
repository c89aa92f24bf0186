//! What the agent of a bed asks, and how it is answered.

use serde_json::{Value, json};

use super::Bed;

/// The end of an approval's name, as a person types it.
///
/// # Panics
/// When it has none.
#[must_use]
#[track_caller]
pub fn short(approval: &Value) -> String {
    let name = approval["approval"].as_str().expect("an approval has a name");
    name[name.len() - 8..].to_owned()
}

impl Bed {
    /// The questions that wait, or all that there ever were.
    ///
    /// # Panics
    /// When the daemon does not tell.
    #[must_use]
    #[track_caller]
    pub fn approvals(&self, all: bool) -> Vec<Value> {
        let list = self.daemon.call("approval.list", &json!({"all": all}));
        list["approvals"].as_array().expect("a list").clone()
    }

    /// Waits until exactly one question waits.
    #[must_use]
    #[track_caller]
    pub fn until_asked(&self) -> Value {
        self.until("a question in the inbox", || {
            let mut waiting = self.approvals(false);
            (waiting.len() == 1).then(|| waiting.remove(0))
        })
    }

    /// An approval as it is now.
    #[must_use]
    #[track_caller]
    pub fn approval(&self, approval: &Value) -> Value {
        self.daemon.call("approval.get", &json!({"approval": approval["approval"]}))
    }

    /// Waits until a member of an approval has this value, and gives the approval.
    #[track_caller]
    pub fn until_approval(&self, approval: &Value, member: &str, value: &str) -> Value {
        self.until(&format!("the approval with {member} {value}"), || {
            Some(self.approval(approval)).filter(|now| now[member] == value)
        })
    }

    /// Decides over the socket.
    #[track_caller]
    pub fn decide(&self, approval: &Value, decision: &str) {
        let params =
            json!({"approvals": [approval["approval"]], "decision": decision, "reason": "because the test says so"});
        self.daemon.call("approval.decide", &params);
    }

    /// Decides as a person does: `orxctl allow` or `orxctl deny`, with further arguments. Gives what it said.
    #[track_caller]
    pub fn answer(&self, approval: &Value, decision: &str, more: &[&str]) -> String {
        let name = short(approval);
        let mut arguments = vec![decision, name.as_str()];
        arguments.extend(more);
        self.orxctl(&arguments)
    }
}
