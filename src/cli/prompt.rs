//! Asks the user at a terminal.

use std::io::{BufRead, IsTerminal, Write};

use crate::cli::error::CliError;

/// Whether the user can be asked.
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks a yes-no question on standard error.
///
/// # Errors
/// [`CliError`]: there is no terminal; it names the flag that answers the question.
pub fn confirm(question: &str, flag: &str) -> Result<bool, CliError> {
    if !is_interactive() {
        return Err(CliError::new("INVALID_INPUT", format!("could not ask without a terminal: {question}"))
            .guided(format!("use {flag} to answer yes")));
    }
    eprint!("{question} [y/N] ");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    Ok(read.is_ok() && is_yes(&answer))
}

/// Asks for a line on standard error. The caller has checked that there is a terminal.
///
/// # Errors
/// [`CliError`]: the user ended the input.
pub fn ask_line(question: &str) -> Result<String, CliError> {
    eprint!("{question}");
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    match std::io::stdin().lock().read_line(&mut answer) {
        Ok(read) if read > 0 => Ok(answer.trim().to_owned()),
        _ => Err(CliError::new("INVALID_INPUT", "cancelled: nothing was changed")),
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_means_yes() {
        assert!(is_yes("y\n") && is_yes(" YES \r\n"));
        assert!(!is_yes("") && !is_yes("n\n") && !is_yes("yess"));
    }
}
