//! Reads and writes [`Memory`] in the tables of the store.

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use crate::telemetry::store::{CLIENTS_KEPT, InstallerMark, Memory, Window};

/// Flags (1), counts, and times in Unix seconds, by name.
const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("telemetry_numbers");
/// Client names in the order in which they were first seen.
const CLIENTS: TableDefinition<'_, u64, &str> = TableDefinition::new("telemetry_clients");

mod key {
    pub(crate) const CONNECTED_SERVER: &str = "first_connected_server_ever";
    pub(crate) const MCP_CLIENT: &str = "first_mcp_client_ever";
    pub(crate) const RETRIEVE_TOOLS_CALL: &str = "first_retrieve_tools_call_ever";
    pub(crate) const CALLS: &str = "retrieve_tools_calls_24h";
    pub(crate) const CALLS_START: &str = "retrieve_tools_calls_24h_start";
    pub(crate) const TOKENS: &str = "tokens_saved_24h";
    pub(crate) const TOKENS_START: &str = "tokens_saved_24h_start";
    pub(crate) const IDES: &str = "configured_ide_count";
    pub(crate) const INSTALLER_PENDING: &str = "installer_pending";
    pub(crate) const INSTALLER_TOLD: &str = "installer_told";
    pub(crate) const LAST_ACCEPTED: &str = "last_accepted_heartbeat";
    pub(crate) const VIOLATIONS: &str = "anonymity_violations";
    pub(crate) const BLOCKED: &str = "blocked_in_a_row";
}

fn seconds(stored: u64) -> i64 {
    i64::try_from(stored).unwrap_or(0)
}

fn stored(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0)
}

/// Reads everything stored.
pub(super) fn read(database: &Database) -> Result<Memory, redb::Error> {
    let transaction = database.begin_read()?;
    let mut memory = Memory::default();
    match transaction.open_table(NUMBERS) {
        Ok(numbers) => {
            let number = |name: &str| -> Result<u64, redb::Error> { Ok(numbers.get(name)?.map_or(0, |n| n.value())) };
            memory.connected_server = number(key::CONNECTED_SERVER)? != 0;
            memory.mcp_client = number(key::MCP_CLIENT)? != 0;
            memory.retrieve_tools_call = number(key::RETRIEVE_TOOLS_CALL)? != 0;
            let window = |count, start| -> Result<Window, redb::Error> {
                Ok(Window {
                    count: number(count)?,
                    start: seconds(number(start)?),
                })
            };
            memory.retrieve_tools_calls = window(key::CALLS, key::CALLS_START)?;
            memory.tokens_saved = window(key::TOKENS, key::TOKENS_START)?;
            memory.configured_ides = u32::try_from(number(key::IDES)?).unwrap_or(u32::MAX);
            memory.installer = match (number(key::INSTALLER_PENDING)?, number(key::INSTALLER_TOLD)?) {
                (_, 1..) => InstallerMark::Reported,
                (1.., 0) => InstallerMark::Pending,
                (0, 0) => InstallerMark::None,
            };
            memory.last_accepted = seconds(number(key::LAST_ACCEPTED)?);
            memory.anonymity_violations = number(key::VIOLATIONS)?;
            memory.blocked_in_a_row = number(key::BLOCKED)?;
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    match transaction.open_table(CLIENTS) {
        Ok(clients) => {
            for entry in clients.iter()? {
                memory.clients.push(entry?.1.value().to_owned());
            }
            memory.clients.truncate(CLIENTS_KEPT);
        }
        Err(redb::TableError::TableDoesNotExist(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(memory)
}

/// Writes the whole memory in one transaction. Never resets a flag.
pub(super) fn write(database: &Database, memory: &Memory) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut numbers = transaction.open_table(NUMBERS)?;
        for (name, flag) in [
            (key::CONNECTED_SERVER, memory.connected_server),
            (key::MCP_CLIENT, memory.mcp_client),
            (key::RETRIEVE_TOOLS_CALL, memory.retrieve_tools_call),
            (key::INSTALLER_PENDING, memory.installer >= InstallerMark::Pending),
            (key::INSTALLER_TOLD, memory.installer == InstallerMark::Reported),
        ] {
            if flag {
                numbers.insert(name, 1)?;
            }
        }
        for (name, number) in [
            (key::CALLS, memory.retrieve_tools_calls.count),
            (key::CALLS_START, stored(memory.retrieve_tools_calls.start)),
            (key::TOKENS, memory.tokens_saved.count),
            (key::TOKENS_START, stored(memory.tokens_saved.start)),
            (key::IDES, u64::from(memory.configured_ides)),
            (key::LAST_ACCEPTED, stored(memory.last_accepted)),
            (key::VIOLATIONS, memory.anonymity_violations),
            (key::BLOCKED, memory.blocked_in_a_row),
        ] {
            numbers.insert(name, number)?;
        }
        let mut clients = transaction.open_table(CLIENTS)?;
        for (index, name) in (0..).zip(&memory.clients) {
            clients.insert(index, name.as_str())?;
        }
    }
    transaction.commit()?;
    Ok(())
}
