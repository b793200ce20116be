//! `/undo` and `/edit` carried out. The editor is not here: who has the terminal runs it, between [`Done::Edit`] and
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
        let before = self.store.read(FindEntry(entry)).await?.map(|before| before.text).unwrap_or_default();
        let text = match changed(&before, &text) {
            Change::To(text) => text,
            Change::Nothing => return Ok(Some(format!("#{entry} stays as it was"))),
            Change::Blank => {
                return Ok(Some(format!("#{entry} stays as it was, for nothing was left of it: /undo takes it back")));
            }
        };
        check_message(text)?;
        Ok(match self.handle.replace(entry, text.to_owned(), self.origin).await? {
            Replaced::Changed => Some(format!("#{entry} is changed")),
            Replaced::Asked(..) => None,
        })
    }
}

/// What an editor did to a message.
#[derive(Debug, PartialEq, Eq)]
enum Change<'a> {
    /// It is as it was.
    Nothing,
    /// Nothing but blanks is left.
    Blank,
    /// It is this now.
    To(&'a str),
}

fn changed<'a>(before: &str, after: &'a str) -> Change<'a> {
    let ends = ['\n', '\r'];
    let text = after.trim_end_matches(ends);
    if text.trim().is_empty() {
        Change::Blank
    } else if text == before.trim_end_matches(ends) {
        Change::Nothing
    } else {
        Change::To(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_editor_adds_at_the_end_is_no_change() {
        let check = |before: &str, after: &str, expected| assert_eq!(changed(before, after), expected, "{after:?}");
        check("one", "one\n", Change::Nothing);
        check("one\n", "one", Change::Nothing);
        check("one\ntwo", "one\ntwo\r\n", Change::Nothing);
        check("one", "two\n", Change::To("two"));
        check("one", " one\n", Change::To(" one"));
        check("one", "one \n\n", Change::To("one "));
        check("one", " \n\t\n", Change::Blank);
        check("one", "", Change::Blank);
    }
}
