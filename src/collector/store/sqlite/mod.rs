//! Reports in one SQLite file: one row per id with all its packed bodies, and one row per installation with its
//! summary.

mod apply;
mod database;
mod machines;
mod read;
mod upkeep;

pub use database::{SCHEMA, SqliteStore, form};

use super::{Entry, Ledger, Position, Store, StoreError, Stored};
use crate::collector::installation::Installation;
use crate::collector::report::{Day, Id};

impl Store for SqliteStore {
    fn apply(&mut self, batch: &[Entry], position: Option<Position>) -> Result<(), StoreError> {
        apply::apply(self, batch, position)
    }

    fn position(&mut self) -> Result<Option<Position>, StoreError> {
        let text = self.meta("position")?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    fn revision(&mut self) -> Result<u64, StoreError> {
        Ok(self.meta("revision")?.and_then(|text| text.parse().ok()).unwrap_or(0))
    }

    fn installations(&mut self, until: Option<Day>, each: &mut dyn FnMut(&Installation)) -> Result<(), StoreError> {
        self.snapshot(|store| match until {
            None => read::summaries(store, each),
            Some(until) => read::as_of(store, until, each),
        })
    }

    fn ledger(&mut self) -> Result<Ledger, StoreError> {
        self.snapshot(read::ledger)
    }

    fn stored(&mut self, id: Id) -> Result<Stored, StoreError> {
        self.snapshot(|store| read::stored(store, id))
    }

    fn export(&mut self, each: &mut dyn FnMut(Id, &Stored) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.snapshot(|store| read::export(store, each))
    }

    fn ids(&mut self, each: &mut dyn FnMut(Id)) -> Result<(), StoreError> {
        read::ids(self, each)
    }

    fn purge(&mut self, before: Day) -> Result<u64, StoreError> {
        upkeep::purge(self, before)
    }
}
