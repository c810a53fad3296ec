//! The figures of simulated installations equal their true numbers, regardless of the order of the reports.

#![cfg(feature = "collector")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

#[path = "collector_support/mod.rs"]
mod support;

use mcpproxy::collector::store::sqlite::SqliteStore;
use mcpproxy::collector::store::{Entry, Store};
use mcpproxy::collector::{lines, stats};
use support::{compare, events, shuffle, truth};

fn filled(entries: &[Entry], batch: usize) -> (tempfile::TempDir, SqliteStore) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap();
    for chunk in entries.chunks(batch) {
        store.apply(chunk, None).unwrap();
    }
    (directory, store)
}

fn check(store: &mut SqliteStore) {
    let stats = stats::take(store, None).unwrap();
    compare(&stats, &truth()["metrics"]);
}

#[test]
fn the_figures_are_the_true_ones() {
    let (_directory, mut store) = filled(&events(), 100);
    check(&mut store);
    let stats = stats::take(&mut store, None).unwrap();
    let (truth, quality) = (truth(), stats.quality());
    assert_eq!(quality["accepted"], truth["by_class"]["accepted"]);
    assert_eq!(quality["repeated"], truth["by_class"]["duplicate"]);
    assert_eq!(quality["opt_outs"], truth["opt_outs"]);
    assert_eq!(quality["clock_untrusted"], truth["clock_untrusted"]);
    assert_eq!(quality["unknown_fields"], truth["unknown_fields"]);
    assert_eq!(store.verify().unwrap().1, 0);
}

#[test]
fn every_order_of_arrival_gives_the_same_figures() {
    for seed in 1..=4 {
        let mut entries = events();
        shuffle(&mut entries, seed);
        let (_directory, mut store) = filled(&entries, [1, 7, 100, 10_000][seed as usize - 1]);
        check(&mut store);
        assert_eq!(store.verify().unwrap().1, 0);
    }
    let mut entries = events();
    entries.reverse();
    check(&mut filled(&entries, 50).1);
}

#[test]
fn whatever_is_sent_twice_counts_once() {
    let mut entries = events();
    entries.extend(events());
    check(&mut filled(&entries, 100).1);
    shuffle(&mut entries, 9);
    check(&mut filled(&entries, 100).1);
}

#[test]
fn a_repeat_shortly_after_counts_once_even_across_midnight() {
    for seconds in [1, 90, 3600] {
        let mut entries = events();
        let late = |entry: &Entry| match entry.clone() {
            Entry::Report(mut report) => {
                report.received.0 += seconds * 1000;
                Entry::Report(report)
            }
            other => other,
        };
        // A repeat of the last hour would change the last day.
        let end = 1_771_459_200_000 - 3_600_000;
        let is_early = |entry: &&Entry| matches!(entry, Entry::Report(report) if report.received.0 < end);
        let repeats: Vec<Entry> = entries.iter().filter(is_early).map(late).collect();
        entries.extend(repeats);
        shuffle(&mut entries, 5);
        check(&mut filled(&entries, 64).1);
    }
}

#[test]
fn the_past_can_be_asked_for() {
    let (_directory, mut store) = filled(&events(), 1000);
    let last = mcpproxy::collector::report::Day::parse("2026-02-01").unwrap();
    let early: Vec<Entry> =
        events().into_iter().filter(|entry| !matches!(entry, Entry::Report(report) if report.day() > last)).collect();
    let then = stats::take(&mut store, Some(last)).unwrap();
    let (_other, mut store) = filled(&early, 1000);
    // A later opt-out would change the last day.
    let cut = stats::take(&mut store, Some(last)).unwrap();
    for audience in mcpproxy::collector::audience::Audience::all() {
        let (one, other) = (then.census.figures(audience), cut.census.figures(audience));
        assert_eq!(one.dau, other.dau, "{audience}");
        assert_eq!(one.retention, other.retention, "{audience}");
    }
}

#[test]
fn what_is_forgotten_is_gone_from_every_figure() {
    let (_directory, mut store) = filled(&events(), 100);
    let truth = truth();
    for id in truth["delete"]["anonymous_ids"].as_array().unwrap() {
        let id = mcpproxy::collector::report::Id::from_uuid(id.as_str().unwrap()).unwrap();
        let at = mcpproxy::collector::report::Moment::now();
        store.apply(&[Entry::Forget { id, at }], None).unwrap();
        assert!(store.stored(id).unwrap().bodies.is_empty());
    }
    let stats = stats::take(&mut store, None).unwrap();
    compare(&stats, &truth["delete"]["metrics_after"]);
    assert_eq!(store.verify().unwrap().1, 0);
}

#[test]
fn an_export_gives_the_same_figures_elsewhere() {
    let (_directory, mut store) = filled(&events(), 100);
    let mut entries = Vec::new();
    store
        .export(&mut |id, stored| {
            for line in lines::of_id(id, stored) {
                entries.push(lines::read(&serde_json::to_string(&line).unwrap()).unwrap());
            }
            Ok(())
        })
        .unwrap();
    let (_other, mut copy) = filled(&entries, 100);
    check(&mut copy);
    let quality = |store: &mut SqliteStore| stats::take(store, None).unwrap().quality();
    let (mut before, after) = (quality(&mut store), quality(&mut copy));
    before["rejected"] = after["rejected"].clone();
    assert_eq!(before, after);
    // The originals then count as repeats.
    copy.apply(&events(), None).unwrap();
    check(&mut copy);
}
