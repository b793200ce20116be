//! Reading on in the answers of other processes. Their chunks are one log, so one read for all of them gives what is new
//! ([`ChunksSince`]); a session whose place in the log is not known, or has another turn now, is read anew from where its replay
//! buffer ends ([`OutputSince`]).
//!
//! What makes the two fit: [`Reading::end`] is where the replay buffer ends with the attempt's chunks up to [`Reading::after`], of one
//! and the same snapshot. A row is taken in only while the buffer still ends there, the attempt is still that one (the store compares
//! it in the snapshot that it reads from), and the row lies behind.

use std::collections::BTreeMap;

use super::{Coordinator, Live};
use crate::domain::{MessageId, Output, Seen, SessionId};
use crate::store::{Behind, Chunk, ChunkKind, Chunks, ChunksSince, OutputSince, StoreError, Stream};

/// Chunks that are read at once; the rest directly afterwards.
const CHUNKS_BYTES: u64 = 1 << 20;

/// How far the answer that another process gives was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    stream: Stream,
    /// The last chunk, of any answer, that can be in it.
    after: i64,
    /// Where the replay buffer ends with that.
    end: Seen,
}

impl Reading {
    /// As a look found it; `None` when nothing is under way there.
    pub(super) fn of(behind: &Behind) -> Option<Self> {
        behind.stream.map(|stream| Self { stream, after: behind.last_chunk, end: behind.end })
    }

    /// What the answer has grown by, as a look at the session would have found it.
    fn behind(self, chunks: Vec<Chunk>, last: i64) -> Behind {
        let message = self.stream.message;
        let (mut end, mut outputs) = (self.end, Vec::<Output>::new());
        for Chunk { kind, text, .. } in chunks.into_iter().filter(|chunk| chunk.id > self.after) {
            let (reasoning_bytes, text_bytes) = match end.message == message {
                true => (end.reasoning_bytes, end.text_bytes),
                false => (0, 0),
            };
            let output = match kind {
                ChunkKind::Text => Output::Text { message, start: text_bytes, text },
                ChunkKind::Reasoning => Output::Reasoning { message, start: reasoning_bytes, text },
            };
            end.advance(&output);
            match (outputs.last_mut(), output) {
                (Some(Output::Text { text, .. }), Output::Text { text: more, .. })
                | (Some(Output::Reasoning { text, .. }), Output::Reasoning { text: more, .. }) => text.push_str(&more),
                (_, output) => outputs.push(output),
            }
        }
        let entries = [(message, self.stream.entry)].into();
        let (stream, last_chunk) = (Some(self.stream), last.max(self.after));
        Behind { cut_bytes: 0, before: String::new(), outputs, entries, end, stream, last_chunk }
    }
}

impl Live {
    /// Notes how far what another process answers was read, if the replay buffer ends there.
    pub(super) fn note_reading(&mut self, reading: Option<Reading>) {
        let end = self.replay.end();
        if let Some(elsewhere) = &mut self.elsewhere {
            elsewhere.reading = reading.filter(|reading| reading.end == end);
        }
    }
}

impl Coordinator {
    /// Reads on in every session in which another process answers. Not where a look is under way: it brings what there is, and counts
    /// for nothing when something else was read on meanwhile. A look that lost that race each time would tell the end of an answer
    /// without the rest of its text.
    pub(super) fn follow_all(&mut self) {
        let (mut anew, mut asked, mut after) = (Vec::new(), Vec::new(), i64::MAX);
        for live in self.sessions.values_mut() {
            let (session, end) = (live.session.id, live.replay.end());
            let is_looked_at = self.looks.contains_key(&session);
            let follows = |e: &&mut super::Elsewhere| e.running.is_some() && !e.asked && !is_looked_at;
            let Some(elsewhere) = live.elsewhere.as_mut().filter(follows) else { continue };
            match elsewhere.reading.filter(|reading| reading.end == end) {
                Some(reading) => {
                    elsewhere.asked = true;
                    after = after.min(reading.after);
                    asked.push((session, reading.stream));
                }
                None => anew.push(session),
            }
        }
        anew.into_iter().for_each(|session| self.read_anew(session));
        if !asked.is_empty() {
            let streams = asked.iter().map(|(_, stream)| *stream).collect();
            let read = self.store.query(ChunksSince { after, streams, max_bytes: CHUNKS_BYTES });
            self.later(read, move |c, found| c.grown(asked, found));
        }
    }

    /// Reads what lies behind the replay buffer's end.
    fn read_anew(&mut self, session: SessionId) {
        let Some(live) = self.sessions.get_mut(&session) else { return };
        let seen = live.replay.end();
        let Some(elsewhere) = &mut live.elsewhere else { return };
        elsewhere.asked = true;
        let max_bytes = self.read_bytes(session);
        let read = self.store.query(OutputSince { session, seen, max_bytes });
        self.later(read, move |c, behind| c.followed(session, seen, behind));
    }

    fn followed(&mut self, session: SessionId, seen: Seen, behind: Result<Behind, StoreError>) {
        let Some(elsewhere) = self.sessions.get_mut(&session).and_then(|live| live.elsewhere.as_mut()) else { return };
        elsewhere.asked = false;
        match behind {
            Ok(behind) => self.mirror(session, seen, behind),
            Err(error) => tracing::warn!(%session, %error, "what another process answers could not be read"),
        }
    }

    fn grown(&mut self, asked: Vec<(SessionId, Stream)>, found: Result<Chunks, StoreError>) {
        let found = found.inspect_err(|error| tracing::warn!(%error, "what others answer could not be read"));
        let failed = found.is_err();
        let found = found.unwrap_or_default();
        let mut of: BTreeMap<MessageId, Vec<Chunk>> = BTreeMap::new();
        found.rows.into_iter().for_each(|chunk| of.entry(chunk.message).or_default().push(chunk));
        for (session, stream) in asked {
            let Some(live) = self.sessions.get_mut(&session) else { continue };
            let end = live.replay.end();
            let Some(elsewhere) = &mut live.elsewhere else { continue };
            elsewhere.asked = false;
            // Else it was looked at meanwhile, as it is now.
            let reading = elsewhere.reading.filter(|reading| reading.stream == stream && reading.end == end);
            let Some(reading) = reading.filter(|_| !failed) else { continue };
            if found.over.contains(&stream.message) {
                self.read_anew(session);
            } else {
                let behind = reading.behind(of.remove(&stream.message).unwrap_or_default(), found.last);
                self.mirror(session, end, behind);
            }
        }
        if found.more {
            self.follow_all();
        }
    }
}
