//! The figures of simulated installations equal their true numbers, regardless of the order of the reports.

#![cfg(feature = "collector")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on should fail where it stands"
)]

#[path = "collector_support/mod.rs"]
mod support;

use std::collections::BTreeMap;

use mcpproxy::collector::audience::Audience;
use mcpproxy::collector::report::{Day, Id, Moment};
use mcpproxy::collector::store::sqlite::SqliteStore;
use mcpproxy::collector::store::{Entry, Store};
use mcpproxy::collector::{lines, public, stats};
use serde_json::{Value, json};
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
    let once = filled(&entries, 100).1.ledger().unwrap();
    entries.extend(events());
    check(&mut filled(&entries, 100).1);
    shuffle(&mut entries, 9);
    let (_directory, mut store) = filled(&entries, 100);
    check(&mut store);
    // Rejected ones, too.
    assert_eq!(store.ledger().unwrap(), once);
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
fn the_log_of_a_database_that_is_being_read_is_emptied_once_the_reader_ends() {
    let report = |number: u32| line("2026-03-01T10:00:00Z", &json!({"anonymous_id": id(number)}));
    let (directory, mut store) = filled(&[report(1), report(2)], 1);
    let reader = rusqlite::Connection::open(directory.path().join("collector.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM ids").unwrap();
    store.apply(&[forget(1)], None).unwrap();
    reader.execute_batch("COMMIT").unwrap();
    store.apply(&[report(3)], None).unwrap();
    let bytes = Id::from_uuid(&id(1)).unwrap().0;
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let path = file.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        assert!(!content.windows(16).any(|part| part == bytes), "{}", path.display());
    }
}

/// A line of a file that `replay` reads.
fn line(received_at: &str, body: &Value) -> Entry {
    lines::read(&json!({"received_at": received_at, "body": body.to_string()}).to_string()).unwrap()
}

fn id(number: u32) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

fn forget(number: u32) -> Entry {
    let id = Id::from_uuid(&id(number)).unwrap();
    Entry::Forget { id, at: Moment::now() }
}

#[test]
fn the_last_day_is_that_of_what_is_stored_in_any_order() {
    let report =
        |day: u32, number: u32| line(&format!("2026-03-{day:02}T10:00:00Z"), &json!({"anonymous_id": id(number)}));
    let opt_out = |day: u32| {
        let body = json!({"anonymous_id": id(9), "event": "telemetry_disabled"});
        line(&format!("2026-03-{day:02}T10:00:00Z"), &body)
    };
    let latest = |entries: &[Entry]| {
        let (_directory, mut store) = filled(entries, 1);
        (store.ledger().unwrap().latest, stats::take(&mut store, None).unwrap().census.span().1.to_string())
    };
    let early = latest(&[report(1, 1), report(4, 2)]);
    assert_eq!(latest(&[report(1, 1), report(4, 2), report(8, 3), forget(3)]), early);
    assert_eq!(latest(&[report(8, 3), report(4, 2), report(1, 1), forget(3)]), early);
    // Of an opt-out that is sent again, the first one counts.
    let opted_out = latest(&[report(1, 1), opt_out(5)]);
    assert_eq!(latest(&[report(1, 1), opt_out(5), opt_out(9)]), opted_out);
    assert_eq!(latest(&[opt_out(9), opt_out(5), report(1, 1)]), opted_out);
    assert_eq!(latest(&[report(1, 1), report(4, 2), opt_out(9), forget(9)]), early);
}

#[test]
fn a_past_day_does_not_know_later_opt_outs() {
    let opt_out = |day: u32| {
        let body = json!({"anonymous_id": id(day), "event": "telemetry_disabled"});
        line(&format!("2026-03-{day:02}T10:00:00Z"), &body)
    };
    let first = line("2026-03-01T10:00:00Z", &json!({"anonymous_id": id(1)}));
    let (_directory, mut store) = filled(&[first, opt_out(2), opt_out(5), opt_out(6)], 10);
    for (until, count) in [
        ("2026-03-01", 0),
        ("2026-03-02", 1),
        ("2026-03-05", 2),
        ("2026-03-06", 3),
    ] {
        let stats = stats::take(&mut store, Day::parse(until)).unwrap();
        assert_eq!(stats.to_json(Audience::PEOPLE)["opt_outs"], count, "{until}");
    }
}

#[test]
fn unknown_keys_from_outside_do_not_displace_versions() {
    let mut entries = Vec::new();
    for number in 0..200_u32 {
        let mut body = json!({"anonymous_id": id(number), "version": "0.3.0", "env_kind": "interactive"});
        for key in 0..32 {
            body[format!("key_{}", letters(number * 32 + key))] = json!(1);
        }
        entries.push(line("2026-03-01T10:00:00Z", &body));
    }
    for (number, version) in [(1000, "0.4.0"), (1001, "0.5.0-dev")] {
        let body = json!({"anonymous_id": id(number), "version": version, "env_kind": "interactive"});
        entries.push(line("2026-03-02T10:00:00Z", &body));
    }
    let (directory, mut store) = filled(&entries, 7);
    let check = |store: &mut SqliteStore| {
        let stats = stats::take(store, None).unwrap();
        let people = stats.to_json(Audience::PEOPLE);
        assert_eq!(people["versions_active_14d"], json!({"0.3.0": 200, "0.4.0": 1}));
        // What does not fit is still counted.
        let fields = people["quality"]["unknown_fields"].as_object().unwrap().clone();
        assert_eq!(fields.values().map(|count| count.as_u64().unwrap()).sum::<u64>(), 200 * 32);
        assert!(fields.len() < 1100, "{}", fields.len());
    };
    check(&mut store);
    store.close().unwrap();
    check(&mut SqliteStore::open(&directory.path().join("collector.db"), 8).unwrap());
}

fn of_machine(day: &str, number: u32, machine: &str) -> Entry {
    let body = json!({"anonymous_id": id(number), "machine_id": machine.repeat(32), "env_kind": "interactive"});
    line(&format!("{day}T10:00:00Z"), &body)
}

#[test]
fn a_machine_never_appears_under_the_number_of_a_deleted_one() {
    let (directory, mut store) = filled(&[of_machine("2026-01-01", 1, "ab")], 1);
    let path = directory.path().join("collector.db");
    let machine = |store: &mut SqliteStore, number: u32| {
        let bodies = store.stored(Id::from_uuid(&id(number)).unwrap()).unwrap().bodies;
        bodies[0].machine.unwrap().to_machine()[..2].to_owned()
    };
    // The service reads with a connection of its own.
    let mut reader = SqliteStore::open_for_reading(&path).unwrap();
    assert_eq!(machine(&mut reader, 1), "ab");
    store.apply(&[forget(1), of_machine("2026-01-02", 2, "cd")], None).unwrap();
    assert_eq!(machine(&mut reader, 2), "cd");
    // It also deletes old reports with one of its own.
    SqliteStore::open(&path, 8).unwrap().purge(Day::parse("2026-02-01").unwrap()).unwrap();
    store.apply(&[of_machine("2026-02-02", 3, "ef"), of_machine("2026-02-03", 4, "cd")], None).unwrap();
    assert_eq!((machine(&mut store, 3), machine(&mut store, 4)), ("ef".to_owned(), "cd".to_owned()));
    assert_eq!(stats::take(&mut store, None).unwrap().census.figures(Audience::EVERYTHING).installs, 2);
    assert_eq!(store.verify().unwrap(), (2, 0));
}

#[test]
fn deleting_old_reports_changes_the_revision_once() {
    let report = |day: &str| line(&format!("{day}T10:00:00Z"), &json!({"anonymous_id": id(1), "note": day}));
    let (_directory, mut store) = filled(&[report("2026-01-01"), report("2026-01-02"), report("2026-03-01")], 10);
    let before = Day::parse("2026-02-01").unwrap();
    let at_first = store.revision().unwrap();
    assert_eq!(store.purge(before).unwrap(), 1);
    let then = store.revision().unwrap();
    assert_ne!(then, at_first);
    // The first report stays, and is not written again every hour.
    assert_eq!(store.purge(before).unwrap(), 0);
    assert_eq!(store.revision().unwrap(), then);
}

/// A number in letters, because the paths of keys with many digits are not counted.
fn letters(mut number: u32) -> String {
    let mut text = String::new();
    for _ in 0..4 {
        text.push(char::from(b'a' + (number % 26) as u8));
        number /= 26;
    }
    text
}

/// Figures whose sum, with signs, is always zero: if one is hidden, the others must not reveal it.
fn sums(figures: &BTreeMap<Audience, Value>) -> Vec<(String, Vec<Value>)> {
    let mut sums = Vec::new();
    let at = |audience: Audience, path: &str| figures[&audience].pointer(path).cloned().unwrap_or(json!(0));
    let children = |value: &Value| value.as_object().unwrap().values().cloned().collect::<Vec<_>>();
    for (audience, all) in figures {
        let days = all["dau"].as_array().unwrap().clone();
        let last = |count: usize| days.iter().rev().take(count).cloned().collect::<Vec<_>>();
        let equal = [
            ("/installs", "/funnel/each/first_run"),
            ("/installs", "/funnel/strict/first_run"),
            ("/funnel/each/server_configured", "/funnel/strict/server_configured"),
            ("/funnel/each/server_connected", "/funnel/strict/server_connected"),
            ("/retention/d7/eligible", "/retention/week1/eligible"),
            ("/retention/d7/eligible", "/one_and_done/eligible"),
            ("/wau/3", "/mau/3"),
        ];
        let mut add = |name: &str, parts: Vec<Value>| sums.push((format!("{audience}: {name}"), parts));
        for (one, other) in equal {
            add(one, vec![at(*audience, one), at(*audience, other)]);
        }
        for name in ["dau", "wau", "mau"] {
            let last = all[name].as_array().unwrap().last().unwrap().clone();
            add(name, vec![all[format!("{name}_last")].clone(), last]);
        }
        let again = at(*audience, "/retention/d1/retained_on_or_after");
        add(
            "came again",
            vec![
                all["installs"].clone(),
                at(*audience, "/one_and_done/once_all_ages"),
                again,
            ],
        );
        add("kinds of days", [children(&all["env_kind_days_7d"]), last(7)].concat());
        add("launches", [children(&all["launch_source_30d"]), last(30)].concat());
        add("kinds", [children(&all["env_kinds"]), vec![all["installs"].clone()]].concat());
    }
    for system in ["", "linux", "darwin", "windows", "other"] {
        let of = |who: &str| Audience::parse(who, system).unwrap();
        for kind in ["interactive", "ci", "cloud_ide", "container", "headless", "unknown"] {
            let path = format!("/env_kinds/{kind}");
            sums.push((format!("{kind} on {system}"), vec![at(of("all"), &path), at(of(kind), "/installs")]));
        }
    }
    sums
}

#[test]
fn no_sum_of_public_figures_reveals_a_small_one() {
    for shown in [events(), twice(&events())] {
        let (_directory, mut store) = filled(&shown, 1000);
        let stats = stats::take(&mut store, None).unwrap();
        let figures = public::figures(&stats);
        for (name, parts) in sums(&figures) {
            assert_ne!(parts.iter().filter(|part| part.is_null()).count(), 1, "{name}: {parts:?}");
        }
        // The difference between people and the kinds of people are development builds.
        for path in [
            "/installs",
            "/dau_last",
            "/wau_last",
            "/mau_last",
            "/churned_2d_then_14d_silent",
            "/funnel/each/client_connected",
        ] {
            for system in ["", "linux", "darwin", "windows", "other"] {
                let of =
                    |who: &str| figures[&Audience::parse(who, system).unwrap()].pointer(path).and_then(Value::as_u64);
                let (kinds, people) = (["interactive", "headless", "unknown"].map(of), of("people"));
                if let ([Some(one), Some(two), Some(three)], Some(people)) = (kinds, people) {
                    let difference = one + two + three - people;
                    assert!(difference == 0 || difference >= 10, "{path} on {system}: {difference}");
                }
            }
        }
    }
}

/// The same installations once more, under other ids.
fn twice(events: &[Entry]) -> Vec<Entry> {
    let other = |id: Id| Id(id.0.map(|byte| byte ^ 0x5a));
    let again = events.iter().filter_map(|entry| match entry {
        Entry::Report(report) => {
            let mut report = report.clone();
            (report.id, report.machine) = (other(report.id), report.machine.map(other));
            Some(Entry::Report(report))
        }
        _ => None,
    });
    events.iter().cloned().chain(again).collect()
}

#[test]
fn text_from_outside_is_not_published() {
    let mut entries = events();
    let body = json!({"anonymous_id": id(1), "version": "77.77.77", "env_kind": "interactive", "buy_now": 1});
    entries.push(line("2026-02-18T10:00:00Z", &body));
    let (_directory, mut store) = filled(&entries, 1000);
    let stats = stats::take(&mut store, None).unwrap();
    for (audience, figures) in public::figures(&stats) {
        let text = figures.to_string();
        assert!(!text.contains("buy_now") && !text.contains("77.77.77"), "{audience}");
    }
    let everything = &public::figures(&stats)[&Audience::EVERYTHING];
    assert_eq!(everything["quality"]["unknown_fields"], json!({"any": 6}));
    assert_eq!(everything["versions_active_14d"]["others"], Value::Null);
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
