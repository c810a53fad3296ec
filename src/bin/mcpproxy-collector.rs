//! The collector and its command line.

fn main() -> std::process::ExitCode {
    mcpproxy::collector::cli::main()
}
