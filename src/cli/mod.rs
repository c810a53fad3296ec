//! The command line: the only module of the core that writes to a terminal.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line's output is its purpose"
)]

pub mod activity;
pub mod add;
mod add_found;
pub mod approve;
pub mod args;
mod completion;
pub mod config;
pub mod connect;
pub mod context;
pub mod core_link;
pub mod doctor;
pub mod error;
mod examples;
pub mod format;
pub mod help;
pub mod import;
pub mod logs;
pub mod migrate;
pub mod output;
pub mod profile;
pub mod prompt;
pub mod received;
pub mod registry;
pub mod scan;
pub mod secrets;
pub mod server_path;
pub mod settings_args;
mod setup;
mod start_core;
pub mod status;
pub mod stdio;
mod stop;
pub mod telemetry;
pub mod tools;
pub mod trust_cert;
mod typed_server;
pub mod ui;
mod uninstall;
pub mod update;
pub mod upstream;
mod wait;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{CommandFactory, FromArgMatches};

use crate::config::store::ConfigStore;
use crate::contract::endpoint::mcp_url;
use crate::contract::exit_code::ExitCode;
use crate::contract::instance_root::InstanceRoot;
use crate::contract::names;
use crate::contract::words::ServerActionKind;
use crate::os::environment::{Environment, home_directory};
use crate::os::memory;
use crate::server::logging;
use crate::server::run::{ServeOptions, serve};

use args::{Arguments, Command, ConfigCommand, Globals, UpstreamCommand};
use context::Context;
use core_link::CoreLink;
use error::CliError;
use format::Format;

/// Runs the command line of this process.
pub fn main() -> std::process::ExitCode {
    let environment = Environment::read(names::is_declared);
    let parsed = help::command().try_get_matches().and_then(|matches| Arguments::from_arg_matches(&matches));
    let arguments = match parsed {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to standard output; they are not errors.
            let _ = error.print();
            let code = if error.use_stderr() { ExitCode::Usage } else { ExitCode::Clean };
            return code.code().into();
        }
    };
    let format = arguments.globals.format(environment.non_empty(names::ENV_OUTPUT));
    match format.map_err(|message| (Format::Table, message)).map(|format| run(arguments, format, environment)) {
        Ok(Ok(code)) => code.code().into(),
        Ok(Err((format, error))) => report(format, &error),
        Err((format, message)) => report(format, &CliError::usage("INVALID_OUTPUT_FORMAT", message)),
    }
}

fn run(arguments: Arguments, format: Format, environment: Environment) -> Result<ExitCode, (Format, CliError)> {
    // The standard output of `stdio` belongs to the client, so even an error is not written there.
    let format = if matches!(arguments.command, Some(Command::Stdio)) { Format::Table } else { format };
    let failed = |error: CliError| (format, error);
    let root = instance_root(&arguments.globals, &environment).map_err(failed)?;
    let config = arguments.globals.config.clone();
    let quiet = arguments.globals.quiet;
    // Programs that start `mcpproxy` without a command expect the core. A person at a terminal gets help.
    let command = match arguments.command {
        None if std::io::stdout().is_terminal() => Command::Help,
        None => Command::default(),
        Some(command) => command,
    };
    match command {
        Command::Serve(options) => run_serve(ServeOptions {
            root,
            config,
            listen: options.listen,
            environment,
            on_ready: announce,
        }),
        Command::Version => {
            output::print(format, &status::version(), status::version_table).map(|()| ExitCode::Clean).map_err(failed)
        }
        Command::Completion(options) => {
            let _ = std::io::Write::write_all(&mut std::io::stdout(), &completion::script(options.shell));
            Ok(ExitCode::Clean)
        }
        Command::Config(ConfigCommand::Schema) => {
            let schema = crate::config::schema::schema();
            // Always JSON, whatever the output format.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), format!("{schema:#}\n").as_bytes());
            Ok(ExitCode::Clean)
        }
        Command::Manual { folder } => {
            // Without the help subcommand, the page of each subcommand carries its full name.
            let command = examples::with_examples(Arguments::command()).disable_help_subcommand(true);
            let written = std::fs::create_dir_all(&folder).and_then(|()| clap_mangen::generate_to(command, &folder));
            let error = |error| {
                let message = format!("could not write the manual pages to `{}`: {error}", folder.display());
                failed(CliError::new("OPERATION_FAILED", message))
            };
            written.map_err(error).map(|()| ExitCode::Clean)
        }
        other => {
            let context = Context {
                store: ConfigStore::new(config.unwrap_or_else(|| root.config())),
                root,
                format,
                quiet,
                environment,
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| failed(CliError::new("OPERATION_FAILED", error.to_string())))?;
            runtime.block_on(run_command(other, &context)).map_err(failed)
        }
    }
}

async fn run_command(command: Command, context: &Context) -> Result<ExitCode, CliError> {
    if let Command::Secrets(command) = command {
        return secrets::run(context, command).await.map(|()| ExitCode::Clean);
    }
    if let Command::Config(command) = command {
        return config::run(context, &command).map(|()| ExitCode::Clean);
    }
    let link = CoreLink::find(context).await;
    match command {
        Command::Help => status::help_and_line(&link).await,
        Command::Status(options) => return status::status(context, &link, &options).await,
        Command::Upstream(UpstreamCommand::Add(options)) => add::add(context, &link, options).await,
        Command::Add(options) => add_found::add(context, &link, options).await,
        Command::Registry(command) => registry::run(context, &link, command).await,
        Command::Upstream(UpstreamCommand::AddJson(options)) => add::add_json(context, &link, options).await,
        Command::Upstream(UpstreamCommand::Set(options)) => add::set(context, &link, options).await,
        Command::Upstream(UpstreamCommand::List) => upstream::list(context, &link).await,
        Command::Upstream(UpstreamCommand::Remove(options)) => upstream::remove(context, &link, &options).await,
        Command::Upstream(UpstreamCommand::Enable(server)) => {
            upstream::act(context, &link, &server.name, ServerActionKind::Enable).await
        }
        Command::Upstream(UpstreamCommand::Disable(server)) => {
            upstream::act(context, &link, &server.name, ServerActionKind::Disable).await
        }
        Command::Upstream(UpstreamCommand::Inspect(server)) => approve::inspect(context, &link, &server.name).await,
        Command::Upstream(UpstreamCommand::Approve(options)) => approve::approve(context, &link, &options).await,
        Command::Upstream(UpstreamCommand::Restart(server)) => {
            upstream::act(context, &link, &server.name, ServerActionKind::Restart).await
        }
        Command::Upstream(UpstreamCommand::Logs(options)) => logs::of_server(context, &link, &options).await,
        Command::Logs(options) => logs::own(context, &link, &options).await,
        Command::Scan(options) => scan::scan(context, &link, options.server).await,
        Command::Tools(command) => tools::run(context, &link, command).await,
        Command::Call(command) => return tools::call(context, &link, command).await,
        Command::Activity(command) => activity::run(context, &link, command).await,
        Command::Ui(arguments) => ui::run(context, &link, &arguments).await,
        Command::Doctor(options) => doctor::run(context, &link, options).await,
        Command::Upstream(UpstreamCommand::Login(server)) => upstream::login(context, &link, &server.name).await,
        Command::Upstream(UpstreamCommand::Logout(server)) => {
            upstream::act(context, &link, &server.name, ServerActionKind::Logout).await
        }
        Command::Names { kind } => {
            completion::print_names(context, &link, kind).await;
            Ok(())
        }
        Command::Stdio => stdio::stdio(&link).await,
        Command::Migrate(options) => migrate::migrate(context, &link, &options).await,
        Command::Stop => stop::stop(context, &link).await,
        Command::TrustCert => trust_cert::trust_cert(context),
        Command::Profile(command) => profile::run(context, &link, command).await,
        Command::Update => update::update(context, &link).await,
        Command::Import(options) => return import::import(context, &link, options).await,
        Command::Connect(options) => return connect::connect(context, &link, options).await,
        Command::Setup(options) => return setup::setup(context, &link, &options).await,
        Command::Uninstall(options) => return uninstall::uninstall(context, &link, &options).await,
        Command::Disconnect(options) => return connect::disconnect(context, &link, options).await,
        Command::Telemetry(command) => return telemetry::run(context, &link, command).await,
        Command::Secrets(_)
        | Command::Serve(_)
        | Command::Completion(_)
        | Command::Config(_)
        | Command::Manual { .. }
        | Command::Version => Ok(()),
    }
    .map(|()| ExitCode::Clean)
}

fn run_serve(options: ServeOptions) -> Result<ExitCode, (Format, CliError)> {
    memory::fit_address_space();
    logging::start(&options.root, &options.environment);
    // One worker thread: with two, most steps of a call wake the other thread for nothing, which costs a quarter of the call.
    // Long computations leave it through `os::block_in_place`.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(serve(options)),
        Err(error) => {
            eprintln!("error: could not start the core's threads: {error}");
            return Ok(ExitCode::General);
        }
    };
    match outcome {
        Ok(()) => Ok(ExitCode::Clean),
        Err(error) => {
            tracing::error!(target: logging::FILE_ONLY, "{error}; {}", error.help);
            // The tray shows these two lines when the core did not start.
            eprintln!("error: {error}\nhelp: {}", error.help);
            Ok(error.code)
        }
    }
}

/// Tells a person who started the core at a terminal where it listens and what to do next.
fn announce(address: &str, is_encrypted: bool) {
    if std::io::stdout().is_terminal() {
        println!("MCPProxy is running at {}", mcp_url(address, is_encrypted));
        println!("Next, in another terminal: mcpproxy setup. Press Ctrl-C to stop.");
    }
}

fn instance_root(globals: &Globals, environment: &Environment) -> Result<InstanceRoot, CliError> {
    let home = home_directory();
    let named = globals.data_dir.as_deref().map(|path| path.to_string_lossy().into_owned());
    let named = named.or_else(|| environment.non_empty(names::ENV_HOME).map(str::to_owned));
    match (home, named) {
        (Some(home), named) => Ok(InstanceRoot::resolve(&home, named.as_deref())),
        (None, Some(named)) => Ok(InstanceRoot::resolve(&PathBuf::from("/"), Some(&named))),
        (None, None) => {
            Err(CliError::new("CONFIG_NOT_FOUND", "could not find a data directory: this user has no home directory")
                .guided(format!("name one with --data-dir or in {}", names::ENV_HOME)))
        }
    }
}

fn report(format: Format, error: &CliError) -> std::process::ExitCode {
    if error.code == output::READER_GONE {
        return error.exit.code().into();
    }
    if format != Format::Table {
        let _ = output::print(format, error, |_| String::new());
    }
    output::say(&format!("error: {}", error.message));
    if let Some(guidance) = &error.guidance {
        output::say(&format!("help: {guidance}"));
    }
    error.exit.code().into()
}
