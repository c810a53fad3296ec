//! The system a decision is made for, as a value: every arm compiles and is tested on every system.

/// A system that MCPProxy knows rules for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    Linux,
    MacOs,
    Windows,
    /// Another Unix (FreeBSD, …): the Unix rules, without promises.
    Other,
}

impl Platform {
    /// The system this program was built for.
    pub const HOST: Platform = Platform::from_os(std::env::consts::OS);

    /// The platform of a `std::env::consts::OS` word.
    pub const fn from_os(os: &str) -> Platform {
        match os.as_bytes() {
            b"linux" => Platform::Linux,
            b"macos" => Platform::MacOs,
            b"windows" => Platform::Windows,
            _ => Platform::Other,
        }
    }
}
