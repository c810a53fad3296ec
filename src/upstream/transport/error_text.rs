//! Errors and URLs as text for a person.

use std::error::Error;

pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// An error with its sources, each said once.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if !said.contains(&text) {
            said = if said.is_empty() { text } else { format!("{said}: {text}") };
        }
    }
    said
}

/// An address as it may be shown: without a name and password before the host, and without what follows a `?`.
pub fn shown(url: &str) -> String {
    let Ok(mut address) = reqwest::Url::parse(url) else {
        return url.split(['?', '@']).next().unwrap_or_default().to_owned();
    };
    let _ = address.set_username("");
    let _ = address.set_password(None);
    let hidden = if address.query().is_some() { "?…" } else { "" };
    address.set_query(None);
    address.set_fragment(None);
    format!("{address}{hidden}")
}

pub fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        assert_eq!(shown("https://ann:pw@h.example/mcp?key=1#x"), "https://h.example/mcp?…");
        assert_eq!(shown("http://127.0.0.1:1/mcp"), "http://127.0.0.1:1/mcp");
        assert_eq!(shown("no address?key=1"), "no address");
    }
}
