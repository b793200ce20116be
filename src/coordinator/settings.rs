//! What a person sets: what a session tells while one looks elsewhere (kept), how the terminal shows things (until the program
//! ends), and the files that go along with the next message.

use super::Coordinator;
use super::request::{Error, Handle, Reply, Request, answer};
use crate::domain::text::one_line;
use crate::domain::{Attachment, EndState, Look, Notify, Problem, SessionId, SessionRef, Show, Told};
use crate::store::{AttachFiles, DropAttachments, SetNotify};

/// Characters of an error in what calls a person who looks elsewhere.
const ALERT_ERROR_CHARS: usize = 100;

/// What of `[ui]` concerns more than the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UiDefaults {
    /// For sessions that have no word of their own.
    pub notify: Notify,
    /// How the terminal shows things at first.
    pub look: Look,
}

/// The settings as the active session has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The active session.
    pub session: SessionId,
    /// What it tells, where that was set for it.
    pub own_notify: Option<Notify>,
    /// What the others tell.
    pub default_notify: Notify,
    /// How things are shown now.
    pub look: Look,
}

impl Settings {
    /// What the session tells.
    pub fn notify(&self) -> Notify {
        self.own_notify.unwrap_or(self.default_notify)
    }
}

/// One variant a question, each with its way back.
#[derive(Debug)]
pub(super) enum Setting {
    Ask { reply: Reply<Settings> },
    Notify { notify: Option<Notify>, reply: Reply<Settings> },
    Look { look: Look, reply: Reply<Settings> },
    Attach { files: Vec<Attachment>, reply: Reply<()> },
    Detach { reply: Reply<usize> },
}

impl Coordinator {
    pub(super) fn set(&mut self, setting: Setting) {
        let session = self.active;
        match setting {
            Setting::Ask { reply } => answer(reply, self.settings(session)),
            Setting::Notify { notify, reply } => {
                let commit = self.store.submit(SetNotify { session, notify });
                self.after(commit, move |c, result| {
                    if let (Ok(()), Some(live)) = (&result, c.sessions.get_mut(&session)) {
                        live.session.notify = notify;
                    }
                    answer(reply, result.map_err(Error::from).and_then(|()| c.settings(session)));
                });
            }
            Setting::Look { look, reply } => {
                self.ui.look = look;
                self.show(Show::Look(look));
                answer(reply, self.settings(session));
            }
            Setting::Attach { files, reply } => {
                let commit = self.store.submit(AttachFiles { session, files });
                self.after(commit, move |_, result| answer(reply, result.map_err(Error::from)));
            }
            Setting::Detach { reply } => {
                let commit = self.store.submit(DropAttachments { session });
                self.after(commit, move |_, result| answer(reply, result.map_err(Error::from)));
            }
        }
    }

    fn settings(&self, session: SessionId) -> Result<Settings, Error> {
        let live = self.sessions.get(&session).ok_or(Error::UnknownSession(SessionRef::Id(session)))?;
        let (own_notify, default_notify) = (live.session.notify, self.ui.notify);
        Ok(Settings { session, own_notify, default_notify, look: self.ui.look })
    }

    /// Which of its lines a session tells.
    pub(super) fn notify_of(&self, session: SessionId) -> Notify {
        self.sessions.get(&session).and_then(|live| live.session.notify).unwrap_or(self.ui.notify)
    }

    /// Whether a line about `session` is told: all that the active session has to say is.
    pub(super) fn tells(&self, session: SessionId, what: Told) -> bool {
        session == self.active || self.notify_of(session).tells(what)
    }

    /// A line about a session for who looks elsewhere. A script gets them all.
    pub(super) fn notice_of(&mut self, session: SessionId, what: Told, text: String) {
        if !self.front.is_terminal() || self.tells(session, what) {
            self.notice(text);
        }
    }

    /// Calls a person who looks elsewhere, from whatever session a turn has ended in. Not where a person ended it.
    pub(super) fn alert(&mut self, session: SessionId, state: EndState, problem: Option<&Problem>) {
        let cut = |text: &str| one_line(text, ALERT_ERROR_CHARS);
        let (what, how) = match (state, problem) {
            (EndState::Cancelled, _) | (EndState::Interrupted, None) => return,
            (_, Some(Problem::Finish(text))) => (Told::Failure, cut(text)),
            (EndState::Interrupted, Some(Problem::Error(error))) => {
                (Told::Failure, format!("interrupted: {}", cut(&error.to_string())))
            }
            (EndState::Failed, Some(Problem::Error(error))) => {
                (Told::Failure, format!("failed: {}", cut(&error.to_string())))
            }
            (EndState::Failed, None) => (Told::Failure, "failed".to_owned()),
            (EndState::Complete, None | Some(Problem::Error(_))) => (Told::End, "done".to_owned()),
        };
        if !self.notify_of(session).tells(what) {
            return;
        }
        let text = format!("{} {how}", self.named(session));
        self.show(Show::Alert(text));
    }
}

impl Handle {
    async fn setting<T>(&self, setting: impl FnOnce(Reply<T>) -> Setting) -> Result<T, Error> {
        self.ask(|reply| Request::Set(setting(reply))).await
    }

    /// The settings as the active session has them.
    ///
    /// # Errors
    /// The coordinator has ended.
    pub async fn settings(&self) -> Result<Settings, Error> {
        self.setting(|reply| Setting::Ask { reply }).await
    }

    /// Sets what the active session tells while one looks elsewhere; `None`: as the configuration says. It is kept.
    ///
    /// # Errors
    /// The store.
    pub async fn set_notify(&self, notify: Option<Notify>) -> Result<Settings, Error> {
        self.setting(|reply| Setting::Notify { notify, reply }).await
    }

    /// Sets how the terminal shows things from here on, until the program ends.
    ///
    /// # Errors
    /// The coordinator has ended.
    pub async fn set_look(&self, look: Look) -> Result<Settings, Error> {
        self.setting(|reply| Setting::Look { look, reply }).await
    }

    /// Attaches files to the active session: they go along with the next message that is typed there.
    ///
    /// # Errors
    /// They are too many, or too long together: then none is attached; the store.
    pub async fn attach(&self, files: Vec<Attachment>) -> Result<(), Error> {
        self.setting(|reply| Setting::Attach { files, reply }).await
    }

    /// Attaches nothing to the active session any more: how many files were.
    ///
    /// # Errors
    /// The store.
    pub async fn detach_files(&self) -> Result<usize, Error> {
        self.setting(|reply| Setting::Detach { reply }).await
    }
}
