//! `/help`: the table as text for a person, fitted to the width of the terminal.

use super::error::{CommandError, UnknownCommand};
use super::table::{GROUPS, Spec, find};

/// The least width that is laid out for; a narrower terminal folds the lines itself.
const MIN_WIDTH: usize = 20;
/// From this width on, usage and help stand side by side; below it, one above the other.
const SIDE_BY_SIDE_WIDTH: usize = 64;
/// A usage wider than this has a row of its own, so that one long usage does not push all help to the right.
const MAX_USAGE_WIDTH: usize = 22;
/// A text block's longest line, where the terminal is wider: more is hard to read.
const MAX_WIDTH: usize = 100;

/// What stands below the commands.
const NOTES: [&str; 3] = [
    "N is a session's number or its name; TEXT is the rest of the line, as it is",
    "what does not begin with a slash is a message; //text sends /text",
    "/help COMMAND says more about one",
];

/// All commands by group, for a terminal of `width` columns. No line end at the end.
pub fn help_text(width: usize) -> String {
    let width = width.clamp(MIN_WIDTH, MAX_WIDTH);
    let mut lines = Vec::new();
    for group in GROUPS {
        lines.push(group.title.to_owned());
        for spec in group.commands {
            describe(&mut lines, spec, width);
        }
        lines.push(String::new());
    }
    for note in NOTES {
        wrap(&mut lines, "", "  ", note, width);
    }
    lines.join("\n")
}

/// One command in full, by its name with or without the slash, for a terminal of `width` columns. No line end at the end.
///
/// # Errors
/// There is no such command.
pub fn help_for(name: &str, width: usize) -> Result<String, CommandError> {
    let name = name.strip_prefix('/').unwrap_or(name);
    let unknown = || CommandError::Bad { command: "help", reason: UnknownCommand::new(name).to_string() };
    let spec = find(name).ok_or_else(unknown)?;
    let width = width.clamp(MIN_WIDTH, MAX_WIDTH);
    let mut lines = Vec::new();
    wrap(&mut lines, "", "    ", &spec.usage(), width);
    for text in [spec.help, spec.detail].into_iter().filter(|text| !text.is_empty()) {
        wrap(&mut lines, "  ", "  ", text, width);
    }
    Ok(lines.join("\n"))
}

fn describe(lines: &mut Vec<String>, spec: &Spec, width: usize) {
    let usage = spec.usage();
    if width < SIDE_BY_SIDE_WIDTH {
        wrap(lines, "  ", "    ", &usage, width);
        wrap(lines, "      ", "      ", spec.help, width);
        return;
    }
    let indent = " ".repeat(MAX_USAGE_WIDTH + 4);
    if columns(&usage) > MAX_USAGE_WIDTH {
        lines.push(format!("  {usage}"));
        wrap(lines, &indent, &indent, spec.help, width);
    } else {
        wrap(lines, &format!("  {usage:MAX_USAGE_WIDTH$}  "), &indent, spec.help, width);
    }
}

/// Breaks `text` at its blanks: `first` stands before the first line, `rest` before the others. A word that is too long for a
/// line has one of its own.
fn wrap(lines: &mut Vec<String>, first: &str, rest: &str, text: &str, width: usize) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && columns(&line) + 1 + columns(word) > width {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
}

/// The table's own texts have no wide and no combining characters: a test sees to it.
fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::super::table::all;
    use super::*;

    #[test]
    fn help_reads_well_at_80_columns() {
        insta::assert_snapshot!(help_text(80));
    }

    #[test]
    fn help_reads_well_at_40_columns() {
        insta::assert_snapshot!(help_text(40));
    }

    #[test]
    fn help_for_one_command_says_more() {
        insta::assert_snapshot!(help_for("/switch", 60).unwrap());
    }

    #[test]
    fn help_for_no_command_names_the_nearest() {
        let error = help_for("swich", 80).unwrap_err();
        assert_eq!(error.to_string(), "/help: unknown command /swich: did you mean /switch?");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in 36..=120 {
            let one_by_one = all().map(|spec| help_for(spec.name, width).unwrap());
            for text in one_by_one.chain([help_text(width)]) {
                for line in text.lines() {
                    assert!(columns(line) <= width, "{line:?} at {width}");
                    assert!(!line.ends_with(' '), "{line:?} at {width}");
                }
            }
        }
        // Too narrow to hold everything, but neither a panic nor a loop.
        for width in 0..36 {
            assert!(help_text(width).contains("/quit"));
        }
    }

    #[test]
    fn every_character_of_the_help_is_one_column_wide() {
        for c in help_text(80).chars().filter(|c| *c != '\n') {
            assert_eq!(unicode_width::UnicodeWidthChar::width(c), Some(1), "{c:?}");
        }
    }
}
