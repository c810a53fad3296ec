//! Adds and removes an entry of PATH.

/// PATH with the folder at its end; `None` if PATH already contains it.
pub fn with(path: &str, folder: &str) -> Option<String> {
    if path.split(';').any(|entry| is(entry, folder)) {
        return None;
    }
    let before = path.trim_end_matches(';');
    Some(if before.is_empty() { folder.to_owned() } else { format!("{before};{folder}") })
}

/// PATH without the folder; `None` if PATH does not contain it. Keeps every other entry unchanged.
pub fn without(path: &str, folder: &str) -> Option<String> {
    let kept: Vec<&str> = path.split(';').filter(|entry| !is(entry, folder)).collect();
    let kept = kept.join(";");
    (kept != path).then_some(kept)
}

fn is(entry: &str, folder: &str) -> bool {
    let plain = |text: &str| text.trim().trim_matches('"').trim_end_matches(['\\', '/']).to_lowercase();
    !entry.trim().is_empty() && plain(entry) == plain(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = r"C:\Users\Ann\AppData\Local\Programs\MCPProxy";

    #[test]
    fn it_is_added_once_and_taken_back_whole() {
        let long = format!(r"%USERPROFILE%\bin;{};C:\x y\", r"D:\a;".repeat(2000));
        let added = with(&long, OURS).unwrap();
        assert!(added.starts_with(&long) && added.ends_with(OURS));
        assert_eq!(with(&added, OURS), None);
        assert_eq!(with(&added, &format!("{}\\", OURS.to_lowercase())), None);
        assert_eq!(without(&added, OURS), Some(long));
    }

    #[test]
    fn an_empty_path_and_one_with_a_trailing_separator_gain_only_the_folder() {
        assert_eq!(with("", OURS), Some(OURS.to_owned()));
        assert_eq!(with(r"C:\x;", OURS), Some(format!(r"C:\x;{OURS}")));
        assert_eq!(without(OURS, OURS), Some(String::new()));
        assert_eq!(without(r"C:\x;;D:\y", OURS), None);
    }
}
