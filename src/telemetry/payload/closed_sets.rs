//! The closed sets of values of a payload.

use serde::Serialize;

use crate::telemetry::payload::schema::{Allowed, Rule, allowed_words};

allowed_words! {
    /// The number of upstream tool calls, as a range.
    pub enum CallCountBucket {
        Zero = "0", UpTo10 = "1-10", UpTo100 = "11-100", UpTo1000 = "101-1000", Over1000 = "1000+",
    }
}

impl CallCountBucket {
    /// The range of a count.
    pub fn of(count: u64) -> CallCountBucket {
        match count {
            0 => CallCountBucket::Zero,
            1..=10 => CallCountBucket::UpTo10,
            11..=100 => CallCountBucket::UpTo100,
            101..=1000 => CallCountBucket::UpTo1000,
            _ => CallCountBucket::Over1000,
        }
    }
}

allowed_words! {
    /// The product edition. This core has one edition.
    pub enum Edition { Personal = "personal", Teams = "teams", Server = "server", }
}

allowed_words! {
    /// How MCPProxy offers tools to clients.
    pub enum RoutingMode { RetrieveTools = "retrieve_tools", Direct = "direct", CodeExecution = "code_execution", }
}

allowed_words! {
    /// How the previous start ended.
    pub enum StartupOutcome {
        None = "", Success = "success", PortConflict = "port_conflict", DbLocked = "db_locked",
        ConfigError = "config_error", PermissionError = "permission_error", OtherError = "other_error",
    }
}

allowed_words! {
    /// The operating system, in Go's terms. Accepts Rust's name for macOS but never writes it.
    pub enum Os {
        Linux = "linux", Darwin = "darwin", Windows = "windows", FreeBsd = "freebsd", OpenBsd = "openbsd",
        NetBsd = "netbsd", MacOs = "macos", Other = "other",
    }
}

allowed_words! {
    /// The processor, in Go's terms. Accepts Rust's names for the two common ones but never writes them.
    pub enum Arch {
        Amd64 = "amd64", Arm64 = "arm64", X86 = "386", Arm = "arm", Riscv64 = "riscv64", X8664 = "x86_64",
        Aarch64 = "aarch64", Other = "other",
    }
}

impl Os {
    /// The system this program was built for.
    pub fn this() -> Os {
        match std::env::consts::OS {
            "macos" => Os::Darwin,
            word => Os::from_word(word).unwrap_or(Os::Other),
        }
    }
}

impl Arch {
    /// The processor this program was built for.
    pub fn this() -> Arch {
        match std::env::consts::ARCH {
            "x86_64" => Arch::Amd64,
            "aarch64" => Arch::Arm64,
            "x86" => Arch::X86,
            word => Arch::from_word(word).unwrap_or(Arch::Other),
        }
    }
}

allowed_words! {
    /// The provider of an upstream's sign-in.
    pub enum OauthProvider { Google = "google", Github = "github", Microsoft = "microsoft", Generic = "generic", }
}

/// The sign-in providers in use, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OauthProviders(Vec<OauthProvider>);

impl From<Vec<OauthProvider>> for OauthProviders {
    fn from(mut providers: Vec<OauthProvider>) -> OauthProviders {
        providers.sort_by_key(|provider| *provider as u8);
        providers.dedup();
        OauthProviders(providers)
    }
}

impl Allowed for OauthProviders {
    const RULE: Rule = Rule::List {
        of: &OauthProvider::RULE,
        longest: 4,
    };
}
