//! One operating-system facility per file. Nothing here decides anything.

pub mod block_in_place;
pub mod browser;
pub mod clock;
pub mod daily_log;
pub mod environment;
pub mod files;
pub mod go_core_logs;
pub mod hidden_input;
pub mod https;
pub mod keychain;
pub mod line_times;
pub mod local_stream;
pub mod lock;
pub mod memory;
pub mod own_path;
pub mod process;
pub mod redb_file;
pub mod rotating_file;
pub mod sse;
pub mod sync;
pub mod terminal_width;
