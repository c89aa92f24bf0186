//! The ledger: one row a call of a model, written when the call is sent and again when it has ended. What a call costs, and
//! who may make it, is decided elsewhere.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use crate::StoreError;
use crate::sql::{Reader, Row, Transaction, Value};

/// A word of which there are a few: of a row that is read, it may be one that a later version wrote.
pub type Word = Cow<'static, str>;

/// A call of a model. It is copied more than once on its way, so that its texts are shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallRow {
    /// Its identifier.
    pub call: Arc<str>,
    /// When it came, in milliseconds since the epoch.
    pub at_ms: u64,
    /// When it ended; `None` while it is at work.
    pub ended_ms: Option<u64>,
    /// The model as its caller named it.
    pub asked: Arc<str>,
    /// The caller's dialect.
    pub dialect: Word,
    /// What it was for: `main`, `title`, `count`, `embedding`.
    pub kind: Word,
    /// Whether its answer was a stream.
    pub streamed: bool,
    /// The provider that answered, or was asked last.
    pub provider: Arc<str>,
    /// The model there.
    pub model: Arc<str>,
    /// Provider and model that were to answer first.
    pub first: Option<(Arc<str>, Arc<str>)>,
    /// The session.
    pub session: Option<Arc<str>>,
    /// The run.
    pub run: Option<Arc<str>>,
    /// The stage of the run.
    pub stage: Option<Arc<str>>,
    /// The project.
    pub project: Option<Arc<str>>,
    /// The user.
    pub user: Option<Arc<str>>,
    /// The key.
    pub key: Option<Arc<str>>,
    /// Who is billed: `key` for the operator's, `login` for the caller's own, `local` and `cache` where nobody is.
    pub billing: Word,
    /// Attempts, over all providers.
    pub attempts: u64,
    /// The status that the caller got; `None` while there is none.
    pub status: Option<u64>,
    /// How it ended: `open`, `answered`, `cached`, `failed`, `refused`, `cut`, `gone`, `lost`.
    pub outcome: Word,
    /// Tokens of the prompt that no cache had; `None` where the provider did not say.
    pub input: Option<u64>,
    /// Tokens of the answer.
    pub output: Option<u64>,
    /// Tokens of the prompt that were read from a cache.
    pub cache_read: Option<u64>,
    /// Tokens of the prompt that were written to a cache for the usual time.
    pub cache_write_5m: Option<u64>,
    /// Tokens of the prompt that were written to a cache for the long time.
    pub cache_write_1h: Option<u64>,
    /// How many of the answer's were thought.
    pub reasoning: Option<u64>,
    /// What it cost in micro-dollars; `None` where a price is not known.
    pub cost_microusd: Option<u64>,
    /// Whether tokens and cost are an estimate, because the provider did not say.
    pub is_estimate: bool,
    /// What was held back for it in micro-dollars.
    pub reserved_microusd: Option<u64>,
    /// Tokens that were held back for it.
    pub reserved_tokens: u64,
    /// How long its answer took to begin, in milliseconds.
    pub first_byte_ms: Option<u64>,
    /// How long it took in all, in milliseconds.
    pub total_ms: Option<u64>,
    /// What an answer out of the cache had cost when it was given first, in micro-dollars.
    pub saved_microusd: Option<u64>,
    /// Tokens that were left out of a prompt that did not fit, an estimate.
    pub left_out_tokens: Option<u64>,
}

/// Whose spending is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Everybody's together.
    All,
    /// Each session's.
    Session,
    /// Each run's.
    Run,
    /// Each project's.
    Project,
    /// Each user's.
    User,
    /// Each key's.
    Key,
}

/// What one subject spent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Who; empty for everybody.
    pub subject: String,
    /// Micro-dollars.
    pub cost_microusd: u64,
    /// Tokens.
    pub tokens: u64,
}

const COLUMNS: &str = "call, at_ms, ended_ms, asked, dialect, kind, streamed, provider, model, first_provider, first_model, session, run, \
     stage, project, user, key, billing, attempts, status, outcome, input, output, cache_read, cache_write_5m, cache_write_1h, \
     reasoning, cost_microusd, is_estimate, reserved_microusd, reserved_tokens, first_byte_ms, total_ms, saved_microusd, \
     left_out_tokens";

/// Made once: it is what every call is written with.
static PUT: LazyLock<String> = LazyLock::new(|| {
    let places: Vec<String> = (1..=COLUMNS.split(',').count()).map(|place| format!("?{place}")).collect();
    format!("INSERT OR REPLACE INTO calls ({COLUMNS}) VALUES ({})", places.join(", "))
});

/// Writes a call, in the place of what was known of it.
///
/// # Errors
/// As the database fails.
pub fn put(tx: &mut Transaction<'_>, row: &CallRow) -> Result<(), StoreError> {
    let first = row.first.as_ref();
    tx.execute(
        &PUT,
        &[
            Value::Text(&row.call),
            row.at_ms.into(),
            row.ended_ms.into(),
            Value::Text(&row.asked),
            Value::Text(&row.dialect),
            Value::Text(&row.kind),
            u32::from(row.streamed).into(),
            Value::Text(&row.provider),
            Value::Text(&row.model),
            optional(first.map(|first| &first.0)),
            optional(first.map(|first| &first.1)),
            optional(row.session.as_ref()),
            optional(row.run.as_ref()),
            optional(row.stage.as_ref()),
            optional(row.project.as_ref()),
            optional(row.user.as_ref()),
            optional(row.key.as_ref()),
            Value::Text(&row.billing),
            row.attempts.into(),
            row.status.into(),
            Value::Text(&row.outcome),
            row.input.into(),
            row.output.into(),
            row.cache_read.into(),
            row.cache_write_5m.into(),
            row.cache_write_1h.into(),
            row.reasoning.into(),
            row.cost_microusd.into(),
            u32::from(row.is_estimate).into(),
            row.reserved_microusd.into(),
            row.reserved_tokens.into(),
            row.first_byte_ms.into(),
            row.total_ms.into(),
            row.saved_microusd.into(),
            row.left_out_tokens.into(),
        ],
    )?;
    Ok(())
}

/// The call of this identifier.
///
/// # Errors
/// As the database fails.
pub fn get(reader: &Reader<'_>, call: &str) -> Result<Option<CallRow>, StoreError> {
    reader.query_one(&format!("SELECT {COLUMNS} FROM calls WHERE call = ?1"), &[Value::Text(call)], read)
}

/// Calls that ended at `since_ms` or later, oldest first, at most `limit`.
///
/// # Errors
/// As the database fails.
pub fn ended_since(reader: &Reader<'_>, since_ms: u64, limit: u32) -> Result<Vec<CallRow>, StoreError> {
    reader.query(
        &format!("SELECT {COLUMNS} FROM calls WHERE ended_ms >= ?1 ORDER BY ended_ms LIMIT ?2"),
        &[since_ms.into(), limit.into()],
        read,
    )
}

/// Ends every call whose daemon died with it: what was held back for it is taken for spent, and said to be an estimate. Gives how
/// many there were.
///
/// # Errors
/// As the database fails.
pub fn end_lost(tx: &mut Transaction<'_>, now_ms: u64) -> Result<usize, StoreError> {
    tx.execute(
        "UPDATE calls SET ended_ms = ?1, outcome = 'lost', is_estimate = 1, cost_microusd = reserved_microusd, \
         input = reserved_tokens WHERE ended_ms IS NULL",
        &[now_ms.into()],
    )
}

/// What each subject spent since `since_ms`. What a caller's own login paid for costs no money.
///
/// # Errors
/// As the database fails.
pub fn spent_since(reader: &Reader<'_>, of: Subject, since_ms: u64) -> Result<Vec<Sum>, StoreError> {
    let column = match of {
        Subject::All => "''",
        Subject::Session => "session",
        Subject::Run => "run",
        Subject::Project => "project",
        Subject::User => "user",
        Subject::Key => "key",
    };
    let sql = format!(
        "SELECT {column} AS subject, SUM(CASE billing WHEN 'key' THEN COALESCE(cost_microusd, 0) ELSE 0 END), \
         SUM(COALESCE(input, 0) + COALESCE(output, 0) + COALESCE(cache_read, 0) + COALESCE(cache_write_5m, 0) \
         + COALESCE(cache_write_1h, 0)) \
         FROM calls WHERE ended_ms >= ?1 AND {column} IS NOT NULL GROUP BY subject"
    );
    reader.query(&sql, &[since_ms.into()], |row| {
        Ok(Sum { subject: row.text(0)?, cost_microusd: row.unsigned(1)?, tokens: row.unsigned(2)? })
    })
}

/// Notes that people were told of a cap in the period that began at `start_ms`.
///
/// # Errors
/// As the database fails.
pub fn alerted(tx: &mut Transaction<'_>, cap: &str, subject: &str, start_ms: u64) -> Result<(), StoreError> {
    tx.execute(
        "INSERT OR REPLACE INTO budget_alerts (cap, subject, start_ms) VALUES (?1, ?2, ?3)",
        &[Value::Text(cap), Value::Text(subject), start_ms.into()],
    )?;
    Ok(())
}

/// Caps, subjects and the beginnings of the periods for which people were told.
///
/// # Errors
/// As the database fails.
pub fn alerts(reader: &Reader<'_>) -> Result<Vec<(String, String, u64)>, StoreError> {
    reader.query("SELECT cap, subject, start_ms FROM budget_alerts", &[], |row| {
        Ok((row.text(0)?, row.text(1)?, row.unsigned(2)?))
    })
}

/// Keeps the breakers that are not as they began, in the place of those that were kept: provider, model, and what there is to keep.
///
/// # Errors
/// As the database fails.
pub fn put_breakers(tx: &mut Transaction<'_>, breakers: &[(String, String, String)]) -> Result<(), StoreError> {
    tx.execute("DELETE FROM breakers", &[])?;
    for (provider, model, body) in breakers {
        tx.execute(
            "INSERT INTO breakers (provider, model, body) VALUES (?1, ?2, ?3)",
            &[Value::Text(provider), Value::Text(model), Value::Text(body)],
        )?;
    }
    Ok(())
}

/// What was kept of breakers.
///
/// # Errors
/// As the database fails.
pub fn breakers(reader: &Reader<'_>) -> Result<Vec<String>, StoreError> {
    reader.query("SELECT body FROM breakers", &[], |row| row.text(0))
}

fn optional(text: Option<&Arc<str>>) -> Value<'_> {
    text.map_or(Value::Null, |text| Value::Text(text))
}

fn read(row: &Row<'_>) -> Result<CallRow, StoreError> {
    let shared = |column| row.optional_text(column).map(|text| text.map(Arc::from));
    let first = shared(9)?.zip(shared(10)?);
    Ok(CallRow {
        call: row.text(0)?.into(),
        at_ms: row.unsigned(1)?,
        ended_ms: row.optional_unsigned(2)?,
        asked: row.text(3)?.into(),
        dialect: row.text(4)?.into(),
        kind: row.text(5)?.into(),
        streamed: row.unsigned(6)? != 0,
        provider: row.text(7)?.into(),
        model: row.text(8)?.into(),
        first,
        session: shared(11)?,
        run: shared(12)?,
        stage: shared(13)?,
        project: shared(14)?,
        user: shared(15)?,
        key: shared(16)?,
        billing: row.text(17)?.into(),
        attempts: row.unsigned(18)?,
        status: row.optional_unsigned(19)?,
        outcome: row.text(20)?.into(),
        input: row.optional_unsigned(21)?,
        output: row.optional_unsigned(22)?,
        cache_read: row.optional_unsigned(23)?,
        cache_write_5m: row.optional_unsigned(24)?,
        cache_write_1h: row.optional_unsigned(25)?,
        reasoning: row.optional_unsigned(26)?,
        cost_microusd: row.optional_unsigned(27)?,
        is_estimate: row.unsigned(28)? != 0,
        reserved_microusd: row.optional_unsigned(29)?,
        reserved_tokens: row.unsigned(30)?,
        first_byte_ms: row.optional_unsigned(31)?,
        total_ms: row.optional_unsigned(32)?,
        saved_microusd: row.optional_unsigned(33)?,
        left_out_tokens: row.optional_unsigned(34)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;

    fn row(call: &str, session: &str, cost: Option<u64>) -> CallRow {
        CallRow {
            call: call.into(),
            at_ms: 1_000,
            asked: "opus".into(),
            session: Some(session.into()),
            billing: "key".into(),
            outcome: "open".into(),
            reserved_microusd: Some(900),
            reserved_tokens: 70,
            cost_microusd: cost,
            ..CallRow::default()
        }
    }

    #[tokio::test]
    async fn a_call_is_written_twice_and_counted_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("orx.db")).unwrap();
        let ended =
            CallRow { ended_ms: Some(2_000), input: Some(10), output: Some(5), ..row("req_1", "ses_1", Some(30)) };
        let (first, again) = (row("req_1", "ses_1", None), ended.clone());
        store.write(move |tx| put(tx, &first)).await.unwrap();
        assert_eq!(store.read(|reader| spent_since(reader, Subject::Session, 0)).await.unwrap(), []);
        store.write(move |tx| put(tx, &again)).await.unwrap();
        assert_eq!(store.read(|reader| get(reader, "req_1")).await.unwrap(), Some(ended.clone()));
        assert_eq!(store.read(|reader| ended_since(reader, 2_000, 10)).await.unwrap(), [ended]);
        let sum = Sum { subject: "ses_1".to_owned(), cost_microusd: 30, tokens: 15 };
        assert_eq!(store.read(|reader| spent_since(reader, Subject::Session, 2_000)).await.unwrap(), [sum]);
        assert_eq!(store.read(|reader| spent_since(reader, Subject::All, 2_001)).await.unwrap(), []);
    }

    #[tokio::test]
    async fn what_a_dead_daemon_left_open_is_taken_for_spent() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("orx.db")).unwrap();
        store.write(|tx| put(tx, &row("req_1", "ses_1", None))).await.unwrap();
        assert_eq!(store.write(|tx| end_lost(tx, 5_000)).await.unwrap(), 1);
        assert_eq!(store.write(|tx| end_lost(tx, 6_000)).await.unwrap(), 0);
        let lost = store.read(|reader| get(reader, "req_1")).await.unwrap().unwrap();
        assert_eq!((&*lost.outcome, lost.is_estimate, lost.ended_ms), ("lost", true, Some(5_000)));
        let sum = Sum { subject: String::new(), cost_microusd: 900, tokens: 70 };
        assert_eq!(store.read(|reader| spent_since(reader, Subject::All, 5_000)).await.unwrap(), [sum]);
    }

    #[tokio::test]
    async fn alerts_and_breakers_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("orx.db")).unwrap();
        store.write(|tx| alerted(tx, "day", "", 7).and_then(|()| alerted(tx, "day", "", 8))).await.unwrap();
        assert_eq!(store.read(alerts).await.unwrap(), [("day".to_owned(), String::new(), 8)]);
        let kept = |body: &str| vec![("p".to_owned(), "m".to_owned(), body.to_owned())];
        store.write(move |tx| put_breakers(tx, &kept("1")).and_then(|()| put_breakers(tx, &kept("2")))).await.unwrap();
        assert_eq!(store.read(breakers).await.unwrap(), ["2"]);
    }
}
