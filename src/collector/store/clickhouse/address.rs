//! The address of a ClickHouse server.

/// A server and a database on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickHouseAddress {
    pub(super) url: String,
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
    pub(super) database: String,
}

impl ClickHouseAddress {
    /// Parses `clickhouse://[user:password@]host[:port][/database]`; `clickhouses://` uses TLS.
    ///
    /// # Errors
    /// A description of the error.
    pub fn parse(text: &str) -> Result<ClickHouseAddress, String> {
        let wrong = || "expected clickhouse://[user:password@]host[:port][/database]".to_owned();
        let (scheme, rest, port) = match text.strip_prefix("clickhouse://") {
            Some(rest) => ("http", rest, 8123),
            None => ("https", text.strip_prefix("clickhouses://").ok_or_else(wrong)?, 8443),
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = authority.rsplit_once('@').map_or((None, authority), |(login, host)| (Some(login), host));
        let database = if database.is_empty() { "mcpproxy" } else { database };
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if host.is_empty() || !is_name(database) {
            return Err(wrong());
        }
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let url = if has_port { format!("{scheme}://{host}") } else { format!("{scheme}://{host}:{port}") };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            None => (None, None),
            Some((user, password)) => (Some(user.to_owned()), Some(password.to_owned())),
        };
        Ok(ClickHouseAddress {
            url,
            user,
            password,
            database: database.to_owned(),
        })
    }
}
