//! The running service: two listeners, a journal thread and a database thread.

mod applier;
mod desk;
mod intake;
mod listener;
mod own_data;
mod publish;
mod routes;
mod service;
mod state;
mod writer;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::collector::admit::{Admission, FloodWatch, SeenIds};
use crate::collector::forgotten::{self, Forgotten};
use crate::collector::journal;
use crate::collector::place::{Place, StoreAddress};
use crate::collector::report::{Day, Moment};
use crate::collector::store::{Entry, Ledger, Store};
use crate::os::lock::{Attempt, Lock};
use applier::Applier;
use desk::Desk;
pub use own_data::stored_json;
pub use service::Options;
use service::{Meters, Service, blocking};
use state::Progress;

/// Why the service does not start.
#[derive(Debug, thiserror::Error)]
#[error("could not {what}: {cause}")]
pub struct StartError {
    what: String,
    cause: String,
    /// The next step for the user.
    pub help: &'static str,
}

const ANOTHER_PLACE: &str = "choose another address with --listen or --admin, or another directory with --data";
const CERTIFICATE: &str =
    "give --tls the certificate chain, its own certificate first, and then its private key, both as PEM files";
const DATABASE: &str =
    "check that the database runs and that --store names it; `mcpproxy-collector doctor` looks for problems";

fn start_error(what: impl Into<String>) -> impl FnOnce(String) -> StartError {
    move |cause| StartError {
        what: what.into(),
        cause,
        help: ANOTHER_PLACE,
    }
}

impl StartError {
    fn help(self, help: &'static str) -> StartError {
        StartError { help, ..self }
    }
}

/// A service whose listeners are open.
pub struct Running {
    service: Arc<Service>,
    public: TcpListener,
    admin: TcpListener,
    tls: Option<tokio_rustls::TlsAcceptor>,
    threads: Vec<std::thread::JoinHandle<()>>,
    _lock: Lock,
}

/// Opens the data directory, brings what the journal still holds into the database, and opens the listeners. Blocks.
///
/// # Errors
/// [`StartError`].
pub async fn start(options: Options) -> Result<Running, StartError> {
    let place = options.place.clone();
    let text = |error: std::io::Error| error.to_string();
    place.create().map_err(text).map_err(start_error(format!("use `{}`", place.directory.display())))?;
    let lock = take_lock(&place)?;
    let tls = options.tls.as_ref().map(|(chain, key)| listener::tls(chain, key)).transpose();
    let tls = tls.map_err(text).map_err(start_error("use the certificate")).map_err(|error| error.help(CERTIFICATE))?;
    let bind = |address: SocketAddr| async move {
        TcpListener::bind(address).await.map_err(text).map_err(start_error(format!("listen on {address}")))
    };
    let (public, admin) = (bind(options.listen).await?, bind(options.admin).await?);
    let begun = tokio::task::spawn_blocking(move || begin(options))
        .await
        .unwrap_or_else(|error| Err(start_error("start")(error.to_string())));
    let (service, threads) = begun?;
    Ok(Running {
        service: Arc::new(service),
        public,
        admin,
        tls,
        threads,
        _lock: lock,
    })
}

fn take_lock(place: &Place) -> Result<Lock, StartError> {
    let path = place.directory.join("lock");
    match Lock::attempt(&path) {
        Ok(Attempt::Held(lock)) => Ok(lock),
        Ok(Attempt::Taken { pid }) => {
            let pid = pid.map_or(String::new(), |pid| format!(" (process {pid})"));
            let cause = format!("another collector{pid} uses `{}`", place.directory.display());
            Err(start_error("start")(cause))
        }
        Err(error) => Err(start_error(format!("lock `{}`", path.display()))(error.to_string())),
    }
}

fn begin(options: Options) -> Result<(Service, Vec<std::thread::JoinHandle<()>>), StartError> {
    let place = options.place.clone();
    let io = |error: std::io::Error| error.to_string();
    let forgotten = Forgotten::open(&place.directory).map_err(io).map_err(start_error("read the forgotten ids"))?;
    let key =
        forgotten::secret(&place.directory.join("stats.key")).map_err(io).map_err(start_error("read `stats.key`"))?;
    let mut store =
        place.open_store(16).map_err(start_error("open the database")).map_err(|error| error.help(DATABASE))?;
    sweep(store.as_mut(), &forgotten).map_err(start_error("delete forgotten ids"))?;
    let (seen, ledger) = read_start(store.as_mut()).map_err(start_error("read the database"))?;
    let stored = store.position().map_err(|error| error.to_string()).map_err(start_error("read the database"))?;
    let writer = journal::Writer::open_after(&place.journal(), stored)
        .map_err(io)
        .map_err(start_error(format!("write `{}`", place.journal().display())))?;
    let from = stored.unwrap_or_default();
    let progress = Arc::new(Progress::new(from, writer.end()));
    let forgotten = Arc::new(RwLock::new(forgotten));
    let reopen = |place: Place| -> applier::OpenStore { Box::new(move || place.open_store(16)) };
    let is_remote = !matches!(place.store, StoreAddress::Sqlite(_));
    let applier = Applier {
        directory: place.journal(),
        open: reopen(place.clone()),
        progress: Arc::clone(&progress),
        forgotten: Arc::clone(&forgotten),
        batch: if is_remote { 20_000 } else { 2_000 },
        wait: Duration::from_millis(if is_remote { 1000 } else { 50 }),
    };
    let applier = applier.start(store, from);
    let (journal, writer) = writer::start(writer, Arc::clone(&progress));
    let reading = place.clone();
    let service = Service {
        admission: Mutex::new(Admission::new(options.limits, forgotten::random())),
        seen: Mutex::new(seen),
        flood: Mutex::new(flood_watch(&ledger)),
        desk: Desk::new(Box::new(move || reading.open_for_reading())),
        options,
        journal,
        progress,
        forgotten,
        meters: Meters::default(),
        began: Instant::now(),
        stats_key: key.iter().map(|byte| format!("{byte:02x}")).collect(),
        publishing: Mutex::new(()),
    };
    Ok((service, vec![writer, applier]))
}

/// Deletes what a restored backup brought back.
fn sweep(store: &mut dyn Store, forgotten: &Forgotten) -> Result<(), String> {
    if forgotten.is_empty() {
        return Ok(());
    }
    let mut back = Vec::new();
    let at = Moment::now();
    store
        .ids(&mut |id| {
            if forgotten.contains(id) {
                back.push(Entry::Forget { id, at });
            }
        })
        .map_err(|error| error.to_string())?;
    if back.is_empty() {
        return Ok(());
    }
    store.apply(&back, None).map_err(|error| error.to_string())
}

fn read_start(store: &mut dyn Store) -> Result<(SeenIds, Ledger), String> {
    let mut seen = SeenIds::default();
    store
        .ids(&mut |id| {
            seen.insert(id);
        })
        .map_err(|error| error.to_string())?;
    let ledger = store.ledger().map_err(|error| error.to_string())?;
    Ok((seen, ledger))
}

fn flood_watch(ledger: &Ledger) -> FloodWatch {
    let today = Day::of(Moment::now());
    let mut watch = FloodWatch::default();
    for ((day, name), count) in &ledger.counts {
        let hour = name.strip_prefix("new_ids:").and_then(|hour| hour.parse::<u32>().ok());
        if let (true, Some(hour)) = (today.since(*day) <= 8, hour) {
            watch.remember(u32::from(day.0) * 24 + hour, u32::try_from(*count).unwrap_or(u32::MAX));
        }
    }
    watch
}

impl Running {
    /// The addresses of the two listeners.
    ///
    /// # Errors
    /// The system's error.
    pub fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.public.local_addr()?, self.admin.local_addr()?))
    }

    /// Serves until `stop` changes; then answers what is open, and brings the rest of the journal into the database.
    pub async fn serve(self, stop: watch::Receiver<bool>) {
        let Running {
            service,
            public,
            admin,
            tls,
            threads,
            _lock,
        } = self;
        let for_public = Arc::clone(&service);
        let public = listener::serve(public, tls, stop.clone(), move |request, peer| {
            routes::public(Arc::clone(&for_public), request, peer)
        });
        let for_admin = Arc::clone(&service);
        let admin = listener::serve(admin, None, stop.clone(), move |request, peer| {
            routes::admin(Arc::clone(&for_admin), request, peer)
        });
        let upkeep = tokio::spawn(upkeep(Arc::clone(&service), stop));
        tokio::join!(public, admin);
        upkeep.abort();
        let closing = tokio::task::spawn_blocking(move || {
            service.journal.close();
            for thread in threads {
                let _ = thread.join();
            }
        });
        let _ = closing.await;
    }
}

/// Deletes old reports every hour.
async fn upkeep(service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    loop {
        let worker = Arc::clone(&service);
        let done = blocking(move || {
            let oldest = Day::of(Moment::now()).minus(worker.options.keep_days);
            let mut store = worker.options.place.open_store(8)?;
            store.purge(oldest).map_err(|error| error.to_string())
        });
        if let Err(error) = done.await {
            tracing::warn!("could not delete old reports: {error}");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(3600)) => {}
            _ = stop.changed() => return,
        }
    }
}
