//! The inputs of the driver and its orders to the main thread.

use std::path::PathBuf;

use crate::contract::api::{AiClient, Info, Profile, Servers, Setup, Status, TelemetryState};
use crate::tray::decision::Decision;
use crate::tray::first_run::{Answer, Choice, NextStep};
use crate::tray::menu::Command;
use crate::tray::message::Message;
use crate::tray::single_instance::InstanceRequest;
use crate::tray::supervisor::{Ask, Event};
use crate::tray::view::View;

/// An event from outside the loop.
#[derive(Debug)]
pub(crate) enum Input {
    /// The user chose an item in the icon's menu or in the status window.
    Chosen(Command, Where),
    Answered(Answer),
    /// The state of setup, for the second step of the first-run window.
    SetupKnown(Box<Setup>),
    /// The user's choice in the second step, with what it showed.
    NextChosen(Choice, Box<Setup>),
    /// The system's launch-at-login setting may have changed.
    AutostartChanged,
    IconBuilt,
    IconFailed(String),
    /// It is time to try the icon again.
    IconDue,
    HostSeen(bool),
    /// The time in which the desktop's panel may appear is over.
    HostDue,
    Happened(Event),
    Asked(Ask),
    Info(Box<Info>),
    Status(Box<Status>),
    /// PATH for a core is known, so the core can start.
    PathKnown {
        first: bool,
        path: Vec<PathBuf>,
    },
    Servers(Servers),
    Clients(Vec<AiClient>),
    /// The profiles and the name of the active one; empty for none.
    Profiles(Vec<Profile>, String),
    /// Settings of the Go core that neither its status nor its info contains: telemetry, and whether it serves HTTPS.
    GoSettings(TelemetryState, bool),
    /// An action succeeded and the user must do something else.
    Hint(String),
    /// The Go core is stopping. Its event stream was closed, because the core waits for that.
    Ending,
    /// The core sent a ping: the occasion to check what sends no notification.
    Pinged,
    /// Another start of this program sent a request.
    InstanceRequested(InstanceRequest),
    /// Ask the user to confirm.
    Ask(Decision),
    /// The user confirmed.
    Decided(Decision),
    /// An action of the user ended.
    Done(Result<(), String>),
    /// The minimum interval between views is over.
    Pace,
}

/// Where the user chose an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Menu,
    StatusWindow,
}

/// A task for the main thread.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    Show(View),
    BuildIcon(View),
    /// The system has toggled this item's checkmark by itself. The next view must set it to the real state.
    Untick(Command),
    Ask(Decision),
    /// Show the second step of the first-run window.
    AskNext(NextStep, Box<Setup>),
    Tell(Message),
    /// Show the menu in a window, for desktops without a panel.
    ShowStatus,
    Leave {
        /// The program to start in place of this one.
        relaunch: Option<PathBuf>,
    },
}
