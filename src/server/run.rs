//! The life of the core: locks the data directory, reads the configuration, opens both listeners, serves, and drains.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::activity::{ActivityLog, Change};
use crate::config::store::ConfigStore;
use crate::config::{Config, TelemetryConfig};
use crate::contract::api::ActivityKind;
use crate::contract::endpoint::{LocalAddress, LocalAddressOverrides};
use crate::contract::exit_code::ExitCode;
use crate::contract::flag;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::names;
use crate::contract::platform::Platform;
use crate::control::live_config::LiveConfig;
use crate::control::servers::ServerControl;
use crate::gateway::Proxy;
use crate::gateway::http::session_store::PersistentSessions;
use crate::os::environment::{Environment, user_name};
use crate::os::files;
use crate::os::keychain::{Keychain, SystemKeychain};
use crate::os::local_stream::{BindError, LocalListener};
use crate::os::process::raise_file_limit;
use crate::server::connections::{Limits, serve as serve_connections};
use crate::server::encryption;
use crate::server::event_log::EventLog;
use crate::server::jobs::check_for_updates::look_for_updates;
use crate::server::jobs::reindex::follow;
use crate::server::jobs::scan_new_tools::scan_new_tools;
use crate::server::jobs::send_heartbeats::{NOTICE, notice_due, send_heartbeats};
use crate::server::jobs::tell_activity::tell_activity;
use crate::server::jobs::watch_config::watch_config;
use crate::server::listeners::{LocalStreamListener, bind_tcp};
use crate::server::page::access::Access;
use crate::server::rest;
use crate::server::rest::Listener;
use crate::server::router::Routes;
use crate::server::run_facts::RunFacts;
use crate::server::startup_error::{ServeError, lock_instance, unbound, unusable_config};
use crate::server::state::App;
use crate::server::take_over::{self, TakeOverError, take_over};
use crate::telemetry::payload::AnonymousId;
use crate::upstream::approvals::Approvals;
use crate::upstream::oauth::token_store::TokenStore;
use crate::upstream::offers::OfferApprovals;
use crate::upstream::pool::UpstreamPool;

/// Options of `mcpproxy serve`.
pub struct ServeOptions {
    pub root: InstanceRoot,
    /// Another configuration file than `mcp_config.json` in the data directory.
    pub config: Option<PathBuf>,
    /// TCP address, instead of the one in the environment or configuration.
    pub listen: Option<String>,
    /// The environment variables of this product.
    pub environment: Environment,
    /// Called when the core is ready, with the TCP address and whether it uses HTTPS.
    pub on_ready: fn(&str, bool),
}

/// How long requests in flight may take to finish when the core stops.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves until the core is asked to stop.
///
/// # Errors
/// [`ServeError`], before anything is served.
pub async fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let root = options.root.clone();
    let store = ConfigStore::new(options.config.clone().unwrap_or_else(|| root.config()));
    let _instance = lock_instance(&root)?;
    let now = crate::os::clock::now();
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
    let isolator = core.app.upstreams.isolator();
    tokio::spawn(async move { isolator.remove_orphans().await });
    carry_over_activation(&core.app);
    core.app.config.start_servers().await;
    // Before a client can connect: `mcpproxy setup` shows it as soon as the core answers.
    show_notice(&core.app).await;
    let serving = core.listen(tcp, certificate, local.map(|(_, listener)| listener));
    core.ready.send_replace(true);
    core.app.activity.change(system_change(ActivityKind::SystemStart));
    (options.on_ready)(&address.to_string(), core.app.is_encrypted);
    tokio::spawn(watch_config(core.app.clone()));
    let clock = || crate::os::clock::now().as_second();
    tokio::spawn(send_heartbeats(core.app.clone(), clock));
    tokio::spawn(look_for_updates(core.app.clone()));
    tracing::info!(%address, root = %root.path().display(), "serving");

    wait_for_stop(&core.app.stop).await;
    tracing::info!("stopping");
    let ended = async {
        for listener in serving {
            let _ = listener.await;
        }
    };
    // Calls in flight need their servers and sessions; slower calls are aborted.
    core.routes.drain(DRAIN).await;
    let (_, ()) = tokio::join!(tokio::time::timeout(DRAIN, ended), core.app.upstreams.stop());
    core.routes.save_sessions();
    core.app.facts.close();
    core.app.activity.change(system_change(ActivityKind::SystemStop));
    let activity = core.app.activity.clone();
    let _ = tokio::task::spawn_blocking(move || activity.close()).await;
    tracing::info!("stopped");
    Ok(())
}

/// Describes the start or the end of the core for the activity log.
fn system_change(kind: ActivityKind) -> Change {
    Change {
        kind,
        details: Some(serde_json::json!({"version": env!("CARGO_PKG_VERSION"), "pid": std::process::id()})),
        ..Change::default()
    }
}

/// Shows the telemetry notice at a terminal once, and remembers it.
#[expect(
    clippy::print_stderr,
    reason = "the notice of a core that no tray started is for the person at the terminal"
)]
async fn show_notice(app: &App) {
    if notice_due(app) {
        eprintln!("{NOTICE}");
        if let Err(error) = app.config.edit_telemetry(vec![("notice_shown", true.into())]).await {
            tracing::warn!("could not record that the telemetry notice was shown, so nothing is sent: {error}");
        }
    }
}

/// The parts that live as long as the core serves.
struct Core {
    app: Arc<App>,
    ready: watch::Sender<bool>,
    routes: Routes,
}

impl Core {
    fn new(
        options: &ServeOptions,
        store: ConfigStore,
        config: Arc<Config>,
        address: SocketAddr,
        local: Option<&LocalAddress>,
    ) -> Core {
        crate::os::https::prepare();
        let api_key = options.environment.non_empty(names::ENV_API_KEY).map(str::to_owned);
        let api_key = api_key.or_else(|| config.api_key.clone()).unwrap_or_default();
        let trusted_hosts = config.trusted_hosts.clone();
        let is_encrypted = encryption::wanted(&config, &options.environment).enabled;
        let facts = Arc::new(RunFacts::new(&options.root, &options.environment));
        let approvals = Approvals::load(&options.root.tool_approvals());
        let approvals = approvals.with_imported(&options.root.takeover_approvals());
        let keychain: Option<Arc<dyn Keychain>> = match options.environment.non_empty(names::ENV_KEYRING_WRITE) {
            Some(value) if flag::is_false(value) => None,
            _ => Some(Arc::new(SystemKeychain)),
        };
        let tokens = TokenStore::load(&options.root.oauth_tokens(), keychain, facts.counts());
        let upstreams =
            Arc::new(UpstreamPool::new(options.root.path(), &options.root.logs(), approvals, tokens, facts.counts()));
        let on_telemetry = {
            let facts = facts.clone();
            Box::new(move |telemetry: &TelemetryConfig| facts.follow(telemetry))
        };
        let activity = ActivityLog::in_file(&options.root.activity(), config.activity_retention());
        let live = LiveConfig::new(store, config, upstreams.clone(), on_telemetry);
        let config = Arc::new(live.with_activity_log(activity.clone()));
        let holds_all = upstreams.approvals();
        let offers = OfferApprovals::load(&options.root.offer_approvals());
        let offers = Arc::new(offers.hold_while(move |server| holds_all.holds_all(server)));
        let control = ServerControl::new(config.clone(), upstreams.clone(), offers.clone());
        let control = Arc::new(control.with_registry_cache(options.root.registry_cache()));
        let (update, update_seen) = watch::channel(None);
        let (ready, ready_seen) = watch::channel(false);
        let proxy = Proxy::new(upstreams.clone(), offers, config.subscribe(), facts.recorder(), facts.counts());
        let proxy = proxy.with_session_profiles(options.root.session_profiles()).with_activity_log(activity.clone());
        let proxy = Arc::new(proxy);
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(scan_new_tools(upstreams.clone())));
        let changes = follow(&upstreams, config.errors(), update_seen, &proxy, &facts, &stop);
        let app = Arc::new(App {
            root: options.root.clone(),
            config,
            control,
            update,
            upstreams,
            proxy,
            sessions: PersistentSessions::load(options.root.mcp_sessions()),
            facts,
            candidate_id: AnonymousId::random(),
            api_key,
            listen_addr: address.to_string(),
            local_addr: local.map(ToString::to_string).unwrap_or_default(),
            is_encrypted,
            ready: ready_seen,
            activity,
            access: Access::default(),
            fixes: Default::default(),
            unused_settings: Default::default(),
            events: EventLog::of_run(uuid::Uuid::new_v4().simple().to_string()),
            stop,
        });
        tokio::spawn(rest::log_changes(app.clone(), changes));
        tokio::spawn(tell_activity(app.clone()));
        Core {
            routes: Routes::new(app.clone(), address.ip().is_loopback(), trusted_hosts),
            app,
            ready,
        }
    }

    /// Serves both listeners until the core stops.
    fn listen(
        &self,
        tcp: TcpListener,
        certificate: Option<ServedCertificate>,
        local: Option<LocalListener>,
    ) -> Vec<tokio::task::JoinHandle<()>> {
        let limits = Limits::of_connections(max_tcp_connections(raise_file_limit()));
        let stop = self.app.stop.clone();
        let mut serving = vec![serve_tcp(
            tcp,
            certificate,
            self.routes.router(Listener::Tcp),
            limits,
            stop,
        )];
        if let Some(local) = local {
            let router = self.routes.router(Listener::Local);
            serving.push(tokio::spawn(serve_connections(
                LocalStreamListener(local),
                router,
                limits,
                self.app.stop.clone(),
            )));
        }
        serving
    }
}

/// Returns the maximum number of TCP connections. Most file descriptors stay free for the local socket and for servers.
fn max_tcp_connections(files: u64) -> usize {
    usize::try_from(files / 4).unwrap_or(usize::MAX).clamp(32, 1024)
}

#[cfg(target_os = "linux")]
type ServedCertificate = Arc<crate::server::tls::Certificate>;
#[cfg(not(target_os = "linux"))]
type ServedCertificate = std::convert::Infallible;

/// Serves the TCP address, with HTTPS if there is a certificate.
fn serve_tcp(
    tcp: TcpListener,
    certificate: Option<ServedCertificate>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) -> tokio::task::JoinHandle<()> {
    match certificate {
        #[cfg(target_os = "linux")]
        Some(certificate) => {
            let clock = || crate::os::clock::now().as_second();
            tokio::spawn(stop.clone().run_until_cancelled_owned(certificate.clone().keep_valid(clock)));
            tokio::spawn(async move {
                match crate::server::tls::TlsListener::new(tcp, certificate) {
                    Ok(listener) => serve_connections(listener, router, limits, stop).await,
                    Err(error) => {
                        tracing::error!("could not serve HTTPS: {error}");
                        stop.cancel();
                    }
                }
            })
        }
        #[cfg(not(target_os = "linux"))]
        Some(impossible) => match impossible {},
        None => {
            // A response consists of several small writes. Nagle's algorithm would delay each of them by 40 ms.
            let tcp = tcp.tap_io(|stream| {
                let _ = stream.set_nodelay(true);
            });
            tokio::spawn(serve_connections(tcp, router, limits, stop))
        }
    }
}

/// Logs the result of taking over the Go core's data directory, until the user has seen it.
fn report(taken_over: &take_over::State) {
    let take_over::State::Done(record) = taken_over else { return };
    if let Some(reason) = &record.unknown_since {
        tracing::warn!("{}", take_over::unknown_since(reason));
    }
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

/// Copies the Go core's activation milestones to telemetry, as soon as telemetry may record anything.
fn carry_over_activation(app: &App) {
    let recorder = app.facts.recorder();
    let record = take_over::read_record(&app.root).filter(|record| record.complete && !record.carried_over);
    let Some(mut record) = record.filter(|_| recorder.is_on()) else { return };
    let Some(memory) = take_over::activation(&app.root, app.config.store()) else { return };
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
        // A core that does not use our lock answers here: the Go core. Two cores would overwrite each other's files.
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
