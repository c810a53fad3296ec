//! `/mcp/all`: every tool, resource and prompt of the servers themselves, without the search in front.

pub mod handler;
pub mod instructions;
pub mod listing;
pub mod notifications;
pub mod qualified_name;
pub mod route;
pub mod scope;
pub mod strict_schema;
