//! Stores reports: one interface, two databases. No other module contains SQL.

pub mod clickhouse;
pub mod codec;
pub mod sqlite;
pub mod summary;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::collector::installation::Installation;
use crate::collector::repeat::Kept;
use crate::collector::report::{Day, Id, Moment, Report};

/// One event, as the journal stores it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    Report(Box<Report>),
    OptOut {
        id: Id,
        received: Moment,
    },
    /// An event that is only counted, such as a rejection with its reason.
    Count {
        day: Day,
        name: String,
        count: u64,
        /// A random number by which ClickHouse recognises an entry that is added again.
        entry: u64,
        /// The number is that of a line of a file, and both databases recognise it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        of_line: bool,
    },
    /// Delete the data of an id.
    Forget {
        id: Id,
        at: Moment,
    },
}

impl Entry {
    /// An event that is only counted.
    pub fn count(day: Day, name: String, count: u64) -> Entry {
        let (entry, _) = uuid::Uuid::new_v4().as_u64_pair();
        Entry::Count {
            day,
            name,
            count,
            entry,
            of_line: false,
        }
    }
}

/// A position in the journal. The store has everything before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Position {
    pub segment: u64,
    pub offset: u64,
}

/// The counts beside the reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// The first day on which any report was received; `None` without reports.
    pub first: Option<Day>,
    /// The latest receipt of a stored report, or the first opt-out of an id if that is later.
    pub latest: Option<Moment>,
    /// Ids that sent the opt-out message, by the day of the first one.
    pub opt_outs: BTreeMap<Day, u64>,
    /// By day and name.
    pub counts: BTreeMap<(Day, String), u64>,
}

/// Everything stored under one id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    pub bodies: Vec<Kept>,
    pub opted_out: Option<Moment>,
}

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    #[error("{0}")]
    Other(String),
}

/// A database of reports. Calls block.
pub trait Store: Send {
    /// Adds entries. Adding the same ones again changes nothing, except for an [`Entry::Count`] that is not of a line:
    /// `position` protects it, as both are stored in the same transaction.
    ///
    /// # Errors
    /// The database's error. Then nothing of the batch is stored, or adding it again is safe.
    fn apply(&mut self, batch: &[Entry], position: Option<Position>) -> Result<(), StoreError>;

    /// The last stored position.
    ///
    /// # Errors
    /// The database's error.
    fn position(&mut self) -> Result<Option<Position>, StoreError>;

    /// A number that changes with the data.
    ///
    /// # Errors
    /// The database's error.
    fn revision(&mut self) -> Result<u64, StoreError>;

    /// Calls `each` with every installation, as it was at the end of `until`.
    ///
    /// # Errors
    /// The database's error.
    fn installations(&mut self, until: Option<Day>, each: &mut dyn FnMut(&Installation)) -> Result<(), StoreError>;

    /// The counts beside the reports.
    ///
    /// # Errors
    /// The database's error.
    fn ledger(&mut self) -> Result<Ledger, StoreError>;

    /// Everything received under one id.
    ///
    /// # Errors
    /// The database's error.
    fn stored(&mut self, id: Id) -> Result<Stored, StoreError>;

    /// Calls `each` with everything received under every id.
    ///
    /// # Errors
    /// The database's error, or that of `each`.
    fn export(&mut self, each: &mut dyn FnMut(Id, &Stored) -> Result<(), StoreError>) -> Result<(), StoreError>;

    /// Calls `each` with every id that sent anything.
    ///
    /// # Errors
    /// The database's error.
    fn ids(&mut self, each: &mut dyn FnMut(Id)) -> Result<(), StoreError>;

    /// Deletes bodies received before `before`. The flags and the first day of an installation remain as long as it has
    /// later bodies; an id without later bodies is deleted.
    ///
    /// # Errors
    /// The database's error.
    fn purge(&mut self, before: Day) -> Result<u64, StoreError>;
}
