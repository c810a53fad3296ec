//! The life of the core: take the instance, read the configuration, bind both doors, serve, drain.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use http_body_util::BodyExt as _;
use rmcp::transport::streamable_http_server::session::SessionStore;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::config::serving::RoutingMode;
use crate::config::store::{ConfigStore, StoreError};
use crate::contract::api::Update;
use crate::contract::endpoint::{LocalAddress, LocalAddressOverrides};
use crate::contract::exit_code::ExitCode;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::gateway::http::paths::{known_profile, unknown_path};
use crate::gateway::{
    DirectHandler, FastPath, Handler, PersistentSessions, Proxy, Tools, explain, fast_path_middleware, without_priming,
};
use crate::os::environment::{Environment, user_name};
use crate::os::files;
use crate::os::keychain::{Keychain, SystemKeychain};
use crate::os::local_stream::{BindError, LocalListener};
use crate::os::lock::{Attempt, Lock};
use crate::server::encryption;
use crate::server::jobs::check_for_updates::look_for_updates;
use crate::server::jobs::send_heartbeats::{NOTICE, notice_due, send_heartbeats};
use crate::server::jobs::watch_config::watch_config;
use crate::server::listeners::{LocalDoor, bind_tcp, is_loopback};
use crate::server::rest;
use crate::server::rest::{EventLog, Listener};
use crate::server::run_facts::RunFacts;
use crate::server::state::App;
use crate::server::take_over::{self, TakeOverError, take_over};
use crate::telemetry::payload::AnonymousId;
use crate::telemetry::store::recorder::Recorder;
use crate::upstream::approvals::Approvals;
use crate::upstream::oauth::token_store::TokenStore;
use crate::upstream::pool::UpstreamPool;
use crate::upstream::snapshot::Snapshot;

/// What `mcpproxy serve` was told.
pub struct ServeOptions {
    pub root: InstanceRoot,
    /// Another file than the root's `mcp_config.json`.
    pub config: Option<PathBuf>,
    /// Outranks the environment and the configuration.
    pub listen: Option<String>,
    /// The variables named in the contract.
    pub environment: Environment,
}

/// Why the core did not serve: an exit code, what happened, what to do.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct ServeError {
    pub code: ExitCode,
    pub sentence: String,
    pub help: String,
}

/// How long open requests may take to finish once the core is to stop.
const DRAIN: Duration = Duration::from_secs(3);
/// Changes that come together are told together.
const GATHER: Duration = Duration::from_millis(50);

/// Serves until it is asked to stop.
///
/// # Errors
/// [`ServeError`], before anything is served.
pub async fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let root = options.root.clone();
    let store = ConfigStore::new(options.config.clone().unwrap_or_else(|| root.config()));
    let _instance = lock_instance(&root)?;
    let now = jiff::Timestamp::now();
    let taken_over = take_over(&root, &store, now.to_string()).map_err(|error| not_taken_over(&error))?;
    report(&taken_over);
    let config = Arc::new(store.load_or_create().map_err(|error| unusable_config(&error))?);
    let tls = encryption::wanted(&config, &options.environment);
    let certificate = encryption::certificate(&tls, root.path(), now.as_second());
    let certificate = certificate.map_err(|(sentence, help)| ServeError {
        code: ExitCode::Configuration,
        sentence,
        help,
    })?;
    let listen = options
        .listen
        .clone()
        .or_else(|| options.environment.non_empty(names::ENV_LISTEN).map(str::to_owned))
        .unwrap_or_else(|| config.listen.clone());
    let tcp = bind_tcp(&listen).await.map_err(|error| unbound(&listen, &error))?;
    let address = tcp.local_addr().map_err(|error| unbound(&listen, &error))?;
    let local = bind_local(&options, &config).await?;

    let core = Core::new(&options, store, config, address, local.as_ref().map(|(address, _)| address));
    carry_over_activation(&core.app);
    core.app.upstreams.admission().configure(&core.config.borrow());
    core.app.upstreams.apply(&core.config.borrow().servers).await;
    let serving = core.open_doors(tcp, certificate, local.map(|(_, listener)| listener));
    core.ready.send_replace(true);
    show_notice(&core.app).await;
    tokio::spawn(watch_config(core.app.clone()));
    let clock = || jiff::Timestamp::now().as_second();
    tokio::spawn(send_heartbeats(core.app.clone(), clock));
    tokio::spawn(look_for_updates(core.app.clone()));
    tracing::info!(%address, root = %root.path().display(), "serving");

    wait_for_stop(&core.app.stop).await;
    tracing::info!("stopping");
    let ended = async {
        for door in serving {
            let _ = door.await;
        }
    };
    // Calls under way need their servers and their sessions; what takes longer is cut off.
    core.in_flight.close();
    let _ = tokio::time::timeout(DRAIN, core.in_flight.wait()).await;
    core.sessions.cancel();
    let (_, ()) = tokio::join!(tokio::time::timeout(DRAIN, ended), core.app.upstreams.stop());
    core.remembered.save();
    core.app.facts.close();
    tracing::info!("stopped");
    Ok(())
}

/// Tells a person at a terminal what is sent, once, and remembers that it did.
#[expect(
    clippy::print_stderr,
    reason = "the notice of a core that no tray started is for whoever started it"
)]
async fn show_notice(app: &App) {
    if notice_due(app) {
        eprintln!("{NOTICE}");
        if let Err(error) = app.edit_telemetry(|set| set("notice_shown", true.into())).await {
            tracing::warn!("that the notice was shown is not remembered, so nothing is sent: {error}");
        }
    }
}

/// The parts that live as long as the core serves.
struct Core {
    app: Arc<App>,
    config: watch::Receiver<Arc<Config>>,
    ready: watch::Sender<bool>,
    trusted: Vec<String>,
    loopback: bool,
    remembered: Arc<PersistentSessions>,
    /// Requests that are being answered.
    in_flight: TaskTracker,
    /// Ends every session.
    sessions: CancellationToken,
}

impl Core {
    fn new(
        options: &ServeOptions,
        store: ConfigStore,
        config: Arc<Config>,
        address: SocketAddr,
        local: Option<&LocalAddress>,
    ) -> Core {
        crate::upstream::snapshot::prepare();
        let api_key = options.environment.non_empty(names::ENV_API_KEY).map(str::to_owned);
        let api_key = api_key.or_else(|| config.api_key.clone()).unwrap_or_default();
        let trusted = config.trusted_hosts.clone();
        let facts = RunFacts::new(&options.root, &options.environment);
        facts.follow(&config.telemetry);
        let approvals = Approvals::load(&options.root.tool_approvals());
        let approvals = approvals.with_imported(&options.root.takeover_approvals());
        let keychain: Option<Arc<dyn Keychain>> = match options.environment.non_empty(names::ENV_KEYRING_WRITE) {
            Some("0" | "false") => None,
            _ => Some(Arc::new(SystemKeychain)),
        };
        let tokens = TokenStore::load(&options.root.oauth_tokens(), keychain, facts.counts());
        let upstreams = Arc::new(UpstreamPool::new(&options.root.logs(), approvals, tokens));
        let started = config.clone();
        let (config, config_seen) = watch::channel(config);
        let (mistake, mistake_seen) = watch::channel(None);
        let (update, update_seen) = watch::channel(None);
        let (ready, ready_seen) = watch::channel(false);
        let proxy = Proxy::new(upstreams.clone(), config_seen.clone(), facts.recorder(), facts.counts());
        let proxy = Arc::new(proxy.with_session_profiles(options.root.session_profiles()));
        let stop = CancellationToken::new();
        let changes = follow(&upstreams, mistake_seen, update_seen, &proxy, &facts, &stop);
        let app = Arc::new(App {
            root: options.root.clone(),
            config,
            started,
            mistake,
            update,
            store,
            edits: tokio::sync::Mutex::default(),
            upstreams,
            proxy,
            facts,
            candidate_id: AnonymousId::random(),
            api_key,
            listen_addr: address.to_string(),
            local_addr: local.map(ToString::to_string).unwrap_or_default(),
            ready: ready_seen,
            events: EventLog::of_run(uuid::Uuid::new_v4().simple().to_string()),
            stop,
        });
        tokio::spawn(rest::tell_changes(app.clone(), changes));
        Core {
            app,
            config: config_seen,
            ready,
            trusted,
            loopback: is_loopback(address),
            remembered: PersistentSessions::load(options.root.mcp_sessions()),
            in_flight: TaskTracker::new(),
            sessions: CancellationToken::new(),
        }
    }

    /// Serves both doors until the core stops.
    fn open_doors(
        &self,
        tcp: TcpListener,
        certificate: Option<ServedCertificate>,
        local: Option<LocalListener>,
    ) -> Vec<tokio::task::JoinHandle<io::Result<()>>> {
        let mut doors = Vec::new();
        let stop = self.app.stop.clone();
        let router = self.router(Listener::Tcp);
        doors.push(serve_tcp(tcp, certificate, router, stop));
        if let Some(local) = local {
            let stop = self.app.stop.clone();
            let router = self.router(Listener::Local);
            let served =
                axum::serve(LocalDoor(local), router).with_graceful_shutdown(async move { stop.cancelled().await });
            doors.push(tokio::spawn(served.into_future()));
        }
        doors
    }

    fn router(&self, door: Listener) -> Router {
        let app = self.app.clone();
        let mut settings = StreamableHttpServerConfig::default().with_cancellation_token(self.sessions.child_token());
        let hosts: Option<Arc<[String]>> = if door == Listener::Tcp && !self.loopback {
            // Reached by names we cannot know; the key is what protects it then.
            settings = settings.disable_allowed_hosts();
            None
        } else {
            let hosts: Vec<String> = settings.allowed_hosts.iter().chain(&self.trusted).cloned().collect();
            // A page of another site, or one whose name was pointed at this computer, must not reach the tools.
            settings = settings.with_allowed_origins(hosts.iter().flat_map(|host| origins(host)));
            settings = settings.with_allowed_hosts(hosts.clone());
            Some(hosts.into())
        };
        let short = |place| FastPath {
            proxy: self.app.proxy.clone(),
            sessions: Arc::default(),
            hosts: hosts.clone(),
            place,
        };
        let (fast_search, fast_direct) = (short(Tools::Own), short(Tools::All));
        let (all, sessions) = (self.app.proxy.clone(), fast_direct.sessions.clone());
        let (open, known) = (sessions_in_memory(), sessions.clone());
        let all = StreamableHttpService::new(
            move || Ok(DirectHandler::new(all.clone(), sessions.clone())),
            open.clone(),
            remembering(settings.clone(), self.remembered.at(Tools::All, open, known)),
        );
        let sessions = fast_search.sessions.clone();
        let (open, known) = (sessions_in_memory(), sessions.clone());
        let mcp = StreamableHttpService::new(
            move || Ok(Handler::new(app.clone(), sessions.clone())),
            open.clone(),
            remembering(settings, self.remembered.at(Tools::Own, open, known)),
        );
        let one = format!("{}/{{server}}", names::MCP_ALL_PATH);
        let profile = format!("{}/{{profile}}", names::MCP_PROFILE_PATH);
        let is_direct = self.config.borrow().routing_mode == RoutingMode::Direct;
        let mut of_search = Router::new();
        let mut of_direct = Router::new();
        // With and without the slash that clients and people add.
        for path in [names::MCP_PATH, "/mcp/"] {
            if is_direct {
                of_direct = of_direct.route_service(path, all.clone());
            } else {
                of_search = of_search.route_service(path, mcp.clone());
            }
        }
        let known_profile = from_fn_with_state(self.app.proxy.clone(), known_profile);
        let mcp = of_search
            .route_service(names::MCP_CALL_PATH, mcp.clone())
            .route_service(names::MCP_CODE_PATH, mcp.clone())
            .route_service(&profile, mcp)
            .layer(known_profile.clone())
            .layer(from_fn(explain))
            .layer(from_fn(without_priming))
            .layer(from_fn_with_state(fast_search, fast_path_middleware));
        let all = of_direct
            .route_service(names::MCP_ALL_PATH, all.clone())
            .route_service(&one, all.clone())
            .route_service(&format!("{profile}/all"), all)
            .layer(known_profile)
            .layer(from_fn(explain))
            .layer(from_fn(without_priming))
            .layer(from_fn_with_state(fast_direct, fast_path_middleware));
        let mcp = mcp.merge(all).route("/mcp/{*rest}", axum::routing::any(unknown_path));
        let asks_for_key = self.config.borrow().require_mcp_auth || (door == Listener::Tcp && !self.loopback);
        let mcp = if asks_for_key {
            let access = from_fn_with_state((self.app.clone(), door), rest::check_access);
            mcp.layer(access)
        } else {
            mcp
        };
        let counted = from_fn_with_state(self.in_flight.clone(), count);
        rest::router(self.app.clone(), door).merge(mcp).layer(counted)
    }
}

#[cfg(target_os = "linux")]
type ServedCertificate = Arc<crate::server::tls::Certificate>;
#[cfg(not(target_os = "linux"))]
type ServedCertificate = std::convert::Infallible;

/// Serves the TCP address, with HTTPS where there is a certificate.
fn serve_tcp(
    tcp: TcpListener,
    certificate: Option<ServedCertificate>,
    router: Router,
    stop: CancellationToken,
) -> tokio::task::JoinHandle<io::Result<()>> {
    match certificate {
        #[cfg(target_os = "linux")]
        Some(certificate) => {
            let clock = || jiff::Timestamp::now().as_second();
            tokio::spawn(stop.clone().run_until_cancelled_owned(certificate.clone().keep_valid(clock)));
            tokio::spawn(async move {
                let listener = crate::server::tls::TlsListener::new(tcp, certificate)?;
                axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await }).await
            })
        }
        #[cfg(not(target_os = "linux"))]
        Some(impossible) => match impossible {},
        None => {
            // An answer is several small writes; gathered by the system, each would wait 40 ms for the client's
            // acknowledgement.
            let tcp = tcp.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            let served = axum::serve(tcp, router).with_graceful_shutdown(async move { stop.cancelled().await });
            tokio::spawn(served.into_future())
        }
    }
}

/// Writes to the log what became of the Go core's data directory, until a person has been told.
fn report(taken_over: &take_over::State) {
    let take_over::State::Done(record) = taken_over else { return };
    if record.shown && record.complete {
        return;
    }
    tracing::warn!("{} See `mcpproxy migrate`.", record.plan.summary());
    for server in record.plan.servers.iter().filter(|server| server.hold_all.is_some()) {
        tracing::warn!(
            server = server.name,
            "every tool needs approval: {}",
            server.hold_all.as_deref().unwrap_or_default()
        );
    }
}

/// Has telemetry take up what the Go core had noted, as soon as it may note anything.
fn carry_over_activation(app: &App) {
    let recorder = app.facts.recorder();
    let record = take_over::read_record(&app.root).filter(|record| record.complete && !record.carried_over);
    let Some(mut record) = record.filter(|_| recorder.is_on()) else { return };
    let Some(memory) = take_over::activation(&app.root) else { return };
    recorder.carry_over(&memory);
    record.carried_over = true;
    if let Err(error) = take_over::write_record(&app.root, &record) {
        tracing::warn!("{error}");
    }
}

fn not_taken_over(error: &TakeOverError) -> ServeError {
    match error {
        TakeOverError::Config(error) => unusable_config(error),
        TakeOverError::Io { path, source } => ServeError {
            code: ExitCode::Permission,
            sentence: format!("could not take over the data directory of the previous version: {error}"),
            help: files::remedy(path, source),
        },
    }
}

/// Counts a request until all of its answer is with the client; not one that listens for as long as the core serves.
async fn count(State(in_flight): State<TaskTracker>, request: Request, next: Next) -> Response {
    let listens = request.headers().get("mcp-method").is_some_and(|method| method == "subscriptions/listen");
    if request.method() != Method::POST || listens {
        return next.run(request).await;
    }
    let counted = in_flight.token();
    let answer = next.run(request).await;
    if answer.body().size_hint().exact().is_some() {
        // Nothing more is asked of anybody for it; the connection ends when it is sent.
        return answer;
    }
    answer.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _ = &counted;
            frame
        }))
    })
}

/// A session that is not used for so long ends in memory, where it takes some 70 kB; it goes on when it is used again.
const SESSION_IDLE: Duration = Duration::from_mins(30);

fn sessions_in_memory() -> Arc<LocalSessionManager> {
    let mut manager = LocalSessionManager::default();
    manager.session_config.keep_alive = Some(SESSION_IDLE);
    Arc::new(manager)
}

fn remembering(
    mut settings: StreamableHttpServerConfig,
    sessions: Arc<dyn SessionStore>,
) -> StreamableHttpServerConfig {
    settings.session_store = Some(sessions);
    settings
}

/// The origins of pages that a host of this list may serve.
fn origins(host: &str) -> [String; 2] {
    let host = if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    [format!("http://{host}:*"), format!("https://{host}:*")]
}

/// Follows the servers: takes up their tools at once, notes the first connection, and raises the number `/events` waits for,
/// when changes have come together.
fn follow(
    upstreams: &Arc<UpstreamPool>,
    mut mistake: watch::Receiver<Option<String>>,
    mut update: watch::Receiver<Option<Update>>,
    proxy: &Arc<Proxy>,
    facts: &RunFacts,
    stop: &CancellationToken,
) -> watch::Receiver<u64> {
    let (taken_up, mut seen) = watch::channel(());
    tokio::spawn(stop.clone().run_until_cancelled_owned(take_up(
        upstreams.clone(),
        proxy.clone(),
        facts.recorder(),
        taken_up,
    )));
    let (told, changes) = watch::channel(0_u64);
    let tell = async move {
        loop {
            let changed = tokio::select! {
                changed = seen.changed() => changed,
                changed = mistake.changed() => changed,
                changed = update.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
            told.send_modify(|number| *number += 1);
            tokio::time::sleep(GATHER).await;
        }
    };
    tokio::spawn(stop.clone().run_until_cancelled_owned(tell));
    changes
}

/// Has searches find the servers' tools as they are now, whenever a server changes.
async fn take_up(upstreams: Arc<UpstreamPool>, proxy: Arc<Proxy>, recorder: Recorder, taken_up: watch::Sender<()>) {
    let mut changes = upstreams.changes();
    while changes.changed().await.is_ok() {
        if upstreams.snapshots().iter().any(Snapshot::is_connected) {
            recorder.server_connected();
        }
        proxy.reindex().await;
        taken_up.send_replace(());
    }
}

fn lock_instance(root: &InstanceRoot) -> Result<Lock, ServeError> {
    let failed = |error: &io::Error| ServeError {
        code: ExitCode::Permission,
        sentence: format!("the instance root `{}` cannot be used: {error}", root.path().display()),
        help: format!("{}, or name another directory in {}", files::remedy(root.path(), error), names::ENV_HOME),
    };
    files::create_private_dir(root.path()).map_err(|error| failed(&error))?;
    files::create_private_dir(&root.logs()).map_err(|error| failed(&error))?;
    match Lock::attempt(&root.core_lock()).map_err(|error| failed(&error))? {
        Attempt::Held(lock) => Ok(lock),
        Attempt::Taken { pid } => {
            let who = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
            Err(ServeError {
                code: ExitCode::StoreLocked,
                sentence: format!("another core{who} already runs on `{}`", root.path().display()),
                help: "use that one (`mcpproxy status` shows it), or stop it first".to_owned(),
            })
        }
    }
}

fn unusable_config(error: &StoreError) -> ServeError {
    match error {
        StoreError::Io { source, path, .. } if cannot_write(source) => ServeError {
            code: ExitCode::Permission,
            sentence: error.to_string(),
            help: files::remedy(path, source),
        },
        StoreError::Io { .. } => ServeError {
            code: ExitCode::Configuration,
            sentence: error.to_string(),
            help: "the configuration must be a regular file of at most 16 MiB".to_owned(),
        },
        _ => ServeError {
            code: ExitCode::Configuration,
            sentence: error.to_string(),
            help: "correct that place and start again; the file was not changed".to_owned(),
        },
    }
}

fn unbound(listen: &str, error: &io::Error) -> ServeError {
    let (code, help) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            ExitCode::PortInUse,
            format!("stop the program that uses `{listen}`, or set `listen` in the configuration to another port"),
        ),
        io::ErrorKind::PermissionDenied => {
            (ExitCode::Permission, "set `listen` in the configuration to a port above 1023".to_owned())
        }
        _ => (ExitCode::Configuration, "set `listen` in the configuration to an address of this computer".to_owned()),
    };
    let sentence = match error.kind() {
        io::ErrorKind::AddrInUse => format!("the address `{listen}` is already in use"),
        _ => format!("cannot listen on `{listen}`: {error}"),
    };
    ServeError { code, sentence, help }
}

async fn bind_local(
    options: &ServeOptions,
    config: &Config,
) -> Result<Option<(LocalAddress, LocalListener)>, ServeError> {
    if !config.enable_socket {
        return Ok(None);
    }
    let overrides = LocalAddressOverrides {
        socket_path: options.environment.get(names::ENV_SOCKET_PATH),
        endpoint_url: config.tray_endpoint.as_deref(),
    };
    let address = LocalAddress::of(Platform::HOST, &options.root, &user_name(), overrides);
    match LocalListener::bind(&address).await {
        Ok(listener) => Ok(Some((address, listener))),
        // A core without our lock answers there: the existing one. Two on one root would fight over its files.
        Err(error @ BindError::InUse(_)) => Err(ServeError {
            code: ExitCode::StoreLocked,
            sentence: error.to_string(),
            help: "use that one (`mcpproxy status` shows it), or stop it first".to_owned(),
        }),
        Err(error) => {
            tracing::warn!("{error}; the tray and the CLI reach this core over TCP only");
            Ok(None)
        }
    }
}

/// Whether this user cannot write there now.
pub fn cannot_write(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | StorageFull | QuotaExceeded)
}

/// Waits for SIGTERM, SIGINT, Ctrl-C or `stop`.
async fn wait_for_stop(stop: &CancellationToken) {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()];
        let mut streams: Vec<_> = signals.into_iter().filter_map(|kind| signal(kind).ok()).collect();
        let mut any = std::pin::pin!(async {
            futures_util::future::select_all(streams.iter_mut().map(|stream| Box::pin(stream.recv()))).await;
        });
        tokio::select! {
            () = stop.cancelled() => {}
            () = &mut any => stop.cancel(),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::select! {
            () = stop.cancelled() => {}
            _ = tokio::signal::ctrl_c() => stop.cancel(),
        }
    }
}
