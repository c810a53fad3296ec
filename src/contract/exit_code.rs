//! Exit codes of the core. The tray reads them to find out why the core exited.

use serde::{Deserialize, Serialize};

/// Why the core exited. The numbers are those of the Go core, except where noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCode {
    /// The core stopped on request.
    Clean = 0,
    /// Any other error.
    General = 1,
    /// The command line is invalid. Only the command-line interface exits with this code.
    Usage = 2,
    /// Another core is using this data directory.
    StoreLocked = 3,
    /// `mcp_config.json` is invalid or unreadable.
    Configuration = 4,
    /// The user may not use the data directory, the socket or the port.
    Permission = 5,
    /// The TCP address is in use. The Go core exits with 2 in this case.
    PortInUse = 6,
}

impl ExitCode {
    /// Returns the meaning of a process's exit code; unknown codes are [`ExitCode::General`].
    pub const fn from_code(code: i32) -> ExitCode {
        match code {
            0 => ExitCode::Clean,
            // A core that another program started never exits with `Usage`, so 2 means the Go core's code for a port in
            // use.
            2 | 6 => ExitCode::PortInUse,
            3 => ExitCode::StoreLocked,
            4 => ExitCode::Configuration,
            5 => ExitCode::Permission,
            _ => ExitCode::General,
        }
    }

    /// Returns the number for the process to exit with.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_does_not_restart_where_a_restart_does_not_help() {
        let codes = [
            ExitCode::Usage,
            ExitCode::StoreLocked,
            ExitCode::Configuration,
            ExitCode::Permission,
            ExitCode::PortInUse,
        ];
        let codes = codes.map(|code| code.code().to_string()).join(" ");
        let service = include_str!("../../packaging/linux/mcpproxy.service");
        assert!(service.contains(&format!("\nRestartPreventExitStatus={codes}\n")), "{codes}");
    }

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
