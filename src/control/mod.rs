//! The only module that changes servers and settings.
