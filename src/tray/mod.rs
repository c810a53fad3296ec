//! What a person sees and touches. Does not know what is inside the core.

pub mod autostart;
