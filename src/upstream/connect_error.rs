//! Why a session was not opened, or ended.

/// Why a session was not opened or ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectError {
    /// In words.
    Failed(String),
    /// It answered, and knows no `initialize`.
    NoInitialize(String),
    /// In words: a person has to unlock the keychain.
    Locked(String),
    /// A person has to sign in; with what the server said of it.
    SignIn(Option<String>),
}

impl From<String> for ConnectError {
    fn from(words: String) -> ConnectError {
        ConnectError::Failed(words)
    }
}
