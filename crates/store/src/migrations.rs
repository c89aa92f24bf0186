//! The schema's versions. Migrations are numbered from 1 and run in one transaction: after a death half way the database
//! is what it was before.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use crate::StoreError;

/// SQLite's `application_id` of orx's databases: `orx` and a zero byte.
const APPLICATION: i64 = 0x6f72_7800;

/// The statements of each version; the first entry makes version 1.
const MIGRATIONS: &[&str] = &[
    include_str!("../migrations/0001.sql"),
    include_str!("../migrations/0002.sql"),
    include_str!("../migrations/0003.sql"),
    include_str!("../migrations/0004.sql"),
    include_str!("../migrations/0005.sql"),
    include_str!("../migrations/0006.sql"),
];

/// Refuses a database that a newer orx or another program made, before anything in it is changed.
///
/// # Errors
/// [`StoreError::NewerSchema`], [`StoreError::Corrupt`].
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    check_against(connection, path, MIGRATIONS)
}

/// Brings the schema up to date.
///
/// # Errors
/// As a statement fails; the database is unchanged then.
pub(crate) fn run(connection: &mut Connection, path: &Path) -> Result<(), StoreError> {
    apply(connection, path, MIGRATIONS, |version| tracing::info!(version, path = %path.display(), "schema migrated"))
}

fn check_against(connection: &Connection, path: &Path, migrations: &[&str]) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| StoreError::from_sqlite(&error, path);
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(failed)?;
    let found = version(connection).map_err(failed)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(failed)?;
    let untouched = application == 0 && found == 0 && tables == 0;
    if application != APPLICATION && !untouched {
        let detail = "it is an SQLite database of another program: move it away, or set ORX_HOME to another directory";
        return Err(StoreError::Corrupt { path: path.to_path_buf(), detail: detail.to_owned() });
    }
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_path_buf(), found, known });
    }
    Ok(())
}

/// Runs what is missing of `migrations` in one transaction; `done` hears of each version before the commit.
fn apply(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
    mut done: impl FnMut(u32),
) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| StoreError::from_sqlite(&error, path);
    if version(connection).map_err(failed)? as usize == migrations.len() {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(failed)?;
    let found = version(&transaction).map_err(failed)?;
    for (migration, number) in migrations.iter().zip(1_u32..).filter(|(_, number)| *number > found) {
        transaction.execute_batch(migration).map_err(failed)?;
        transaction.pragma_update(None, "user_version", number).map_err(failed)?;
        done(number);
    }
    transaction.pragma_update(None, "application_id", APPLICATION).map_err(failed)?;
    transaction.commit().map_err(failed)
}

fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::Stdio;

    use super::*;

    const FIRST: &str = "CREATE TABLE one (a INTEGER); INSERT INTO one VALUES (1);";
    /// Names the database of the child process that is killed half way.
    const CHILD: &str = "ORX_STORE_MIGRATION_CHILD";

    fn open(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(())).unwrap();
        connection
    }

    fn tables(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn versions_are_counted_and_each_runs_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orx.db");
        let mut connection = open(&path);
        let mut done = Vec::new();
        apply(&mut connection, &path, &[FIRST], |version| done.push(version)).unwrap();
        apply(&mut connection, &path, &[FIRST, "CREATE TABLE two (a INTEGER)"], |version| done.push(version)).unwrap();
        apply(&mut connection, &path, &[FIRST, "CREATE TABLE two (a INTEGER)"], |version| done.push(version)).unwrap();
        assert_eq!(done, [1, 2]);
        assert_eq!((version(&connection).unwrap(), tables(&connection)), (2, 2));
    }

    #[test]
    fn a_failing_migration_takes_those_before_it_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orx.db");
        let mut connection = open(&path);
        let steps = [FIRST, "CREATE TABLE two (a INTEGER); INSERT INTO nowhere VALUES (1);"];
        assert!(apply(&mut connection, &path, &steps, |_| {}).is_err());
        assert_eq!((version(&connection).unwrap(), tables(&connection)), (0, 0));
        check_against(&connection, &path, &steps).unwrap();
    }

    #[test]
    fn a_migration_killed_half_way_did_not_happen() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orx.db");
        #[allow(clippy::disallowed_methods)] // The test runs itself again, to be killed.
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "migrations::tests::child_stops_half_way", "--nocapture"])
            .env(CHILD, &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("half way")));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut connection = open(&path);
        assert_eq!((version(&connection).unwrap(), tables(&connection)), (0, 0));
        apply(&mut connection, &path, &[FIRST], |_| {}).unwrap();
        assert_eq!((version(&connection).unwrap(), tables(&connection)), (1, 1));
    }

    /// Does something only as the child of the test before this one.
    #[test]
    fn child_stops_half_way() {
        let Some(path) = std::env::var_os(CHILD) else { return };
        let mut connection = open(Path::new(&path));
        // With a tiny cache the pages of the open transaction reach the file before the death.
        connection.pragma_update(None, "cache_size", 1).unwrap();
        let bulk = "CREATE TABLE bulk (a TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
                    INSERT INTO bulk SELECT hex(zeroblob(1000)) FROM n;";
        apply(&mut connection, Path::new(&path), &[FIRST, bulk, "CREATE TABLE three (a INTEGER)"], |version| {
            if version == 2 {
                println!("half way");
                std::io::stdout().flush().unwrap();
                // Ends with the parent's end of the pipe, which is its death or this one's.
                std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            }
        })
        .unwrap();
    }
}
