//! `/mcp`: a few tools that search, describe and call the tools of all servers.

pub mod arguments;
pub mod definitions;
pub mod describe_tool;
pub mod error_results;
pub mod few_tools;
mod find_servers;
pub mod handler;
pub mod manage_servers;
pub mod own_tools;
pub mod result_cache;
pub mod retrieve_tools;
pub mod schema;
pub mod search_outcomes;
mod server_answers;
pub mod signature;
#[cfg(test)]
mod token_budget;
pub mod tool_entry;
pub mod truncate;
