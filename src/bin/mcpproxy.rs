//! The core and its command line.

fn main() -> std::process::ExitCode {
    mcpproxy::cli::main()
}
