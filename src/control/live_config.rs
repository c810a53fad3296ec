//! The configuration of the running core. Every edit is written to the file first, then applied.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::sync::watch;

use crate::activity::ActivityLog;
use crate::config::document::{Document, EditError};
use crate::config::store::{ConfigStore, StoreError};
use crate::config::{Config, TelemetryConfig};
use crate::control::{actor, history, journal};
use crate::os::sync::lock;
use crate::upstream::pool::UpstreamPool;

/// Called with the telemetry settings whenever they may have changed.
pub type OnTelemetry = Box<dyn Fn(&TelemetryConfig) + Send + Sync>;

/// The configuration in use, and the only way to change it.
pub struct LiveConfig {
    store: Arc<ConfigStore>,
    current: watch::Sender<Arc<Config>>,
    /// The configuration at startup, for settings that are read only once.
    at_start: Arc<Config>,
    /// Why the file on disk is not in use; `None` if it is.
    error: watch::Sender<Option<String>>,
    /// Allows only one edit or reload at a time.
    edits: tokio::sync::Mutex<()>,
    pool: Arc<UpstreamPool>,
    on_telemetry: OnTelemetry,
    activity: ActivityLog,
}

impl LiveConfig {
    /// `config` is the content of `store` at startup.
    pub fn new(
        store: ConfigStore,
        config: Arc<Config>,
        pool: Arc<UpstreamPool>,
        on_telemetry: OnTelemetry,
    ) -> LiveConfig {
        on_telemetry(&config.telemetry);
        LiveConfig {
            store: Arc::new(store),
            at_start: config.clone(),
            current: watch::Sender::new(config),
            error: watch::Sender::new(None),
            edits: tokio::sync::Mutex::default(),
            pool,
            on_telemetry,
            activity: ActivityLog::default(),
        }
    }

    /// Reports changes to this log.
    pub fn with_activity_log(mut self, log: ActivityLog) -> LiveConfig {
        self.activity = log;
        self
    }

    /// Returns the log that changes are reported to.
    pub fn activity(&self) -> &ActivityLog {
        &self.activity
    }

    /// Returns the configuration in use.
    pub fn current(&self) -> Arc<Config> {
        self.current.borrow().clone()
    }

    /// Returns a receiver of the configuration in use.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Config>> {
        self.current.subscribe()
    }

    /// Returns a receiver of the error in the file on disk.
    pub fn errors(&self) -> watch::Receiver<Option<String>> {
        self.error.subscribe()
    }

    /// Returns the store of the configuration file.
    pub fn store(&self) -> &Arc<ConfigStore> {
        &self.store
    }

    /// Returns the configuration at startup.
    pub fn at_start(&self) -> &Config {
        &self.at_start
    }

    /// Returns a message for the user about the edited file: an error in it, or settings that need a restart.
    pub fn notice(&self) -> Option<String> {
        if let Some(error) = self.error.borrow().as_deref() {
            return Some(format!("{error}; still using the previous settings"));
        }
        let changed = self.current.borrow().needs_restart(&self.at_start);
        (!changed.is_empty()).then(|| format!("Restart the core to apply the new `{}`", changed.join("`, `")))
    }

    /// Starts the configured servers.
    pub async fn start_servers(&self) {
        let _one_at_a_time = self.edits.lock().await;
        let config = self.current();
        self.pool.admission().configure(&config);
        self.pool.apply(&config.servers).await;
    }

    /// Edits the file and applies the result. Records in the history of each changed server who made the edit
    /// ([`actor::acting`]).
    ///
    /// # Errors
    /// [`StoreError`]; neither the file nor the running core has changed then.
    pub async fn edit(
        &self,
        change: impl Fn(&mut Document) -> Result<(), EditError> + Send + 'static,
    ) -> Result<(), StoreError> {
        let _one_at_a_time = self.edits.lock().await;
        let store = self.store.clone();
        let seen: Arc<Mutex<Option<(Document, Document)>>> = Arc::default();
        let edited = seen.clone();
        let by = actor::current();
        let editor = by.clone();
        let edit = move || {
            store.edit(|document| {
                if document.is_empty() {
                    let problem =
                        "the file is empty or missing, perhaps because another program is writing it; try again";
                    return Err(EditError::Shape(problem.to_owned()));
                }
                let before = document.clone();
                change(document)?;
                history::record(&before, document, &editor)?;
                *lock(&edited) = Some((before, document.clone()));
                Ok(())
            })
        };
        // The edit waits for the disk, which must not delay the tool calls on this thread.
        let edited = tokio::task::spawn_blocking(edit).await;
        let config = edited.unwrap_or_else(|_| Err(EditError::Shape("the edit was aborted".to_owned()).into()))?;
        if let Some((before, after)) = lock(&seen).take()
            && let Some(change) = journal::settings_change(&before, &after, &by)
        {
            self.activity.change(change);
        }
        self.apply(Arc::new(config), &by).await;
        Ok(())
    }

    /// Sets keys of the `telemetry` object.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn edit_telemetry(&self, keys: Vec<(&'static str, Value)>) -> Result<(), StoreError> {
        self.edit(move |document| {
            for (key, value) in &keys {
                document.set_telemetry(key, value.clone());
            }
            Ok(())
        })
        .await
    }

    /// Applies another program's edit of the file. A file with an error changes nothing; the error is reported.
    pub async fn reload(&self) {
        let _one_at_a_time = self.edits.lock().await;
        match self.read(|store| store.load_written()).await {
            Ok(config) if config == **self.current.borrow() => self.set_error(None),
            Ok(config) => {
                tracing::info!("the configuration file has changed: applying it");
                self.apply(Arc::new(config), "configuration file").await;
                if let Some(notice) = self.notice() {
                    tracing::warn!("{notice}");
                }
            }
            Err(error) => {
                tracing::warn!("{error}; still using the previous settings");
                self.set_error(Some(error.to_string()));
            }
        }
    }

    /// Reads the telemetry settings from the file, to apply the user's latest edit.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn reload_telemetry(&self) -> Result<Arc<Config>, StoreError> {
        let _one_at_a_time = self.edits.lock().await;
        let telemetry = self.read(|store| store.load()).await?.telemetry;
        let config = Arc::new(Config {
            telemetry,
            ..Config::clone(&self.current.borrow())
        });
        (self.on_telemetry)(&config.telemetry);
        self.current.send_replace(config.clone());
        Ok(config)
    }

    async fn read(
        &self,
        read: impl FnOnce(&ConfigStore) -> Result<Config, StoreError> + Send + 'static,
    ) -> Result<Config, StoreError> {
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || read(&store)).await;
        read.unwrap_or_else(|_| Err(EditError::Shape("reading the file was aborted".to_owned()).into()))
    }

    fn set_error(&self, error: Option<String>) {
        self.error.send_if_modified(|current| {
            let changed = *current != error;
            *current = error;
            changed
        });
    }

    async fn apply(&self, config: Arc<Config>, by: &str) {
        self.set_error(None);
        self.activity.retain(config.activity_retention());
        (self.on_telemetry)(&config.telemetry);
        let before = self.current.send_replace(config.clone());
        for change in journal::server_changes(&before.servers, &config.servers, by) {
            self.activity.change(change);
        }
        self.pool.admission().configure(&config);
        // Restarts servers only if their settings have changed.
        if before.servers != config.servers {
            self.pool.apply(&config.servers).await;
        } else if (&before.profiles, &before.active_profile, before.direct_up_to_tokens)
            != (&config.profiles, &config.active_profile, config.direct_up_to_tokens)
        {
            self.pool.announce();
        }
    }
}
