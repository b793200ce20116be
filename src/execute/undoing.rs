//! `/undo` and `/edit` carried out. The editor is not here: who has the terminal runs it between [`Done::Edit`] and
//! [`Executor::replace`].

use super::{Done, Executor, Failure, check_message};
use crate::command;
use crate::coordinator::{LastMessage, Replaced};
use crate::domain::EntryId;
use crate::store::FindEntry;

/// What is said where there is nothing to take back or to change.
const NOTHING: &str = "nothing was asked here that could be taken back";

/// Why `/edit` is an error where nobody can edit.
pub const NEEDS_TERMINAL: &str = "/edit needs a terminal";

impl Executor {
    pub(super) async fn undo(&self) -> Result<Done, Failure> {
        Ok(match self.handle.undo().await? {
            Some(undone) => Done::TakenBack { said: undone.to_string(), text: command::as_line(&undone.text) },
            None => Done::Said(NOTHING.to_owned()),
        })
    }

    pub(super) async fn edit(&self) -> Result<Done, Failure> {
        if !self.has_line {
            return Err(Failure::of(NEEDS_TERMINAL));
        }
        Ok(match self.handle.last_message().await? {
            Some(LastMessage { entry, text }) => Done::Edit { entry, text },
            None => Done::Said(NOTHING.to_owned()),
        })
    }

    /// Gives the message `entry` the text that its editor gave back ([`Done::Edit`]). Line ends at its end are the editor's and not
    /// the message's. What is worth a line; `None`: it is asked anew, and that is acknowledged as any message is.
    ///
    /// # Errors
    /// It is being answered by now; a full queue; the text is too long, or holds a NUL. The text is the caller's then.
    pub async fn replace(&self, entry: EntryId, text: String) -> Result<Option<String>, Failure> {
        let text = text.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() {
            return Ok(Some(format!("#{entry} stays as it was: nothing is left of it; /undo takes it back")));
        }
        let before = self.store.read(FindEntry(entry)).await?;
        if before.is_some_and(|before| before.text.trim_end_matches(['\n', '\r']) == text) {
            return Ok(Some(format!("#{entry} stays as it was")));
        }
        check_message(text)?;
        Ok(match self.handle.replace(entry, text.to_owned(), self.origin).await? {
            Replaced::Changed => Some(format!("#{entry} is changed")),
            Replaced::Asked(..) => None,
        })
    }
}
