//! What is coloured, decided once. Each style stands beside a sign or a word, so that nothing is said by colour alone.

use owo_colors::{AnsiColors, Style};

/// The styles of the terminal; all plain where colour is not wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    /// The prompt, and questions and commands echoed as the prompt had them.
    pub(super) prompt: Style,
    /// Activity elsewhere, in the prompt.
    pub(super) activity: Style,
    /// Reasoning, hints, and what explains.
    pub(super) dim: Style,
    /// Errors and answers that failed.
    pub(super) error: Style,
    /// The row that marks another session.
    pub(super) marker: Style,
    /// Whether Markdown in answers is styled: with colour or not at all.
    pub(super) markdown: bool,
}

impl Palette {
    /// The palette with colour, or the plain one.
    pub(super) fn new(color: bool) -> Self {
        let plain = Style::new();
        if !color {
            return Self { prompt: plain, activity: plain, dim: plain, error: plain, marker: plain, markdown: false };
        }
        Self {
            prompt: plain.bold().cyan(),
            activity: plain.yellow(),
            dim: plain.dimmed(),
            error: plain.red(),
            marker: plain.bold(),
            markdown: true,
        }
    }
}

/// What styles add to a run of an answer's text; by default nothing. Of the colours only those that read on dark and on light
/// ground: the terminal's own theme says what they are, and neither black, white nor yellow is among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ink {
    pub(super) bold: bool,
    pub(super) dim: bool,
    pub(super) italic: bool,
    pub(super) underline: bool,
    pub(super) strike: bool,
    pub(super) color: Option<AnsiColors>,
}

impl Ink {
    /// Plain text.
    pub(super) const PLAIN: Self =
        Self { bold: false, dim: false, italic: false, underline: false, strike: false, color: None };
    /// Markup itself.
    pub(super) const MARKUP: Self = Self { dim: true, ..Self::PLAIN };
    /// A heading. Not the prompt's colour, so that it is not taken for a question.
    pub(super) const HEADING: Self = Self { bold: true, ..Self::of(AnsiColors::Magenta) };
    /// The sign or number of a list's item, and the sign of a quote.
    pub(super) const SIGN: Self = Self::of(AnsiColors::Green);
    /// Code within a line.
    pub(super) const CODE: Self = Self::of(AnsiColors::Cyan);

    /// A colour and nothing else.
    pub(super) const fn of(color: AnsiColors) -> Self {
        Self { color: Some(color), ..Self::PLAIN }
    }

    /// Both; the colour of `self` where both have one.
    pub(super) fn over(self, other: Self) -> Self {
        Self {
            bold: self.bold || other.bold,
            dim: self.dim || other.dim,
            italic: self.italic || other.italic,
            underline: self.underline || other.underline,
            strike: self.strike || other.strike,
            color: self.color.or(other.color),
        }
    }

    /// As the terminal is told.
    pub(super) fn style(self) -> Style {
        type Effect = fn(Style) -> Style;
        let effects: [(bool, Effect); 5] = [
            (self.bold, Style::bold),
            (self.dim, Style::dimmed),
            (self.italic, Style::italic),
            (self.underline, Style::underline),
            (self.strike, Style::strikethrough),
        ];
        let colored = self.color.map_or_else(Style::new, |color| Style::new().color(color));
        effects.into_iter().filter(|(on, _)| *on).fold(colored, |style, (_, effect)| effect(style))
    }
}

/// Whether to colour: `--color always` and `never` are obeyed; `auto` is what every other tool makes of `NO_COLOR`,
/// `CLICOLOR_FORCE`, `TERM` and whether stdout is a terminal.
pub fn wants_color(choice: anstream::ColorChoice) -> bool {
    match choice {
        anstream::ColorChoice::Always | anstream::ColorChoice::AlwaysAnsi => true,
        anstream::ColorChoice::Never => false,
        anstream::ColorChoice::Auto => anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never,
    }
}
