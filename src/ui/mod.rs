//! tmp
mod live_row;
mod prompt;
mod render;
mod style;
/// How
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Reasoning {
    /// Dimmed.
    #[default]
    Dim,
    /// Not.
    Hide,
    /// As.
    Show,
}
