//! `/mcp/all`: offers the tools, resources and prompts of the servers directly, without a search.

pub mod handler;
pub mod instructions;
pub mod listing;
pub mod notifications;
pub mod qualified_name;
pub mod route;
pub mod scope;
pub mod strict_schema;
pub mod tool_tokens;

#[cfg(test)]
#[cfg(unix)]
mod tests;
