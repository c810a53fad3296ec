//! Exit codes of the core, shared by parent and child, which need not parse text.

use serde::{Deserialize, Serialize};

/// Why the core ended. The numbers are those of the existing core (contract: core-http §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCode {
    /// Asked to stop, stopped.
    Clean = 0,
    /// Anything without a class of its own.
    General = 1,
    /// The command line is invalid. Only `mcpproxy` itself ends with this code.
    Usage = 2,
    /// Another core holds this instance root.
    StoreLocked = 3,
    /// `mcp_config.json` cannot be used as it is.
    Configuration = 4,
    /// The instance root, the socket or the port is forbidden to this user.
    Permission = 5,
    /// The TCP address is in use. The existing core ends with 2 then.
    PortInUse = 6,
}

impl ExitCode {
    /// The class of a process's exit code; unknown codes are [`ExitCode::General`].
    pub const fn from_code(code: i32) -> ExitCode {
        match code {
            0 => ExitCode::Clean,
            // From a core that a program started, 2 is the existing core's code for a port in use.
            2 | 6 => ExitCode::PortInUse,
            3 => ExitCode::StoreLocked,
            4 => ExitCode::Configuration,
            5 => ExitCode::Permission,
            _ => ExitCode::General,
        }
    }

    /// The number the process ends with.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_survives_the_way_through_a_process_status() {
        for code in [
            ExitCode::Clean,
            ExitCode::General,
            ExitCode::PortInUse,
            ExitCode::StoreLocked,
            ExitCode::Configuration,
            ExitCode::Permission,
        ] {
            assert_eq!(ExitCode::from_code(i32::from(code.code())), code);
        }
        assert_eq!(ExitCode::from_code(2), ExitCode::PortInUse);
        assert_eq!(ExitCode::from_code(139), ExitCode::General);
    }
}
