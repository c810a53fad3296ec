//! The tables of the running totals in the store.

use std::collections::BTreeSet;
use std::ops::Bound;

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use crate::activity::totals::{CountKey, HOUR, PERIOD, PeriodTotals, ToolTotals, Totals, period_of};
use crate::contract::words::ActivityKind;

/// Number of records by type, status, server and tool.
const COUNTS: TableDefinition<'_, (&str, &str, &str, &str), u64> = TableDefinition::new("activity_counts");
/// Calls by hour, server and tool.
const TOOLS: TableDefinition<'_, (u32, &str, &str), &[u8]> = TableDefinition::new("activity_tools");
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
    let mut timeline = transaction.open_table(TIMELINE)?;
    for (period, calls) in &totals.timeline {
        let mut sum = timeline.get(period)?.map(|value| period_totals(value.value())).unwrap_or_default();
        sum.add(*calls);
        timeline.insert(period, (sum.calls, sum.errors, sum.response_bytes))?;
    }
    Ok(())
}

/// Removes the calls of the hours and periods that ended before a time.
pub(super) fn forget(transaction: &WriteTransaction, oldest: jiff::Timestamp) -> Result<(), redb::Error> {
    let mut tools = transaction.open_table(TOOLS)?;
    tools.retain_in(..(period_of(oldest, HOUR), "", ""), |_, _| false)?;
    let mut timeline = transaction.open_table(TIMELINE)?;
    timeline.retain_in(..period_of(oldest, PERIOD), |_, _| false)?;
    Ok(())
}

/// Removes all totals.
pub(super) fn clear(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.delete_table(COUNTS)?;
    transaction.delete_table(TOOLS)?;
    transaction.delete_table(TIMELINE)?;
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
    for entry in table.range((hour, "", "")..)? {
        let (key, calls) = entry?;
        let (_, server, tool) = key.value();
        visit(server, tool, ToolTotals::decode(calls.value()));
    }
    Ok(())
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
