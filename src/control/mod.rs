//! The only module that changes servers and settings.

pub mod scan_tools;
