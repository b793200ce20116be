//! When a typed text is not yet whole, and what it means once it is. Pure; `keys` asks at Enter, `reader` takes the result.

/// Opens and closes a block of several lines.
const FENCE: &str = "\"\"\"";

/// Whether the text has an open block: it begins with `"""` and no `"""` ends it.
pub(super) fn is_open_block(text: &str) -> bool {
    let Some(inside) = text.trim_start().strip_prefix(FENCE) else { return false };
    !inside.trim_end().ends_with(FENCE)
}

/// Whether a `\` at the text's end asks for another line (`\\` is a backslash).
pub(super) fn goes_on(text: &str) -> bool {
    text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// The message that a whole text means: the fences of a block, and the line ends beside them, are taken off.
pub(super) fn message(text: String) -> String {
    let inside = text.trim().strip_prefix(FENCE).and_then(|inside| inside.strip_suffix(FENCE));
    match inside {
        Some(inside) => {
            let inside = inside.strip_prefix('\n').unwrap_or(inside);
            inside.strip_suffix('\n').unwrap_or(inside).to_owned()
        }
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_open_until_it_is_closed() {
        let check = |text, open| assert_eq!(is_open_block(text), open, "{text:?}");
        check("hello", false);
        check("\"\"\"", true);
        check("\"\"\"a\nb", true);
        check("\"\"\"a\nb\"\"\"", false);
        check("\"\"\"\na\n\"\"\" ", false);
        check("say \"\"\"", false);
        check("\"\"\"\"\"\"", false);
    }

    #[test]
    fn a_backslash_goes_on() {
        let check = |text, on| assert_eq!(goes_on(text), on, "{text:?}");
        check("a", false);
        check("a\\", true);
        check("a\\\\", false);
        check("a\\ ", false);
        check("\\", true);
    }

    #[test]
    fn fences_are_taken_off() {
        let check = |text: &str, expected| assert_eq!(message(text.to_owned()), expected);
        check(" plain\n text ", " plain\n text ");
        check("\"\"\"\na\n  b\n\"\"\"", "a\n  b");
        check("\"\"\"a\"\"\"", "a");
        check("\"\"\"\"\"\"", "");
        check("\"\"\"", "\"\"\"");
    }
}
