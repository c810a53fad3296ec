//! Reports in ClickHouse: a row for each receipt, from which every answer is made, so that adding rows again changes nothing.

mod sql;

use std::collections::BTreeMap;
use std::time::Duration;

use clickhouse::{Client, Compression, Row};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use super::sqlite::upkeep::without_old;
use super::{Entry, Ledger, Position, Store, StoreError, Stored};
use crate::collector::installation::{ActiveDay, Installation, usual_kind};
use crate::collector::repeat::{Kept, arrive};
use crate::collector::report::{
    Client as AiClient, DAY_MS, Day, Facts, Id, KINDS, LAUNCHES, Moment, Reached, Report, SYSTEMS, kind_index,
    launch_index,
};

/// A server and a database on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickHouseAddress {
    url: String,
    user: Option<String>,
    password: Option<String>,
    database: String,
}

impl ClickHouseAddress {
    /// Reads `clickhouse://[user:password@]host[:port][/database]`; `clickhouses://` speaks TLS.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<ClickHouseAddress, String> {
        let wrong = || "expected clickhouse://[user:password@]host[:port][/database]".to_owned();
        let (scheme, rest, port) = match text.strip_prefix("clickhouse://") {
            Some(rest) => ("http", rest, 8123),
            None => ("https", text.strip_prefix("clickhouses://").ok_or_else(wrong)?, 8443),
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
        let database = if database.is_empty() { "mcpproxy" } else { database };
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if host.is_empty() || !is_name(database) {
            return Err(wrong());
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let url = if has_port { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => (Some(user.to_owned()), Some(password.to_owned())),
        };
        Ok(ClickHouseAddress {
            url,
            user,
            password,
            database: database.to_owned(),
        })
    }
}

/// How long a question may take.
const LIMIT: Duration = Duration::from_secs(300);
/// Stands for a report without a usable time.
const NO_TIME: i64 = i64::MIN;
const NOBODY: [u8; 16] = [0; 16];

/// A row of `arrivals`.
#[derive(Debug, Clone, Row, Serialize, Deserialize)]
struct Arrival {
    id: [u8; 16],
    hash: u64,
    received: i64,
    machine: [u8; 16],
    suspect: u8,
    kind: u8,
    launch: u8,
    system: u8,
    reached: u8,
    schema: u8,
    calls: u32,
    own: i64,
    version: String,
    clients: Vec<String>,
    unknown: Vec<String>,
    carried: u8,
}

#[derive(Row, Serialize, Deserialize)]
struct OptOut {
    id: [u8; 16],
    received: i64,
}

#[derive(Row, Serialize, Deserialize)]
struct Count {
    day: u16,
    name: String,
    entry: u64,
    count: u64,
}

#[derive(Row, Serialize, Deserialize)]
struct Place {
    collector: String,
    segment: u64,
    offset: u64,
    at: u64,
}

#[derive(Row, Deserialize)]
struct Summary {
    active: Vec<(u16, u8, u8)>,
    system: u8,
    version: String,
    suspect: u8,
    reached: u8,
    clients: Vec<String>,
    unknown: Vec<String>,
    lowest: u8,
    highest: u8,
    bodies: u64,
    repeats: u64,
    skewed: u64,
    badly: u64,
    calls: u64,
}

/// The ClickHouse database.
pub struct ClickHouseStore {
    runtime: Runtime,
    client: Client,
    collector: String,
}

impl From<clickhouse::error::Error> for StoreError {
    fn from(error: clickhouse::error::Error) -> StoreError {
        StoreError::Other(format!("ClickHouse: {error}"))
    }
}

impl ClickHouseStore {
    /// Connects, and creates what is not there. `collector` keeps the journals of several collectors apart.
    ///
    /// # Errors
    /// What ClickHouse says.
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

/// An id in SQL: digits only, so that nothing needs to be escaped.
fn literal(id: Id) -> String {
    format!("toFixedString(unhex('{}'), 16)", uuid::Uuid::from_bytes(id.0).simple())
}

fn small(index: usize) -> u8 {
    u8::try_from(index).unwrap_or(u8::MAX)
}

fn row(id: Id, report: &Report, carried: bool) -> Arrival {
    let facts = &report.facts;
    Arrival {
        id: id.0,
        hash: report.hash,
        received: report.received.0,
        machine: report.machine.map_or(NOBODY, |machine| machine.0),
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
        carried: u8::from(carried),
    }
}

fn report(row: Arrival) -> Result<Report, StoreError> {
    let damaged = || StoreError::Other("ClickHouse: a row of `arrivals` is damaged".to_owned());
    let skew = match row.own {
        NO_TIME => None,
        own => i32::try_from(row.received.div_euclid(1000).saturating_sub(own)).ok(),
    };
    Ok(Report {
        id: Id(row.id),
        machine: (row.machine != NOBODY).then_some(Id(row.machine)),
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
            clients: row.clients.iter().map(|name| AiClient::new(name)).collect(),
            calls: row.calls,
            skew,
        },
        unknown: row.unknown,
    })
}

fn installation(row: Summary) -> Result<Installation, StoreError> {
    let damaged = || StoreError::Other("ClickHouse: a summary is damaged".to_owned());
    let days = row
        .active
        .into_iter()
        .map(|(day, kind, launch)| {
            Ok(ActiveDay {
                day: Day(day),
                kind: *KINDS.get(usize::from(kind)).ok_or_else(damaged)?,
                launch: *LAUNCHES.get(usize::from(launch)).ok_or_else(damaged)?,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    let mut unknown = BTreeMap::new();
    for path in row.unknown {
        *unknown.entry(path).or_default() += 1;
    }
    let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Ok(Installation {
        kind: usual_kind(&days),
        system: *SYSTEMS.get(usize::from(row.system)).ok_or_else(damaged)?,
        version: row.version,
        suspect: row.suspect != 0,
        reached: Reached::default().and(Reached(row.reached)),
        clients: row.clients.iter().map(|name| AiClient::new(name)).collect(),
        bodies: number(row.bodies),
        repeats: number(row.repeats),
        skewed: number(row.skewed),
        badly_skewed: number(row.badly),
        unknown,
        schemas: (row.lowest, row.highest),
        calls: row.calls,
        days,
    })
}

impl Store for ClickHouseStore {
    fn apply(&mut self, batch: &[Entry], position: Option<Position>) -> Result<(), StoreError> {
        let (mut arrivals, mut opt_outs, mut counts, mut gone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for entry in batch {
            match entry {
                Entry::Report(report) => arrivals.push(row(report.id, report, false)),
                Entry::OptOut { id, received } => opt_outs.push(OptOut {
                    id: id.0,
                    received: received.0,
                }),
                Entry::Count {
                    day,
                    name,
                    count,
                    entry,
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
        // Last: a failure before this repeats the batch, which changes nothing.
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
        // Merging changes these numbers too, which costs no more than taking the figures once more.
        self.one::<u64>(
            "SELECT cityHash64((SELECT count() FROM arrivals), (SELECT count() FROM opt_outs), (SELECT count() FROM counted))",
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
        let (bodies, first, last, latest) = self.one::<(i64, i64, i64, i64)>(&sql::span())?;
        let opt_outs = self.one::<u64>("SELECT toUInt64(uniqExact(id)) FROM opt_outs")?;
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
            span: (bodies > 0).then(|| (Day::of(Moment(first)), Day::of(Moment(last)))),
            latest: (bodies > 0).then_some(Moment(latest)),
            opt_outs,
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
            self.client.query("SELECT id, min(received) FROM opt_outs GROUP BY id").fetch_all::<([u8; 16], i64)>(),
        )?;
        let mut opt_outs: BTreeMap<Id, Moment> = opt_outs.into_iter().map(|(id, at)| (Id(id), Moment(at))).collect();
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
            let mut rows = self.client.query("SELECT DISTINCT id FROM arrivals").fetch::<[u8; 16]>()?;
            while let Some(id) = rows.next().await? {
                each(Id(id));
            }
            Ok(())
        })
    }

    fn purge(&mut self, before: Day) -> Result<u64, StoreError> {
        let limit = i64::from(before.0) * DAY_MS;
        let (mut gone, mut carried, mut deleted) = (Vec::new(), Vec::new(), 0_u64);
        self.export(&mut |id, stored| {
            if stored.bodies.first().is_none_or(|body| body.day() >= before) {
                return Ok(());
            }
            match without_old(stored.bodies.clone(), before) {
                None => {
                    deleted += stored.bodies.len() as u64;
                    gone.push(id);
                }
                Some(rest) => {
                    deleted += (stored.bodies.len() - rest.len()) as u64;
                    carried.extend(rest.first().map(|first| carried_row(id, first)));
                }
            }
            Ok(())
        })?;
        if gone.is_empty() && carried.is_empty() {
            return Ok(0);
        }
        self.insert("arrivals", &carried)?;
        self.delete(&gone)?;
        for statement in [
            format!("ALTER TABLE arrivals DELETE WHERE received < {limit} AND carried = 0 SETTINGS mutations_sync = 2"),
            format!("ALTER TABLE counted DELETE WHERE day < {} SETTINGS mutations_sync = 2", before.0),
        ] {
            self.wait(self.client.query(&statement).execute())?;
        }
        Ok(deleted)
    }
}

fn carried_row(id: Id, first: &Kept) -> Arrival {
    let report = Report {
        id,
        machine: first.machine,
        received: first.received(),
        hash: first.hash,
        suspect: first.suspect,
        facts: first.facts.clone(),
        unknown: first.unknown.clone(),
    };
    row(id, &report, true)
}
