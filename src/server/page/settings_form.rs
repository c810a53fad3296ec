//! A form with settings in groups: for the configuration, and for the entry of a server.

use maud::{Markup, html};

use crate::config::setting_groups::SettingGroup;
use crate::server::page::layout::message;
use crate::server::page::setting::{Elsewhere, Kind, Setting};
use crate::server::page::shown_values;

/// The settings of a form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form<'a> {
    pub groups: &'a [SettingGroup],
    pub settings: &'a [Setting],
    /// Only settings with all these words are shown.
    pub query: &'a str,
    /// Returns the name of the default of a key that has none in the schema; empty if it has no name.
    pub unset: fn(&str) -> &'static str,
}

impl<'a> Form<'a> {
    fn words(&self) -> Vec<String> {
        self.query.split_whitespace().map(str::to_lowercase).collect()
    }

    /// Returns the shown settings of these keys, in their order.
    fn shown(&self, keys: &[&str]) -> Vec<&'a Setting> {
        let words = self.words();
        let named = |key: &&str| self.settings.iter().find(|setting| setting.name == *key);
        keys.iter().filter_map(named).filter(|setting| setting.matches(&words)).collect()
    }

    /// Returns the shown groups, each with its usual and its advanced settings.
    fn groups(&self) -> Vec<(&'a SettingGroup, Vec<&'a Setting>, Vec<&'a Setting>)> {
        let groups = self.groups.iter().map(|group| (group, self.shown(group.usual), self.shown(group.advanced)));
        groups.filter(|(_, usual, advanced)| !usual.is_empty() || !advanced.is_empty()).collect()
    }
}

/// Renders the field for a search, which the script performs while the user types.
pub(super) fn search(query: &str) -> Markup {
    html! {
        form.search role="search" method="get" {
            label { span.hidden { "Find a setting" } input type="search" name="q" value=(query) placeholder="Find a setting" autocomplete="off" data-filter=".setting" data-shortcut="/"; }
            noscript { button type="submit" { "Find" } }
        }
    }
}

/// Renders links to the groups.
pub(super) fn contents(form: &Form<'_>) -> Markup {
    html! {
        nav.jump aria-label="Groups of settings" { ul { @for (group, ..) in form.groups() { li { a href={"#" (anchor(group))} { (group.title) } } } } }
    }
}

fn anchor(group: &SettingGroup) -> String {
    group.title.to_lowercase().replace(' ', "-")
}

/// Renders the fields of the form, and its button.
pub(super) fn fields(form: &Form<'_>) -> Markup {
    let groups = form.groups();
    let editable = groups.iter().flat_map(|(_, usual, advanced)| usual.iter().chain(advanced));
    let editable = editable.filter(|setting| !matches!(setting.kind, Kind::Elsewhere(_)));
    html! {
        (shown_values::field(editable.map(|setting| (setting.name.as_str(), setting.stored()))))
        @for (group, usual, advanced) in &groups {
            section.panel.group aria-labelledby=(anchor(group)) {
                h2 id=(anchor(group)) { (group.title) }
                @for setting in usual { (row(setting, (form.unset)(&setting.name))) }
                @if !advanced.is_empty() {
                    @let changed = advanced.iter().filter(|setting| setting.is_changed()).count();
                    // The user must see a value that was not saved.
                    @let is_open = !form.query.is_empty() || advanced.iter().any(|setting| setting.entered.is_some());
                    details open[is_open] {
                        summary { "Advanced" span.hidden { " settings: " (group.title) } @if changed > 0 { " " span.quiet { "(" (changed) " changed)" } } }
                        @for setting in advanced { (row(setting, (form.unset)(&setting.name))) }
                    }
                }
            }
        }
        p.empty data-none hidden[!groups.is_empty()] { "No setting matches." @if !form.query.is_empty() { " " a href="?" { "Show all settings" } } }
        @if !groups.is_empty() { div.actions.sticky { button.primary type="submit" { "Save changes" } } }
    }
}

/// Renders a name that may be broken into lines at its parts.
fn breakable(name: &str) -> Markup {
    html! { @for part in name.split_inclusive(['_', '.']) { (part) wbr; } }
}

fn row(setting: &Setting, unset: &str) -> Markup {
    let name = setting.name.as_str();
    let shown = setting.entered.clone().unwrap_or_else(|| setting.stored());
    let usual = setting.usual();
    let about = format!("about-{name}");
    let is_here = !matches!(setting.kind, Kind::Elsewhere(_));
    html! {
        div.setting {
            div.about {
                @if is_here { label for=(name) { (setting.label) } } @else { strong { (setting.label) } }
                @if setting.is_changed() { " " span.mark { "Changed" } }
                p id=[is_here.then_some(&about)] {
                    (message(&setting.description))
                    @if matches!(setting.kind, Kind::Json(_)) { " As JSON." }
                    @if setting.is_changed() && is_here && !usual.is_empty() { " Default: " (in_words(setting, &usual)) "." }
                }
                code { (breakable(name)) }
            }
            @match &setting.kind {
                Kind::Elsewhere(Elsewhere::Page(path, name)) => p { "Change it in " a href=(path) { (name) } },
                Kind::Elsewhere(Elsewhere::Never(reason)) => p.quiet { (reason) },
                Kind::Json(example) => textarea.code.grow id=(name) name=(name) aria-describedby=(about) rows=(shown.lines().count().clamp(3, 16)) placeholder=(example) spellcheck="false" { (shown) },
                Kind::Switch | Kind::Choice(_) => select id=(name) name=(name) aria-describedby=(about) { (options(setting, &shown, &usual, unset)) },
                Kind::Number => input inputmode="decimal" id=(name) name=(name) aria-describedby=(about) value=(shown) placeholder=(placeholder(&usual, unset)) autocomplete="off";,
                Kind::Text => input id=(name) name=(name) aria-describedby=(about) value=(shown) placeholder=(placeholder(&usual, unset)) autocomplete="off" spellcheck="false";,
                Kind::List => textarea id=(name) name=(name) aria-describedby=(about) rows="2" placeholder="One per line" spellcheck="false" { (shown) },
            }
        }
    }
}

fn placeholder<'a>(usual: &'a str, unset: &'a str) -> &'a str {
    match (usual, unset) {
        ("", "") => "Not set",
        ("", unset) => unset,
        (usual, _) => usual,
    }
}

fn in_words(setting: &Setting, value: &str) -> String {
    match (&setting.kind, value) {
        (Kind::Switch, "true") => "on".to_owned(),
        (Kind::Switch, "false") => "off".to_owned(),
        _ => value.to_owned(),
    }
}

/// Renders the options of a setting with few values: each once, unless the user has written the default explicitly.
fn options(setting: &Setting, shown: &str, usual: &str, unset: &str) -> Markup {
    let words = match &setting.kind {
        Kind::Choice(words) => words.clone(),
        _ => vec!["true".to_owned(), "false".to_owned()],
    };
    let label = |word: &str| match (&setting.kind, word) {
        (Kind::Switch, "true") => "On".to_owned(),
        (Kind::Switch, "false") => "Off".to_owned(),
        _ => word.to_owned(),
    };
    let is_unknown = !shown.is_empty() && !words.iter().any(|word| word == shown);
    html! {
        option value="" selected[shown.is_empty()] {
            @if !usual.is_empty() { (label(usual)) " (default)" } @else if unset.is_empty() { "Default" } @else { (unset) }
        }
        @for word in words.iter().filter(|word| *word != usual || *word == shown) { option value=(word) selected[word == shown] { (label(word)) } }
        @if is_unknown { option value=(shown) selected { (shown) } }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn setting(kind: Kind, value: Value, default: Value) -> Setting {
        Setting {
            name: "a_key".into(),
            label: "A <label>".into(),
            description: "Says `more`.".into(),
            kind,
            value,
            default,
            entered: None,
        }
    }

    #[test]
    fn a_choice_offers_each_value_once_and_keeps_one_that_it_does_not_know() {
        let choices = |value: Value| {
            let kind = Kind::Choice(vec!["one".into(), "two".into()]);
            row(&setting(kind, value, json!("one")), "").into_string()
        };
        let plain = choices(Value::Null);
        assert!(
            plain.contains(r#"<option value="" selected>one (default)</option><option value="two">two"#),
            "{plain}"
        );
        assert_eq!(plain.matches("<option").count(), 2);
        assert!(choices(json!("one")).contains(r#"<option value="one" selected>one</option>"#));
        let changed = choices(json!("two"));
        assert!(changed.contains(">Changed</span>") && changed.contains("Default: one."), "{changed}");
        assert!(choices(json!("three")).contains(r#"<option value="three" selected>three"#));
        let switch = row(&setting(Kind::Switch, json!(false), json!(true)), "").into_string();
        assert!(
            switch.contains(">On (default)<") && switch.contains(r#"<option value="false" selected>Off"#),
            "{switch}"
        );
        assert!(switch.contains("Default: on.") && switch.contains("A &lt;label&gt;</label>"), "{switch}");
    }

    #[test]
    fn an_option_of_a_server_says_where_its_value_comes_from() {
        let shown = row(&setting(Kind::Switch, Value::Null, Value::Null), "As for all servers").into_string();
        assert!(shown.contains("<option value=\"\" selected>As for all servers<"), "{shown}");
    }

    #[test]
    fn what_was_entered_and_not_saved_is_not_folded() {
        let mut one = setting(Kind::Text, Value::Null, Value::Null);
        let groups = [SettingGroup {
            title: "Many things",
            usual: &[],
            advanced: &["a_key"],
        }];
        let shown = |one: &Setting| {
            let form = Form {
                groups: &groups,
                settings: std::slice::from_ref(one),
                query: "",
                unset: |_| "",
            };
            fields(&form).into_string()
        };
        assert!(shown(&one).contains("<details><summary>Advanced"), "{}", shown(&one));
        one.entered = Some("x".into());
        assert!(shown(&one).contains("<details open><summary>"), "{}", shown(&one));
    }
}
