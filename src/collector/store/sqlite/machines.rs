//! Machines by number: read from the database and cached while in use.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension};

use super::super::StoreError;
use super::super::codec::Machines;
use crate::collector::report::Id;

/// Maximum number of cached machines.
const MOST: usize = 20_000;

#[derive(Debug, Default)]
struct Known {
    /// SQLite's number of the database's state, which changes when another connection writes.
    state: i64,
    numbers: HashMap<Id, u64>,
    machines: HashMap<u64, Id>,
}

/// The machines read recently.
#[derive(Debug, Default)]
pub(super) struct MachineCache(RefCell<Known>);

impl MachineCache {
    /// Clears the cache after a failed transaction or a deletion of machines.
    pub(super) fn clear(&self) {
        *self.0.borrow_mut() = Known::default();
    }

    /// Clears the cache if another connection wrote since: it may have deleted a machine, and SQLite gives its number to
    /// the next one.
    pub(super) fn refresh(&self, connection: &Connection) -> Result<(), StoreError> {
        let state = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        let mut known = self.0.borrow_mut();
        if known.state != state {
            *known = Known {
                state,
                ..Known::default()
            };
        }
        Ok(())
    }

    fn remember(&self, number: u64, machine: Id) {
        let mut known = self.0.borrow_mut();
        if known.numbers.len() >= MOST {
            *known = Known::default();
        }
        known.numbers.insert(machine, number);
        known.machines.insert(number, machine);
    }
}

/// Machines of a database.
pub(super) struct Lookup<'a> {
    pub connection: &'a Connection,
    pub cache: &'a MachineCache,
}

impl Lookup<'_> {
    /// The number of a machine. A new machine gets one.
    ///
    /// # Errors
    /// SQLite's error.
    pub(super) fn number_or_new(&self, machine: Id) -> Result<u64, StoreError> {
        if let Some(number) = self.cache.0.borrow().numbers.get(&machine) {
            return Ok(*number);
        }
        let number = match self.find(machine)? {
            Some(number) => number,
            None => {
                self.connection
                    .prepare_cached("INSERT INTO machines(id) VALUES(?1)")?
                    .execute([machine.0.as_slice()])?;
                self.connection.last_insert_rowid().cast_unsigned()
            }
        };
        self.cache.remember(number, machine);
        Ok(number)
    }

    fn find(&self, machine: Id) -> Result<Option<u64>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT no FROM machines WHERE id = ?1")?;
        Ok(statement.query_row([machine.0.as_slice()], |row| row.get(0)).optional()?)
    }

    fn find_machine(&self, number: u64) -> Result<Option<Id>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id FROM machines WHERE no = ?1")?;
        let bytes: Option<Vec<u8>> = statement.query_row([number], |row| row.get(0)).optional()?;
        Ok(bytes.and_then(|bytes| Id::from_slice(&bytes)))
    }
}

impl Machines for Lookup<'_> {
    fn number(&self, machine: Id) -> u64 {
        let cached = self.cache.0.borrow().numbers.get(&machine).copied();
        // The cache may have been emptied since the number was read.
        cached.or_else(|| self.find(machine).ok().flatten()).unwrap_or(0)
    }

    fn machine(&self, number: u64) -> Option<Id> {
        if let Some(machine) = self.cache.0.borrow().machines.get(&number) {
            return Some(*machine);
        }
        let machine = self.find_machine(number).ok().flatten()?;
        self.cache.remember(number, machine);
        Some(machine)
    }
}
