//! Errors and URLs as text for a person.

use std::error::Error;

/// An error and its sources.
pub fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// An error with its sources, without repetitions.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut chain = String::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if !chain.contains(&text) {
            chain = if chain.is_empty() { text } else { format!("{chain}: {text}") };
        }
    }
    chain
}

/// A URL without its credentials, query and fragment, which may hold secrets.
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

/// The first line of a text.
pub fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        assert_eq!(shown("https://ann:pw@h.example/mcp?key=1#x"), "https://h.example/mcp?…");
        assert_eq!(shown("http://127.0.0.1:1/mcp"), "http://127.0.0.1:1/mcp");
        assert_eq!(shown("no address?key=1"), "no address");
    }
}
