//! Writes a batch in one transaction: the bodies of each id, then the summaries of all affected installations.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::super::codec::{Words, pack_bodies};
use super::super::summary::pack_summary;
use super::super::{Entry, Position, StoreError};
use super::database::{SqliteStore, refresh};
use super::machines::{Lookup, MachineCache};
use super::read;
use crate::collector::identity::{Whose, belonging, machine_of};
use crate::collector::installation::summarise;
use crate::collector::repeat::{Arrival, Kept, arrive};
use crate::collector::report::{Day, Id, Moment, Report};

/// Adds a batch.
pub(super) fn apply(store: &mut SqliteStore, batch: &[Entry], position: Option<Position>) -> Result<(), StoreError> {
    let words_before = store.words.stored;
    let result = write(store, batch, position);
    match result {
        Ok(forgot) => {
            store.words.all_stored();
            store.keeps_deleted |= forgot;
            store.empty_log()?;
            Ok(())
        }
        Err(error) => {
            store.words.truncate(words_before);
            store.words.all_stored();
            store.machines.clear();
            Err(error)
        }
    }
}

fn write(store: &mut SqliteStore, batch: &[Entry], position: Option<Position>) -> Result<bool, StoreError> {
    let transaction = store.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    refresh(&transaction, &mut store.words, &store.machines)?;
    let mut writing = Writing::new(&transaction, &mut store.words, &store.machines);
    let mut forgot = false;
    for entry in batch {
        match entry {
            Entry::Report(report) => writing.report(report)?,
            Entry::OptOut { id, received } => writing.opt_out(*id, *received)?,
            Entry::Count {
                day,
                name,
                count,
                entry,
                of_line,
            } => {
                if !*of_line || writing.is_new_line(*day, *entry)? {
                    writing.count(*day, name, *count)?;
                }
            }
            Entry::Forget { id, .. } => {
                // The tables must contain earlier entries first.
                writing.flush()?;
                writing.forget(*id)?;
                forgot = true;
            }
        }
    }
    writing.finish()?;
    if let Some(position) = position {
        let text = serde_json::to_string(&position).map_err(|error| StoreError::Other(error.to_string()))?;
        set_meta(writing.connection, "position", &text)?;
    }
    transaction.commit()?;
    Ok(forgot)
}

pub(super) fn set_meta(connection: &Connection, name: &str, value: &str) -> Result<(), StoreError> {
    connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES(?1, ?2)")?.execute([name, value])?;
    Ok(())
}

/// The bodies of one id while a batch is written.
struct Loaded {
    /// `None` without a row.
    no: Option<i64>,
    bodies: Vec<Kept>,
    changed: bool,
}

pub(super) struct Writing<'a> {
    connection: &'a Connection,
    words: &'a mut Words,
    machines: &'a MachineCache,
    loaded: BTreeMap<Id, Loaded>,
    touched: BTreeSet<Whose>,
    changed: bool,
    latest: Moment,
    /// The latest receipt that was deleted.
    deleted: Moment,
}

impl<'a> Writing<'a> {
    /// Starts writing on a connection that is in a transaction.
    pub(super) fn new(connection: &'a Connection, words: &'a mut Words, machines: &'a MachineCache) -> Writing<'a> {
        Writing {
            connection,
            words,
            machines,
            loaded: BTreeMap::new(),
            touched: BTreeSet::new(),
            changed: false,
            latest: Moment(0),
            deleted: Moment(0),
        }
    }

    fn lookup(&self) -> Lookup<'a> {
        Lookup {
            connection: self.connection,
            cache: self.machines,
        }
    }

    fn report(&mut self, report: &Report) -> Result<(), StoreError> {
        self.load(report.id)?;
        self.latest = self.latest.max(report.received);
        let Some(loaded) = self.loaded.get_mut(&report.id) else { return Ok(()) };
        touch(&mut self.touched, report.id, &loaded.bodies);
        if arrive(&mut loaded.bodies, report) != Arrival::Known {
            loaded.changed = true;
        }
        touch(&mut self.touched, report.id, &loaded.bodies);
        Ok(())
    }

    /// The bodies of an id.
    pub(super) fn bodies(&mut self, id: Id) -> Result<Vec<Kept>, StoreError> {
        self.load(id)?;
        Ok(self.loaded.get(&id).map(|loaded| loaded.bodies.clone()).unwrap_or_default())
    }

    /// Replaces the bodies of an id.
    pub(super) fn replace(&mut self, id: Id, bodies: Vec<Kept>) -> Result<(), StoreError> {
        self.load(id)?;
        let Some(loaded) = self.loaded.get_mut(&id) else { return Ok(()) };
        touch(&mut self.touched, id, &loaded.bodies);
        loaded.bodies = bodies;
        loaded.changed = true;
        touch(&mut self.touched, id, &loaded.bodies);
        Ok(())
    }

    fn load(&mut self, id: Id) -> Result<(), StoreError> {
        if self.loaded.contains_key(&id) {
            return Ok(());
        }
        let mut statement = self.connection.prepare_cached("SELECT no, bodies FROM ids WHERE id = ?1")?;
        let row: Option<(i64, Vec<u8>)> =
            statement.query_row([id.0.as_slice()], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let (no, bodies) = match row {
            Some((no, blob)) => (Some(no), read::unpack(&blob, self.words, &self.lookup())?),
            None => (None, Vec::new()),
        };
        self.loaded.insert(
            id,
            Loaded {
                no,
                bodies,
                changed: false,
            },
        );
        Ok(())
    }

    fn opt_out(&mut self, id: Id, received: Moment) -> Result<(), StoreError> {
        self.load(id)?;
        let no = self.row(id)?;
        match self.opted_out(no)? {
            Some(before) if before <= received => self.latest = self.latest.max(before),
            before => {
                self.latest = self.latest.max(received);
                self.deleted = before.into_iter().fold(self.deleted, Moment::max);
            }
        }
        let changed = self
            .connection
            .prepare_cached("UPDATE ids SET opted_out = ?2 WHERE no = ?1 AND (opted_out IS NULL OR opted_out > ?2)")?
            .execute(params![no, received.0])?;
        self.changed |= changed > 0;
        Ok(())
    }

    fn opted_out(&self, no: i64) -> Result<Option<Moment>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT opted_out FROM ids WHERE no = ?1")?;
        Ok(statement.query_row([no], |row| row.get::<_, Option<i64>>(0))?.map(Moment))
    }

    /// Remembers the counted line of a file. Returns whether it was unknown.
    fn is_new_line(&self, day: Day, entry: u64) -> Result<bool, StoreError> {
        let mut statement = self.connection.prepare_cached("INSERT OR IGNORE INTO counted_lines VALUES(?1, ?2)")?;
        Ok(statement.execute(params![day.0, entry.cast_signed()])? > 0)
    }

    /// Writes everything, with a new revision if anything changed.
    pub(super) fn finish(&mut self) -> Result<(), StoreError> {
        self.flush()?;
        if self.changed {
            self.connection.execute_batch(
                "INSERT INTO meta VALUES('revision', '1') ON CONFLICT(name) DO UPDATE SET value = CAST(value AS INTEGER) + 1",
            )?;
        }
        self.write_latest()
    }

    /// Writes the time of the latest receipt, which is an earlier one if the latest was deleted.
    fn write_latest(&self) -> Result<(), StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'latest'")?;
        let before = Moment(statement.query_row([], |row| row.get(0)).optional()?.unwrap_or(0));
        let mut latest = before.max(self.latest);
        if self.deleted >= latest {
            latest = read::latest(self.connection, self.words, &self.lookup())?;
        }
        if latest != before {
            set_meta(self.connection, "latest", &latest.0.to_string())?;
        }
        Ok(())
    }

    fn count(&mut self, day: Day, name: &str, count: u64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO counted VALUES(?1, ?2, ?3) ON CONFLICT(day, name) DO UPDATE SET count = count + ?3",
            )?
            .execute(params![day.0, name, count])?;
        self.changed = true;
        Ok(())
    }

    /// The number of an id's row. Creates a missing row.
    fn row(&mut self, id: Id) -> Result<i64, StoreError> {
        let Some(loaded) = self.loaded.get_mut(&id) else {
            return Err(StoreError::Other("an id was not loaded".to_owned()));
        };
        if let Some(no) = loaded.no {
            return Ok(no);
        }
        let empty = pack_bodies(
            &[],
            self.words,
            &Lookup {
                connection: self.connection,
                cache: self.machines,
            },
        );
        self.connection
            .prepare_cached("INSERT INTO ids(id, bodies) VALUES(?1, ?2)")?
            .execute(params![id.0.as_slice(), empty])?;
        let no = self.connection.last_insert_rowid();
        loaded.no = Some(no);
        Ok(no)
    }

    /// Writes the changes and clears the loaded data.
    pub(super) fn flush(&mut self) -> Result<(), StoreError> {
        let changed: Vec<Id> = self.loaded.iter().filter(|(_, loaded)| loaded.changed).map(|(id, _)| *id).collect();
        for id in &changed {
            self.write_id(*id)?;
        }
        if !changed.is_empty() {
            self.changed = true;
            for whose in std::mem::take(&mut self.touched) {
                self.write_installation(whose)?;
            }
        }
        self.write_words()?;
        self.loaded.clear();
        self.touched.clear();
        Ok(())
    }

    fn write_id(&mut self, id: Id) -> Result<(), StoreError> {
        let no = self.row(id)?;
        let lookup = self.lookup();
        let Some(loaded) = self.loaded.get(&id) else { return Ok(()) };
        let machines: BTreeSet<Id> = loaded.bodies.iter().filter_map(|body| body.machine).collect();
        for machine in machines {
            let number = lookup.number_or_new(machine)?;
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO links VALUES(?1, ?2)")?
                .execute(params![number, no])?;
        }
        let blob = pack_bodies(&loaded.bodies, self.words, &lookup);
        self.connection.prepare_cached("UPDATE ids SET bodies = ?2 WHERE no = ?1")?.execute(params![no, blob])?;
        Ok(())
    }

    fn write_installation(&mut self, whose: Whose) -> Result<(), StoreError> {
        let (key, bodies) = match whose {
            Whose::Id(id) => {
                let Some(loaded) = self.loaded.get(&id) else { return Ok(()) };
                let Some(no) = loaded.no else { return Ok(()) };
                (no * 2, belonging(&loaded.bodies, None).cloned().collect())
            }
            Whose::Machine(machine) => {
                let number = self.lookup().number_or_new(machine)?.cast_signed();
                (number * 2 + 1, self.bodies_of_machine(machine, number)?)
            }
        };
        let Some(installation) = summarise(&bodies) else {
            self.connection.prepare_cached("DELETE FROM installations WHERE key = ?1")?.execute([key])?;
            return Ok(());
        };
        let summary = pack_summary(&installation, self.words);
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO installations VALUES(?1, ?2, ?3, ?4)")?
            .execute(params![key, installation.first_day().0, installation.last_day().0, summary])?;
        Ok(())
    }

    fn bodies_of_machine(&self, machine: Id, number: i64) -> Result<Vec<Kept>, StoreError> {
        let lookup = self.lookup();
        let mut statement = self.connection.prepare_cached(
            "SELECT ids.id, ids.bodies FROM links JOIN ids ON ids.no = links.id WHERE links.machine = ?1",
        )?;
        let mut rows = statement.query([number])?;
        let mut bodies: Vec<Kept> = Vec::new();
        while let Some(row) = rows.next()? {
            let id = Id::from_slice(row.get_ref(0)?.as_blob().unwrap_or_default());
            match id.and_then(|id| self.loaded.get(&id)) {
                Some(loaded) => bodies.extend(belonging(&loaded.bodies, Some(machine)).cloned()),
                None => {
                    let others = read::unpack(row.get_ref(1)?.as_blob().unwrap_or_default(), self.words, &lookup)?;
                    bodies.extend(belonging(&others, Some(machine)).cloned());
                }
            }
        }
        bodies.sort_by_key(Kept::order);
        Ok(bodies)
    }

    /// Deletes an id. The changes before it must be written.
    pub(super) fn forget(&mut self, id: Id) -> Result<(), StoreError> {
        self.load(id)?;
        let Some(loaded) = self.loaded.remove(&id) else { return Ok(()) };
        let Some(no) = loaded.no else { return Ok(()) };
        let machines: BTreeSet<Id> = loaded.bodies.iter().filter_map(|body| body.machine).collect();
        let receipts = loaded.bodies.iter().filter_map(|body| body.receipts.last().copied());
        self.deleted = receipts.chain(self.opted_out(no)?).fold(self.deleted, Moment::max);
        self.connection.prepare_cached("DELETE FROM ids WHERE no = ?1")?.execute([no])?;
        self.connection.prepare_cached("DELETE FROM installations WHERE key = ?1")?.execute([no * 2])?;
        for machine in machines {
            let number = self.lookup().number_or_new(machine)?;
            self.connection
                .prepare_cached("DELETE FROM links WHERE machine = ?1 AND id = ?2")?
                .execute(params![number, no])?;
            self.write_installation(Whose::Machine(machine))?;
            self.connection
                .prepare_cached(
                    "DELETE FROM machines WHERE no = ?1 AND NOT EXISTS (SELECT 1 FROM links WHERE machine = ?1)",
                )?
                .execute([number])?;
        }
        self.machines.clear();
        self.write_words()?;
        self.changed = true;
        Ok(())
    }

    fn write_words(&mut self) -> Result<(), StoreError> {
        for (number, word) in self.words.new_words() {
            self.connection
                .prepare_cached("INSERT INTO words VALUES(?1, ?2)")?
                .execute(params![number as u64, word])?;
        }
        self.words.all_stored();
        Ok(())
    }
}

fn touch(touched: &mut BTreeSet<Whose>, id: Id, bodies: &[Kept]) {
    let home = machine_of(bodies);
    for body in bodies {
        touched.insert(body.machine.or(home).map_or(Whose::Id(id), Whose::Machine));
    }
}
