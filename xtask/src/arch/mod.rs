//! `cargo xtask arch`: the shape of the house as a check. Which crate may use which, and what may be written where.
//!
//! A failure here is a decision to be made in the open: change the table with a reason, or put the code in its room.

pub mod edges;
pub mod source;

use anyhow::{Result, bail};

use crate::shell;

/// Checks everything and says what breaks which rule.
pub fn run() -> Result<()> {
    let metadata = edges::metadata(shell::root())?;
    let mut broken = edges::check(&metadata)?;
    broken.extend(source::check(shell::root(), &edges::members(&metadata)?)?);
    if !broken.is_empty() {
        bail!("the architecture is broken:\n  {}", broken.join("\n  "));
    }
    println!("  dependency edges, SQL, spawning, codec and lints are where they belong");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_architecture_holds() {
        super::run().unwrap();
    }
}
