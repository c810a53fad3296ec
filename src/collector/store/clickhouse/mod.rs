//! Stores reports in ClickHouse: one row per receipt, from which every result is computed, so that inserting rows again
//! changes nothing.

mod address;
mod rows;
mod sql;

use std::collections::BTreeMap;
use std::time::Duration;

use clickhouse::{Client, Compression, Row};
use serde::Serialize;
use tokio::runtime::Runtime;

pub use address::ClickHouseAddress;
use rows::{Arrival, Count, OnlyId, OptOut, Place, Summary, installation, kept_rows, literal, report, row};

use super::{Entry, Ledger, Position, Store, StoreError, Stored};
use crate::collector::installation::Installation;
use crate::collector::repeat::{Kept, arrive};
use crate::collector::report::{DAY_MS, Day, Id, Moment};
use crate::collector::retention::without_old;

/// Time limit of a query.
const LIMIT: Duration = Duration::from_secs(300);
/// The ClickHouse database.
pub struct ClickHouseStore {
    runtime: Runtime,
    client: Client,
    collector: String,
}

impl From<clickhouse::error::Error> for StoreError {
    fn from(error: clickhouse::error::Error) -> StoreError {
        // The client's own text names only the step that failed; the cause, such as a certificate, is in its sources.
        let mut text = format!("ClickHouse: {error}");
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !text.ends_with(&cause_text) {
                text = format!("{text}: {cause_text}");
            }
            source = cause.source();
        }
        StoreError::Other(text)
    }
}

impl ClickHouseStore {
    /// Connects and creates missing tables. `collector` keeps the journals of several collectors apart.
    ///
    /// # Errors
    /// ClickHouse's error.
    pub fn open(address: &ClickHouseAddress, collector: &str) -> Result<ClickHouseStore, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::Other(error.to_string()))?;
        let mut client = Client::default().with_url(&address.url).with_compression(Compression::None);
        if let Some(user) = &address.user {
            client = client.with_user(user);
        }
        if let Some(password) = &address.password {
            client = client.with_password(password);
        }
        let store = ClickHouseStore {
            runtime,
            client: client.clone().with_database(&address.database),
            collector: collector.to_owned(),
        };
        store.wait(async {
            client.query(&format!("CREATE DATABASE IF NOT EXISTS {}", address.database)).execute().await?;
            for table in sql::TABLES {
                store.client.query(table).execute().await?;
            }
            Ok(())
        })?;
        Ok(store)
    }

    fn wait<T>(&self, work: impl Future<Output = Result<T, clickhouse::error::Error>>) -> Result<T, StoreError> {
        self.runtime.block_on(async {
            match tokio::time::timeout(LIMIT, work).await {
                Ok(result) => Ok(result?),
                Err(_) => Err(StoreError::Other("ClickHouse: no answer in time".to_owned())),
            }
        })
    }

    fn insert<T>(&self, table: &str, rows: &[T]) -> Result<(), StoreError>
    where
        T: Row + Serialize,
        for<'a> T: Row<Value<'a> = T>,
    {
        if rows.is_empty() {
            return Ok(());
        }
        self.wait(async {
            let mut insert = self.client.insert::<T>(table).await?;
            for row in rows {
                insert.write(row).await?;
            }
            insert.end().await
        })
    }

    fn arrivals(
        &self,
        condition: &str,
        each: &mut dyn FnMut(Arrival) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let question = format!("SELECT {} FROM arrivals {condition}", sql::ARRIVAL);
        self.runtime.block_on(async {
            let mut rows = self.client.query(&question).fetch::<Arrival>()?;
            while let Some(row) = rows.next().await? {
                each(row)?;
            }
            Ok(())
        })
    }

    fn one<T>(&self, question: &str) -> Result<T, StoreError>
    where
        T: clickhouse::RowOwned + clickhouse::RowRead,
    {
        self.wait(self.client.query(question).fetch_one::<T>())
    }

    fn delete(&self, ids: &[Id]) -> Result<(), StoreError> {
        for ids in ids.chunks(500) {
            let list: Vec<String> = ids.iter().map(|id| literal(*id)).collect();
            for table in ["arrivals", "opt_outs"] {
                let statement =
                    format!("ALTER TABLE {table} DELETE WHERE id IN ({}) SETTINGS mutations_sync = 2", list.join(","));
                self.wait(self.client.query(&statement).execute())?;
            }
        }
        Ok(())
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
        self.insert("arrivals", &arrivals)?;
        self.insert("opt_outs", &opt_outs)?;
        self.insert("counted", &counts)?;
        self.delete(&gone)?;
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
        let until_ms = until.map_or(i64::MAX, |until| (i64::from(until.0) + 1) * DAY_MS);
        self.runtime.block_on(async {
            let mut rows = self.client.query(&sql::installations(until_ms)).fetch::<Summary>()?;
            while let Some(row) = rows.next().await? {
                each(&installation(row)?);
            }
            Ok(())
        })
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
        let ids = self.one::<u64>("SELECT toUInt64(uniqExact(id)) FROM arrivals")?;
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
            ids,
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
        let mut current: Option<(Id, Vec<Kept>)> = None;
        let mut finish = |current: Option<(Id, Vec<Kept>)>, opt_outs: &mut BTreeMap<Id, Moment>| match current {
            None => Ok(()),
            Some((id, bodies)) => each(
                id,
                &Stored {
                    bodies,
                    opted_out: opt_outs.remove(&id),
                },
            ),
        };
        self.arrivals("ORDER BY id", &mut |row| {
            let report = report(row)?;
            if current.as_ref().is_none_or(|(id, _)| *id != report.id) {
                finish(current.replace((report.id, Vec::new())), &mut opt_outs)?;
            }
            if let Some((_, bodies)) = &mut current {
                arrive(bodies, &report);
            }
            Ok(())
        })?;
        finish(current, &mut opt_outs)?;
        for id in opt_outs.keys().copied().collect::<Vec<_>>() {
            finish(Some((id, Vec::new())), &mut opt_outs)?;
        }
        Ok(())
    }

    fn ids(&mut self, each: &mut dyn FnMut(Id)) -> Result<(), StoreError> {
        self.runtime.block_on(async {
            let mut rows = self.client.query("SELECT DISTINCT id FROM arrivals").fetch::<OnlyId>()?;
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
        self.export(&mut |id, stored| {
            if stored.bodies.first().is_none_or(|body| body.day() >= before) {
                return Ok(());
            }
            let rest = without_old(stored.bodies.clone(), before);
            deleted += (stored.bodies.len() - rest.as_ref().map_or(0, Vec::len)) as u64;
            match rest {
                None => gone.push(id),
                Some(rest) => {
                    shorter.push(id);
                    rest.iter().for_each(|body| rows.extend(kept_rows(id, body, generation)));
                }
            }
            Ok(())
        })?;
        // Inserts the remaining rows first and then deletes the old ones: a failure in between loses nothing.
        self.insert("arrivals", &rows)?;
        self.delete(&gone)?;
        for ids in shorter.chunks(500) {
            let list: Vec<String> = ids.iter().map(|id| literal(*id)).collect();
            let statement = format!(
                "ALTER TABLE arrivals DELETE WHERE id IN ({}) AND generation < {generation} AND received < {} SETTINGS mutations_sync = 2",
                list.join(","),
                began.0
            );
            self.wait(self.client.query(&statement).execute())?;
        }
        let statement = format!("ALTER TABLE counted DELETE WHERE day < {} SETTINGS mutations_sync = 2", before.0);
        self.wait(self.client.query(&statement).execute())?;
        Ok(deleted)
    }
}
