//! The prompt: `1:main> `, and `[2~ 5!] 1:main> ` with attention elsewhere. Pure. `reader` lays it out before each line,
//! `helper` draws it at each repaint.
//!
//! rustyline asks for the prompt's text at every repaint but computes its width only when a line begins. So a field of fixed
//! width is reserved for the activity then, and what changes while the line is open is drawn into that field. Where no field was
//! reserved (nothing had ever happened elsewhere), the blank behind the name gives its place to a sign: `1:main!>`.

use std::fmt::Write;

use owo_colors::{OwoColorize, Style};
use rustyline::GraphemeClusterMode;

use super::measure::cut;
use super::style::Palette;
use crate::domain::{Activity, PromptState, SessionId};

/// Columns for one session's activity, `[2+] `: kept free once there is more than one session.
const SMALL_FIELD_COLUMNS: usize = 5;
/// The activity takes at most one in this many of the terminal's columns.
const FIELD_SHARE: usize = 3;
/// The number and the name take at most one in this many of the terminal's columns.
const LABEL_SHARE: usize = 2;

/// A prompt's measures, fixed while a line is open.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// Columns kept for the activity and the blank behind it; 0: none.
    field: usize,
    /// Columns of the terminal.
    width: usize,
}

/// `1:main`, cut with `…` to `room` columns.
pub(super) fn label(session: SessionId, name: &str, room: usize, mode: GraphemeClusterMode) -> String {
    cut(format!("{session}:{name}"), room, mode)
}

/// `[2~ 5! +3]`, at most `room` columns: the most urgent first when not all have room, shown by number. Empty when none has.
fn activity(sessions: &[(SessionId, Activity)], room: usize) -> String {
    let mut urgent: Vec<_> = sessions.to_vec();
    urgent.sort_by_key(|(id, activity)| (std::cmp::Reverse(*activity), *id));
    for shown in (1..=urgent.len()).rev() {
        let mut some = urgent[..shown].to_vec();
        some.sort_by_key(|(id, _)| *id);
        let mut text: String = "[".to_owned();
        for (i, (id, activity)) in some.iter().enumerate() {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{id}{activity}", if i > 0 { " " } else { "" });
        }
        let rest = urgent.len() - shown;
        let with_rest = if rest > 0 { format!("{text} +{rest}]") } else { format!("{text}]") };
        if with_rest.len() <= room {
            return with_rest;
        }
        // At the last, one session without the count of the others is better than nothing.
        if shown == 1 && text.len() < room {
            return text + "]";
        }
    }
    String::new()
}

impl Shape {
    /// The measures for a line that begins now. `several`: there is, or was, another session that may want attention.
    pub(super) fn new(state: &PromptState, several: bool, width: usize) -> Self {
        let room = width / FIELD_SHARE;
        let text = activity(&state.activity, room.saturating_sub(1));
        let field = match (text.len(), several) {
            (0, false) => 0,
            (0, true) if SMALL_FIELD_COLUMNS <= room => SMALL_FIELD_COLUMNS,
            (0, true) => 0,
            (len, _) => len + 1,
        };
        Self { field, width }
    }

    /// The prompt as it is measured and, with a palette, drawn. Its width depends on the shape, the session's number and name only.
    pub(super) fn draw(&self, state: &PromptState, mode: GraphemeClusterMode, palette: Option<&Palette>) -> String {
        let paint = |text: String, style: fn(&Palette) -> Style| match palette {
            Some(palette) if !text.is_empty() => text.style(style(palette)).to_string(),
            _ => text,
        };
        let text = activity(&state.activity, self.field.saturating_sub(1));
        let pad = " ".repeat(self.field - if text.is_empty() { 0 } else { text.len() + 1 });
        let gap = if text.is_empty() { "" } else { " " };
        let label = label(state.session, state.name.as_str(), self.width / LABEL_SHARE, mode);
        let most_urgent = state.activity.iter().map(|(_, activity)| *activity).max();
        let end = match most_urgent {
            Some(sign) if text.is_empty() => format!("{sign}>"),
            _ => "> ".to_owned(),
        };
        format!("{pad}{}{gap}{}", paint(text, |p| p.activity), paint(label + &end, |p| p.prompt))
    }
}

/// The prompt where nothing can be drawn again; `words`: without signs, as it is read aloud.
pub(super) fn plain_prompt(state: &PromptState, width: usize, mode: GraphemeClusterMode, words: bool) -> String {
    if !words {
        return Shape::new(state, false, width).draw(state, mode, None);
    }
    let wants: Vec<_> = state.activity.iter().map(|(id, activity)| format!("{id} {}", activity.in_words())).collect();
    let wants = if wants.is_empty() { String::new() } else { format!("({}) ", wants.join(", ")) };
    format!("{wants}{}> ", label(state.session, state.name.as_str(), usize::MAX, mode))
}

#[cfg(test)]
mod tests {
    use rustyline::GraphemeClusterMode::WcWidth;

    use super::*;

    fn state(activity: &[(i64, Activity)]) -> PromptState {
        let activity = activity.iter().map(|(id, activity)| (SessionId(*id), *activity)).collect();
        PromptState {
            session: SessionId(1),
            name: "main".parse().unwrap(),
            streaming: false,
            progress: None,
            has_others: false,
            activity,
        }
    }

    #[test]
    fn the_prompt_looks_as_the_contract_says() {
        use Activity::{Failed, Finished, Streaming};
        let check = |sessions: &[(i64, Activity)], several, width, expected: &str| {
            let state = state(sessions);
            assert_eq!(Shape::new(&state, several, width).draw(&state, WcWidth, None), expected);
        };
        check(&[], false, 80, "1:main> ");
        check(&[], true, 80, "     1:main> ");
        check(&[(2, Streaming), (5, Failed)], true, 80, "[2~ 5!] 1:main> ");
        check(&[(2, Streaming), (5, Failed)], true, 20, "[5!] 1:main> ");
        check(&[(2, Finished), (3, Streaming), (5, Failed), (7, Finished)], true, 40, "[2+ 5! +2] 1:main> ");
        check(&[(2, Streaming)], true, 9, "1:m…~>");
    }

    #[test]
    fn what_changes_while_the_line_is_open_keeps_the_width() {
        let (before, after) = (state(&[]), state(&[(2, Activity::Finished)]));
        let check = |several, expected: &str| {
            let shape = Shape::new(&before, several, 80);
            let drawn = shape.draw(&after, WcWidth, None);
            assert_eq!(drawn, expected);
            assert_eq!(drawn.len(), shape.draw(&before, WcWidth, None).len());
        };
        check(true, "[2+] 1:main> ");
        check(false, "1:main+>");
    }

    #[test]
    fn a_plain_prompt_says_signs_in_words() {
        let state = state(&[(2, Activity::Streaming), (3, Activity::Finished), (5, Activity::Failed)]);
        assert_eq!(plain_prompt(&state, 80, WcWidth, true), "(2 is answering, 3 has an answer, 5 needs you) 1:main> ");
        assert_eq!(plain_prompt(&state, 80, WcWidth, false), "[2~ 3+ 5!] 1:main> ");
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(label(SessionId(3), "docs", 10, WcWidth), "3:docs");
        assert_eq!(label(SessionId(3), "documents", 6, WcWidth), "3:doc…");
        assert_eq!(label(SessionId(3), "日本語", 6, WcWidth), "3:日…");
    }
}
