//! Answers questions about the records: those in memory, and those in the store.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use jiff::Timestamp;

use crate::activity::filter::Filter;
use crate::activity::header::Header;
use crate::activity::prefilter::Prefilter;
use crate::activity::savings::{month_of, savings};
use crate::activity::store::{Order, Row, Store, TokenTotals, id_of};
use crate::activity::summary::{UsageWindow, Window, summarise};
use crate::activity::totals::{CountKey, Totals};
use crate::contract::api::{ActivityKind, ActivityList, ActivityRecord, ActivitySummary, ActivityUsage, TokenSavings};

/// A record that matches a filter.
struct Found<'a> {
    /// Its header, if that was read.
    header: Option<Header<'a>>,
    source: Source<'a>,
}

enum Source<'a> {
    Memory(&'a ActivityRecord),
    Store(&'a Row<'a>),
}

impl Found<'_> {
    /// Returns the record; `None` if it is unreadable.
    fn record(&self) -> Option<ActivityRecord> {
        match self.source {
            Source::Memory(record) => Some(record.clone()),
            Source::Store(row) => row.record(),
        }
    }

    /// Visits its header; returns `true` if that is unreadable.
    fn visit_header(&self, visit: impl FnOnce(&Header<'_>) -> bool) -> bool {
        match (&self.header, &self.source) {
            (Some(header), _) => visit(header),
            (None, Source::Memory(record)) => visit(&Header::of(record)),
            (None, Source::Store(row)) => row.header().is_none_or(|header| visit(&header)),
        }
    }
}

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
        self.scan(filter, Order::NewestFirst, |found| found.record().is_none_or(&mut visit));
    }

    /// Visits the headers of the matching records in this order, until the visitor returns `false`.
    fn each_header(&self, filter: &Filter, order: Order, mut visit: impl FnMut(&Header<'_>) -> bool) {
        self.scan(filter, order, |found| found.visit_header(&mut visit));
    }

    /// Visits the matching records in this order, until the visitor returns `false`. Reads as little of each as possible.
    fn scan(&self, filter: &Filter, order: Order, mut visit: impl FnMut(&Found<'_>) -> bool) {
        let before = filter.before.unwrap_or(u64::MAX);
        let oldest = self.unstored.front().map_or(u64::MAX, |(id, _)| *id);
        let in_memory = |visit: &mut dyn FnMut(&Found<'_>) -> bool| {
            let mut visit_one = |(id, record): &(u64, Arc<ActivityRecord>)| {
                let (header, source) = (Header::of(record), Source::Memory(record));
                let matches = *id < before && filter.matches(&header);
                let header = Some(header);
                !matches || visit(&Found { header, source })
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
            let all_match = filter.is_empty();
            let mut prefilter = Prefilter::new(filter);
            // Records from memory may have been stored since.
            let ids = (first_id(filter), Bound::Excluded(before.min(oldest)));
            store.each(ids, order, |row| {
                let source = Source::Store(row);
                if all_match {
                    goes_on = visit(&Found { header: None, source });
                } else if prefilter.may_match(row.json) {
                    let header = row.header().filter(|header| filter.matches(header));
                    goes_on = header.is_none() || visit(&Found { header, source });
                }
                goes_on
            });
        }
        if order == Order::OldestFirst && goes_on {
            in_memory(&mut visit);
        }
    }

    /// Returns a page of records, newest first, and the number of all matching records.
    pub(super) fn list(&self, filter: &Filter, limit: usize, offset: usize) -> ActivityList {
        if let Some(total) = self.count(filter) {
            // Does not look for more records than there are: that would read all of them.
            let most = limit.min(total.saturating_sub(offset));
            return ActivityList {
                total,
                limit,
                ..self.page(filter, most, offset)
            };
        }
        let mut list = ActivityList {
            limit,
            offset,
            ..ActivityList::default()
        };
        self.scan(filter, Order::NewestFirst, |found| {
            if list.total >= offset && list.activities.len() < limit {
                list.activities.extend(found.record());
            }
            list.total += 1;
            true
        });
        list
    }

    /// Returns a page of records, newest first, without their number.
    pub(super) fn page(&self, filter: &Filter, limit: usize, offset: usize) -> ActivityList {
        let mut list = ActivityList {
            limit,
            offset,
            ..ActivityList::default()
        };
        let mut skip = offset;
        if limit > 0 {
            self.scan(filter, Order::NewestFirst, |found| {
                if skip > 0 {
                    skip -= 1;
                } else {
                    list.activities.extend(found.record());
                }
                list.activities.len() < limit
            });
        }
        list
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
        let stored = self.store.as_ref().map(|store| store.counts(&filter.kinds)).unwrap_or_default();
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
