//! The isolation that a machine offers, as values. [`super::engine`] and [`super::landlock`] find them out.

use std::path::PathBuf;

use crate::diagnostics::code::Code;
use crate::diagnostics::fault::{Failure, Fault};

/// The system that this program runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum System {
    Linux,
    MacOs,
    Windows,
    Other,
}

impl System {
    /// The system that this program was built for.
    pub const fn here() -> System {
        if cfg!(target_os = "linux") {
            System::Linux
        } else if cfg!(target_os = "macos") {
            System::MacOs
        } else if cfg!(windows) {
            System::Windows
        } else {
            System::Other
        }
    }
}

/// A container engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EngineKind {
    Docker,
    Podman,
}

impl EngineKind {
    pub fn name(self) -> &'static str {
        match self {
            EngineKind::Docker => "Docker",
            EngineKind::Podman => "Podman",
        }
    }

    pub fn program(self) -> &'static str {
        match self {
            EngineKind::Docker => "docker",
            EngineKind::Podman => "podman",
        }
    }
}

/// A container engine that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    pub kind: EngineKind,
    pub program: PathBuf,
    /// It runs as this user, so the root of its containers is this user.
    pub rootless: bool,
}

/// Why no container engine can be used, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoEngine {
    pub code: Code,
    pub message: String,
}

impl NoEngine {
    /// The failure of a server that needs an engine.
    pub fn failure(&self) -> Failure {
        Failure::new(Fault::Container(self.code), self.message.clone())
    }
}

/// The isolation that a machine offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    pub system: System,
    /// Version of Landlock that the kernel enforces; none where it does not.
    pub landlock: Option<u32>,
    /// Whether `sandbox-exec` is there.
    pub seatbelt: bool,
    pub engine: Result<Engine, NoEngine>,
    pub home: Option<PathBuf>,
    /// Our data directory, closed to every server.
    pub data_directory: PathBuf,
    /// User and group id; none on Windows.
    pub ids: Option<(u32, u32)>,
}
