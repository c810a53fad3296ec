//! The tray app: reads the world and opens the tray's one door.

#![cfg_attr(windows, windows_subsystem = "windows")]

use std::process::ExitCode;

use mcpproxy::tray::{World, run};

fn main() -> ExitCode {
    run(World::read())
}
