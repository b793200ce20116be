//! `/edit` at the prompt: what stands between a message and its new text, and what becomes of that.

use super::{After, Repl};
use crate::command;
use crate::domain::{EntryId, Show};

impl Repl {
    /// The message `entry` shall be changed. What its editor gives back is for [`Repl::edited`].
    pub(super) async fn edit(&self, entry: EntryId, text: String) -> After {
        // No editor stands here yet: the text comes back as it is.
        self.edited(entry, text).await
    }

    /// The editor gave `text` back for the message `entry`. What is refused is not lost: it stands in the line.
    pub(super) async fn edited(&self, entry: EntryId, text: String) -> After {
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
