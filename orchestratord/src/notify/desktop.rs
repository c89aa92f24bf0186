//! Telling the desktop, over the session bus, as freedesktop's Desktop Notifications Specification 1.2 says.

use orx_protocol::api::notification::{Notification, Status, Topic};
use orx_sandbox::environment::Environment;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;
use zbus::Variant;

/// Where the session bus is, in a person's environment.
const ADDRESS: &str = "DBUS_SESSION_BUS_ADDRESS";
/// How long the desktop may take.
const LIMIT: Duration = Duration::from_secs(5);
const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";
/// The server decides how long it shows.
const EXPIRES: i32 = -1;

pub(super) async fn tell(notification: &Notification, operator: &Environment) -> Status {
    let Some(address) = address(operator) else { return Status::Nobody };
    match tokio::time::timeout(LIMIT, send(notification, &address)).await {
        Ok(Ok(number)) => Status::Delivered(format!("the desktop took it as {number}")),
        Ok(Err(error)) => Status::Failed(format!("the desktop was not told: {error}")),
        Err(_) => Status::Failed(format!("the desktop did not answer within {} s", LIMIT.as_secs())),
    }
}

/// The session bus of the operator; `None` on a machine without a desktop.
fn address(operator: &Environment) -> Option<String> {
    let set = operator.get(ADDRESS).filter(|address| !address.is_empty()).cloned();
    set.or_else(|| {
        let bus = Path::new(operator.get("XDG_RUNTIME_DIR")?).join("bus");
        bus.exists().then(|| format!("unix:path={}", bus.display()))
    })
}

async fn send(notification: &Notification, address: &str) -> zbus::Result<u32> {
    let connection = zbus::connection::Builder::address(address).build().await?;
    // Critical ones stay until somebody looks at them.
    let urgency: u8 = match notification.topic {
        Topic::Approval | Topic::Question | Topic::Failed => 2,
        Topic::Done | Topic::RateLimited | Topic::Budget | Topic::Test => 1,
    };
    let hints: HashMap<&str, Variant<'_>> =
        [("urgency", Variant::from(urgency)), ("desktop-entry", Variant::from("orx"))].into();
    let actions: [&str; 0] = [];
    let body = escaped(&notification.body);
    let answer = connection
        .call_method(
            Some(NAME),
            PATH,
            Some(NAME),
            "Notify",
            &("orx", 0_u32, "", notification.title.as_str(), body.as_str(), actions.as_slice(), hints, EXPIRES),
        )
        .await?;
    answer.body().deserialize()
}

/// The specification lets servers read markup in a body.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_says_is_no_markup() {
        assert_eq!(escaped("<b>&x</b>"), "&lt;b&gt;&amp;x&lt;/b&gt;");
    }

    #[test]
    fn without_a_desktop_there_is_nobody_to_tell() {
        assert_eq!(address(&Environment::new()), None);
        let set: Environment = [(ADDRESS.to_owned(), "unix:path=/x".to_owned())].into();
        assert_eq!(address(&set).as_deref(), Some("unix:path=/x"));
    }
}
