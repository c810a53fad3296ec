//! Tells the user's changes in a form from changes that another page or program has made since the form was rendered.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use maud::{Markup, html};

use crate::server::page::form::Fields;
use crate::server::page::layout::start_of;

/// Name of the hidden field with the fingerprints of what a form showed.
const FIELD: &str = "shown_values";

/// Maximum number of characters of a value in a message.
const MOST_SHOWN: usize = 100;

/// The effect of a form on a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// The user left it as it was shown, or entered its current value.
    None,
    /// The user changed it.
    Made,
    /// The user changed it, and it has another value now than the one that the form showed.
    Conflicting,
}

/// The values that a form showed.
#[derive(Debug)]
pub(super) struct ShownValues<'a>(HashSet<&'a str>);

impl<'a> ShownValues<'a> {
    /// Reads them from a form. A form without them counts as up to date.
    pub(super) fn of(fields: &'a Fields) -> ShownValues<'a> {
        ShownValues(fields.text(FIELD).split('.').filter(|one| !one.is_empty()).collect())
    }

    /// Compares the text that the user sent with the current one. Whitespace at both ends does not count.
    pub(super) fn edit(&self, name: &str, entered: &str, current: &str) -> Edit {
        let was_shown = |text: &str| self.0.contains(fingerprint(name, text).as_str());
        if is_same(entered, current) || (!self.0.is_empty() && was_shown(entered)) {
            Edit::None
        } else if self.0.is_empty() || was_shown(current) {
            Edit::Made
        } else {
            Edit::Conflicting
        }
    }
}

/// Renders the hidden field for a form that shows these values by their names.
pub(super) fn field<'a>(values: impl IntoIterator<Item = (&'a str, String)>) -> Markup {
    let fingerprints: Vec<String> = values.into_iter().map(|(name, text)| fingerprint(name, &text)).collect();
    html! { input type="hidden" name=(FIELD) value=(fingerprints.join(".")); }
}

/// Returns the message about a value that the user changed and that was changed elsewhere.
pub(super) fn conflict(name: &str, current: &str) -> String {
    let current = match current.trim() {
        "" => "has no value now".to_owned(),
        text => format!("is now `{}`", start_of(text, MOST_SHOWN)),
    };
    format!(
        "Nothing was saved: `{name}` was changed elsewhere after you opened this page, and {current}. To replace that, check \
         your value and save again."
    )
}

fn is_same(one: &str, other: &str) -> bool {
    normal(one) == normal(other)
}

/// Browsers send line ends as CR LF.
fn normal(text: &str) -> String {
    text.replace("\r\n", "\n").trim().to_owned()
}

fn fingerprint(name: &str, text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (name, normal(text)).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_change_of_the_user_is_an_edit_and_one_over_a_newer_value_conflicts() {
        let shown = field([("a", "1\n2".to_owned()), ("b", String::new())]).into_string();
        let value = shown.split_once("value=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
        let fields = Fields::parse(&format!("{FIELD}={value}"));
        let shown = ShownValues::of(&fields);
        assert_eq!(shown.edit("a", "1\r\n2", "1\n2 "), Edit::None);
        assert_eq!(shown.edit("a", "3", "1\n2"), Edit::Made);
        assert_eq!(shown.edit("a", "", "1\n2"), Edit::Made);
        assert_eq!(shown.edit("a", "1\r\n2", "9"), Edit::None, "the newer value stays");
        assert_eq!(shown.edit("a", "3", "9"), Edit::Conflicting);
        assert_eq!(shown.edit("a", "3", "3"), Edit::None, "both made the same change");
        assert_eq!(shown.edit("b", "x", ""), Edit::Made);
        assert_eq!(shown.edit("b", "", "1\n2"), Edit::None);
        assert_eq!(shown.edit("b", "1\n2", "x"), Edit::Conflicting, "the value of another setting");
        let without = Fields::default();
        assert_eq!(ShownValues::of(&without).edit("a", "3", "9"), Edit::Made);
    }
}
