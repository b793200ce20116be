//! `/edit` at the prompt: what becomes of what a person's editor gave back.

use super::{After, Repl};
use crate::command;
use crate::domain::{EntryId, Show};

impl Repl {
    /// The editor ended, in which the message `entry` was. What is refused is not lost: it stands in the line.
    pub(super) async fn edited(&self, entry: Option<EntryId>, text: Option<String>) -> After {
        let (entry, text) = match (entry, text) {
            (Some(entry), Some(text)) => (entry, text),
            (None, Some(text)) => return After::Line(text),
            // It failed, and that was said.
            (_, None) => return After::Line(String::new()),
        };
        match self.executor.replace(entry, text.clone()).await {
            Ok(said) => {
                if let Some(said) = said {
                    self.show(Show::Notice(said)).await;
                }
                After::Line(String::new())
            }
            Err(failure) => {
                self.show(Show::Error(failure.to_string())).await;
                After::Line(command::as_line(&text))
            }
        }
    }
}
