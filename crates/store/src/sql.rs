//! The seam to the database: parameters, rows, reading and writing, in a subset of SQL that PostgreSQL takes too
//! (parameters `?1`, `ON CONFLICT`, `RETURNING`). The domain modules use nothing else, so that another backend can run
//! the same operations.

use std::ops::Deref;
use std::path::Path;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::StoreError;

/// A parameter of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// No value.
    Null,
    /// A signed number.
    Integer(i64),
    /// An unsigned number; the statement fails when it is above `i64::MAX`, the largest that a database holds.
    Unsigned(u64),
    /// A text.
    Text(&'a str),
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Unsigned(number) => ValueRef::Integer(i64::try_from(*number).map_err(|_| {
                let text = format!("{number} is larger than the largest number that is kept, {}", i64::MAX);
                rusqlite::Error::ToSqlConversionFailure(text.into())
            })?),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Value<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Self::Unsigned(number)
    }
}

impl From<u32> for Value<'_> {
    fn from(number: u32) -> Self {
        Self::Integer(i64::from(number))
    }
}

impl<'a, T: Into<Self>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// One row of an answer; columns are counted from 0.
#[derive(Debug)]
pub struct Row<'a> {
    row: &'a rusqlite::Row<'a>,
    path: &'a Path,
}

impl Row<'_> {
    /// The text in `column`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when something else is there.
    pub fn text(&self, column: usize) -> Result<String, StoreError> {
        self.row.get(column).map_err(|error| self.damaged(&error))
    }

    /// The text in `column`, or nothing.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when something else is there.
    pub fn optional_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        self.row.get(column).map_err(|error| self.damaged(&error))
    }

    /// The number in `column`.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when something else, or a number below zero, is there.
    pub fn unsigned(&self, column: usize) -> Result<u64, StoreError> {
        let number: i64 = self.row.get(column).map_err(|error| self.damaged(&error))?;
        u64::try_from(number).map_err(|_| self.corrupt(format!("column {column} holds {number}, which is below zero")))
    }

    /// As [`Row::unsigned`], of a column that may be NULL.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for what is no number, or a negative one.
    pub fn optional_unsigned(&self, column: usize) -> Result<Option<u64>, StoreError> {
        let number: Option<i64> = self.row.get(column).map_err(|error| self.damaged(&error))?;
        number.map_or(Ok(None), |_| self.unsigned(column).map(Some))
    }

    /// An error that says that this row makes no sense.
    #[must_use]
    pub fn corrupt(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.to_path_buf(), detail: detail.into() }
    }

    fn damaged(&self, error: &rusqlite::Error) -> StoreError {
        self.corrupt(error.to_string())
    }
}

/// Reads one consistent state of the database.
#[derive(Debug)]
pub struct Reader<'a> {
    connection: &'a Connection,
    path: &'a Path,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(connection: &'a Connection, path: &'a Path) -> Self {
        Self { connection, path }
    }

    /// Every row that `sql` gives, through `map`.
    ///
    /// # Errors
    /// As the statement or `map` fails.
    pub fn query<T>(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
        mut map: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let failed = |error: rusqlite::Error| StoreError::from_sqlite(&error, self.path);
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(parameters)).map_err(failed)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            found.push(map(&Row { row, path: self.path })?);
        }
        Ok(found)
    }

    /// The first row that `sql` gives, through `map`.
    ///
    /// # Errors
    /// As the statement or `map` fails.
    pub fn query_one<T>(
        &self,
        sql: &str,
        parameters: &[Value<'_>],
        map: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let failed = |error: rusqlite::Error| StoreError::from_sqlite(&error, self.path);
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(parameters)).map_err(failed)?;
        let row = rows.next().map_err(failed)?;
        row.map(|row| map(&Row { row, path: self.path })).transpose()
    }

    /// An error that says that the database holds something that makes no sense.
    #[must_use]
    pub fn corrupt(&self, detail: impl Into<String>) -> StoreError {
        StoreError::Corrupt { path: self.path.to_path_buf(), detail: detail.into() }
    }
}

/// Reads and writes; everything it did is kept together or not at all.
#[derive(Debug)]
pub struct Transaction<'a> {
    reader: Reader<'a>,
    appended: Option<u64>,
}

impl<'a> Transaction<'a> {
    pub(crate) const fn new(connection: &'a Connection, path: &'a Path) -> Self {
        Self { reader: Reader::new(connection, path), appended: None }
    }

    /// Runs a statement that gives no rows; returns how many rows it changed.
    ///
    /// # Errors
    /// As the statement fails.
    pub fn execute(&mut self, sql: &str, parameters: &[Value<'_>]) -> Result<usize, StoreError> {
        let failed = |error: rusqlite::Error| StoreError::from_sqlite(&error, self.path);
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        statement.execute(params_from_iter(parameters)).map_err(failed)
    }

    /// Notes that the journal now ends at `seq`, for those who wait for its growth.
    pub(crate) const fn journaled(&mut self, seq: u64) {
        self.appended = Some(seq);
    }

    /// The last event that this transaction appended.
    pub(crate) const fn appended(&self) -> Option<u64> {
        self.appended
    }
}

impl<'a> Deref for Transaction<'a> {
    type Target = Reader<'a>;

    fn deref(&self) -> &Self::Target {
        &self.reader
    }
}
