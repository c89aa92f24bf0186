//! A notification server for tests: takes the desktop's name on the bus of its argument, and prints what it is told.

#![allow(clippy::print_stdout)] // Its output is what tests read.

use std::collections::HashMap;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

use zbus::Variant;

#[derive(Default)]
struct Notifications {
    count: AtomicU32,
}

#[zbus::interface(name = "org.freedesktop.Notifications")]
impl Notifications {
    #[allow(clippy::too_many_arguments)] // The specification's.
    fn notify(
        &self,
        _application: &str,
        _replaces: u32,
        _icon: &str,
        summary: &str,
        body: &str,
        _actions: Vec<String>,
        hints: HashMap<String, Variant<'_>>,
        _expires: i32,
    ) -> u32 {
        let urgency = hints.get("urgency").and_then(|urgency| u8::try_from(urgency).ok()).unwrap_or(u8::MAX);
        println!("{summary}|{body}|{urgency}");
        let _ = std::io::stdout().flush();
        self.count.fetch_add(1, Ordering::Relaxed) + 1
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("the bus's address is missing")?;
    let _connection = loop {
        // The bus may be starting.
        let building = zbus::connection::Builder::address(address.as_str())
            .name("org.freedesktop.Notifications")
            .serve_at("/org/freedesktop/Notifications", Notifications::default());
        match building.build().await {
            Ok(connection) => break connection,
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    };
    println!("ready");
    std::io::stdout().flush()?;
    std::future::pending::<()>().await;
    Ok(())
}
