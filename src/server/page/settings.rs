//! The page *Settings*: every key of the configuration, generated from the configuration's schema.

use maud::{Markup, html};
use serde_json::Value;

use crate::config::setting_groups::SETTINGS;
use crate::server::page::layout::{Frame, foreign, heading, message, page, token};
use crate::server::page::setting::{Elsewhere, Setting, settings_of};
use crate::server::page::settings_form::{self, Form};
use crate::server::page::settings_undo::{self, SettingsChange};

/// Keys that are not changed on this page.
const ELSEWHERE: [(&str, Elsewhere); 12] = [
    ("mcpServers", Elsewhere::Page("/ui/servers", "Servers")),
    ("profiles", Elsewhere::Page("/ui/profiles", "Profiles")),
    ("activity_bodies", Elsewhere::Page("/ui/privacy", "Privacy")),
    ("sensitive_data", Elsewhere::Page("/ui/privacy", "Privacy")),
    ("telemetry.enabled", Elsewhere::Page("/ui/privacy", "Privacy")),
    ("api_key", Elsewhere::Never("Only in the file: the browser never gets it.")),
    ("docker_isolation.image", Elsewhere::Never(ONE_SERVER)),
    ("docker_isolation.working_dir", Elsewhere::Never(ONE_SERVER)),
    ("telemetry.anonymous_id", Elsewhere::Never(BY_MCPPROXY)),
    ("telemetry.anonymous_id_created_at", Elsewhere::Never(BY_MCPPROXY)),
    ("telemetry.last_reported_version", Elsewhere::Never(BY_MCPPROXY)),
    ("telemetry.notice_shown", Elsewhere::Never(BY_MCPPROXY)),
];
const BY_MCPPROXY: &str = "Set by MCPProxy.";
const ONE_SERVER: &str = "Has an effect in a server's options only.";

/// Maximum number of changes that can be undone on the page.
pub(super) const MOST_CHANGES: usize = 8;

/// Returns the settings of a schema, with their values.
pub(super) fn settings(schema: &Value, config: &Value) -> Vec<Setting> {
    settings_of(schema, schema, config, &ELSEWHERE)
}

/// The page's data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    pub settings: &'a [Setting],
    /// Only settings with all these words are shown.
    pub query: &'a str,
    /// The path of the configuration file.
    pub path: &'a str,
    /// The configuration without secrets.
    pub config: &'a Value,
    /// The latest changes, newest first.
    pub changes: &'a [SettingsChange],
    pub error: Option<&'a str>,
}

pub(super) fn view(frame: &Frame, shown: &Settings<'_>) -> Markup {
    let Settings {
        settings,
        query,
        path,
        config,
        changes,
        error,
    } = *shown;
    let form = Form {
        groups: SETTINGS,
        settings,
        query,
        unset: |_| "",
    };
    let contents = html! {
        @let more = html! { a.button href="/ui/profiles" { "Profiles" } a.button href="/ui/secrets" { "Secrets" } };
        (heading("Settings", "Changes apply at once, unless MCPProxy tells you that they need a restart.", &more))
        @if let Some(error) = error { div.notice.bad role="alert" { (message(error)) } }
        (settings_form::search(query))
        (settings_form::contents(&form))
        (settings_undo::view(frame, changes, config))
        form.settings method="post" action="/ui/settings" {
            (token(frame))
            (settings_form::fields(&form))
        }
        p.quiet.more { "The settings are stored in " code { (foreign(path)) } ", which you can also edit with any editor." }
    };
    page(frame, "/ui/settings", "Settings", &contents)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::schema::schema;
    use crate::server::page::form::Fields;
    use crate::server::page::setting::{Kind, changes, keep_entered, properties};
    use crate::server::page::settings_undo::changed;

    #[test]
    fn the_schema_gives_settings_of_every_kind() {
        let config = json!({"listen": "127.0.0.1:1", "trusted_hosts": ["a", "b"]});
        let settings = settings(&schema(), &config);
        let kind =
            |name: &str| settings.iter().find(|setting| setting.name == name).map(|setting| setting.kind.clone());
        assert_eq!(kind("listen"), Some(Kind::Text));
        assert_eq!(kind("tools_limit"), Some(Kind::Number));
        assert_eq!(kind("enable_socket"), Some(Kind::Switch));
        assert_eq!(kind("trusted_hosts"), Some(Kind::List));
        assert_eq!(kind("tls.enabled"), Some(Kind::Switch));
        assert!(matches!(kind("update_check.channel"), Some(Kind::Choice(_))));
        let Some(Kind::Json(example)) = kind("registries") else {
            panic!("{:?}", kind("registries"))
        };
        assert!(example.starts_with("[{") && example.contains("\"servers_url\""), "{example}");
        assert!(matches!(kind("environment.custom_vars"), Some(Kind::Json(_))));
        assert_eq!(kind("profiles"), Some(Kind::Elsewhere(Elsewhere::Page("/ui/profiles", "Profiles"))));
    }

    #[test]
    fn every_key_of_the_schema_is_on_the_page_and_every_exception_is_a_key() {
        let schema = schema();
        let found = settings(&schema, &json!({"api_key": "hidden-key"}));
        for (name, _) in properties(&schema) {
            let is_here = |one: &Setting| one.name.split('.').next() == Some(name.as_str());
            assert!(found.iter().any(is_here), "{name}");
        }
        for (name, _) in ELSEWHERE {
            assert!(found.iter().any(|setting| setting.name == name), "{name}");
        }
        let shown = Settings {
            settings: &found,
            query: "",
            path: "",
            config: &Value::Null,
            changes: &[],
            error: None,
        };
        let text = view(&Frame::default(), &shown).into_string();
        assert!(!text.contains("hidden-key") && text.contains("href=\"/ui/profiles\">Profiles"), "{text}");
    }

    fn page_with(config: &Value, query: &str) -> String {
        let settings = settings(&schema(), config);
        let shown = Settings {
            settings: &settings,
            query,
            path: "",
            config,
            changes: &[],
            error: None,
        };
        view(&Frame::default(), &shown).into_string()
    }

    #[test]
    fn settings_are_in_groups_with_labels_and_only_changed_ones_are_marked() {
        let settings = settings(&schema(), &Value::Null);
        for setting in &settings {
            let places = SETTINGS.iter().flat_map(|group| group.keys()).filter(|key| *key == setting.name);
            assert_eq!(places.count(), 1, "{}", setting.name);
            let same = settings.iter().filter(|other| other.label == setting.label);
            assert_eq!(same.count(), 1, "two settings are called {}", setting.label);
        }
        let plain =
            page_with(&json!({"tools_limit": 10, "quarantine_enabled": true, "docker_isolation": {"read": []}}), "");
        assert!(!plain.contains("Changed"), "equal to the defaults: {plain}");
        assert!(
            plain.contains(">Tools per search result</label>") && plain.contains("<code>tools_<wbr>limit"),
            "{plain}"
        );
        let changed = page_with(&json!({"tools_limit": 7, "docker_isolation": {"memory_limit": "2g"}}), "");
        assert_eq!(changed.matches(">Changed</span>").count(), 2, "{changed}");
        let (_, isolation) = changed.split_once("id=\"isolation\"").unwrap();
        assert!(isolation.contains("Advanced</summary>") || isolation.contains("1 changed"), "{isolation}");
    }

    #[test]
    fn a_search_finds_keys_labels_and_descriptions_also_without_the_script() {
        for query in ["tools_limit", "Tools per SEARCH", "result number ask"] {
            let found = page_with(&Value::Null, query);
            assert!(found.contains("id=\"tools_limit\"") && !found.contains("id=\"listen\""), "{query}: {found}");
        }
        let folded = page_with(&Value::Null, "tray_endpoint");
        assert!(folded.contains("<details open"), "what was found is not folded: {folded}");
        assert!(page_with(&Value::Null, "no such setting").contains("No setting matches"));
        // Values of settings that the search does not show stay as they are.
        let config = json!({"listen": "127.0.0.1:1", "tools_limit": 5});
        assert_eq!(saved(&config, "tools_limit=7").unwrap(), json!({"tools_limit": 7}));
    }

    #[test]
    fn a_masked_secret_is_not_saved_as_a_value() {
        let error = saved(&Value::Null, "update_check.manifest=•••• (9 chars)x").unwrap_err();
        assert!(error.contains("enter the whole value of `update_check.manifest`"), "{error}");
    }

    fn saved(config: &Value, form: &str) -> Result<Value, String> {
        let changes = changes(&settings(&schema(), config), &Fields::parse(form))?;
        Ok(Value::Object(changed(config, changes)))
    }

    #[test]
    fn only_what_was_changed_is_written() {
        let config = json!({"listen": "127.0.0.1:1", "tools_limit": 5, "tls": {"certs_dir": "/c", "mine": 1}});
        let form = "listen=127.0.0.1%3A1&tools_limit=&tls.enabled=true&tls.certs_dir=&trusted_hosts=a%0D%0Ab";
        let expected = json!({"tools_limit": null, "tls": {"enabled": true, "mine": 1}, "trusted_hosts": ["a", "b"]});
        assert_eq!(saved(&config, form).unwrap(), expected);
        assert!(saved(&config, "tools_limit=x").unwrap_err().contains("number"));
        assert!(saved(&config, "profiles=x").unwrap_err().contains("`profiles` cannot be changed"));
    }

    #[test]
    fn a_page_that_was_opened_earlier_does_not_overwrite_a_newer_change() {
        let page = |config: &Value| {
            let settings = settings(&schema(), config);
            let shown = Settings {
                settings: &settings,
                query: "",
                path: "",
                config,
                changes: &[],
                error: None,
            };
            view(&Frame::default(), &shown).into_string()
        };
        let opened = page(&json!({"tools_limit": 5, "tool_response_limit": 100}));
        let (_, rest) = opened.split_once("name=\"shown_values\" value=\"").unwrap();
        let shown = rest.split_once('"').unwrap().0;
        let now = json!({"tools_limit": 9, "tool_response_limit": 100});
        let form = |fields: &str| format!("shown_values={shown}&{fields}");
        // The user changes one setting; the page still has the earlier value of the other.
        let other = form("tools_limit=5&tool_response_limit=200");
        assert_eq!(saved(&now, &other).unwrap(), json!({"tool_response_limit": 200}));
        let same = form("tools_limit=7&tool_response_limit=100");
        let error = saved(&now, &same).unwrap_err();
        assert!(error.contains("`tools_limit` was changed elsewhere") && error.contains("is now `9`"), "{error}");
        // Otherwise the second one would count as seen on the page that explains the first.
        let both = json!({"tools_limit": 9, "tool_response_limit": 300});
        let error = saved(&both, &form("tools_limit=7&tool_response_limit=200")).unwrap_err();
        assert!(error.contains("is now `9`") && error.contains("is now `300`"), "{error}");
        // The page that explains it keeps what the user entered, and can be saved.
        let mut found = settings(&schema(), &now);
        keep_entered(&mut found, &Fields::parse(&form("tools_limit=7&tool_response_limit=100")));
        let entered: Vec<_> =
            found.iter().filter_map(|one| Some((one.name.as_str(), one.entered.as_deref()?))).collect();
        assert_eq!(entered, [("tools_limit", "7")]);
        let again = page(&now);
        let (_, rest) = again.split_once("name=\"shown_values\" value=\"").unwrap();
        let again = format!("shown_values={}&tools_limit=7", rest.split_once('"').unwrap().0);
        assert_eq!(saved(&now, &again).unwrap(), json!({"tools_limit": 7}));
    }

    #[test]
    fn an_object_or_array_is_edited_as_json() {
        let config = json!({"environment": {"custom_vars": {"A": "1", "TOKEN": "•••• (9 chars)"}}});
        let form = "environment.custom_vars=%7B%22TOKEN%22%3A%22•••• (9 chars)%22%2C%22B%22%3A%222%22%7D";
        let expected = json!({"environment": {"custom_vars": {"TOKEN": "•••• (9 chars)", "B": "2"}}});
        assert_eq!(saved(&config, form).unwrap(), expected);
        let same = "environment.custom_vars=%7B%22A%22:%221%22, %22TOKEN%22:%22•••• (9 chars)%22%7D";
        assert_eq!(saved(&config, same).unwrap(), json!({}), "only the spaces differ");
        assert_eq!(saved(&config, "environment.custom_vars=").unwrap(), json!({"environment": {}}));
        let error = saved(&config, "registries=%5B%7B").unwrap_err();
        assert!(error.contains("`registries` is not valid JSON") && error.contains("line 1"), "{error}");
    }
}
