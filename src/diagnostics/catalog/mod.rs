//! The text and the remedies of each code. The pages in `docs/errors/` are generated from it.
//!
//! Texts may hold placeholders such as `{server}`, which [`crate::diagnostics::diagnosis`] fills in.

mod local;
mod remote;
mod settings;
mod step;

pub use step::{Act, Entry, Fixer, Step};

use crate::diagnostics::code::Code;

impl Entry {
    /// The entry of a code.
    pub fn of(code: Code) -> &'static Entry {
        let mut all = local::ENTRIES.iter().chain(remote::ENTRIES).chain(settings::ENTRIES);
        all.find(|entry| entry.code == code).unwrap_or(&settings::UNCLASSIFIED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_entry_of_its_own() {
        for code in Code::ALL {
            assert_eq!(Entry::of(*code).code, *code, "{}", code.name());
        }
    }

    #[test]
    fn every_entry_says_what_happened_and_what_to_do() {
        for entry in Code::ALL.iter().map(|code| Entry::of(*code)) {
            let name = entry.code.name();
            for text in [entry.what, entry.why, entry.remedy] {
                assert!(text.ends_with('.') && text.len() > 10, "{name}: {text}");
            }
            assert!(!entry.steps.is_empty(), "{name}");
            for step in entry.steps {
                assert!(!step.label.is_empty() && !step.label.ends_with('.'), "{name}: {}", step.label);
            }
        }
    }

    #[test]
    fn keys_of_fixes_are_found_again() {
        for fixer in Fixer::ALL {
            assert_eq!(Fixer::of_key(fixer.key()), Some(fixer));
        }
        let entry = Entry::of(Code::Http401);
        assert_eq!((entry.destructive(Fixer::SignIn), entry.destructive(Fixer::RaiseTimeout)), (Some(true), None));
    }
}
