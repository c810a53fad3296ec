//! Which of the three call tools may call a tool.

use rmcp::model::ToolAnnotations;

/// The kind of operation that a call tool declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    Read,
    Write,
    Destructive,
}

/// Maximum length of `intent_reason`, in bytes.
const LONGEST_REASON: usize = 1000;

impl Intent {
    /// Every intent, in the order in which the call tools are listed.
    pub const ALL: [Intent; 3] = [Intent::Read, Intent::Write, Intent::Destructive];

    /// Returns the name of the call tool.
    pub const fn tool(self) -> &'static str {
        match self {
            Intent::Read => "call_tool_read",
            Intent::Write => "call_tool_write",
            Intent::Destructive => "call_tool_destructive",
        }
    }

    /// Returns the intent of a call tool, by its name.
    pub fn of_tool(name: &str) -> Option<Intent> {
        Intent::ALL.into_iter().find(|intent| intent.tool() == name)
    }

    /// Returns the recommended call tool for a tool, based on its annotations; `read` if there are none.
    pub fn recommended(annotations: Option<&ToolAnnotations>) -> Intent {
        let hint = |read: fn(&ToolAnnotations) -> Option<bool>| annotations.and_then(read);
        if hint(|a| a.read_only_hint) == Some(true) {
            Intent::Read
        } else if hint(|a| a.destructive_hint) == Some(true) {
            Intent::Destructive
        } else if hint(|a| a.read_only_hint) == Some(false) {
            Intent::Write
        } else {
            Intent::Read
        }
    }

    /// Refuses to call a tool marked as destructive through another call tool.
    ///
    /// # Errors
    /// A message for the caller that names the right call tool.
    pub fn check(self, id: &str, annotations: Option<&ToolAnnotations>) -> Result<(), String> {
        let destructive = Intent::recommended(annotations) == Intent::Destructive;
        if destructive && self != Intent::Destructive {
            let right = Intent::Destructive.tool();
            return Err(format!("Tool '{id}' is marked destructive by server, use {right}"));
        }
        Ok(())
    }
}

/// Checks the optional parameters with which a caller declares its data's sensitivity and its reason.
///
/// # Errors
/// A message for the caller.
pub fn check_declaration(sensitivity: Option<&str>, reason: Option<&str>) -> Result<(), String> {
    if let Some(said) = sensitivity
        && !matches!(said, "" | "public" | "internal" | "private" | "unknown")
    {
        return Err(format!("intent_data_sensitivity is `{said}`, expected public, internal, private or unknown"));
    }
    if reason.is_some_and(|reason| reason.len() > LONGEST_REASON) {
        return Err(format!("intent_reason is longer than {LONGEST_REASON} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destructive_tool_needs_the_destructive_call_tool() {
        let destructive = ToolAnnotations::new().read_only(false).destructive(true);
        assert!(Intent::Read.check("s:t", Some(&destructive)).unwrap_err().contains("call_tool_destructive"));
        assert!(Intent::Write.check("s:t", Some(&destructive)).is_err());
        assert!(Intent::Destructive.check("s:t", Some(&destructive)).is_ok());
    }

    #[test]
    fn a_tool_without_annotations_may_be_called_as_a_read() {
        assert!(Intent::Read.check("s:t", None).is_ok());
        assert_eq!(Intent::recommended(None), Intent::Read);
        let write = ToolAnnotations::new().read_only(false);
        assert_eq!(Intent::recommended(Some(&write)), Intent::Write);
        let odd = ToolAnnotations::new().read_only(true).destructive(true);
        assert_eq!(
            Intent::recommended(Some(&odd)),
            Intent::Read,
            "the destructive hint has no meaning on a read-only tool"
        );
    }

    #[test]
    fn declarations_are_closed_words_and_bounded() {
        assert!(check_declaration(Some("private"), Some("because")).is_ok());
        assert!(check_declaration(Some("secret"), None).is_err());
        assert!(check_declaration(None, Some(&"x".repeat(1001))).is_err());
    }
}
