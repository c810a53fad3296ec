//! ClickHouse gives the same figures as SQLite. Needs a server in COLLECTOR_CLICKHOUSE=clickhouse://127.0.0.1:PORT;
//! `scripts/test collector` starts one with chdb. Without a server, these tests print a message and pass.

#![cfg(feature = "collector")]
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that cannot go on should fail where it stands, and its server is named in the environment"
)]

#[path = "collector_support/mod.rs"]
mod support;

use std::io::{Read, Write};

use mcpproxy::collector::report::{Day, Id, Moment};
use mcpproxy::collector::store::clickhouse::{ClickHouseAddress, ClickHouseStore};
use mcpproxy::collector::store::sqlite::SqliteStore;
use mcpproxy::collector::store::{Entry, Position, Store};
use mcpproxy::collector::{lines, stats};
use support::{compare, events, shuffle, truth};

/// Opens a new database.
fn opened(name: &str) -> Option<ClickHouseStore> {
    let Ok(server) = std::env::var("COLLECTOR_CLICKHOUSE") else {
        println!("COLLECTOR_CLICKHOUSE is not set: not checked");
        return None;
    };
    let database = format!("{server}/{name}_{}", std::process::id());
    Some(ClickHouseStore::open(&ClickHouseAddress::parse(&database).unwrap(), "test").unwrap())
}

fn fill(store: &mut ClickHouseStore, entries: &[Entry], batch: usize) {
    for (number, chunk) in entries.chunks(batch).enumerate() {
        let position = Position {
            segment: 1,
            offset: number as u64 + 1,
        };
        store.apply(chunk, Some(position)).unwrap();
    }
}

#[test]
fn the_figures_are_the_true_ones() {
    let Some(mut store) = opened("truth") else { return };
    fill(&mut store, &events(), 200);
    let stats = stats::take(&mut store, None).unwrap();
    compare(&stats, &truth()["metrics"]);
    let (truth, quality) = (truth(), stats.quality());
    assert_eq!(quality["accepted"], truth["by_class"]["accepted"]);
    assert_eq!(quality["repeated"], truth["by_class"]["duplicate"]);
    assert_eq!(quality["opt_outs"], truth["opt_outs"]);
    assert_eq!(quality["clock_untrusted"], truth["clock_untrusted"]);
    assert_eq!(quality["unknown_fields"], truth["unknown_fields"]);
    assert_eq!(store.position().unwrap().map(|position| position.segment), Some(1));
    let revision = store.revision().unwrap();
    store
        .apply(
            &[Entry::OptOut {
                id: Id([7; 16]),
                received: Moment(1_767_571_200_000),
            }],
            None,
        )
        .unwrap();
    assert_ne!(store.revision().unwrap(), revision);
    // Neither repeating a failed batch nor reading a file again changes anything, including the counters.
    let counts = store.ledger().unwrap().counts;
    let again = events();
    fill(&mut store, &again, 500);
    fill(&mut store, &again, 300);
    compare(&stats::take(&mut store, None).unwrap(), &truth["metrics"]);
    let twice = store.ledger().unwrap().counts;
    assert_eq!(counts, twice);
}

#[test]
fn both_databases_give_the_same_figures_for_any_order_and_repeats_across_midnight() {
    let Some(mut store) = opened("orders") else { return };
    let mut entries = events();
    let repeats: Vec<Entry> = entries
        .iter()
        .filter_map(|entry| match entry.clone() {
            Entry::Report(mut report) => {
                report.received.0 += 4_000_000;
                report.facts.skew = report.facts.skew.map(|skew| skew + 4000);
                Some(Entry::Report(report))
            }
            _ => None,
        })
        .collect();
    entries.extend(repeats);
    shuffle(&mut entries, 3);
    fill(&mut store, &entries, 400);
    let directory = tempfile::tempdir().unwrap();
    let mut sqlite = SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap();
    sqlite.apply(&entries, None).unwrap();
    same(&mut store, &mut sqlite, None);
    same(&mut store, &mut sqlite, Day::parse("2026-02-01"));
}

fn same(one: &mut dyn Store, other: &mut dyn Store, until: Option<Day>) {
    let (one, other) = (stats::take(one, until).unwrap(), stats::take(other, until).unwrap());
    for audience in mcpproxy::collector::audience::Audience::all() {
        let (mut one, mut other) = (one.to_json(audience), other.to_json(audience));
        if until.is_some() {
            // Repeats are counted over all days.
            one["quality"] = other["quality"].take();
            one["funnel"]["reports"] = other["funnel"]["reports"].clone();
            other["quality"] = one["quality"].clone();
        }
        for (key, value) in one.as_object().unwrap() {
            assert_eq!(value, &other[key], "{audience}: {key}");
        }
    }
}

#[test]
fn an_export_of_one_database_gives_equal_figures_in_the_other() {
    let Some(mut clickhouse) = opened("export") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut sqlite = SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap();
    sqlite.apply(&events(), None).unwrap();
    fill(&mut clickhouse, &exported(&mut sqlite), 1000);
    same(&mut clickhouse, &mut sqlite, None);
    let mut back = SqliteStore::open(&directory.path().join("back.db"), 8).unwrap();
    back.apply(&exported(&mut clickhouse), None).unwrap();
    same(&mut clickhouse, &mut back, None);
}

fn exported(store: &mut dyn Store) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut add = |line: &lines::Line| entries.push(lines::read(&serde_json::to_string(line).unwrap()).unwrap());
    store
        .export(&mut |id, stored| {
            lines::of_id(id, stored).iter().for_each(&mut add);
            Ok(())
        })
        .unwrap();
    for ((day, name), count) in store.ledger().unwrap().counts {
        add(&lines::of_count(day, &name, count));
    }
    entries
}

#[test]
fn what_is_forgotten_or_old_is_deleted() {
    let Some(mut store) = opened("forget") else { return };
    let entries = events();
    fill(&mut store, &entries, 1000);
    let truth = truth();
    for id in truth["delete"]["anonymous_ids"].as_array().unwrap() {
        let id = Id::from_uuid(id.as_str().unwrap()).unwrap();
        assert!(!store.stored(id).unwrap().bodies.is_empty());
        store.apply(&[Entry::Forget { id, at: Moment::now() }], None).unwrap();
        assert!(store.stored(id).unwrap().bodies.is_empty());
    }
    compare(&stats::take(&mut store, None).unwrap(), &truth["delete"]["metrics_after"]);
    // Without the latest ones, both databases end on the same earlier day.
    let mut received = entries.clone();
    received.retain(|entry| matches!(entry, Entry::Report(_)));
    received.sort_by_key(|entry| match entry {
        Entry::Report(report) => report.received,
        _ => Moment(0),
    });
    let last: Vec<Entry> = received.iter().rev().take(40).filter_map(forgetting).collect();
    store.apply(&last, None).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut sqlite = SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap();
    sqlite.apply(&entries, None).unwrap();
    let gone: Vec<Entry> = truth["delete"]["anonymous_ids"]
        .as_array()
        .unwrap()
        .iter()
        .map(|id| Entry::Forget {
            id: Id::from_uuid(id.as_str().unwrap()).unwrap(),
            at: Moment::now(),
        })
        .collect();
    sqlite.apply(&gone, None).unwrap();
    sqlite.apply(&last, None).unwrap();
    same(&mut store, &mut sqlite, None);
    let before = Day::parse("2026-01-25").unwrap();
    assert_eq!(store.purge(before).unwrap(), sqlite.purge(before).unwrap());
    same(&mut store, &mut sqlite, None);
}

#[test]
fn stored_summaries_give_the_same_figures_as_the_reports_behind_them() {
    let Some(mut store) = opened("summaries") else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut sqlite = SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap();
    let mut entries = events();
    shuffle(&mut entries, 11);
    let (early, late) = entries.split_at(entries.len() / 2);
    // Large batches leave the summaries to the next small one.
    let many: Vec<Entry> = early.iter().cycle().take(6000).cloned().collect();
    store.apply(&many, None).unwrap();
    sqlite.apply(early, None).unwrap();
    same(&mut store, &mut sqlite, None);
    store.apply(&[], None).unwrap();
    same(&mut store, &mut sqlite, None);
    // Later ones move ids to machines, and change the first machine of an id.
    for (number, batch) in late.chunks(40).enumerate() {
        store.apply(batch, None).unwrap();
        sqlite.apply(batch, None).unwrap();
        if number % 9 == 0 {
            same(&mut store, &mut sqlite, None);
        }
    }
    same(&mut store, &mut sqlite, None);
}

#[test]
fn a_body_that_arrives_a_hundred_times_is_counted_like_in_sqlite() {
    let Some(mut store) = opened("hundred") else { return };
    let first = events().into_iter().find(|entry| matches!(entry, Entry::Report(_))).unwrap();
    let later = |second: i64| match first.clone() {
        Entry::Report(mut report) => {
            report.received.0 += second * 1000;
            report.facts.skew = report.facts.skew.map(|skew| skew + second as i32);
            Entry::Report(report)
        }
        other => other,
    };
    let entries: Vec<Entry> = (0..100).map(later).collect();
    let directory = tempfile::tempdir().unwrap();
    let mut sqlite = SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap();
    store.apply(&entries, None).unwrap();
    sqlite.apply(&entries, None).unwrap();
    same(&mut store, &mut sqlite, None);
}

#[test]
fn no_table_contains_a_forgotten_id() {
    let Some(mut store) = opened("no_table") else { return };
    let entries = events();
    store.apply(&entries.iter().cycle().take(6000).cloned().collect::<Vec<_>>(), None).unwrap();
    store.apply(&[], None).unwrap();
    let ids: Vec<Id> = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Report(report) => Some(report.id),
            _ => None,
        })
        .take(3)
        .collect();
    let gone: Vec<Entry> = ids
        .iter()
        .map(|id| Entry::Forget {
            id: *id,
            at: Moment::now(),
        })
        .collect();
    let count = |id: Id| {
        let id = id.to_uuid().replace('-', "");
        [
            "arrivals WHERE id",
            "opt_outs WHERE id",
            "summaries WHERE whose",
            "changed WHERE whose",
        ]
        .map(|place| number(&format!("SELECT count() FROM no_table_{}.{place} = unhex('{id}')", std::process::id())))
    };
    assert_ne!(count(ids[0]), [0; 4]);
    store.apply(&gone, None).unwrap();
    ids.into_iter().for_each(|id| assert_eq!(count(id), [0; 4]));
}

/// Asks the server for a number.
fn number(question: &str) -> u64 {
    let server = std::env::var("COLLECTOR_CLICKHOUSE").unwrap().replace("clickhouse://", "");
    let mut stream = std::net::TcpStream::connect(server).unwrap();
    let head = format!("POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n{question}", question.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    body.trim().parse().unwrap()
}

fn forgetting(entry: &Entry) -> Option<Entry> {
    match entry {
        Entry::Report(report) => Some(Entry::Forget {
            id: report.id,
            at: Moment::now(),
        }),
        _ => None,
    }
}
