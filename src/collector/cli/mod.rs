//! `mcpproxy-collector`: parses its command line, runs one command and reports the result.

mod args;
mod backup;
mod data;
mod figures;
mod outcome;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::sync::watch;

use crate::collector::admit::Limits;
use crate::collector::place::Place;
use crate::collector::server::{self, Options};
use crate::os::environment::Environment;
use args::{Cli, Command, Serve};
use outcome::{Failure, Outcome, complain, say};

/// The program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            complain(&format!("error: {}", failure.error));
            if !failure.help.is_empty() {
                complain(&format!("help: {}", failure.help));
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Outcome {
    let directory = cli
        .data
        .or_else(default_directory)
        .ok_or_else(|| Failure::new("could not find the user's data directory").help("choose one with --data DIR"))?;
    let place = Place::new(&directory, cli.store.as_deref())
        .map_err(|error| Failure::new(format!("could not read --store: {error}")))?;
    match cli.command {
        Command::Serve(options) => serve(place, options),
        Command::Stats(wish) => figures::stats(&place, &wish),
        Command::Funnel(wish) => figures::funnel(&place, &wish),
        Command::Retention(wish) => figures::retention(&place, &wish),
        Command::Versions(wish) => figures::versions(&place, &wish),
        Command::Replay(wish) => data::replay(&place, &wish.file),
        Command::Export(wish) => data::export(&place, &wish.file),
        Command::Received(wish) => data::received(&place, &wish.id),
        Command::Forget(wish) => data::forget(&place, &wish.id),
        Command::Purge(wish) => data::purge(&place, wish.keep_days),
        Command::Backup(wish) => backup::backup(&place, wish.file),
        Command::Restore(wish) => backup::restore(&place, &wish.file, wish.check),
        Command::Migrate => backup::migrate(&place),
        Command::Doctor => backup::doctor(&place),
        Command::Verify => backup::verify(&place),
    }
}

fn default_directory() -> Option<PathBuf> {
    let environment = Environment::read(|name| name == "STATE_DIRECTORY");
    match environment.non_empty("STATE_DIRECTORY") {
        Some(path) => Some(PathBuf::from(path)),
        None => dirs::data_local_dir().map(|base| base.join("mcpproxy-collector")),
    }
}

fn serve(place: Place, wish: Serve) -> Outcome {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false).init();
    let tls = match wish.tls.as_deref() {
        Some([chain, key]) => Some((chain.clone(), key.clone())),
        _ => None,
    };
    let options = Options {
        place,
        listen: wish.listen,
        admin: wish.admin,
        tls,
        trust_proxy: wish.trust_proxy,
        limits: Limits {
            reports: wish.limit_reports,
            new_ids: wish.limit_new_ids,
            burst: wish.limit_burst,
            reports_of_id: wish.limit_id,
            loopback: wish.limit_loopback,
        },
        backlog: wish.backlog << 20,
        keep_days: wish.keep_days,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("could not start: {error}")))?;
    runtime.block_on(async {
        let secure = options.tls.is_some();
        let directory = options.place.directory.clone();
        let running = server::start(options).await.map_err(|error| Failure::new(error.to_string()).help(error.help))?;
        // Before the addresses are printed, since a caller may stop the collector as soon as it reads them.
        let end = terminated();
        let (public, admin) =
            running.addresses().map_err(|error| Failure::new(format!("could not listen: {error}")))?;
        let scheme = if secure { "https" } else { "http" };
        data::remember_address(&directory, admin)
            .map_err(|error| Failure::new(format!("could not write `{}`: {error}", directory.display())))?;
        say(&format!("Receiving reports at {scheme}://{public}/v1 (telemetry.endpoint of a client)"))?;
        say(&format!("Public page:   {scheme}://{public}/"))?;
        say(&format!("Operator page: http://{admin}/"))?;
        say(&format!("Data:          {}", directory.display()))?;
        let (stop, stopped) = watch::channel(false);
        let signals = tokio::spawn(async move {
            end.await;
            stop.send_replace(true);
        });
        running.serve(stopped).await;
        signals.abort();
        Ok(ExitCode::SUCCESS)
    })
}

/// Registers for the signals at once; the result waits for the first one.
#[cfg(unix)]
fn terminated() -> impl Future<Output = ()> + Send {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async move {
        let (Ok(mut term), Ok(mut interrupt)) = signals else {
            std::future::pending::<()>().await;
            return;
        };
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
fn terminated() -> impl Future<Output = ()> + Send {
    async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
