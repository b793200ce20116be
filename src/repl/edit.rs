//! `/edit` at the prompt: what becomes of what a person's editor gave back.

use super::{After, Repl};
use crate::command;
use crate::domain::{EntryId, Show};

impl Repl {
    /// The editor ended, in which the message `entry` was. What is refused is not lost: it stands in the line.
    pub(super) async fn edited(&self, entry: Option<EntryId>, edited: Result<String, String>) -> After {
        let (entry, text) = match (entry, edited) {
            (Some(entry), Ok(text)) => (entry, text),
            (None, Ok(text)) => return After::Line(text),
            (_, Err(why)) => {
                self.show(Show::Error(why)).await;
                return After::Line(String::new());
            }
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
