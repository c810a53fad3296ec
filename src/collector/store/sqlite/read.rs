//! Reads summaries and the bodies behind them.

use rusqlite::{Connection, OptionalExtension};

use super::super::codec::{Words, unpack_bodies};
use super::super::summary::unpack_summary_into;
use super::super::{Ledger, StoreError, Stored};
use super::database::SqliteStore;
use super::machines::Lookup;
use crate::collector::identity::belonging;
use crate::collector::installation::{Installation, summarise};
use crate::collector::repeat::Kept;
use crate::collector::report::{DAY_MS, Day, Id, Moment};

fn lookup(store: &SqliteStore) -> Lookup<'_> {
    Lookup {
        connection: &store.connection,
        cache: &store.machines,
    }
}

/// Every installation in its current state.
pub(super) fn summaries(store: &SqliteStore, each: &mut dyn FnMut(&Installation)) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached("SELECT summary FROM installations")?;
    let mut rows = statement.query([])?;
    // Reused for all rows, which avoids a million allocations.
    let mut installation = Installation::default();
    while let Some(row) = rows.next()? {
        let blob = row.get_ref(0)?.as_blob().map_err(|error| StoreError::Other(error.to_string()))?;
        unpack_summary_into(blob, &store.words, &mut installation)
            .map_err(|error| StoreError::Other(error.to_string()))?;
        each(&installation);
    }
    Ok(())
}

/// Every installation in its state at the end of a day.
pub(super) fn as_of(store: &SqliteStore, until: Day, each: &mut dyn FnMut(&Installation)) -> Result<(), StoreError> {
    recomputed(store, |_, bodies| {
        let past = bodies.iter().filter(|body| body.day() <= until);
        if let Some(installation) = summarise(past) {
            each(&installation);
        }
        Ok(())
    })
}

/// Calls `each` with the key of every installation and its bodies, read from the ids and not from the summaries.
pub(super) fn recomputed(
    store: &SqliteStore,
    mut each: impl FnMut(i64, &[Kept]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let lookup = lookup(store);
    let mut statement = store.connection.prepare("SELECT no, bodies FROM ids ORDER BY no")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bodies = unpack(blob(row.get_ref(1)?), &store.words, &lookup)?;
        let own: Vec<Kept> = belonging(&bodies, None).cloned().collect();
        if !own.is_empty() {
            each(row.get::<_, i64>(0)? * 2, &own)?;
        }
    }
    let mut statement = store.connection.prepare("SELECT no, id FROM machines ORDER BY no")?;
    let mut rows = statement.query([])?;
    let mut linked = store
        .connection
        .prepare("SELECT ids.bodies FROM links JOIN ids ON ids.no = links.id WHERE links.machine = ?1")?;
    while let Some(row) = rows.next()? {
        let number: i64 = row.get(0)?;
        let machine = Id::from_slice(blob(row.get_ref(1)?));
        let mut bodies: Vec<Kept> = Vec::new();
        let mut ids = linked.query([number])?;
        while let Some(row) = ids.next()? {
            let all = unpack(blob(row.get_ref(0)?), &store.words, &lookup)?;
            bodies.extend(belonging(&all, machine).cloned());
        }
        bodies.sort_by_key(Kept::order);
        if !bodies.is_empty() {
            each(number * 2 + 1, &bodies)?;
        }
    }
    Ok(())
}

fn blob(value: rusqlite::types::ValueRef<'_>) -> &[u8] {
    value.as_blob().unwrap_or_default()
}

/// The counts beside the reports.
pub(super) fn ledger(store: &SqliteStore) -> Result<Ledger, StoreError> {
    let connection = &store.connection;
    let first: Option<u16> = connection.query_row("SELECT min(first_day) FROM installations", [], |row| row.get(0))?;
    let mut ledger = Ledger {
        first: first.map(Day),
        latest: store
            .meta("latest")?
            .and_then(|text| text.parse().ok())
            .map(Moment)
            .filter(|latest| *latest > Moment(0)),
        ..Ledger::default()
    };
    let mut statement = connection.prepare_cached("SELECT day, name, count FROM counted")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        ledger.counts.insert((Day(row.get(0)?), row.get(1)?), row.get(2)?);
    }
    let mut statement = connection.prepare_cached(
        "SELECT opted_out / ?1, count(*) FROM ids WHERE opted_out IS NOT NULL GROUP BY opted_out / ?1",
    )?;
    let mut rows = statement.query([DAY_MS])?;
    while let Some(row) = rows.next()? {
        ledger.opt_outs.insert(Day(row.get(0)?), row.get(1)?);
    }
    Ok(ledger)
}

/// The latest receipt in the rows of all ids.
pub(super) fn latest(connection: &Connection, words: &Words, lookup: &Lookup<'_>) -> Result<Moment, StoreError> {
    let mut latest = Moment(0);
    let mut statement = connection.prepare_cached("SELECT bodies, opted_out FROM ids")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let bodies = unpack(blob(row.get_ref(0)?), words, lookup)?;
        let received = bodies.iter().filter_map(|body| body.receipts.last().copied());
        let opted_out = row.get::<_, Option<i64>>(1)?.map(Moment);
        latest = received.chain(opted_out).fold(latest, Moment::max);
    }
    Ok(latest)
}

/// Everything received under one id.
pub(super) fn stored(store: &SqliteStore, id: Id) -> Result<Stored, StoreError> {
    let mut statement = store.connection.prepare_cached("SELECT bodies, opted_out FROM ids WHERE id = ?1")?;
    let row: Option<(Vec<u8>, Option<i64>)> =
        statement.query_row([id.0.as_slice()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((bodies, opted_out)) = row else { return Ok(Stored::default()) };
    Ok(Stored {
        bodies: unpack(&bodies, &store.words, &lookup(store))?,
        opted_out: opted_out.map(Moment),
    })
}

/// Everything received under every id.
pub(super) fn export(
    store: &SqliteStore,
    each: &mut dyn FnMut(Id, &Stored) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let lookup = lookup(store);
    let mut statement = store.connection.prepare_cached("SELECT id, bodies, opted_out FROM ids ORDER BY no")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let Some(id) = Id::from_slice(blob(row.get_ref(0)?)) else { continue };
        let stored = Stored {
            bodies: unpack(blob(row.get_ref(1)?), &store.words, &lookup)?,
            opted_out: row.get::<_, Option<i64>>(2)?.map(Moment),
        };
        each(id, &stored)?;
    }
    Ok(())
}

/// Every id that sent a report.
pub(super) fn ids(store: &SqliteStore, each: &mut dyn FnMut(Id)) -> Result<(), StoreError> {
    let mut statement = store.connection.prepare_cached("SELECT id FROM ids")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        Id::from_slice(blob(row.get_ref(0)?)).into_iter().for_each(&mut *each);
    }
    Ok(())
}

pub(super) fn unpack(blob: &[u8], words: &Words, lookup: &Lookup<'_>) -> Result<Vec<Kept>, StoreError> {
    unpack_bodies(blob, words, lookup).map_err(|error| StoreError::Other(error.to_string()))
}
