//! Answers questions about the records: those in memory, and those in the store.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;

use crate::activity::filter::Filter;
use crate::activity::header::Header;
use crate::activity::savings::{month_of, savings};
use crate::activity::store::{Order, Store, TokenTotals, id_of};
use crate::activity::summary::{UsageWindow, Window, summarise};
use crate::activity::totals::{CountKey, Totals};
use crate::contract::api::{ActivityKind, ActivityList, ActivityRecord, ActivitySummary, ActivityUsage, TokenSavings};

/// The records at one moment. Every function waits for the disk.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Records that may not be stored yet, the oldest first.
    pub unstored: VecDeque<(u64, Arc<ActivityRecord>)>,
    pub store: Option<Store>,
}

impl Reading {
    /// Visits the matching records, newest first, until the visitor returns `false`.
    pub(super) fn each(&self, filter: &Filter, mut visit: impl FnMut(ActivityRecord) -> bool) {
        self.each_after(filter, 0, &mut visit);
    }

    /// Like `each`, without the first `skip` matching records.
    fn each_after(&self, filter: &Filter, skip: usize, visit: &mut dyn FnMut(ActivityRecord) -> bool) {
        let before = filter.before.unwrap_or(u64::MAX);
        let oldest = self.unstored.front().map_or(u64::MAX, |(id, _)| *id);
        let mut skip = skip;
        for (id, record) in self.unstored.iter().rev() {
            if *id >= before || !filter.matches(&Header::of(record)) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
            } else if !visit(record.as_ref().clone()) {
                return;
            }
        }
        let Some(store) = &self.store else { return };
        let all_match = filter.is_empty();
        // Records from memory may have been stored since.
        let ids = (first_id(filter), Bound::Excluded(before.min(oldest)));
        store.each(ids, Order::NewestFirst, |row| {
            if !all_match && !row.header().is_some_and(|header| filter.matches(&header)) {
                return true;
            }
            if skip > 0 {
                skip -= 1;
                return true;
            }
            row.record().is_none_or(&mut *visit)
        });
    }

    /// Visits the headers of the matching records in this order, until the visitor returns `false`.
    fn each_header(&self, filter: &Filter, order: Order, mut visit: impl FnMut(&Header<'_>) -> bool) {
        let before = filter.before.unwrap_or(u64::MAX);
        let oldest = self.unstored.front().map_or(u64::MAX, |(id, _)| *id);
        let in_memory = |visit: &mut dyn FnMut(&Header<'_>) -> bool| {
            let mut visit_one = |(id, record): &(u64, Arc<ActivityRecord>)| {
                let header = Header::of(record);
                *id >= before || !filter.matches(&header) || visit(&header)
            };
            match order {
                Order::NewestFirst => self.unstored.iter().rev().all(&mut visit_one),
                Order::OldestFirst => self.unstored.iter().all(&mut visit_one),
            }
        };
        if order == Order::NewestFirst && !in_memory(&mut visit) {
            return;
        }
        let mut goes_on = true;
        if let Some(store) = &self.store {
            store.each((first_id(filter), Bound::Excluded(before.min(oldest))), order, |row| {
                goes_on = row.header().is_none_or(|header| !filter.matches(&header) || visit(&header));
                goes_on
            });
        }
        if order == Order::OldestFirst && goes_on {
            in_memory(&mut visit);
        }
    }

    /// Returns a page of records, newest first, and the number of all matching records.
    pub(super) fn list(&self, filter: &Filter, limit: usize, offset: usize) -> ActivityList {
        let counted = self.count(filter);
        let limit_here = if counted.is_none_or(|count| offset < count) { limit } else { 0 };
        let mut found = self.page(filter, limit_here, offset);
        found.limit = limit;
        found.total = counted.unwrap_or_else(|| {
            let mut number = 0;
            self.each_header(filter, Order::NewestFirst, |_| {
                number += 1;
                true
            });
            number
        });
        found
    }

    /// Returns a page of records, newest first, without their number.
    pub(super) fn page(&self, filter: &Filter, limit: usize, offset: usize) -> ActivityList {
        let mut found = ActivityList {
            limit,
            offset,
            ..ActivityList::default()
        };
        if limit > 0 {
            self.each_after(filter, offset, &mut |record| {
                found.activities.push(record);
                found.activities.len() < limit
            });
        }
        found
    }

    /// Returns one record.
    pub(super) fn get(&self, id: u64) -> Option<ActivityRecord> {
        let in_memory = self.unstored.iter().find(|(known, _)| *known == id).map(|(_, record)| record.as_ref().clone());
        in_memory.or_else(|| self.store.as_ref()?.get(id))
    }

    /// Returns totals over all matching records.
    pub(super) fn summary(&self, filter: &Filter, period: &str) -> ActivitySummary {
        let mut calls = filter.clone();
        if filter.kinds.is_empty() || filter.kinds.contains(&ActivityKind::ToolCall) {
            calls.kinds = vec![ActivityKind::ToolCall];
        } else {
            return summarise(&[], period);
        }
        let counts = if calls.is_counted() {
            self.counts(&calls)
        } else {
            let mut totals = Totals::default();
            self.each_header(&calls, Order::NewestFirst, |header| {
                totals.add(header);
                true
            });
            totals.counts.into_iter().map(|(key, count)| (key, count.unsigned_abs())).collect()
        };
        let mut summary = summarise(&counts, period);
        if summary.total_count > 0 {
            summary.end_time = self.first_time(&calls, Order::NewestFirst);
            summary.start_time = self.first_time(&calls, Order::OldestFirst);
        }
        summary
    }

    fn first_time(&self, filter: &Filter, order: Order) -> String {
        let mut time = String::new();
        self.each_header(filter, order, |header| {
            time = header.timestamp.to_string();
            false
        });
        time
    }

    /// Returns the calls of a window that ends now, over time; and by tool, unless only `over_time`.
    pub(super) fn usage(&self, window: UsageWindow, over_time: bool, now: Timestamp) -> ActivityUsage {
        let mut calls = Window::new(window, now);
        let stored = self.store.as_ref().map(|store| store.window(calls.start(), !over_time)).unwrap_or_default();
        for (period, totals) in &stored.timeline {
            calls.add_period(*period, *totals);
        }
        for ((server, tool), totals) in &stored.tools {
            calls.add_tool(server, tool, totals);
        }
        let mut totals = Totals::default();
        for (_, record) in self.unstored.iter().filter(|(id, _)| *id > stored.last_id) {
            let header = Header::of(record);
            if header.at().is_some_and(|at| at >= calls.start()) {
                totals.add(&header);
            }
        }
        for (period, totals) in &totals.timeline {
            calls.add_period(*period, *totals);
        }
        for ((_, server, tool), totals) in totals.tools.iter().filter(|_| !over_time) {
            calls.add_tool(server, tool, totals);
        }
        calls.finish()
    }

    /// Returns the tokens that the search saved, by day and client.
    pub(super) fn savings(&self, now: Timestamp) -> TokenSavings {
        let found = self.tokens(month_of(now));
        savings(found.saved, &found.timeline, now)
    }

    /// Returns the tokens of each session.
    pub(super) fn session_tokens(&self) -> BTreeMap<String, u64> {
        let found = self.tokens(Timestamp::MAX);
        found.sessions.into_iter().map(|(label, totals)| (label, totals.tokens)).collect()
    }

    fn tokens(&self, since: Timestamp) -> TokenTotals {
        let mut found = self.store.as_ref().map(|store| store.tokens(since)).unwrap_or_default();
        let mut unstored = Totals::default();
        for (_, record) in self.unstored.iter().filter(|(id, _)| *id > found.last_id) {
            unstored.add(&Header::of(record));
        }
        for (key, more) in unstored.saved {
            found.saved.entry(key).or_default().add(more);
        }
        for (label, more) in unstored.sessions {
            found.sessions.entry(label).or_default().add(more);
        }
        found.timeline.extend(unstored.timeline);
        found
    }

    /// Returns the number of matching records, if it is known without reading them.
    fn count(&self, filter: &Filter) -> Option<usize> {
        if !filter.is_counted() {
            return None;
        }
        if filter.is_empty() {
            let (stored, last_id) = self.store.as_ref().map(Store::size).unwrap_or_default();
            return Some(stored + self.unstored.iter().filter(|(id, _)| *id > last_id).count());
        }
        let count = self.counts(filter).iter().map(|(_, count)| count).sum::<u64>();
        Some(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Returns the counts of the matching records in the store and in memory.
    fn counts(&self, filter: &Filter) -> Vec<(CountKey, u64)> {
        let stored = self.store.as_ref().map(Store::counts).unwrap_or_default();
        let is_counted =
            |((kind, status, server, tool), _): &&(CountKey, u64)| filter.matches_counted(kind, status, server, tool);
        let mut found: Vec<(CountKey, u64)> = stored.by_key.iter().filter(is_counted).cloned().collect();
        let mut unstored = Totals::default();
        for (_, record) in self.unstored.iter().filter(|(id, _)| *id > stored.last_id) {
            unstored.add(&Header::of(record));
        }
        let unstored = unstored.counts.into_iter().map(|(key, count)| (key, count.unsigned_abs()));
        found.extend(unstored.filter(|one| is_counted(&one)));
        found
    }
}

/// Returns the lowest ID that can match: an older record has a smaller one.
fn first_id(filter: &Filter) -> Bound<u64> {
    filter.since.map_or(Bound::Unbounded, |since| Bound::Included(id_of(since)))
}
