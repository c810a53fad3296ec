//! The rows of ClickHouse and their conversion from and to reports.

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::super::StoreError;
use crate::collector::repeat::Kept;
use crate::collector::report::{
    Client, Facts, Id, KINDS, LAUNCHES, Moment, Reached, Report, SYSTEMS, kind_index, launch_index,
};

/// Stands for a report without a usable time.
const NO_TIME: i64 = i64::MIN;
const NO_MACHINE: [u8; 16] = [0; 16];

/// A row of `arrivals`.
#[derive(Debug, Clone, Row, Serialize, Deserialize)]
pub(super) struct Arrival {
    pub(super) id: [u8; 16],
    pub(super) hash: u64,
    pub(super) received: i64,
    pub(super) machine: [u8; 16],
    pub(super) suspect: u8,
    pub(super) kind: u8,
    pub(super) launch: u8,
    pub(super) system: u8,
    pub(super) reached: u8,
    pub(super) schema: u8,
    pub(super) calls: u32,
    pub(super) own: i64,
    pub(super) version: String,
    pub(super) clients: Vec<String>,
    pub(super) unknown: Vec<String>,
    pub(super) generation: u16,
}

#[derive(Row, Serialize, Deserialize)]
pub(super) struct OptOut {
    pub(super) id: [u8; 16],
    pub(super) received: i64,
}

#[derive(Row, Deserialize)]
pub(super) struct OnlyId {
    pub(super) id: [u8; 16],
}

#[derive(Row, Serialize, Deserialize)]
pub(super) struct Count {
    pub(super) day: u16,
    pub(super) name: String,
    pub(super) entry: u64,
    pub(super) count: u64,
}

#[derive(Row, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) collector: String,
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) at: u64,
}

/// An id as an SQL literal: only digits, so that it needs no escaping.
pub(super) fn literal(id: Id) -> String {
    format!("toFixedString(unhex('{}'), 16)", uuid::Uuid::from_bytes(id.0).simple())
}

fn small(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}

pub(super) fn row(id: Id, report: &Report, generation: u16) -> Arrival {
    let facts = &report.facts;
    Arrival {
        id: id.0,
        hash: report.hash,
        received: report.received.0,
        machine: report.machine.map_or(NO_MACHINE, |machine| machine.0),
        suspect: u8::from(report.suspect),
        kind: small(kind_index(facts.kind)),
        launch: small(launch_index(facts.launch)),
        system: small(facts.system.index()),
        reached: facts.reached.0,
        schema: facts.schema,
        calls: facts.calls,
        own: facts.skew.map_or(NO_TIME, |skew| report.received.0.div_euclid(1000) - i64::from(skew)),
        version: facts.version.clone(),
        clients: facts.clients.iter().map(|client| client.name().to_owned()).collect(),
        unknown: report.unknown.clone(),
        generation,
    }
}

pub(super) fn report(row: Arrival) -> Result<Report, StoreError> {
    let damaged = || StoreError::Other("ClickHouse: a row of `arrivals` is damaged".to_owned());
    let skew = match row.own {
        NO_TIME => None,
        own => i32::try_from(row.received.div_euclid(1000).saturating_sub(own)).ok(),
    };
    Ok(Report {
        id: Id(row.id),
        machine: (row.machine != NO_MACHINE).then_some(Id(row.machine)),
        received: Moment(row.received),
        hash: row.hash,
        suspect: row.suspect != 0,
        facts: Facts {
            kind: *KINDS.get(usize::from(row.kind)).ok_or_else(damaged)?,
            launch: *LAUNCHES.get(usize::from(row.launch)).ok_or_else(damaged)?,
            system: *SYSTEMS.get(usize::from(row.system)).ok_or_else(damaged)?,
            version: row.version,
            schema: row.schema,
            reached: Reached(row.reached),
            clients: row.clients.iter().map(|name| Client::new(name)).collect(),
            calls: row.calls,
            skew,
        },
        unknown: row.unknown,
    })
}

/// The rows of a body that remains when older ones are deleted, one per receipt.
pub(super) fn kept_rows(id: Id, body: &Kept, generation: u16) -> Vec<Arrival> {
    let report = Report {
        id,
        machine: body.machine,
        received: body.received(),
        hash: body.hash,
        suspect: body.suspect,
        facts: body.facts.clone(),
        unknown: body.unknown.clone(),
    };
    let first = row(id, &report, generation);
    body.receipts
        .iter()
        .map(|receipt| Arrival {
            received: receipt.0,
            ..first.clone()
        })
        .collect()
}
