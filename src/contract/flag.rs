//! The meaning of switches in environment variables: one rule for each kind, for all programs.

/// Whether a switch is on: any value except empty, `0`, `false`, `no` and `off`, trimmed, in any case.
pub fn is_on(value: &str) -> bool {
    let value = value.trim();
    !["", "0", "false", "no", "off"].iter().any(|off| value.eq_ignore_ascii_case(off))
}

/// Whether a variable of the Go core is true, by the Go core's rule: `1` or `true`.
pub fn is_true(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("true")
}

/// Whether a variable of the Go core is false, by the Go core's rule: `0` or `false`.
pub fn is_false(value: &str) -> bool {
    value == "0" || value.eq_ignore_ascii_case("false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_on_unless_it_says_otherwise() {
        for on in ["1", "true", "yes", "on", " 2 ", "please"] {
            assert!(is_on(on), "{on}");
        }
        for off in ["", " ", "0", "False", " no ", "OFF"] {
            assert!(!is_on(off), "{off}");
        }
    }

    #[test]
    fn a_variable_of_the_go_core_is_true_false_or_neither() {
        assert!(is_true("1") && is_true("TRUE") && !is_true("yes") && !is_true(""));
        assert!(is_false("0") && is_false("False") && !is_false("no") && !is_false(""));
    }
}
