//! Writing: the entries of several requests in one statement, which is one transaction.

use std::collections::{HashMap, HashSet};

use faultline_service::api::{Acceptance, Receipt};
use faultline_service::entry::Entry;
use sqlx::postgres::PgConnection;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::failure::Unwritten;
use crate::receipts;
use crate::store::{Position, StoreError};

/// About the bytes that an entry writes beside its text: its row and its share of three indexes.
const BESIDE_TEXT: usize = 256;

/// The entries of one request, and who waits for them.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) entries: Vec<Entry>,
    pub(super) reply: oneshot::Sender<Result<Vec<Receipt>, StoreError>>,
}

impl Append {
    /// About how many bytes it writes.
    pub(super) fn bytes(&self) -> usize {
        self.entries
            .iter()
            .map(|entry| entry.message.as_str().len() + BESIDE_TEXT)
            .sum()
    }

    /// Tells the outcome. The caller may be gone; the entries are not.
    pub(super) fn finish(self, outcome: Result<Vec<Receipt>, StoreError>) {
        if let Ok(receipts) = &outcome {
            receipts::record(receipts);
        }
        let _ = self.reply.send(outcome);
    }
}

/// What an id stands for.
struct Known<'a> {
    first: Acceptance,
    text: Text<'a>,
}

/// Level and message.
enum Text<'a> {
    /// Those of this entry.
    Of(&'a Entry),
    /// Other ones.
    Other(String, Vec<u8>),
}

impl Known<'_> {
    fn says_the_same_as(&self, entry: &Entry) -> bool {
        match &self.text {
            Text::Of(known) => known.level == entry.level && known.message == entry.message,
            Text::Other(level, message) => {
                level == entry.level.as_str() && message == entry.message.as_str().as_bytes()
            }
        }
    }
}

/// The outcome of one statement.
pub(super) struct Appended<'a> {
    /// The position of the entry stored last.
    pub(super) last: Position,
    known: HashMap<Uuid, Known<'a>>,
}

type Columns = (
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<bool>,
    Option<String>,
    Option<Vec<u8>>,
);

const APPEND: &str =
    "SELECT number, found_at, first_time, first_source, same, other_level, other_message
    FROM append_1($1, $2, $3, $4, $5)";

/// The first entry of each id, in the order sent.
fn different<'a>(appends: &'a [Append]) -> Vec<&'a Entry> {
    let mut seen = HashSet::new();
    let entries = appends.iter().flat_map(|append| &append.entries);
    let is_first = |entry: &&'a Entry| seen.insert(entry.id);
    entries.filter(is_first).collect()
}

/// Stores the entries of all these requests, or of none. The whole of it is one statement, so that
/// the server is never in a transaction that waits for this process.
pub(super) async fn append<'a>(
    connection: &mut PgConnection,
    appends: &'a [Append],
) -> Result<Appended<'a>, Unwritten> {
    let entries = different(appends);
    let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
    let times: Vec<String> = entries.iter().map(|entry| entry.time.to_string()).collect();
    let levels: Vec<&str> = entries.iter().map(|entry| entry.level.as_str()).collect();
    let messages: Vec<&[u8]> = entries
        .iter()
        .map(|entry| entry.message.as_str().as_bytes())
        .collect();
    let sources: Vec<&str> = entries.iter().map(|entry| entry.source.as_str()).collect();
    let rows: Vec<Columns> = sqlx::query_as(APPEND)
        .bind(ids)
        .bind(times)
        .bind(levels)
        .bind(messages)
        .bind(sources)
        .fetch_all(connection)
        .await?;
    appended(&entries, rows).ok_or_else(|| Unwritten::Lost("the answer makes no sense".to_owned()))
}

/// Reads what the statement returned; none where that makes no sense.
fn appended<'a>(entries: &[&'a Entry], rows: Vec<Columns>) -> Option<Appended<'a>> {
    let mut appended = Appended {
        last: Position::START,
        known: HashMap::new(),
    };
    for (number, found_at, time, source, same, level, message) in rows {
        let Ok(number @ 1..) = usize::try_from(number) else {
            appended.last = Position(found_at?);
            continue;
        };
        let entry = entries.get(number - 1)?;
        let first = Acceptance {
            time: time?.parse().ok()?,
            source: source?.parse().ok()?,
        };
        let text = if same? {
            Text::Of(entry)
        } else {
            Text::Other(level?, message?)
        };
        appended.known.insert(entry.id, Known { first, text });
    }
    Some(appended)
}

impl<'a> Appended<'a> {
    /// The receipts of each request. Within these requests, too, the first of an id is the entry.
    pub(super) fn receipts(mut self, appends: &'a [Append]) -> Vec<Vec<Receipt>> {
        let mut receipt = |entry: &'a Entry| {
            if let Some(known) = self.known.get(&entry.id) {
                let first = Some(known.first.clone());
                return receipts::known(entry, known.says_the_same_as(entry), first);
            }
            let known = Known {
                first: entry.into(),
                text: Text::Of(entry),
            };
            self.known.insert(entry.id, known);
            receipts::stored(entry)
        };
        let of = |append: &'a Append| append.entries.iter().map(&mut receipt).collect();
        appends.iter().map(of).collect()
    }
}
