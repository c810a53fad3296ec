//! Summaries of installations, so that figures need not look at every report again.
//!
//! Each batch marks the installations that it changes. Reading combines the stored summaries with new ones of the marked
//! installations, so the figures never depend on when summaries were stored. Storing them only keeps reading fast.

use std::collections::{BTreeMap, BTreeSet};

use clickhouse::Row;
use serde::{Deserialize, Serialize, Serializer};

use super::super::StoreError;
use super::super::summary::{Inline, pack_summary, unpack_summary_into};
use super::connection::{ClickHouseStore, SYNC};
use super::rows::literal;
use super::sql::NO_MACHINE;
use crate::collector::identity::{Whose, belonging, machine_of};
use crate::collector::installation::{Installation, summarise};
use crate::collector::repeat::Kept;
use crate::collector::report::Id;

/// With more marked installations than this, everything is summarised again. Their ids must fit into one statement.
const MOST_MARKS: usize = 2000;
/// With as many marks or marked batches, summaries are stored.
const DUE_MARKS: u64 = 2000;
const DUE_BATCHES: u64 = 64;
/// Reports that are summarised together when everything is summarised again.
const SLICE: u64 = 500_000;
/// Summaries in one insertion.
const INSERTED: usize = 50_000;

const OF_ID: u8 = 0;
const OF_MACHINE: u8 = 1;
/// The mark of a batch that changes many installations.
const EVERYTHING: u8 = 2;

/// A row of `changed`.
#[derive(Row, Serialize, Deserialize)]
struct Mark {
    batch: u64,
    of_machine: u8,
    whose: [u8; 16],
}

/// A row of `summaries`.
#[derive(Row, Serialize)]
struct SummaryRow {
    of_machine: u8,
    whose: [u8; 16],
    at: u64,
    #[serde(serialize_with = "as_bytes")]
    summary: Vec<u8>,
}

fn as_bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

#[derive(Row, Deserialize)]
struct Packed<'a> {
    #[serde(borrow)]
    summary: &'a [u8],
}

#[derive(Row, Deserialize)]
struct OnlyMachine {
    machine: [u8; 16],
}

/// The installations that a batch changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Changed {
    Some(BTreeSet<Whose>),
    Everything,
}

/// The installations whose stored summaries are out of date.
struct Marks {
    batches: Vec<u64>,
    ids: BTreeSet<Id>,
    machines: BTreeSet<Id>,
    /// All of them, whatever is in the sets.
    everything: bool,
}

/// Installations that are summarised together.
enum Slice<'a> {
    /// Those whose id begins with a byte from the first one to before the second one.
    Range(u16, u16),
    Marked(&'a Marks),
}

impl ClickHouseStore {
    /// Marks summaries as out of date.
    pub(super) fn mark(&self, changed: &Changed) -> Result<(), StoreError> {
        // The rows of a batch are inserted together, and deleted together once they are summarised.
        let (batch, _) = uuid::Uuid::new_v4().as_u64_pair();
        let mark = |of_machine, whose: [u8; 16]| Mark {
            batch,
            of_machine,
            whose,
        };
        let rows: Vec<Mark> = match changed {
            Changed::Everything => vec![mark(EVERYTHING, [0; 16])],
            Changed::Some(all) => all
                .iter()
                .map(|whose| match whose {
                    Whose::Id(id) => mark(OF_ID, id.0),
                    Whose::Machine(machine) => mark(OF_MACHINE, machine.0),
                })
                .collect(),
        };
        self.insert("changed", &rows)
    }

    /// Marks everything if there are reports and no summaries, as in a database of an earlier version.
    pub(super) fn mark_missing(&self) -> Result<(), StoreError> {
        let is_missing = self.one::<u8>(
            "SELECT toUInt8(assumeNotNull((SELECT count() FROM arrivals) > 0 AND (SELECT count() FROM summaries) = 0
             AND (SELECT count() FROM changed) = 0))",
        )?;
        if is_missing == 0 { Ok(()) } else { self.mark(&Changed::Everything) }
    }

    /// The machines in the reports of ids.
    pub(super) fn machines_of(&self, ids: &BTreeSet<Id>) -> Result<BTreeSet<Id>, StoreError> {
        let mut machines = BTreeSet::new();
        for ids in ids.iter().copied().collect::<Vec<_>>().chunks(MOST_MARKS) {
            let question = format!(
                "SELECT DISTINCT machine FROM arrivals WHERE {} AND machine != {NO_MACHINE}",
                is_in("id", ids.iter())
            );
            let rows = self.wait(self.client.query(&question).fetch_all::<OnlyMachine>())?;
            machines.extend(rows.into_iter().map(|row| Id(row.machine)));
        }
        Ok(machines)
    }

    fn marks(&self) -> Result<Marks, StoreError> {
        let question = format!("SELECT batch, of_machine, whose FROM changed LIMIT {}", 10 * MOST_MARKS + 1);
        let rows = self.wait(self.client.query(&question).fetch_all::<Mark>())?;
        let of = |sort: u8| rows.iter().filter(move |row| row.of_machine == sort).map(|row| Id(row.whose));
        let mut marks = Marks {
            batches: rows.iter().map(|row| row.batch).collect::<BTreeSet<_>>().into_iter().collect(),
            ids: of(OF_ID).collect(),
            machines: of(OF_MACHINE).collect(),
            everything: rows.len() > 10 * MOST_MARKS || of(EVERYTHING).next().is_some(),
        };
        if !marks.everything && marks.ids.len() <= MOST_MARKS {
            marks.machines.extend(self.machines_of(&marks.ids)?);
        }
        if marks.everything || marks.ids.len() + marks.machines.len() > MOST_MARKS {
            marks.everything = true;
            marks.batches = self.wait(self.client.query("SELECT DISTINCT batch FROM changed").fetch_all::<u64>())?;
        }
        Ok(marks)
    }

    /// Calls `each` with every installation in its current state.
    pub(super) fn current(&self, each: &mut dyn FnMut(&Installation)) -> Result<(), StoreError> {
        let marks = self.marks()?;
        if !marks.everything {
            self.stored_summaries(&marks, each)?;
        }
        self.recomputed(&marks, &mut |bodies| {
            if let Some(installation) = summarise(bodies) {
                each(&installation);
            }
        })
    }

    /// Calls `each` with the bodies of every installation, read from the reports.
    pub(super) fn all_bodies(&self, each: &mut dyn FnMut(&[Kept])) -> Result<(), StoreError> {
        let everything = Marks {
            batches: Vec::new(),
            ids: BTreeSet::new(),
            machines: BTreeSet::new(),
            everything: true,
        };
        self.recomputed(&everything, each)
    }

    fn recomputed(&self, marks: &Marks, each: &mut dyn FnMut(&[Kept])) -> Result<(), StoreError> {
        for slice in self.slices(marks)? {
            self.recompute(&slice, &mut |_, bodies| each(bodies))?;
        }
        Ok(())
    }

    fn stored_summaries(&self, without: &Marks, each: &mut dyn FnMut(&Installation)) -> Result<(), StoreError> {
        let except = |sort: u8, ids: &BTreeSet<Id>| match ids.is_empty() {
            true => String::new(),
            false => format!(" AND NOT (of_machine = {sort} AND {})", is_in("whose", ids.iter())),
        };
        let question = format!(
            "SELECT summary FROM summaries FINAL WHERE 1{}{}",
            except(OF_ID, &without.ids),
            except(OF_MACHINE, &without.machines)
        );
        let words = Inline::default();
        // Reused for all rows, which avoids a million allocations.
        let mut installation = Installation::default();
        self.runtime.block_on(async {
            let mut rows = self.client.query(&question).fetch::<Packed<'_>>()?;
            while let Some(row) = rows.next().await? {
                unpack_summary_into(row.summary, &words, &mut installation)
                    .map_err(|error| StoreError::Other(format!("ClickHouse: {error}")))?;
                each(&installation);
            }
            Ok(())
        })
    }

    /// Stores the marked summaries if there are many.
    pub(super) fn refresh_if_due(&self) -> Result<(), StoreError> {
        let (marks, batches, highest) = self.one::<(u64, u64, u8)>(
            "SELECT toUInt64(count()), toUInt64(uniqExact(batch)), toUInt8(max(of_machine)) FROM changed",
        )?;
        match highest == EVERYTHING || marks >= DUE_MARKS || batches >= DUE_BATCHES {
            true => self.refresh(),
            false => Ok(()),
        }
    }

    /// Stores the marked summaries, and deletes those of installations that no longer exist.
    pub(super) fn refresh(&self) -> Result<(), StoreError> {
        let marks = self.marks()?;
        if marks.batches.is_empty() {
            return Ok(());
        }
        // Of two summaries, the one that was read later stays: it knows everything that the other one knows.
        let at = self.one::<u64>("SELECT toUInt64(toUnixTimestamp64Micro(now64(6)))")?;
        let mut gone = Vec::new();
        for slice in self.slices(&marks)? {
            let mut rows = Vec::new();
            self.recompute(&slice, &mut |whose, bodies| match summarise(bodies) {
                Some(installation) => rows.push(summary_row(whose, at, &installation)),
                None => gone.push(whose),
            })?;
            for rows in rows.chunks(INSERTED) {
                self.insert("summaries", rows)?;
            }
        }
        if marks.everything {
            let statement = format!("ALTER TABLE summaries DELETE WHERE at < {at} {SYNC}");
            self.wait(self.client.query(&statement).execute())?;
            self.wait(self.client.query("OPTIMIZE TABLE summaries FINAL").execute())?;
        } else {
            self.delete_summaries(&gone, None)?;
        }
        for batches in marks.batches.chunks(500) {
            let list: Vec<String> = batches.iter().map(u64::to_string).collect();
            let statement = format!("ALTER TABLE changed DELETE WHERE batch IN ({}) {SYNC}", list.join(","));
            self.wait(self.client.query(&statement).execute())?;
        }
        Ok(())
    }

    /// Stores the marked summaries and leaves no earlier one of these installations on the disk.
    pub(super) fn refresh_and_erase(&self, changed: &Changed) -> Result<(), StoreError> {
        let before = self.one::<u64>("SELECT toUInt64(toUnixTimestamp64Micro(now64(6)))")?;
        self.refresh()?;
        match changed {
            // Everything was stored again, and earlier ones deleted.
            Changed::Everything => Ok(()),
            Changed::Some(all) => self.delete_summaries(&all.iter().copied().collect::<Vec<_>>(), Some(before)),
        }
    }

    fn delete_summaries(&self, all: &[Whose], before: Option<u64>) -> Result<(), StoreError> {
        for some in all.chunks(500) {
            let of_machine = |wanted: bool| {
                let ids: Vec<Id> = some
                    .iter()
                    .filter_map(|whose| match whose {
                        Whose::Id(id) => (!wanted).then_some(*id),
                        Whose::Machine(machine) => wanted.then_some(*machine),
                    })
                    .collect();
                is_in("whose", ids.iter())
            };
            let age = before.map_or(String::new(), |before| format!(" AND at < {before}"));
            let statement = format!(
                "ALTER TABLE summaries DELETE WHERE (of_machine = {OF_ID} AND {} OR of_machine = {OF_MACHINE} AND {}){age} {SYNC}",
                of_machine(false),
                of_machine(true)
            );
            self.wait(self.client.query(&statement).execute())?;
        }
        Ok(())
    }

    fn slices<'a>(&self, marks: &'a Marks) -> Result<Vec<Slice<'a>>, StoreError> {
        if !marks.everything {
            let is_empty = marks.ids.is_empty() && marks.machines.is_empty();
            return Ok(if is_empty { Vec::new() } else { vec![Slice::Marked(marks)] });
        }
        let reports = self.one::<u64>("SELECT toUInt64(count()) FROM arrivals")?;
        let count = u16::try_from(reports / SLICE + 1).unwrap_or(255).min(255);
        Ok((0..count).map(|number| Slice::Range(number * 256 / count, (number + 1) * 256 / count)).collect())
    }

    /// Calls `each` with every installation of a slice and its bodies, which are none if it no longer exists.
    fn recompute(&self, slice: &Slice<'_>, each: &mut dyn FnMut(Whose, &[Kept])) -> Result<(), StoreError> {
        match slice {
            Slice::Range(from, to) => {
                let with_machine = format!("SELECT id FROM arrivals WHERE machine != {NO_MACHINE} AND");
                let ids = range("id", *from, *to);
                self.bodies_by_id(&format!("WHERE {ids} AND id NOT IN ({with_machine} {ids})"), &mut |id, bodies| {
                    each(Whose::Id(id), &bodies);
                    Ok(())
                })?;
                let condition = format!("WHERE id IN ({with_machine} {})", range("machine", *from, *to));
                let is_inside = |machine: Id| (*from..*to).contains(&u16::from(machine.0[0]));
                let mut of_machine = BTreeMap::new();
                self.bodies_by_id(&condition, &mut |_, bodies| {
                    sort_by_machine(&mut of_machine, bodies, &is_inside);
                    Ok(())
                })?;
                each_machine(of_machine, each);
            }
            Slice::Marked(marks) => {
                let mut condition = format!("WHERE {}", is_in("id", marks.ids.iter()));
                if !marks.machines.is_empty() {
                    let machines = is_in("machine", marks.machines.iter());
                    condition = format!("{condition} OR id IN (SELECT id FROM arrivals WHERE {machines})");
                }
                let mut missing = marks.ids.clone();
                let is_inside = |machine: Id| marks.machines.contains(&machine);
                let mut of_machine: BTreeMap<Id, Vec<Kept>> =
                    marks.machines.iter().map(|machine| (*machine, Vec::new())).collect();
                self.bodies_by_id(&condition, &mut |id, bodies| {
                    if missing.remove(&id) {
                        let own: Vec<Kept> = belonging(&bodies, None).cloned().collect();
                        each(Whose::Id(id), &own);
                    }
                    sort_by_machine(&mut of_machine, bodies, &is_inside);
                    Ok(())
                })?;
                missing.into_iter().for_each(|id| each(Whose::Id(id), &[]));
                each_machine(of_machine, each);
            }
        }
        Ok(())
    }
}

/// Adds the bodies of one id to those of their machines.
fn sort_by_machine(all: &mut BTreeMap<Id, Vec<Kept>>, bodies: Vec<Kept>, is_wanted: &dyn Fn(Id) -> bool) {
    let home = machine_of(&bodies);
    for body in bodies {
        if let Some(machine) = body.machine.or(home).filter(|machine| is_wanted(*machine)) {
            all.entry(machine).or_default().push(body);
        }
    }
}

fn each_machine(all: BTreeMap<Id, Vec<Kept>>, each: &mut dyn FnMut(Whose, &[Kept])) {
    for (machine, mut bodies) in all {
        bodies.sort_by_key(Kept::order);
        each(Whose::Machine(machine), &bodies);
    }
}

fn summary_row(whose: Whose, at: u64, installation: &Installation) -> SummaryRow {
    let (of_machine, id) = match whose {
        Whose::Id(id) => (OF_ID, id),
        Whose::Machine(machine) => (OF_MACHINE, machine),
    };
    SummaryRow {
        of_machine,
        whose: id.0,
        at,
        summary: pack_summary(installation, &mut Inline::default()),
    }
}

/// A condition: the value of a column is one of some ids.
fn is_in<'a>(column: &str, ids: impl Iterator<Item = &'a Id>) -> String {
    let list: Vec<String> = ids.map(|id| literal(*id)).collect();
    if list.is_empty() { "0".to_owned() } else { format!("{column} IN ({})", list.join(",")) }
}

/// A condition: the first byte of a column is at least `from` and less than `to`.
fn range(column: &str, from: u16, to: u16) -> String {
    let bound = |byte: u16| format!("toFixedString(unhex('{byte:02x}'), 16)");
    match to {
        256.. => format!("{column} >= {}", bound(from)),
        to => format!("{column} >= {} AND {column} < {}", bound(from), bound(to)),
    }
}
