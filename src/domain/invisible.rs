//! Characters that nobody sees. In a text they are content; in a name they make two names of one.

/// What kind of character it is, for people; the list is Unicode's `Default_Ignorable_Code_Point`, and what else is drawn as nothing.
pub(super) const fn what_it_is(c: char) -> &'static str {
    match c {
        '\u{200b}' => "zero-width space",
        '\u{200c}' => "zero-width non-joiner",
        '\u{200d}' => "zero-width joiner",
        '\u{2060}' => "word joiner",
        '\u{feff}' => "byte order mark",
        '\u{ad}' => "soft hyphen",
        '\u{34f}' => "combining grapheme joiner",
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a bidirectional control"
        }
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            "a variation selector"
        }
        '\u{e0000}'..='\u{e007f}' => "a tag character",
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' => "a Hangul filler",
        '\u{2061}'..='\u{2064}' => "an invisible operator",
        '\u{fff9}'..='\u{fffb}' => "an annotation mark",
        '\u{2800}' => "an empty Braille pattern",
        _ => "an invisible character",
    }
}

const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Whether an emoji may be: a picture, or what belongs to one.
fn is_picture(c: char) -> bool {
    !c.is_ascii() && !c.is_alphanumeric() && !is_invisible(c)
}

/// The first character in `text` that nobody sees. What a picture is made of is seen: the selector of its style behind it
/// (`\u{2764}\u{fe0f}`), and a joiner between two of them.
pub(super) fn first_in(text: &str) -> Option<char> {
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let behind_picture = before.is_some_and(is_picture);
        let is_seen = match c {
            '\u{fe0e}' | '\u{fe0f}' => behind_picture,
            '\u{200d}' => {
                (behind_picture || before == Some('\u{fe0f}')) && chars.peek().is_some_and(|&next| is_picture(next))
            }
            c => !is_invisible(c),
        };
        if !is_seen {
            return Some(c);
        }
        before = Some(c);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_found_wherever_it_stands() {
        let check = |text: &str, expected: Option<char>| assert_eq!(first_in(text), expected, "{text:?}");
        check("docs", None);
        check("日本語-é\u{301}", None);
        check("docs\u{200b}", Some('\u{200b}'));
        check("\u{2066}docs", Some('\u{2066}'));
        check("do\u{2063}cs", Some('\u{2063}'));
        check("a\u{e0020}", Some('\u{e0020}'));
        check("a\u{e0100}", Some('\u{e0100}'));
        check("\u{fff0}", Some('\u{fff0}'));
    }

    #[test]
    fn what_a_picture_is_made_of_is_seen() {
        let check = |text: &str, expected: Option<char>| assert_eq!(first_in(text), expected, "{text:?}");
        check("\u{2764}\u{fe0f}", None);
        check("\u{1f469}\u{200d}\u{1f4bb}", None);
        check("\u{2764}\u{fe0f}\u{200d}\u{1f525}", None);
        check("\u{1f44d}\u{1f3fd}", None);
        check("a\u{fe0f}", Some('\u{fe0f}'));
        check("\u{fe0f}", Some('\u{fe0f}'));
        check("\u{2764}\u{fe0f}\u{fe0f}", Some('\u{fe0f}'));
        check("a\u{200d}b", Some('\u{200d}'));
        check("\u{1f469}\u{200d}", Some('\u{200d}'));
    }

    #[test]
    fn each_has_a_name() {
        assert_eq!(what_it_is('\u{2060}'), "word joiner");
        assert_eq!(what_it_is('\u{2068}'), "a bidirectional control");
        assert_eq!(what_it_is('\u{206a}'), "an invisible character");
    }
}
