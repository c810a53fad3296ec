//! Why a session was not opened, or ended.

/// Why a session was not opened, or ended. Texts are for a person.
#[derive(Debug, Clone, PartialEq)]
pub enum ConnectError {
    Failed(String),
    /// The server answered, but rejected `initialize`.
    NoInitialize(String),
    /// A person has to unlock the keychain.
    Locked(String),
    /// A person has to sign in. Holds the `WWW-Authenticate` value, if the server sent one.
    SignIn(Option<String>),
}

impl From<String> for ConnectError {
    fn from(text: String) -> ConnectError {
        ConnectError::Failed(text)
    }
}
