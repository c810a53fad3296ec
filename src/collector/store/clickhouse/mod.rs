//! Stores reports in ClickHouse: one row per receipt, from which every result is computed, so that inserting rows again
//! changes nothing. The rules of the figures are those of SQLite: ClickHouse computes none of them.

mod address;
mod connection;
mod rows;
mod sql;
mod summaries;

use std::collections::{BTreeMap, BTreeSet};

pub use address::ClickHouseAddress;
pub use connection::ClickHouseStore;
use connection::SYNC;
use rows::{Count, OnlyId, OptOut, Place, kept_rows, literal, report, row};
use summaries::Changed;

use super::{Entry, Ledger, Position, Store, StoreError, Stored};
use crate::collector::identity::Whose;
use crate::collector::installation::{Installation, summarise};
use crate::collector::repeat::arrive;
use crate::collector::report::{DAY_MS, Day, Id, Moment};
use crate::collector::retention::without_old;

/// A batch of as many entries is one of many, and summaries are stored after the last one.
const BULK: usize = 5000;

impl ClickHouseStore {
    /// Connects and creates missing tables. `collector` keeps the journals of several collectors apart.
    ///
    /// # Errors
    /// ClickHouse's error.
    pub fn open(address: &ClickHouseAddress, collector: &str) -> Result<ClickHouseStore, StoreError> {
        let store = ClickHouseStore::connect(address, collector)?;
        store.mark_missing()?;
        Ok(store)
    }

    /// The installations that a batch changes.
    fn changed(&self, batch: &[Entry]) -> Result<Changed, StoreError> {
        if batch.len() >= BULK {
            return Ok(Changed::Everything);
        }
        let (mut changed, mut forgotten) = (BTreeSet::new(), BTreeSet::new());
        for entry in batch {
            match entry {
                Entry::Report(report) => {
                    changed.insert(Whose::Id(report.id));
                    changed.extend(report.machine.map(Whose::Machine));
                }
                Entry::Forget { id, .. } => {
                    changed.insert(Whose::Id(*id));
                    forgotten.insert(*id);
                }
                Entry::OptOut { .. } | Entry::Count { .. } => {}
            }
        }
        if !forgotten.is_empty() {
            changed.extend(self.machines_of(&forgotten)?.into_iter().map(Whose::Machine));
        }
        Ok(Changed::Some(changed))
    }
}

impl Store for ClickHouseStore {
    fn apply(&mut self, batch: &[Entry], position: Option<Position>) -> Result<(), StoreError> {
        let (mut arrivals, mut opt_outs, mut counts, mut gone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for entry in batch {
            match entry {
                Entry::Report(report) => arrivals.push(row(report.id, report, 0)),
                Entry::OptOut { id, received } => opt_outs.push(OptOut {
                    id: id.0,
                    received: received.0,
                }),
                Entry::Count {
                    day,
                    name,
                    count,
                    entry,
                    ..
                } => counts.push(Count {
                    day: day.0,
                    name: name.clone(),
                    entry: *entry,
                    count: *count,
                }),
                Entry::Forget { id, .. } => gone.push(*id),
            }
        }
        let changed = self.changed(batch)?;
        // Before the rows, for a crash in between, and after them, because another collector may have stored summaries meanwhile.
        self.mark(&changed)?;
        self.insert("arrivals", &arrivals)?;
        self.insert("opt_outs", &opt_outs)?;
        self.insert("counted", &counts)?;
        self.delete(&gone, Moment(i64::MAX))?;
        self.mark(&changed)?;
        if !gone.is_empty() {
            self.refresh_and_erase(&changed)?;
        }
        // Comes last: after an earlier failure the batch is repeated, which changes nothing.
        if let Some(position) = position {
            let place = Place {
                collector: self.collector.clone(),
                segment: position.segment,
                offset: position.offset,
                at: position.segment << 32 | position.offset & 0xffff_ffff,
            };
            self.insert("positions", &[place])?;
        }
        if batch.len() < BULK
            && let Err(error) = self.refresh_if_due()
        {
            // Reading is slower without them, and the next batch tries again.
            tracing::warn!("could not store summaries: {error}");
        }
        Ok(())
    }

    fn position(&mut self) -> Result<Option<Position>, StoreError> {
        let question = format!(
            "SELECT toUInt64(count()), argMax(segment, at), argMax(offset, at) FROM positions WHERE collector = '{}'",
            self.collector.replace(|letter: char| !letter.is_ascii_alphanumeric(), "")
        );
        let (count, segment, offset) = self.one::<(u64, u64, u64)>(&question)?;
        Ok((count > 0).then_some(Position { segment, offset }))
    }

    fn revision(&mut self) -> Result<u64, StoreError> {
        // Merges also change these numbers, which only means computing the figures once more. The sums change if as many rows are
        // added as were deleted.
        self.one::<u64>(
            "SELECT assumeNotNull(cityHash64((SELECT (count(), sum(received)) FROM arrivals), (SELECT (count(), sum(received)) FROM opt_outs), (SELECT count() FROM counted)))",
        )
    }

    fn installations(&mut self, until: Option<Day>, each: &mut dyn FnMut(&Installation)) -> Result<(), StoreError> {
        match until {
            None => self.current(each),
            Some(until) => self.all_bodies(&mut |bodies| {
                if let Some(installation) = summarise(bodies.iter().filter(|body| body.day() <= until)) {
                    each(&installation);
                }
            }),
        }
    }

    fn ledger(&mut self) -> Result<Ledger, StoreError> {
        let (rows, first, latest) = self.one::<(u64, i64, i64)>(
            "SELECT toUInt64(count()), toInt64(min(received)), toInt64(max(received)) FROM arrivals",
        )?;
        // Takes the first opt-out of each id, because merging the table drops later ones.
        let opt_outs = self.wait(
            self.client
                .query(
                    "SELECT toUInt16(intDiv(at, 86400000)) AS day, toUInt64(count()), toInt64(max(at)) FROM
                     (SELECT min(received) AS at FROM opt_outs GROUP BY id) GROUP BY day",
                )
                .fetch_all::<(u16, u64, i64)>(),
        )?;
        let opted_out = opt_outs.iter().map(|(_, _, latest)| *latest).max();
        let counts = self.wait(
            self.client
                .query(
                    "SELECT day, toString(name), toUInt64(sum(most)) FROM
                     (SELECT day, name, max(count) AS most FROM counted GROUP BY day, name, entry) GROUP BY day, name",
                )
                .fetch_all::<(u16, String, u64)>(),
        )?;
        Ok(Ledger {
            first: (rows > 0).then(|| Day::of(Moment(first))),
            latest: (rows > 0).then_some(latest).max(opted_out).map(Moment),
            opt_outs: opt_outs.into_iter().map(|(day, count, _)| (Day(day), count)).collect(),
            counts: counts.into_iter().map(|(day, name, count)| ((Day(day), name), count)).collect(),
        })
    }

    fn stored(&mut self, id: Id) -> Result<Stored, StoreError> {
        let mut bodies = Vec::new();
        self.arrivals(&format!("WHERE id = {}", literal(id)), &mut |row| {
            arrive(&mut bodies, &report(row)?);
            Ok(())
        })?;
        let question = format!("SELECT toUInt64(count()), min(received) FROM opt_outs WHERE id = {}", literal(id));
        let (count, received) = self.one::<(u64, i64)>(&question)?;
        Ok(Stored {
            bodies,
            opted_out: (count > 0).then_some(Moment(received)),
        })
    }

    fn export(&mut self, each: &mut dyn FnMut(Id, &Stored) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let opt_outs = self.wait(
            self.client.query("SELECT id, min(received) AS received FROM opt_outs GROUP BY id").fetch_all::<OptOut>(),
        )?;
        let mut opt_outs: BTreeMap<Id, Moment> =
            opt_outs.into_iter().map(|opt_out| (Id(opt_out.id), Moment(opt_out.received))).collect();
        self.bodies_by_id("", &mut |id, bodies| {
            let opted_out = opt_outs.remove(&id);
            each(id, &Stored { bodies, opted_out })
        })?;
        opt_outs.into_iter().try_for_each(|(id, at)| {
            let only = Stored {
                bodies: Vec::new(),
                opted_out: Some(at),
            };
            each(id, &only)
        })
    }

    fn ids(&mut self, each: &mut dyn FnMut(Id)) -> Result<(), StoreError> {
        self.runtime.block_on(async {
            let mut rows = self
                .client
                .query("SELECT id FROM arrivals GROUP BY id UNION DISTINCT SELECT id FROM opt_outs")
                .fetch::<OnlyId>()?;
            while let Some(row) = rows.next().await? {
                each(Id(row.id));
            }
            Ok(())
        })
    }

    fn purge(&mut self, before: Day) -> Result<u64, StoreError> {
        let began = Moment::now();
        let generation = Day::of(began).0;
        let (mut gone, mut shorter, mut rows, mut deleted) = (Vec::new(), Vec::new(), Vec::new(), 0_u64);
        let old = format!(
            "WHERE id IN (SELECT id FROM arrivals GROUP BY id HAVING min(received) < {})",
            i64::from(before.0) * DAY_MS
        );
        self.bodies_by_id(&old, &mut |id, bodies| {
            let count = bodies.len();
            match without_old(bodies, before) {
                // Only the first one is old, and stays.
                Some(rest) if rest.len() == count => {}
                Some(rest) => {
                    deleted += (count - rest.len()) as u64;
                    shorter.push(id);
                    rest.iter().for_each(|body| rows.extend(kept_rows(id, body, generation)));
                }
                None => {
                    deleted += count as u64;
                    gone.push(id);
                }
            }
            Ok(())
        })?;
        // Before and after, because another thread may store summaries meanwhile.
        if deleted > 0 {
            self.mark(&Changed::Everything)?;
        }
        // Inserts the remaining rows first and then deletes the old ones: a failure in between loses nothing.
        self.insert("arrivals", &rows)?;
        // A report that arrives meanwhile stays.
        self.delete(&gone, began)?;
        for ids in shorter.chunks(500) {
            let list: Vec<String> = ids.iter().map(|id| literal(*id)).collect();
            let statement = format!(
                "ALTER TABLE arrivals DELETE WHERE id IN ({}) AND generation < {generation} AND received < {} {SYNC}",
                list.join(","),
                began.0
            );
            self.wait(self.client.query(&statement).execute())?;
        }
        if deleted > 0 {
            self.mark(&Changed::Everything)?;
        }
        let statement = format!("ALTER TABLE counted DELETE WHERE day < {} {SYNC}", before.0);
        self.wait(self.client.query(&statement).execute())?;
        Ok(deleted)
    }
}
