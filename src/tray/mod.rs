//! The tray app: computes menu, icon and tooltip from the model as one value; also supervisor, launch at login and
//! first run.
//!
//! It has two threads. The main thread draws (`render`) and forwards clicks. The driver thread (`drive`) decides: it
//! holds the model, steps the supervisor and carries out the effects. They exchange `drive::Input` and `drive::Order`
//! and share no state.

pub mod another_port;
pub mod autostart;
mod await_signal;
mod commands;
pub mod core_program;
pub mod decision;
mod display;
mod drive;
mod event_loop;
pub mod first_run;
pub mod fix_issues;
mod host;
pub mod icon;
pub mod journal;
pub mod label;
mod launch;
pub mod menu;
pub mod message;
pub mod model;
#[cfg(target_os = "macos")]
mod next_turn;
#[cfg(target_os = "macos")]
mod notification_center;
pub mod options;
mod own_program;
pub mod preferences;
mod render;
pub mod session;
mod single_instance;
mod start;
mod start_core;
mod status_window;
pub mod supervisor;
pub mod terminal_path;
pub mod user_path;
pub mod view;
mod world;
mod write_journal;
mod write_log;
mod write_state;

use std::process::ExitCode;

use crate::contract::names;
use commands::{add_to_path, quit, unregister};
use launch::launch;
use options::Request;
use start::{StartError, Started};
pub use world::World;
use world::{VERSION, print, say};

/// The entry point of the tray program: runs the command from the command line.
pub fn run(world: World) -> ExitCode {
    match Request::read(world.arguments.iter().map(String::as_str)) {
        Request::Run { autostart } => match launch(world, autostart) {
            Ok(Started::ElsewhereAlready(sentence)) => {
                say(&sentence);
                ExitCode::SUCCESS
            }
            Err(StartError { sentence, has_display }) => {
                say(&sentence);
                if has_display && !autostart {
                    message::tell_in_a_window(&format!("MCPProxy could not start: {sentence}"));
                }
                ExitCode::FAILURE
            }
        },
        Request::Quit => quit(&world),
        Request::Unregister => unregister(&world),
        Request::AddToPath => add_to_path(&world),
        Request::Version => {
            print(&format!("{} {VERSION}\n", names::TRAY_PROGRAM));
            ExitCode::SUCCESS
        }
        Request::Help => {
            print(options::HELP);
            ExitCode::SUCCESS
        }
        Request::Unknown(argument) => {
            say(&format!("unknown argument `{argument}`\n{}", options::HELP));
            ExitCode::from(2)
        }
    }
}
