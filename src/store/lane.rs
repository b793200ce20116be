//! A lane is a thread that owns a connection, and the bounded queue of jobs in front of it. The writer and the reader
//! are lanes; they differ in the loop that takes the jobs.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::task::{Context, Poll};
use std::thread;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;

/// One operation with its place for the outcome and its way back to who asked.
pub(super) trait Job: Send {
    /// Runs the operation and keeps what came of it; an error is given out too, for the caller to undo it.
    fn run(&mut self, conn: &Connection, path: &Path) -> Result<(), StoreError>;
    /// Replies: with `error` when there is one, else with what was kept.
    fn finish(self: Box<Self>, error: Option<&StoreError>);
}

/// What stands in a lane's queue.
pub(super) enum Mail {
    /// To be run.
    Job(Box<dyn Job>),
    /// Ends the thread after all that came before; the sender is dropped once the connection is closed.
    Close(SyncSender<()>),
    /// Where to save what is open if the database's folder is gone; for the writer.
    Refuge(PathBuf),
    /// The next attempt to save what is open is the last; for the writer.
    Hurry,
}

struct Task<F, T, R> {
    operation: Option<F>,
    outcome: Option<Result<T, StoreError>>,
    reply: R,
}

impl<F, T, R> Job for Task<F, T, R>
where
    F: FnOnce(&Connection) -> Result<T, StoreError> + Send,
    T: Send,
    R: FnOnce(Result<T, StoreError>) + Send,
{
    fn run(&mut self, conn: &Connection, path: &Path) -> Result<(), StoreError> {
        let operation = self.operation.take().ok_or(StoreError::Closed)?;
        let outcome = operation(conn).map_err(|e| e.at(path));
        let verdict = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        self.outcome = Some(outcome);
        verdict
    }

    fn finish(self: Box<Self>, error: Option<&StoreError>) {
        let kept = self.outcome.unwrap_or(Err(StoreError::Closed));
        (self.reply)(match error {
            Some(error) => Err(error.clone()),
            None => kept,
        });
    }
}

/// What comes of an operation that stands in the queue already. Dropping it does not take the operation back.
#[derive(Debug)]
pub struct Reply<T>(oneshot::Receiver<Result<T, StoreError>>);

impl<T> Future for Reply<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // A dropped sender is a lane that ended before the operation was committed.
        Pin::new(&mut self.0).poll(cx).map(|outcome| outcome.unwrap_or(Err(StoreError::Closed)))
    }
}

/// The handle's end of a lane.
#[derive(Debug, Clone)]
pub(super) struct Lane(SyncSender<Mail>);

impl Lane {
    /// Starts the thread `name`, which runs `body` on the receiving end of a queue of `capacity` jobs.
    pub(super) fn start(
        name: &str,
        capacity: usize,
        body: impl FnOnce(Receiver<Mail>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (tx, rx) = sync_channel(capacity);
        thread::Builder::new().name(name.to_owned()).spawn(move || body(rx))?;
        Ok(Self(tx))
    }

    /// Puts `operation` at the end of the queue before this returns. See [`Store::submit`](super::Store::submit).
    pub(super) fn submit<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Reply<T> {
        let (tx, rx) = oneshot::channel();
        // Nobody may wait for the reply any more; that is theirs to decide.
        self.put(operation, move |outcome| drop(tx.send(outcome)));
        Reply(rx)
    }

    /// Runs `operation` and blocks this thread until it is done.
    pub(super) fn blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (tx, rx) = sync_channel(1);
        self.put(operation, move |outcome| drop(tx.send(outcome)));
        rx.recv().unwrap_or(Err(StoreError::Closed))
    }

    fn put<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
        reply: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let task = Task { operation: Some(operation), outcome: None, reply };
        if let Err(refused) = self.0.send(Mail::Job(Box::new(task)))
            && let Mail::Job(job) = refused.0
        {
            job.finish(Some(&StoreError::Closed));
        }
    }

    /// Tells the writer where to save what is open if the database's folder is gone.
    pub(super) fn refuge(&self, folder: PathBuf) {
        // A lane that has ended saves nothing.
        let _ = self.0.send(Mail::Refuge(folder));
    }

    /// Tells the writer that the program is about to end.
    pub(super) fn hurry(&self) {
        let _ = self.0.send(Mail::Hurry);
    }

    /// Ends the lane after all that was submitted before, and blocks until its connection is closed.
    pub(super) fn close(&self) {
        let (tx, rx) = sync_channel(1);
        if self.0.send(Mail::Close(tx)).is_ok() {
            // Never sent on: the end of the channel is the message.
            let _ended = rx.recv();
        }
    }
}
