//! The operating system as a value, so that the code for every system compiles and is tested on every system.

/// An operating system with rules of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    Linux,
    MacOs,
    Windows,
    /// Another Unix (FreeBSD, …): treated like Linux, but untested.
    Other,
}

impl Platform {
    /// The system for which this program was built.
    pub const HOST: Platform = Platform::from_os(std::env::consts::OS);

    /// Returns the platform for a value of `std::env::consts::OS`.
    pub const fn from_os(os: &str) -> Platform {
        match os.as_bytes() {
            b"linux" => Platform::Linux,
            b"macos" => Platform::MacOs,
            b"windows" => Platform::Windows,
            _ => Platform::Other,
        }
    }

    /// Whether the core can serve HTTPS: that needs a cryptography library in C, which only Linux builds contain.
    pub const fn has_https(self) -> bool {
        matches!(self, Platform::Linux)
    }
}
