//! The tables of the running totals in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use crate::activity::token_totals::{SavedTotals, SessionTotals};
use crate::activity::totals::{CountKey, DAY, HOUR, PERIOD, PeriodTotals, ToolTotals, Totals, period_of};
use crate::contract::words::ActivityKind;

/// Number of records by type, status, server and tool.
const COUNTS: TableDefinition<'_, (&str, &str, &str, &str), u64> = TableDefinition::new("activity_counts");
/// Calls by hour, server and tool.
const TOOLS: TableDefinition<'_, (u32, &str, &str), &[u8]> = TableDefinition::new("activity_tools");
/// Tokens of arguments and of results by hour, server and tool.
const TOKENS: TableDefinition<'_, (u32, &str, &str), (u64, u64)> = TableDefinition::new("activity_tokens");
/// Sessions, tokens of all tools and received tokens, by day and client.
const SAVED: TableDefinition<'_, (u32, &str), (u64, u64, u64)> = TableDefinition::new("activity_saved_tokens");
/// The latest day, whether it counts for the savings, and tokens, by session.
const SESSIONS: TableDefinition<'_, &str, (u32, bool, u64)> = TableDefinition::new("activity_sessions");
/// Maximum number of clients of a day that have totals of their own. Further ones share the totals without a name.
const MOST_CLIENTS: usize = 50;
/// Calls, errors and bytes by period.
const TIMELINE: TableDefinition<'_, u32, (u64, u64, u64)> = TableDefinition::new("activity_timeline");

/// Adds totals to the stored ones.
pub(super) fn add(transaction: &WriteTransaction, totals: &Totals) -> Result<(), redb::Error> {
    let mut counts = transaction.open_table(COUNTS)?;
    for ((kind, status, server, tool), change) in &totals.counts {
        let key = (kind.word(), status.word(), server.as_str(), tool.as_str());
        let before = counts.get(key)?.map_or(0, |value| value.value());
        match before.saturating_add_signed(*change) {
            0 => drop(counts.remove(key)?),
            after => drop(counts.insert(key, after)?),
        }
    }
    let mut tools = transaction.open_table(TOOLS)?;
    for ((hour, server, tool), calls) in &totals.tools {
        let key = (*hour, server.as_str(), tool.as_str());
        let mut sum = tools.get(key)?.map(|value| ToolTotals::decode(value.value())).unwrap_or_default();
        sum.add(calls);
        tools.insert(key, sum.encode().as_slice())?;
    }
    add_tokens(transaction, totals)?;
    let mut timeline = transaction.open_table(TIMELINE)?;
    for (period, calls) in &totals.timeline {
        let mut sum = timeline.get(period)?.map(|value| period_totals(value.value())).unwrap_or_default();
        sum.add(*calls);
        timeline.insert(period, (sum.calls, sum.errors, sum.response_bytes))?;
    }
    Ok(())
}

fn add_tokens(transaction: &WriteTransaction, totals: &Totals) -> Result<(), redb::Error> {
    let mut tokens = transaction.open_table(TOKENS)?;
    for ((hour, server, tool), calls) in &totals.tools {
        let key = (*hour, server.as_str(), tool.as_str());
        let (request, response) = tokens.get(key)?.map(|value| value.value()).unwrap_or_default();
        let sum = (request + calls.request_tokens, response + calls.response_tokens);
        if sum != (0, 0) {
            tokens.insert(key, sum)?;
        }
    }
    let mut saved = transaction.open_table(SAVED)?;
    for ((day, client), more) in &totals.saved {
        let is_known = saved.get((*day, client.as_str()))?.is_some();
        let is_full = !is_known && saved.range((*day, "")..(day + 1, ""))?.count() >= MOST_CLIENTS;
        let key = (*day, if is_full { "" } else { client.as_str() });
        let mut sum = saved.get(key)?.map(|value| saved_totals(value.value())).unwrap_or_default();
        sum.add(*more);
        saved.insert(key, (sum.sessions, sum.all_tools, sum.received))?;
    }
    let mut sessions = transaction.open_table(SESSIONS)?;
    for (label, more) in &totals.sessions {
        let mut sum = sessions.get(label.as_str())?.map(|value| session_totals(value.value())).unwrap_or_default();
        sum.add(*more);
        sessions.insert(label.as_str(), (sum.day, sum.is_counted, sum.tokens))?;
    }
    Ok(())
}

/// Removes the calls of the hours and periods that ended before `oldest`, the time of the oldest record that is left.
/// `removed` is that of the oldest one that was not.
pub(super) fn forget(
    transaction: &WriteTransaction,
    removed: Option<jiff::Timestamp>,
    oldest: jiff::Timestamp,
) -> Result<(), redb::Error> {
    let (hour, day) = (period_of(oldest, HOUR), period_of(oldest, DAY));
    let mut tools = transaction.open_table(TOOLS)?;
    tools.retain_in(..(hour, "", ""), |_, _| false)?;
    transaction.open_table(TOKENS)?.retain_in(..(hour, "", ""), |_, _| false)?;
    transaction.open_table(SAVED)?.retain_in(..(day, ""), |_, _| false)?;
    // Reads the whole table, which is too much for each transaction.
    if removed.is_some_and(|removed| period_of(removed, DAY) < day) {
        transaction.open_table(SESSIONS)?.retain(|_, (last, _, _)| last >= day)?;
    }
    let mut timeline = transaction.open_table(TIMELINE)?;
    timeline.retain_in(..period_of(oldest, PERIOD), |_, _| false)?;
    Ok(())
}

/// Removes all totals.
pub(super) fn clear(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.delete_table(COUNTS)?;
    transaction.delete_table(TOOLS)?;
    transaction.delete_table(TIMELINE)?;
    transaction.delete_table(TOKENS)?;
    transaction.delete_table(SAVED)?;
    transaction.delete_table(SESSIONS)?;
    Ok(())
}

/// Returns the number of records by type, status, server and tool; only for these types, if any.
pub(super) fn counts(
    transaction: &ReadTransaction,
    kinds: &[ActivityKind],
) -> Result<Vec<(CountKey, u64)>, redb::Error> {
    let Some(table) = existing(transaction.open_table(COUNTS))? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut read = |from: Bound<(&str, &str, &str, &str)>, to: Bound<(&str, &str, &str, &str)>| {
        for entry in table.range::<(&str, &str, &str, &str)>((from, to))? {
            let (key, count) = entry?;
            let (kind, status, server, tool) = key.value();
            found.push(((kind.into(), status.into(), server.to_owned(), tool.to_owned()), count.value()));
        }
        Ok::<(), redb::Error>(())
    };
    if kinds.is_empty() {
        read(Bound::Unbounded, Bound::Unbounded)?;
    }
    let words: BTreeSet<&str> = kinds.iter().map(ActivityKind::word).collect();
    for word in words {
        // The next word in the order of the keys.
        let next = format!("{word}\0");
        read(Bound::Included((word, "", "", "")), Bound::Excluded((next.as_str(), "", "", "")))?;
    }
    Ok(found)
}

/// Visits the calls of each tool in each hour from `hour` on.
pub(super) fn tools(
    transaction: &ReadTransaction,
    hour: u32,
    mut visit: impl FnMut(&str, &str, ToolTotals),
) -> Result<(), redb::Error> {
    let Some(table) = existing(transaction.open_table(TOOLS))? else { return Ok(()) };
    let tokens = existing(transaction.open_table(TOKENS))?;
    for entry in table.range((hour, "", "")..)? {
        let (key, calls) = entry?;
        let (_, server, tool) = key.value();
        let mut calls = ToolTotals::decode(calls.value());
        if let Some(tokens) = &tokens
            && let Some(value) = tokens.get(key.value())?
        {
            (calls.request_tokens, calls.response_tokens) = value.value();
        }
        visit(server, tool, calls);
    }
    Ok(())
}

/// Returns the savings by day and client.
pub(super) fn saved(transaction: &ReadTransaction) -> Result<BTreeMap<(u32, String), SavedTotals>, redb::Error> {
    let mut found = BTreeMap::new();
    let Some(table) = existing(transaction.open_table(SAVED))? else { return Ok(found) };
    for entry in table.iter()? {
        let (key, value) = entry?;
        let (day, client) = key.value();
        found.insert((day, client.to_owned()), saved_totals(value.value()));
    }
    Ok(found)
}

/// Returns the tokens by session.
pub(super) fn sessions(transaction: &ReadTransaction) -> Result<BTreeMap<String, SessionTotals>, redb::Error> {
    let mut found = BTreeMap::new();
    let Some(table) = existing(transaction.open_table(SESSIONS))? else { return Ok(found) };
    for entry in table.iter()? {
        let (label, value) = entry?;
        found.insert(label.value().to_owned(), session_totals(value.value()));
    }
    Ok(found)
}

/// Visits the calls of each period from `period` on.
pub(super) fn timeline(
    transaction: &ReadTransaction,
    period: u32,
    mut visit: impl FnMut(u32, PeriodTotals),
) -> Result<(), redb::Error> {
    let Some(table) = existing(transaction.open_table(TIMELINE))? else { return Ok(()) };
    for entry in table.range::<u32>((Bound::Included(period), Bound::Unbounded))? {
        let (period, calls) = entry?;
        visit(period.value(), period_totals(calls.value()));
    }
    Ok(())
}

/// Returns `None` for a table that nothing has been written to.
pub(super) fn existing<T>(opened: Result<T, TableError>) -> Result<Option<T>, redb::Error> {
    match opened {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn period_totals((calls, errors, response_bytes): (u64, u64, u64)) -> PeriodTotals {
    PeriodTotals {
        calls,
        errors,
        response_bytes,
    }
}

fn saved_totals((sessions, all_tools, received): (u64, u64, u64)) -> SavedTotals {
    SavedTotals {
        sessions,
        all_tools,
        received,
    }
}

fn session_totals((day, is_counted, tokens): (u32, bool, u64)) -> SessionTotals {
    SessionTotals {
        day,
        is_counted,
        tokens,
    }
}
