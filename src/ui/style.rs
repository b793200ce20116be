//! What is coloured, decided once. Each style stands beside a sign or a word, so that nothing is said by colour alone.

use owo_colors::Style;

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
}

impl Palette {
    /// The palette with colour, or the plain one.
    pub(super) fn new(color: bool) -> Self {
        let plain = Style::new();
        if !color {
            return Self { prompt: plain, activity: plain, dim: plain, error: plain, marker: plain };
        }
        Self {
            prompt: plain.bold().cyan(),
            activity: plain.yellow(),
            dim: plain.dimmed(),
            error: plain.red(),
            marker: plain.bold(),
        }
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
