//! The connection to ClickHouse and the statements that several operations need.

use std::time::Duration;

use clickhouse::{Client, Compression, Row};
use serde::Serialize;
use tokio::runtime::Runtime;

use super::super::StoreError;
use super::address::ClickHouseAddress;
use super::rows::{Arrival, literal, report};
use super::sql;
use crate::collector::repeat::{Kept, arrive};
use crate::collector::report::{Id, Moment};

/// Time limit of a query.
const LIMIT: Duration = Duration::from_secs(300);
/// Makes a statement wait until its rows are deleted.
pub(super) const SYNC: &str = "SETTINGS mutations_sync = 2";

/// The ClickHouse database.
pub struct ClickHouseStore {
    pub(super) runtime: Runtime,
    pub(super) client: Client,
    pub(super) collector: String,
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
    pub(super) fn connect(address: &ClickHouseAddress, collector: &str) -> Result<ClickHouseStore, StoreError> {
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

    pub(super) fn wait<T>(
        &self,
        work: impl Future<Output = Result<T, clickhouse::error::Error>>,
    ) -> Result<T, StoreError> {
        self.runtime.block_on(async {
            match tokio::time::timeout(LIMIT, work).await {
                Ok(result) => Ok(result?),
                Err(_) => Err(StoreError::Other("ClickHouse: no answer in time".to_owned())),
            }
        })
    }

    pub(super) fn insert<T>(&self, table: &str, rows: &[T]) -> Result<(), StoreError>
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

    pub(super) fn arrivals(
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

    /// Calls `each` with the bodies of every id that a condition selects.
    pub(super) fn bodies_by_id(
        &self,
        condition: &str,
        each: &mut dyn FnMut(Id, Vec<Kept>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut current: Option<(Id, Vec<Kept>)> = None;
        self.arrivals(&format!("{condition} ORDER BY id"), &mut |row| {
            let report = report(row)?;
            if current.as_ref().is_none_or(|(id, _)| *id != report.id)
                && let Some((id, bodies)) = current.replace((report.id, Vec::new()))
            {
                each(id, bodies)?;
            }
            if let Some((_, bodies)) = &mut current {
                arrive(bodies, &report);
            }
            Ok(())
        })?;
        current.map_or(Ok(()), |(id, bodies)| each(id, bodies))
    }

    pub(super) fn one<T>(&self, question: &str) -> Result<T, StoreError>
    where
        T: clickhouse::RowOwned + clickhouse::RowRead,
    {
        self.wait(self.client.query(question).fetch_one::<T>())
    }

    /// Deletes what arrived before a moment.
    pub(super) fn delete(&self, ids: &[Id], before: Moment) -> Result<(), StoreError> {
        for ids in ids.chunks(500) {
            let list: Vec<String> = ids.iter().map(|id| literal(*id)).collect();
            for table in ["arrivals", "opt_outs"] {
                let statement = format!(
                    "ALTER TABLE {table} DELETE WHERE id IN ({}) AND received < {} {SYNC}",
                    list.join(","),
                    before.0
                );
                self.wait(self.client.query(&statement).execute())?;
            }
        }
        Ok(())
    }
}
